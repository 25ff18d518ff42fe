//! The process: its sockets, files, user and logs, Pingora's `Server` inside it, and
//! its life from start to end.
//!
//! [`run`] puts the parts together in the order in which they may fail; from then on
//! [`lifecycle`] decides. [`control`] and [`admin`] are the two ways to ask a running
//! process, [`upgrade`] is how one process takes over from another.

mod admin;
mod announce;
mod auth_service;
mod bind_check;
mod client;
mod conditions;
mod control;
mod descriptors;
mod fetch;
mod files;
mod find;
mod journal;
mod lifecycle;
mod log_targets;
mod logging;
mod oidc_provider;
mod port_holder;
mod privileges;
mod run;
mod sandbox;
mod socket_files;
mod sockets;
mod tcp;
mod tls_service;
mod token_keys;
mod trace_export;
mod upgrade;
mod upstream_service;
mod workers;

pub use admin::{RouteStats, Stats};
pub use bind_check::check_listening;
pub use client::{check_health, in_force, older_processes, order, recent, stats, upstreams};
pub use control::protocol::{InForce, Order};
pub use find::{Running, absolute, find};
pub use lifecycle::daemon;
pub use lifecycle::reload::{INITIAL_LOOKUP_TIMEOUT, waiting};
pub use lifecycle::stage::Ended;
pub use run::{Start, run};
pub use upgrade::respawn::Respawn;
