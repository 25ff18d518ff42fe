//! Lines on their way from the threads that log to the one that writes: a buffer with a bound.
//! Nobody waits for room in it.

use std::io;
use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

#[derive(Debug)]
pub struct LineBuffer {
    /// The bytes that may wait for the writer, which may be writing as many again.
    most: usize,
    /// How long a line may wait before it is written.
    gather: Duration,
    pending: Mutex<Pending>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct Pending {
    lines: Vec<u8>,
    requests: Vec<WriterRequest>,
    /// Whether the writer waits to be woken.
    writer_sleeps: bool,
    /// Whether the writer is to look at something else.
    poked: bool,
    closed: bool,
}

#[derive(Debug)]
pub struct WriterRequest {
    pub task: WriterTask,
    /// The bytes of lines that came before the request.
    pub after: usize,
    pub done: SyncSender<io::Result<()>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriterTask {
    /// Lines before the request go to the old file, lines after it to the new one.
    Reopen,
    Flush,
    /// The same at the end of the process, for what the writer adds by itself too.
    Finish,
}

impl LineBuffer {
    pub fn new(most: usize, gather: Duration) -> Self {
        Self { most, gather, pending: Mutex::default(), filled: Condvar::new() }
    }

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
    pub fn push(&self, line: &[u8]) -> bool {
        let mut pending = self.lock();
        if pending.lines.len() + line.len() > self.most {
            return false;
        }
        pending.lines.extend_from_slice(line);
        self.wake(&mut pending);
        true
    }

    pub fn request(&self, task: WriterTask, done: SyncSender<io::Result<()>>) {
        let mut pending = self.lock();
        let after = pending.lines.len();
        pending.requests.push(WriterRequest { task, after, done });
        self.wake(&mut pending);
    }

    /// Has the writer come by, though there may be no line.
    pub fn poke(&self) {
        let mut pending = self.lock();
        pending.poked = true;
        self.wake(&mut pending);
    }

    pub fn close(&self) {
        let mut pending = self.lock();
        pending.closed = true;
        self.wake(&mut pending);
    }

    /// Waits for lines or requests, for as long as `at_most` says, and swaps `written` for the
    /// lines; `None` when the buffer is closed and empty.
    pub fn next(&self, written: &mut Vec<u8>, at_most: Option<Duration>) -> Option<Vec<WriterRequest>> {
        let mut pending = self.lock();
        while pending.lines.is_empty() && pending.requests.is_empty() && !std::mem::take(&mut pending.poked) {
            if pending.closed {
                return None;
            }
            pending.writer_sleeps = true;
            let Some(at_most) = at_most else {
                pending = self.filled.wait(pending).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let (woken, result) = self.filled.wait_timeout(pending, at_most).unwrap_or_else(PoisonError::into_inner);
            pending = woken;
            if result.timed_out() {
                pending.writer_sleeps = false;
                break;
            }
        }
        if pending.requests.is_empty() && !pending.closed && !self.gather.is_zero() {
            // More lines gather meanwhile, and none of them has to wake the writer.
            drop(pending);
            thread::sleep(self.gather);
            pending = self.lock();
        }
        std::mem::swap(written, &mut pending.lines);
        Some(std::mem::take(&mut pending.requests))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;

    const MOST: usize = 100_000;

    fn buffer() -> LineBuffer {
        LineBuffer::new(MOST, Duration::from_millis(1))
    }

    #[test]
    fn what_finds_no_room_is_not_taken_and_nobody_waits() {
        let (buffer, line) = (buffer(), [b'x'; 1000]);
        let taken = (0..10_000).filter(|_| buffer.push(&line)).count();
        assert_eq!(taken, MOST / line.len());
    }

    #[test]
    fn an_order_stands_between_the_lines_before_it_and_those_after() {
        let buffer = buffer();
        let (done, _answer) = sync_channel(1);
        buffer.push(b"a\n");
        buffer.request(WriterTask::Reopen, done);
        buffer.push(b"bc\n");
        let mut lines = Vec::new();
        let requests = buffer.next(&mut lines, None).unwrap();
        assert_eq!((lines.as_slice(), requests.len(), requests[0].after), (&b"a\nbc\n"[..], 1, 2));
    }

    #[test]
    fn a_closed_buffer_gives_what_is_left_and_ends() {
        let buffer = buffer();
        buffer.push(b"last\n");
        buffer.close();
        let mut lines = Vec::new();
        assert!(buffer.next(&mut lines, None).is_some_and(|requests| requests.is_empty()));
        assert_eq!(lines, b"last\n");
        lines.clear();
        assert!(buffer.next(&mut lines, None).is_none());
    }

    #[test]
    fn the_writer_comes_by_when_its_time_is_up_or_it_is_poked() {
        let (buffer, mut lines) = (buffer(), Vec::new());
        assert!(buffer.next(&mut lines, Some(Duration::from_millis(1))).is_some());
        buffer.poke();
        assert!(buffer.next(&mut lines, None).is_some());
        assert!(lines.is_empty());
    }
}
