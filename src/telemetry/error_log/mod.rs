//! The error log: what the process says of itself. Who says something never waits for its disk or
//! pipe, and nobody fills it by having the proxy say the same thing again and again.

mod line;
mod repeats;

use std::io::{self, IsTerminal};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use env_filter::Filter;

use self::line::{Line, Style};
pub use self::repeats::{AUDIT, held_back_messages};
use self::repeats::{Repeats, Verdict};
use super::file_sink::FileSink;
use super::line_buffer::LineBuffer;
use super::line_writer::{LineWriter, OwnLines};
use super::log_sink::Sink;
use super::lost_lines::Log;
use crate::config::{ErrorFormat, ErrorLog};

/// The bytes that may wait for the writer, which may be writing as many again.
const MAX_PENDING: usize = 1024 * 1024;
/// How often the writer looks for messages that were held back.
const TICK: Duration = Duration::from_millis(500);

/// The one of the process, for its end.
static LOGGER: OnceLock<ErrorLogger> = OnceLock::new();

/// Has everything that was said in the log, before the process ends. It waits for a bounded time.
pub fn finish_error_log() {
    if let Some(logger) = LOGGER.get() {
        logger.0.writer.finish().unwrap_or_default();
    }
}

/// The word for what a message is about, which comes from this module.
pub type Word = fn(&str) -> &str;

/// The logger of the process; all clones are the same one.
#[derive(Clone, Debug)]
pub struct ErrorLogger(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    filter: Filter,
    /// What a module is called in the log.
    word: Word,
    style: Style,
    repeats: Arc<Repeats>,
    writer: LineWriter,
}

impl ErrorLogger {
    /// Opens the log and makes it that of the process.
    ///
    /// # Errors
    /// When its file cannot be opened, a thread cannot be started, or there is one already.
    pub fn start(to: &ErrorLog, format: ErrorFormat, filter: Filter, word: Word) -> io::Result<Self> {
        let (sink, is_terminal) = match to {
            ErrorLog::Stderr => (FileSink::stderr(), io::stderr().is_terminal()),
            ErrorLog::File(path) => (FileSink::file(path.clone())?, false),
        };
        let style = match format {
            ErrorFormat::Json => Style::Json,
            ErrorFormat::Text => Style::Text { colour: is_terminal && std::env::var_os("NO_COLOR").is_none() },
        };
        let repeats = Arc::new(Repeats::default());
        let held = HeldBack { repeats: Arc::clone(&repeats), style };
        // Each message is written at once: the next may be the last one of this process.
        let buffer = Arc::new(LineBuffer::new(MAX_PENDING, Duration::ZERO));
        let writer = LineWriter::start(Log::Errors, Sink::File(sink), buffer, held)?;
        let level = filter.filter();
        let logger = Self(Arc::new(Parts { filter, word, style, repeats, writer }));
        log::set_boxed_logger(Box::new(logger.clone())).map_err(io::Error::other)?;
        log::set_max_level(level);
        Ok(LOGGER.get_or_init(|| logger).clone())
    }

    /// Opens the file anew after it was moved away.
    ///
    /// # Errors
    /// When it cannot be opened; the old file is written on.
    pub fn reopen(&self) -> io::Result<()> {
        self.0.writer.reopen()
    }
}

impl log::Log for ErrorLogger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        self.0.filter.enabled(metadata)
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.0.filter.matches(record) {
            self.0.take(record);
        }
    }

    /// Waits until everything is written, for a bounded time.
    fn flush(&self) {
        // Who is blocked was told of it, where that was possible.
        self.0.writer.flush().unwrap_or_default();
    }
}

impl Parts {
    fn take(&self, record: &log::Record<'_>) {
        let message = line::message(record.args());
        let line = Line { level: record.level(), target: (self.word)(record.target()), message: &message, more: None };
        let place = (record.module_path(), record.line());
        match self.repeats.look(&line, place, Instant::now()) {
            Verdict::Write(displaced) => {
                displaced.iter().for_each(|held| self.write(&held.line()));
                self.write(&line);
            }
            Verdict::HoldBack { is_first: true } => self.writer.poke(),
            Verdict::HoldBack { is_first: false } => {}
        }
    }

    fn write(&self, line: &Line<'_>) {
        let mut out = Vec::with_capacity(256);
        self.style.push(&mut out, SystemTime::now(), line);
        self.writer.push(&out);
    }
}

/// What the writer adds: the counts of messages that were held back.
struct HeldBack {
    repeats: Arc<Repeats>,
    style: Style,
}

impl OwnLines for HeldBack {
    fn append(&mut self, out: &mut Vec<u8>, all: bool) -> Option<Duration> {
        let (due, are_more) = self.repeats.due(Instant::now(), all);
        due.iter().for_each(|held| self.style.push(out, SystemTime::now(), &held.line()));
        are_more.then_some(TICK)
    }
}
