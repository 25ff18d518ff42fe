//! The access log: which finished requests it has a line for, what that looks like, and where it
//! goes. No request waits for it.

use std::cell::RefCell;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use super::file_sink::FileSink;
use super::format::render;
use super::json;
use super::line_buffer::LineBuffer;
use super::line_writer::{LineWriter, NoLines};
use super::log_sink::Sink;
use super::lost_lines::Log;
use super::recent::RecentRequests;
use super::record::AccessRecord;
use super::redaction::{Redaction, Scratch};
use super::sampling::Sampling;
use super::syslog::SyslogSink;
use crate::config::{AccessFormat, AccessLog, AccessTarget};

/// The bytes that may wait for the writer, which may be writing as many again.
const MAX_PENDING: usize = 4 * 1024 * 1024;
/// How long a line may wait before it is written.
const GATHER: Duration = Duration::from_millis(10);
const KEPT_LINE: usize = 16 * 1024;

thread_local! {
    /// Each thread renders its lines here before it locks the buffer.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Takes access records. When the logger is dropped, its writer writes what is left and ends.
#[derive(Debug)]
pub struct AccessLogger {
    /// `None` where the log is off.
    output: Option<Output>,
    /// `None` where no requests are kept.
    recent: Option<Arc<RecentRequests>>,
    redaction: Option<Redaction>,
}

#[derive(Debug)]
struct Output {
    writer: LineWriter,
    sampling: Sampling,
    format: AccessFormat,
    colour: bool,
}

impl AccessLogger {
    pub fn off() -> Self {
        Self { output: None, recent: None, redaction: None }
    }

    /// Opens the target and starts the writer. The requests that `before` kept are taken over.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread cannot be started.
    pub fn start(config: &AccessLog, before: Option<&Self>) -> io::Result<Self> {
        let recent = match config.kept() {
            0 => None,
            most => {
                let known = before.and_then(|before| before.recent.clone());
                let recent = known.unwrap_or_else(|| Arc::new(RecentRequests::new(most)));
                recent.resize(most);
                Some(recent)
            }
        };
        Ok(Self { output: Output::start(config)?, recent, redaction: Redaction::new(&config.redact) })
    }

    /// Whether records are written or kept: the caller need not make one otherwise.
    pub fn is_on(&self) -> bool {
        self.output.is_some() || self.recent.is_some()
    }

    /// The newest requests, where they are kept.
    pub fn recent(&self) -> Option<&Arc<RecentRequests>> {
        self.recent.as_ref()
    }

    /// Takes a record, without waiting for the writer.
    pub fn log(&self, record: &AccessRecord<'_>) {
        let output = self.output.as_ref().filter(|output| output.sampling.takes(record));
        if output.is_none() && self.recent.is_none() {
            return;
        }
        match &self.redaction {
            None => self.put(output, record),
            Some(redaction) => {
                let mut scratch = Scratch::default();
                self.put(output, &redaction.apply(record, &mut scratch));
            }
        }
    }

    fn put(&self, output: Option<&Output>, record: &AccessRecord<'_>) {
        LINE.with_borrow_mut(|line| {
            let begin = |line: &mut Vec<u8>| {
                line.clear();
                line.shrink_to(KEPT_LINE);
            };
            begin(line);
            let mut is_json = false;
            if let Some(output) = output {
                render(line, record, &output.format, output.colour);
                output.writer.push(line);
                is_json = output.format == AccessFormat::Json;
            }
            let Some(recent) = &self.recent else {
                return;
            };
            if !is_json {
                begin(line);
                json::line(line, record);
            }
            recent.push(line.strip_suffix(b"\n").unwrap_or(line));
        });
    }

    /// Opens the file anew after it was moved away. No line is lost.
    ///
    /// # Errors
    /// When it cannot be opened; the old file is written on.
    pub fn reopen(&self) -> io::Result<()> {
        self.output.as_ref().map_or(Ok(()), |output| output.writer.reopen())
    }

    /// Waits until what was logged is written, for a bounded time.
    ///
    /// # Errors
    /// When the writer is blocked.
    pub fn flush(&self) -> io::Result<()> {
        self.output.as_ref().map_or(Ok(()), |output| output.writer.flush())
    }
}

impl Output {
    fn start(config: &AccessLog) -> io::Result<Option<Self>> {
        let sink = match &config.to {
            AccessTarget::Off => return Ok(None),
            AccessTarget::Stdout => Sink::File(FileSink::stdout()?),
            AccessTarget::File(path) => Sink::File(FileSink::file(path.clone())?),
            AccessTarget::Syslog(syslog) => Sink::Syslog(SyslogSink::new(syslog)),
        };
        let terminal = config.to == AccessTarget::Stdout && io::stdout().is_terminal();
        let usual = if terminal { AccessFormat::Text } else { AccessFormat::Json };
        let buffer = Arc::new(LineBuffer::new(MAX_PENDING, GATHER));
        Ok(Some(Self {
            writer: LineWriter::start(Log::Access, sink, buffer, NoLines)?,
            sampling: Sampling::new(config),
            format: config.format.clone().unwrap_or(usual),
            colour: terminal && std::env::var_os("NO_COLOR").is_none(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Share;
    use crate::telemetry::format::tests::record;

    fn config(to: AccessTarget) -> AccessLog {
        let yaml = "listeners: [':80']\nroutes: [{ respond: {} }]\n";
        let (config, _) = crate::config::parse("p.yaml", yaml, &|_| None).unwrap();
        AccessLog { to, ..config.log.access }
    }

    #[test]
    fn off_costs_nothing_unless_requests_are_kept() {
        let off = AccessLogger::start(&config(AccessTarget::Off), None).unwrap();
        assert!(!off.is_on() && off.recent().is_none());
        let kept = AccessLog { recent: Some(5), ..config(AccessTarget::Off) };
        let logger = AccessLogger::start(&kept, None).unwrap();
        logger.log(&record());
        assert!(logger.is_on());
        // Another configuration of the same process has them too.
        let next = AccessLogger::start(&AccessLog { recent: Some(3), ..kept }, Some(&logger)).unwrap();
        next.log(&record());
        let tail = next.recent().unwrap().last(10);
        assert_eq!((tail.lines.len(), tail.next), (2, 2));
        serde_json::from_slice::<serde_json::Value>(&tail.lines[1].1).unwrap();
    }

    #[test]
    fn what_is_not_written_is_kept_all_the_same_and_hidden_in_both() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("here");
        let mut config = config(AccessTarget::File(path.clone()));
        (config.sample, config.format) = (Share(0), Some(AccessFormat::Combined));
        config.redact.query.push("q".to_owned());
        let logger = AccessLogger::start(&config, None).unwrap();
        logger.log(&AccessRecord { status: 200, error: None, error_source: None, ..record() });
        logger.log(&record());
        logger.flush().unwrap();
        let written = std::fs::read_to_string(&path).unwrap();
        assert!(written.lines().count() == 1 && written.contains("?q=[redacted] HTTP"), "{written}");
        let kept = logger.recent().unwrap().last(10);
        let line = String::from_utf8_lossy(&kept.lines[0].1).into_owned();
        assert!(kept.lines.len() == 2 && line.contains("\"query\":\"q=[redacted]\""), "{line}");
    }
}
