//! Where access lines go: a bounded queue, one writer thread, never a blocked
//! request. A line that finds the queue full is dropped and counted.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
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

static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Lines dropped since the process began.
pub fn dropped_lines() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// The sending end; `None` inside when the log is off.
#[derive(Debug)]
pub struct AccessLogger {
    lines: Option<SyncSender<Vec<u8>>>,
    format: AccessFormat,
    colour: bool,
}

impl AccessLogger {
    /// Opens the target and starts its writer.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread cannot be started.
    pub fn start(config: &AccessLog) -> io::Result<Self> {
        let terminal = config.to == AccessTarget::Stdout && io::stdout().is_terminal();
        let format = config.format.unwrap_or(if terminal { AccessFormat::Text } else { AccessFormat::Json });
        let sink: Box<dyn Write + Send> = match &config.to {
            AccessTarget::Off => return Ok(Self { lines: None, format, colour: false }),
            AccessTarget::Stdout => Box::new(io::stdout()),
            AccessTarget::File(path) => Box::new(OpenOptions::new().create(true).append(true).open(path)?),
        };
        let (sender, receiver) = sync_channel(QUEUE_LINES);
        thread::Builder::new().name("access-log".to_owned()).spawn(move || write_lines(&receiver, sink))?;
        let colour = terminal && std::env::var_os("NO_COLOR").is_none();
        Ok(Self { lines: Some(sender), format, colour })
    }

    /// Whether anybody would read a record: it need not be made otherwise.
    pub fn is_on(&self) -> bool {
        self.lines.is_some()
    }

    /// Never blocks.
    pub fn log(&self, record: &Record<'_>) {
        let Some(lines) = &self.lines else {
            return;
        };
        let mut line = Vec::with_capacity(640);
        render(&mut line, record, self.format, self.colour);
        if lines.try_send(line).is_err() {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Waits for a line, lets others gather, and writes them together: a sender wakes
/// nobody while the writer rests.
fn write_lines(lines: &Receiver<Vec<u8>>, mut sink: Box<dyn Write + Send>) {
    let mut buffer = Vec::with_capacity(KEPT_BYTES);
    while let Ok(first) = lines.recv() {
        buffer.extend_from_slice(&first);
        thread::sleep(GATHER);
        lines.try_iter().for_each(|line| buffer.extend_from_slice(&line));
        if sink.write_all(&buffer).and_then(|()| sink.flush()).is_err() {
            // A full disk or a closed pipe must not end the proxy.
            let lost = memchr::memchr_iter(b'\n', &buffer).count();
            DROPPED.fetch_add(u64::try_from(lost).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        buffer.clear();
        buffer.shrink_to(KEPT_BYTES);
    }
}
