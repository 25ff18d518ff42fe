//! Spans that wait to be sent. A request that finds no room loses its spans and goes on; how many were lost
//! is counted, for the whole process.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// How many spans are sent at once, as far as those of one request need not be parted.
const BATCH: usize = 512;
/// How long a span waits for others to be sent with it.
const GATHER: Duration = Duration::from_secs(1);
const MOST_SPANS: usize = 8192;
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// Why spans were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanLoss {
    /// Too many wait already.
    QueueFull,
    /// The collector is away, slow, or has no time.
    NotSent,
    /// The collector does not want them.
    Refused,
}

impl SpanLoss {
    pub const ALL: [Self; 3] = [Self::QueueFull, Self::NotSent, Self::Refused];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::NotSent => "not_sent",
            Self::Refused => "refused",
        }
    }

    fn counter(self) -> &'static AtomicU64 {
        static QUEUE_FULL: AtomicU64 = AtomicU64::new(0);
        static NOT_SENT: AtomicU64 = AtomicU64::new(0);
        static REFUSED: AtomicU64 = AtomicU64::new(0);
        match self {
            Self::QueueFull => &QUEUE_FULL,
            Self::NotSent => &NOT_SENT,
            Self::Refused => &REFUSED,
        }
    }
}

static EXPORTED: AtomicU64 = AtomicU64::new(0);

/// The number of spans that a collector took since the process began.
pub fn exported_spans() -> u64 {
    EXPORTED.load(Ordering::Relaxed)
}

/// The number of spans that were lost since the process began.
pub fn lost_spans(why: SpanLoss) -> u64 {
    why.counter().load(Ordering::Relaxed)
}

pub fn note_exported(spans: usize) {
    EXPORTED.fetch_add(count(spans), Ordering::Relaxed);
}

pub fn note_lost(why: SpanLoss, spans: usize) {
    why.counter().fetch_add(count(spans), Ordering::Relaxed);
}

/// What is sent at once.
#[derive(Debug, Default)]
pub struct SpanBatch {
    /// Those of each request.
    pub groups: Vec<Vec<u8>>,
    pub spans: usize,
}

#[derive(Debug, Default)]
pub struct SpanQueue {
    waiting: Mutex<Waiting>,
    /// A batch is full, or the process ends.
    ready: Notify,
    /// Nothing is left at the end.
    drained: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    groups: VecDeque<(Vec<u8>, usize)>,
    spans: usize,
    bytes: usize,
    is_ending: bool,
}

impl SpanQueue {
    /// Takes the spans of a request, or loses them. Nobody waits.
    pub fn push(&self, (group, spans): (Vec<u8>, usize)) {
        let mut waiting = self.lock();
        if waiting.spans + spans > MOST_SPANS || waiting.bytes + group.len() > MOST_BYTES {
            drop(waiting);
            return note_lost(SpanLoss::QueueFull, spans);
        }
        let before = waiting.spans;
        waiting.spans += spans;
        waiting.bytes += group.len();
        waiting.groups.push_back((group, spans));
        let is_full = before < BATCH && waiting.spans >= BATCH;
        drop(waiting);
        if is_full {
            self.ready.notify_one();
        }
    }

    /// Waits until a batch is full or its time is up. It may be empty.
    pub async fn batch(&self) -> SpanBatch {
        let is_ready = {
            let waiting = self.lock();
            if waiting.is_ending && waiting.spans == 0 {
                self.drained.notify_one();
            }
            waiting.spans >= BATCH || waiting.is_ending && waiting.spans > 0
        };
        if !is_ready && timeout(GATHER, self.ready.notified()).await.is_err() {
            log::trace!("traces: {} s are over", GATHER.as_secs());
        }
        self.take()
    }

    /// Has the rest sent, and waits for that no longer than so long. Returns how many spans are left.
    pub async fn drain(&self, at_most: Duration) -> usize {
        self.lock().is_ending = true;
        self.ready.notify_one();
        match timeout(at_most, self.drained.notified()).await {
            Ok(()) => 0,
            Err(_) => self.lock().spans,
        }
    }

    pub fn is_ending(&self) -> bool {
        self.lock().is_ending
    }

    fn take(&self) -> SpanBatch {
        let mut waiting = self.lock();
        let mut batch = SpanBatch::default();
        while batch.spans < BATCH
            && let Some((group, spans)) = waiting.groups.pop_front()
        {
            waiting.spans = waiting.spans.saturating_sub(spans);
            waiting.bytes = waiting.bytes.saturating_sub(group.len());
            batch.spans += spans;
            batch.groups.push(group);
        }
        batch
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(many: usize) -> u64 {
    u64::try_from(many).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_lost_and_counted() {
        let queue = SpanQueue::default();
        let before = lost_spans(SpanLoss::QueueFull);
        (0..MOST_SPANS / 2 + 3).for_each(|_| queue.push((b"{},{}".to_vec(), 2)));
        assert!(lost_spans(SpanLoss::QueueFull) >= before + 6);
        let sizes: Vec<_> = std::iter::from_fn(|| Some(queue.take().spans).filter(|spans| *spans > 0)).collect();
        assert_eq!(sizes, [BATCH; MOST_SPANS / BATCH]);
        queue.push((vec![0; MOST_BYTES + 1], 1));
        assert_eq!(queue.take().spans, 0);
    }

    #[tokio::test]
    async fn a_full_batch_does_not_wait_and_the_end_waits_for_the_rest() {
        let queue = SpanQueue::default();
        (0..BATCH).for_each(|_| queue.push((b"{}".to_vec(), 1)));
        let began = std::time::Instant::now();
        assert_eq!(queue.batch().await.spans, BATCH);
        assert!(began.elapsed() < GATHER);
        queue.push((b"{}".to_vec(), 1));
        let sends = async {
            let rest = queue.batch().await;
            queue.batch().await;
            rest.spans
        };
        assert_eq!(tokio::join!(queue.drain(Duration::from_secs(20)), sends), (0, 1));
    }
}
