//! What the process tells of requests and of itself: the access log and the file of the
//! error log.

mod access_log;
mod bounds;
mod error_log;
mod format;
mod json;

mod record;
mod time;

pub use access_log::{AccessLogger, dropped_lines};
pub use error_log::ErrorFile;
pub use format::render;
pub use record::{AccessRecord, ErrorSource};
