//! What is told about requests and about the process: the access log, the error
//! log's file. Must not know Pingora's hooks, routes or upstreams; it is handed a
//! finished [`Record`].

mod access;
mod error_log;
mod format;
mod json;
mod time;

pub use access::{AccessLogger, dropped_lines};
pub use error_log::ErrorFile;
pub use format::{ErrorSource, Record, render};
