//! The figures of one upstream, and the mark by which a connection to it counts itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::histogram::{Buckets, Histogram, nanos};
use super::shards::Sharded;

/// What is counted of an upstream, from one configuration to the next.
#[derive(Debug, Default)]
pub struct UpstreamMetrics {
    cells: Sharded<Cells>,
    /// What happens seldom.
    failures: AtomicU64,
    retries: AtomicU64,
    budget_refusals: AtomicU64,
    ejections: AtomicU64,
}

/// What one thread counts.
#[derive(Debug, Default)]
struct Cells {
    attempts: AtomicU64,
    reused: AtomicU64,
    connect: Buckets,
    tls: Buckets,
    first_byte: Buckets,
    queue: Buckets,
    transfer: Buckets,
    opened: AtomicU64,
    closed: AtomicU64,
    idle_begun: AtomicU64,
    idle_ended: AtomicU64,
}

fn add_one(cell: &AtomicU64) {
    cell.fetch_add(1, Ordering::Relaxed);
}

impl UpstreamMetrics {
    /// A request gets one of its servers.
    pub fn attempt(&self) {
        add_one(&self.cells.own().attempts);
    }

    /// An attempt has its connection: one that was there, or a new one, which took `connect` if that is known, and
    /// of it `tls` if it has any.
    pub fn connected(&self, reused: bool, connect: Option<Duration>, tls: Option<Duration>) {
        let cells = self.cells.own();
        if reused {
            add_one(&cells.reused);
        } else if let Some(time) = connect {
            cells.connect.observe(nanos(time));
            tls.map(|time| cells.tls.observe(nanos(time)));
        }
    }

    /// The answer to an attempt begins.
    pub fn answered(&self, after: Duration) {
        self.cells.own().first_byte.observe(nanos(after));
    }

    /// A request is over. `queue`: how long it waited for a place, if it had to; `transfer`: how long it took from
    /// the head of the answer on, if there was one.
    pub fn finished(&self, queue: Option<Duration>, transfer: Option<Duration>) {
        if queue.is_none() && transfer.is_none() {
            return;
        }
        let cells = self.cells.own();
        queue.map(|time| cells.queue.observe(nanos(time)));
        transfer.map(|time| cells.transfer.observe(nanos(time)));
    }

    pub fn failed(&self) {
        add_one(&self.failures);
    }

    pub fn retried(&self) {
        add_one(&self.retries);
    }

    pub fn budget_refused(&self) {
        add_one(&self.budget_refusals);
    }

    pub fn ejected(&self) {
        add_one(&self.ejections);
    }

    pub fn read(&self) -> UpstreamFigures {
        let load = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        let mut figures = UpstreamFigures {
            failures: load(&self.failures),
            retries: load(&self.retries),
            budget_refusals: load(&self.budget_refusals),
            ejections: load(&self.ejections),
            ..UpstreamFigures::default()
        };
        // What ends meanwhile has begun before: the ends are read first.
        let sum = |of: fn(&Cells) -> &AtomicU64| self.cells.iter().map(|cells| load(of(cells))).sum::<u64>();
        let (closed, idle_ended) = (sum(|cells| &cells.closed), sum(|cells| &cells.idle_ended));
        figures.opened = sum(|cells| &cells.opened);
        figures.open = figures.opened.saturating_sub(closed);
        figures.idle = sum(|cells| &cells.idle_begun).saturating_sub(idle_ended);
        figures.attempts = sum(|cells| &cells.attempts);
        figures.reused = sum(|cells| &cells.reused);
        for cells in self.cells.iter() {
            figures.connect.add(&cells.connect);
            figures.tls.add(&cells.tls);
            figures.first_byte.add(&cells.first_byte);
            figures.queue.add(&cells.queue);
            figures.transfer.add(&cells.transfer);
        }
        figures
    }
}

/// What was read of an upstream.
#[derive(Clone, Debug, Default)]
pub struct UpstreamFigures {
    pub attempts: u64,
    pub failures: u64,
    pub retries: u64,
    pub budget_refusals: u64,
    pub ejections: u64,
    pub connect: Histogram,
    /// The part of `connect` that TLS took.
    pub tls: Histogram,
    pub first_byte: Histogram,
    pub queue: Histogram,
    pub transfer: Histogram,
    /// Attempts over a connection that was there.
    pub reused: u64,
    /// Connections since the start, at the moment, and those of them that wait for a request.
    pub opened: u64,
    pub open: u64,
    pub idle: u64,
}

/// Counts one connection for as long as it is open.
#[derive(Debug)]
pub struct ConnectionMark {
    upstream: Arc<UpstreamMetrics>,
    is_idle: bool,
}

impl ConnectionMark {
    pub fn new(upstream: &Arc<UpstreamMetrics>) -> Self {
        add_one(&upstream.cells.own().opened);
        Self { upstream: Arc::clone(upstream), is_idle: false }
    }

    /// Whether it waits for a request.
    pub fn set_idle(&mut self, is_idle: bool) {
        if self.is_idle != is_idle {
            let cells = self.upstream.cells.own();
            add_one(if is_idle { &cells.idle_begun } else { &cells.idle_ended });
            self.is_idle = is_idle;
        }
    }
}

impl Drop for ConnectionMark {
    fn drop(&mut self) {
        self.set_idle(false);
        add_one(&self.upstream.cells.own().closed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_counts_itself() {
        let upstream = Arc::new(UpstreamMetrics::default());
        let mut connections: Vec<_> = (0..3).map(|_| ConnectionMark::new(&upstream)).collect();
        connections[0].set_idle(true);
        connections[1].set_idle(true);
        connections[1].set_idle(true);
        let seen = |upstream: &UpstreamMetrics| {
            let figures = upstream.read();
            (figures.opened, figures.open, figures.idle)
        };
        assert_eq!(seen(&upstream), (3, 3, 2));
        connections[1].set_idle(false);
        connections.remove(0);
        assert_eq!(seen(&upstream), (3, 2, 0));
        connections.clear();
        assert_eq!(seen(&upstream), (3, 0, 0));
    }
}
