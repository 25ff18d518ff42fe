//! What is told about requests and about the process: the access log and the error
//! log's file.

mod access;
mod error_log;
mod format;
mod json;
mod record;
mod time;
mod value;

pub use access::{AccessLogger, dropped_lines};
pub use error_log::ErrorFile;
pub use format::render;
pub use record::{AccessRecord, ErrorSource};
