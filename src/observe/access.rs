//! Where access lines go: a bounded queue, one writer thread, never a blocked
//! request. A line that finds the queue full is dropped and counted.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::format::{Record, render};
use crate::config::{AccessFormat, AccessLog, AccessTarget};

const QUEUE_LINES: usize = 8192;
const KEPT_BYTES: usize = 256 * 1024;
/// How long a line may wait before it is written.
const GATHER: Duration = Duration::from_millis(10);
/// How long the writer may take for what was asked of it; a pipe may be blocked.
const PATIENCE: Duration = Duration::from_secs(2);

static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Lines dropped since the process began.
pub fn dropped_lines() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// The sending end; `None` inside when the log is off.
#[derive(Debug)]
pub struct AccessLogger {
    queue: Option<SyncSender<Message>>,
    format: AccessFormat,
    colour: bool,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    /// What was sent before goes to the old file, what comes after to the new one.
    Reopen(SyncSender<io::Result<()>>),
    Flush(SyncSender<io::Result<()>>),
}

impl AccessLogger {
    pub fn off() -> Self {
        Self { queue: None, format: AccessFormat::Json, colour: false }
    }

    /// Opens the target and starts its writer.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread cannot be started.
    pub fn start(config: &AccessLog) -> io::Result<Self> {
        let terminal = config.to == AccessTarget::Stdout && io::stdout().is_terminal();
        let format = config.format.unwrap_or(if terminal { AccessFormat::Text } else { AccessFormat::Json });
        let sink = match &config.to {
            AccessTarget::Off => return Ok(Self { format, ..Self::off() }),
            AccessTarget::Stdout => Sink { file: Box::new(io::stdout()), path: None },
            AccessTarget::File(path) => Sink { file: open(path)?, path: Some(path.clone()) },
        };
        let (sender, receiver) = sync_channel(QUEUE_LINES);
        thread::Builder::new().name("access-log".to_owned()).spawn(move || write_lines(&receiver, sink))?;
        let colour = terminal && std::env::var_os("NO_COLOR").is_none();
        Ok(Self { queue: Some(sender), format, colour })
    }

    /// Whether anybody would read a record: it need not be made otherwise.
    pub fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Never blocks.
    pub fn log(&self, record: &Record<'_>) {
        let Some(queue) = &self.queue else {
            return;
        };
        let mut line = Vec::with_capacity(640);
        render(&mut line, record, self.format, self.colour);
        if queue.try_send(Message::Line(line)).is_err() {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Opens the file anew, after it was moved away. No line is lost.
    ///
    /// # Errors
    /// When it cannot be opened; the old file is written on.
    pub fn reopen(&self) -> io::Result<()> {
        self.ask(Message::Reopen)
    }

    /// Waits until what was logged is written, for [`PATIENCE`] at most.
    ///
    /// # Errors
    /// When the writer is blocked.
    pub fn flush(&self) -> io::Result<()> {
        self.ask(Message::Flush)
    }

    fn ask(&self, what: fn(SyncSender<io::Result<()>>) -> Message) -> io::Result<()> {
        let Some(queue) = &self.queue else {
            return Ok(());
        };
        let (done, answer) = sync_channel(1);
        let blocked = || io::Error::new(io::ErrorKind::TimedOut, "the access log's writer is blocked");
        queue.try_send(what(done)).map_err(|_| blocked())?;
        answer.recv_timeout(PATIENCE).map_err(|_| blocked())?
    }
}

struct Sink {
    file: Box<dyn Write + Send>,
    /// `None` is stdout.
    path: Option<PathBuf>,
}

fn open(path: &PathBuf) -> io::Result<Box<dyn Write + Send>> {
    Ok(Box::new(OpenOptions::new().create(true).append(true).open(path)?))
}

impl Sink {
    fn reopen(&mut self) -> io::Result<()> {
        if let Some(path) = &self.path {
            self.file = open(path)?;
        }
        Ok(())
    }

    fn write(&mut self, buffer: &mut Vec<u8>) {
        if self.file.write_all(buffer).and_then(|()| self.file.flush()).is_err() {
            // A full disk or a closed pipe must not end the proxy.
            let lost = memchr::memchr_iter(b'\n', buffer).count();
            DROPPED.fetch_add(u64::try_from(lost).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        buffer.clear();
        buffer.shrink_to(KEPT_BYTES);
    }
}

/// Waits for a line, lets others gather, and writes them together: a sender wakes
/// nobody while the writer rests.
fn write_lines(queue: &Receiver<Message>, mut sink: Sink) {
    let mut buffer = Vec::with_capacity(KEPT_BYTES);
    while let Ok(first) = queue.recv() {
        if matches!(first, Message::Line(_)) {
            thread::sleep(GATHER);
        }
        for message in std::iter::once(first).chain(queue.try_iter().take(QUEUE_LINES)) {
            let (done, outcome) = match message {
                Message::Line(line) => {
                    buffer.extend_from_slice(&line);
                    continue;
                }
                Message::Flush(done) => {
                    sink.write(&mut buffer);
                    (done, Ok(()))
                }
                Message::Reopen(done) => {
                    sink.write(&mut buffer);
                    (done, sink.reopen())
                }
            };
            // Whoever asked may have lost patience.
            done.try_send(outcome).unwrap_or_default();
        }
        sink.write(&mut buffer);
    }
}
