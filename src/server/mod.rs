//! The process: its sockets, files, user and logs, Pingora's `Server` inside it, and
//! its life from start to end.
//!
//! [`run`] puts the parts together in the order in which they may fail; from then on
//! [`lifecycle`] decides. [`control`] and [`admin`] are the two ways to ask a running
//! process, [`upgrade`] is how one process takes over from another.

mod admin;
mod bind_check;
mod client;
mod control;
mod files;
mod lifecycle;
mod logging;
mod privileges;
mod run;
mod socket_files;
mod sockets;
mod upgrade;
mod upstream_service;
mod workers;

pub use bind_check::check_listening;
pub use client::{absolute, check_health, order, upstreams};
pub use control::protocol::Order;
pub use lifecycle::daemon;
pub use lifecycle::reload::INITIAL_LOOKUP_TIMEOUT;
pub use lifecycle::stage::Ended;
pub use run::{Start, run};
pub use upgrade::respawn::Respawn;
