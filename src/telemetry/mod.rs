//! What the process tells of requests and of itself: the access log, the error log, spans for a
//! collector of traces, and the panics that it lives through.

mod access_log;
mod bounds;
mod error_log;
mod file_sink;
mod format;
mod json;
mod line_buffer;
mod line_writer;
mod log_sink;
mod lost_lines;
mod not_written;
mod panics;
mod recent;
mod record;
mod redaction;
mod sampling;
mod span;
mod span_queue;
mod syslog;
mod template;
mod time;

pub use access_log::AccessLogger;
pub use bounds::VALUE as LONGEST_VALUE;
pub use error_log::{AUDIT, ErrorLogger, finish_error_log, held_back_messages};
pub use format::render;
pub use line_writer::flush_access_logs;
pub use lost_lines::{lost_error_lines, lost_lines};
pub use panics::{Panicked, before_panic_ends_process, contain, contained_panics, end_process_on_panic, note_request};
pub use recent::{RecentRequests, Tail};
pub use record::{AccessRecord, ErrorSource, has_failed};
pub use redaction::REDACTED;
pub use span::{Span, SpanKind, SpanWriter, export_body};
pub use span_queue::{SpanBatch, SpanLoss, SpanQueue, exported_spans, lost_spans, note_exported, note_lost};
pub use time::timestamp;
