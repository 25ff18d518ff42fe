//! A production reverse proxy on Cloudflare's Pingora. Each module imports only from the
//! floors below its own, which `tests/architecture.rs` checks; `ARCHITECTURE.md` is the map.

pub mod auth;
pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
pub mod downstream;
pub mod exchange;
pub mod filter;
#[doc(hidden)]
pub mod fuzz;
pub mod http1;
pub mod http2;
pub mod limit;
pub mod listener;
pub mod message;
pub mod metrics;
pub mod proxy;
pub mod replay;
pub mod route;
pub mod runtime;
pub mod server;
pub mod telemetry;
pub mod transport;
pub mod upstream;
