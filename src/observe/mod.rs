//! What is told about requests: the access log. Must not know Pingora's hooks,
//! routes or upstreams; it is handed a finished [`Record`].

mod access;
mod format;
mod json;
mod time;

pub use access::{AccessLogger, dropped_lines};
pub use format::{ErrorSource, Record, render};
