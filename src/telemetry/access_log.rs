//! The access log: a bounded buffer of lines and one writer thread. No request waits for
//! the writer: a line that finds the buffer full is lost, and counted by [`LostLines`].

use std::cell::RefCell;
use std::io::{self, IsTerminal};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::format::render;
use super::log_sink::{NotWritten, Sink};
use super::lost_lines::LostLines;
use super::record::AccessRecord;
use crate::config::{AccessFormat, AccessLog, AccessTarget};

/// The bytes that may wait for the writer, which may be writing as many again.
const MAX_PENDING: usize = 4 * 1024 * 1024;
const KEPT_BYTES: usize = 256 * 1024;
const KEPT_LINE: usize = 16 * 1024;
/// How long a line may wait before it is written.
const GATHER: Duration = Duration::from_millis(10);
/// How long [`AccessLogger`] waits for the writer, which a pipe may block.
const WRITER_TIMEOUT: Duration = Duration::from_secs(2);

thread_local! {
    /// Each thread renders its lines here before it locks the buffer.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Takes access records. Without a buffer the log is off. When the logger is dropped, its
/// writer writes what is left and ends.
#[derive(Debug)]
pub struct AccessLogger {
    buffer: Option<Arc<LineBuffer>>,
    losses: Option<Arc<LostLines>>,
    format: AccessFormat,
    colour: bool,
}

/// The lines on their way from the threads that log to the writer.
#[derive(Debug, Default)]
struct LineBuffer {
    pending: Mutex<Pending>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct Pending {
    lines: Vec<u8>,
    requests: Vec<WriterRequest>,
    /// Whether the writer waits to be woken.
    writer_sleeps: bool,
    closed: bool,
}

#[derive(Debug)]
struct WriterRequest {
    task: WriterTask,
    /// The bytes of lines that came before the request.
    after: usize,
    done: SyncSender<io::Result<()>>,
}

#[derive(Clone, Copy, Debug)]
enum WriterTask {
    /// Lines before the request go to the old file, lines after it to the new one.
    Reopen,
    Flush,
}

impl LineBuffer {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        // Each statement leaves the lines and requests whole, so that a panic breaks nothing.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, pending: &mut Pending) {
        if std::mem::take(&mut pending.writer_sleeps) {
            self.filled.notify_one();
        }
    }

    /// Adds a line; returns `false` when there is no room for it.
    fn push(&self, line: &[u8]) -> bool {
        let mut pending = self.lock();
        if pending.lines.len() + line.len() > MAX_PENDING {
            return false;
        }
        pending.lines.extend_from_slice(line);
        self.wake(&mut pending);
        true
    }

    fn request(&self, task: WriterTask, done: SyncSender<io::Result<()>>) {
        let mut pending = self.lock();
        let after = pending.lines.len();
        pending.requests.push(WriterRequest { task, after, done });
        self.wake(&mut pending);
    }

    /// Waits for lines or requests and swaps `written` for the lines; `None` when the buffer
    /// is closed and empty.
    fn next(&self, written: &mut Vec<u8>) -> Option<Vec<WriterRequest>> {
        let mut pending = self.lock();
        while pending.lines.is_empty() && pending.requests.is_empty() {
            if pending.closed {
                return None;
            }
            pending.writer_sleeps = true;
            pending = self.filled.wait(pending).unwrap_or_else(PoisonError::into_inner);
        }
        if pending.requests.is_empty() && !pending.closed {
            // More lines gather meanwhile, and none of them has to wake the writer.
            drop(pending);
            thread::sleep(GATHER);
            pending = self.lock();
        }
        std::mem::swap(written, &mut pending.lines);
        Some(std::mem::take(&mut pending.requests))
    }
}

impl Drop for AccessLogger {
    fn drop(&mut self) {
        if let Some(buffer) = &self.buffer {
            let mut pending = buffer.lock();
            pending.closed = true;
            buffer.wake(&mut pending);
        }
        if let Some(losses) = &self.losses {
            losses.close();
        }
    }
}

impl AccessLogger {
    pub fn off() -> Self {
        Self { buffer: None, losses: None, format: AccessFormat::Json, colour: false }
    }

    /// Opens the target and starts the writer.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread cannot be started.
    pub fn start(config: &AccessLog) -> io::Result<Self> {
        let terminal = config.to == AccessTarget::Stdout && io::stdout().is_terminal();
        let format = config.format.unwrap_or(if terminal { AccessFormat::Text } else { AccessFormat::Json });
        let (sink, target) = match &config.to {
            AccessTarget::Off => return Ok(Self::off()),
            AccessTarget::Stdout => (Sink::stdout()?, "stdout".to_owned()),
            AccessTarget::File(path) => (Sink::file(path.clone())?, path.display().to_string()),
        };
        let losses = LostLines::watch(target)?;
        let writer = Writer { sink, losses: Arc::clone(&losses) };
        let buffer = Arc::new(LineBuffer::default());
        let lines = Arc::clone(&buffer);
        thread::Builder::new().name("access-log".to_owned()).spawn(move || write_lines(&lines, writer))?;
        let colour = terminal && std::env::var_os("NO_COLOR").is_none();
        Ok(Self { buffer: Some(buffer), losses: Some(losses), format, colour })
    }

    /// Whether records are written: the caller need not make one otherwise.
    pub fn is_on(&self) -> bool {
        self.buffer.is_some()
    }

    /// Renders a record and adds its line, without waiting for the writer.
    pub fn log(&self, record: &AccessRecord<'_>) {
        let Some(buffer) = &self.buffer else {
            return;
        };
        let taken = LINE.with_borrow_mut(|line| {
            line.clear();
            line.shrink_to(KEPT_LINE);
            render(line, record, self.format, self.colour);
            buffer.push(line)
        });
        if let Some(losses) = self.losses.as_ref().filter(|_| !taken) {
            losses.no_room();
        }
    }

    /// Opens the file anew after it was moved away. No line is lost.
    ///
    /// # Errors
    /// When it cannot be opened; the old file is written on.
    pub fn reopen(&self) -> io::Result<()> {
        self.request(WriterTask::Reopen)
    }

    /// Waits until what was logged is written, for [`WRITER_TIMEOUT`] at most.
    ///
    /// # Errors
    /// When the writer is blocked.
    pub fn flush(&self) -> io::Result<()> {
        self.request(WriterTask::Flush)
    }

    fn request(&self, task: WriterTask) -> io::Result<()> {
        let Some(buffer) = &self.buffer else {
            return Ok(());
        };
        let (done, answer) = sync_channel(1);
        buffer.request(task, done);
        let blocked = |_| io::Error::new(io::ErrorKind::TimedOut, "the access log's writer is blocked");
        answer.recv_timeout(WRITER_TIMEOUT).map_err(blocked)?
    }
}

/// Writes lines and counts those that cannot be written.
struct Writer {
    sink: Sink,
    losses: Arc<LostLines>,
}

impl Writer {
    fn write(&mut self, lines: &[u8]) {
        match self.sink.write(lines) {
            Ok(()) => self.losses.all_written(),
            Err(NotWritten { lines, failure }) => self.losses.not_written(lines, &failure),
        }
    }
}

fn write_lines(buffer: &LineBuffer, mut writer: Writer) {
    let mut lines = Vec::new();
    while let Some(requests) = buffer.next(&mut lines) {
        let mut from = 0;
        for WriterRequest { task, after, done } in requests {
            writer.write(&lines[from..after]);
            from = after;
            let outcome = match task {
                WriterTask::Reopen => writer.sink.reopen(),
                WriterTask::Flush => Ok(()),
            };
            // The caller may have stopped waiting.
            done.try_send(outcome).unwrap_or_default();
        }
        writer.write(&lines[from..]);
        lines.clear();
        lines.shrink_to(KEPT_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_not_taken_and_nobody_waits() {
        let buffer = LineBuffer::default();
        let line = [b'x'; 1000];
        let taken = (0..10_000).filter(|_| buffer.push(&line)).count();
        assert_eq!(taken, MAX_PENDING / line.len());
    }

    #[test]
    fn an_order_stands_between_the_lines_before_it_and_those_after() {
        let buffer = LineBuffer::default();
        let (done, _answer) = sync_channel(1);
        buffer.push(b"a\n");
        buffer.request(WriterTask::Reopen, done);
        buffer.push(b"bc\n");
        let mut lines = Vec::new();
        let requests = buffer.next(&mut lines).unwrap();
        assert_eq!((lines.as_slice(), requests.len(), requests[0].after), (&b"a\nbc\n"[..], 1, 2));
    }

    #[test]
    fn a_closed_queue_gives_what_is_left_and_ends() {
        let buffer = Arc::new(LineBuffer::default());
        buffer.push(b"last\n");
        drop(AccessLogger {
            buffer: Some(Arc::clone(&buffer)),
            losses: None,
            format: AccessFormat::Json,
            colour: false,
        });
        let mut lines = Vec::new();
        assert!(buffer.next(&mut lines).is_some_and(|requests| requests.is_empty()));
        assert_eq!(lines, b"last\n");
        lines.clear();
        assert!(buffer.next(&mut lines).is_none());
    }
}
