//! What the process tells of requests and of itself: the access log and the file of the
//! error log.

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
