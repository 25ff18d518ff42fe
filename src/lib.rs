//! A production reverse proxy on Cloudflare's Pingora. The modules are floors of
//! one house: each knows only those below it (`tests/architecture.rs`), and
//! `ARCHITECTURE.md` is its map.

pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
pub mod downstream;
pub mod filter;
pub mod message;
pub mod proxy;
pub mod route;
pub mod runtime;
pub mod server;
pub mod telemetry;
pub mod upstream;
