//! The threads on which passwords are checked: a few, which leave the processor to those that serve
//! clients, and a queue that is as short as a client's patience, in which each client has its turn.

use std::net::IpAddr;
use std::sync::{Arc, Condvar, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::fair_queue::FairQueue;
use crate::message::client::canonical;

/// Checks that wait for a thread, at most.
const LONGEST_QUEUE: usize = 64;
/// How long a client waits for the check of its password, at most.
pub const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How much the scheduler prefers other threads (nice).
const NICENESS: i32 = 10;

/// More passwords are to be checked than there is time for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

struct Job {
    /// Nobody waits for it any more after this.
    until: Instant,
    work: Box<dyn FnOnce() -> bool + Send>,
    outcome: oneshot::Sender<bool>,
}

impl Job {
    fn is_waited_for(&self) -> bool {
        !self.outcome.is_closed() && Instant::now() <= self.until
    }
}

/// What waits for a thread, of each client.
struct Waiting {
    queue: Mutex<FairQueue<Option<IpAddr>, Job>>,
    comes: Condvar,
}

/// The way to the threads.
struct Threads(Arc<Waiting>);

/// Runs `work` on one of the threads, in the turn of `client`. Work that nobody waits for any more is not
/// begun.
///
/// # Errors
/// When the queue is full, or no thread had time for it.
pub async fn run(client: Option<IpAddr>, work: impl FnOnce() -> bool + Send + 'static) -> Result<bool, Busy> {
    static THREADS: LazyLock<Threads> = LazyLock::new(Threads::start);
    THREADS.run(client, work).await
}

/// Of an IPv6 address the first 64 bits, which one subscriber has all of.
fn subscriber(client: IpAddr) -> IpAddr {
    match canonical(client) {
        ip @ IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() >> 64 << 64).into()),
    }
}

impl Threads {
    async fn run(&self, client: Option<IpAddr>, work: impl FnOnce() -> bool + Send + 'static) -> Result<bool, Busy> {
        let (outcome, waiting) = oneshot::channel();
        let job = Job { until: Instant::now() + LONGEST_WAIT, work: Box::new(work), outcome };
        self.push(client.map(subscriber), job)?;
        match pingora_timeout::timeout(LONGEST_WAIT, waiting).await {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(_)) | Err(_) => Err(Busy),
        }
    }

    fn push(&self, of: Option<IpAddr>, job: Job) -> Result<(), Busy> {
        let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.is_full() {
            queue.retain(Job::is_waited_for);
        }
        queue.push(of, job).map_err(|_| Busy)?;
        self.0.comes.notify_one();
        Ok(())
    }

    /// Half of the processor's cores, and one at least.
    fn start() -> Self {
        let waiting = Waiting { queue: Mutex::new(FairQueue::new(LONGEST_QUEUE)), comes: Condvar::new() };
        let waiting = Arc::new(waiting);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..(cores / 2).max(1) {
            let waiting = Arc::clone(&waiting);
            let thread = std::thread::Builder::new().name("passwords".to_owned());
            if let Err(e) = thread.spawn(move || serve(&waiting)) {
                // Without one, the queue fills up and clients are told so.
                log::error!("no thread to check passwords on: {e}");
            }
        }
        Self(waiting)
    }
}

impl Waiting {
    fn next(&self) -> Job {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(job) = queue.pop() {
                return job;
            }
            queue = self.comes.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn serve(waiting: &Waiting) {
    // Linux has a niceness for each thread.
    if let Err(e) = rustix::process::setpriority_process(None, NICENESS) {
        log::debug!("the threads that check passwords are not nicer than others: {e}");
    }
    loop {
        let job = waiting.next();
        if !job.is_waited_for() {
            continue;
        }
        // Who waited may have left meanwhile.
        job.outcome.send((job.work)()).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn a_flood_is_refused_at_once_and_what_nobody_waits_for_is_not_begun() {
        static BEGUN: AtomicUsize = AtomicUsize::new(0);
        let (release, held) = std::sync::mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let work = move || {
            BEGUN.fetch_add(1, Ordering::SeqCst);
            held.lock().unwrap().recv().is_ok()
        };
        let checks = Threads::start();
        let threads = (std::thread::available_parallelism().map_or(1, usize::from) / 2).max(1);
        let mut waiting = Vec::new();
        let began = Instant::now();
        let busy = loop {
            let mut one = Box::pin(checks.run(None, work.clone()));
            match futures_util::poll!(&mut one) {
                std::task::Poll::Ready(outcome) => break outcome,
                std::task::Poll::Pending => waiting.push(one),
            }
        };
        assert_eq!(busy, Err(Busy));
        assert!(waiting.len() >= LONGEST_QUEUE && waiting.len() <= LONGEST_QUEUE + threads, "{}", waiting.len());
        assert!(began.elapsed() < LONGEST_WAIT);
        // Another client has its place all the same, and its turn behind what is under way.
        let mut other = Box::pin(checks.run("192.0.2.1".parse().ok(), || true));
        assert!(futures_util::poll!(&mut other).is_pending(), "a flood of others takes no place");
        // All leave but those whose work has begun, which then ends.
        waiting.truncate(threads);
        drop(release);
        assert_eq!(other.await, Ok(true));
        for one in waiting {
            assert!(matches!(one.await, Ok(false) | Err(Busy)));
        }
        // A new one has its turn once those are left out.
        let until = Instant::now() + 4 * LONGEST_WAIT;
        while checks.run(None, || true).await != Ok(true) {
            assert!(Instant::now() < until, "the queue stays full");
            tokio::task::yield_now().await;
        }
        assert!(BEGUN.load(Ordering::SeqCst) <= 2 * threads, "{BEGUN:?}");
    }
}
