//! A log: a bounded buffer of lines and one writer thread. Nobody waits for the writer: a line
//! that finds the buffer full is lost, and counted by [`LostLines`].

use std::io;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::line_buffer::{LineBuffer, WriterRequest, WriterTask};
use super::log_sink::{NotWritten, Sink};
use super::lost_lines::{Log, LostLines};

const KEPT_BYTES: usize = 256 * 1024;
/// How long a caller waits for the writer, which a pipe may block.
const WRITER_TIMEOUT: Duration = Duration::from_secs(2);

/// The access logs of the process: that of the configuration in force, and those of older ones that have
/// requests under way. A buffer lives as long as its writer.
static ACCESS_LOGS: Mutex<Vec<Weak<LineBuffer>>> = Mutex::new(Vec::new());

/// Waits until each of them has written what it was given, for [`WRITER_TIMEOUT`] in all.
///
/// # Errors
/// When a writer is blocked.
pub fn flush_access_logs() -> io::Result<()> {
    let buffers: Vec<_> = access_logs().iter().filter_map(Weak::upgrade).collect();
    let (done, answers) = sync_channel(buffers.len());
    buffers.iter().for_each(|buffer| buffer.request(WriterTask::Flush, done.clone()));
    let end = Instant::now() + WRITER_TIMEOUT;
    for _ in &buffers {
        let left = end.saturating_duration_since(Instant::now());
        answers.recv_timeout(left).map_err(|_| blocked(Log::Access))??;
    }
    Ok(())
}

fn access_logs() -> std::sync::MutexGuard<'static, Vec<Weak<LineBuffer>>> {
    ACCESS_LOGS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn blocked(log: Log) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("the {}'s writer is blocked", log.name()))
}

/// When it is dropped, its writer writes what is left and ends.
#[derive(Debug)]
pub struct LineWriter {
    log: Log,
    buffer: Arc<LineBuffer>,
    losses: Arc<LostLines>,
}

/// Lines that the writer adds by itself, asked for whenever it comes by.
pub trait OwnLines: Send + 'static {
    /// Appends those that are due, or at the end all of them, and says after how long to ask again.
    fn append(&mut self, out: &mut Vec<u8>, all: bool) -> Option<Duration>;
}

/// A log of which each line comes from elsewhere.
#[derive(Debug)]
pub struct NoLines;

impl OwnLines for NoLines {
    fn append(&mut self, _: &mut Vec<u8>, _: bool) -> Option<Duration> {
        None
    }
}

impl LineWriter {
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(log: Log, sink: Sink, buffer: Arc<LineBuffer>, own: impl OwnLines) -> io::Result<Self> {
        let losses = LostLines::watch(log, sink.name())?;
        let writer = Writer { sink, losses: Arc::clone(&losses) };
        let lines = Arc::clone(&buffer);
        if log == Log::Access {
            let mut all = access_logs();
            all.retain(|known| known.strong_count() > 0);
            all.push(Arc::downgrade(&buffer));
        }
        thread::Builder::new().name(log.thread().to_owned()).spawn(move || write_lines(&lines, writer, own))?;
        Ok(Self { log, buffer, losses })
    }

    /// Adds a line, without waiting for the writer.
    pub fn push(&self, line: &[u8]) {
        if !self.buffer.push(line) {
            self.losses.no_room();
        }
    }

    /// Has the writer ask for its own lines.
    pub fn poke(&self) {
        self.buffer.poke();
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

    /// The same at the end of the process.
    ///
    /// # Errors
    /// When the writer is blocked.
    pub fn finish(&self) -> io::Result<()> {
        self.request(WriterTask::Finish)
    }

    fn request(&self, task: WriterTask) -> io::Result<()> {
        let (done, answer) = sync_channel(1);
        self.buffer.request(task, done);
        answer.recv_timeout(WRITER_TIMEOUT).map_err(|_| blocked(self.log))?
    }
}

impl Drop for LineWriter {
    fn drop(&mut self) {
        self.buffer.close();
        self.losses.close();
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

fn write_lines(buffer: &LineBuffer, mut writer: Writer, mut own: impl OwnLines) {
    let (mut lines, mut own_lines, mut wait) = (Vec::new(), Vec::new(), None);
    while let Some(requests) = buffer.next(&mut lines, wait) {
        let mut from = 0;
        let ends = requests.iter().any(|request| request.task == WriterTask::Finish);
        let mut answers = Vec::new();
        for WriterRequest { task, after, done } in requests {
            writer.write(lines.get(from..after).unwrap_or_default());
            from = after;
            let outcome = match task {
                WriterTask::Reopen => writer.sink.reopen(),
                WriterTask::Flush | WriterTask::Finish => Ok(()),
            };
            answers.push((done, outcome));
        }
        writer.write(lines.get(from..).unwrap_or_default());
        lines.clear();
        lines.shrink_to(KEPT_BYTES);
        wait = own.append(&mut own_lines, ends);
        if !own_lines.is_empty() {
            writer.write(&own_lines);
            own_lines.clear();
        }
        for (done, outcome) in answers {
            // The caller may have stopped waiting.
            done.try_send(outcome).unwrap_or_default();
        }
    }
}
