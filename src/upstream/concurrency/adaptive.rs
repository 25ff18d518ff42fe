//! How many requests an upstream serves without making them wait, found by how long it takes to
//! answer. After the gradient of Envoy's adaptive concurrency and of Netflix's concurrency-limits:
//! when the median of a window is as short as it is without a queue, a few more requests may come;
//! when it is longer, as many fewer.
//!
//! What the median is without a queue is the least of the last minute. Under an overload that goes on,
//! every median has some waiting in it, and the least would creep up. So while the limit turns requests
//! away, it is halved for a window now and then, in which nothing queues.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::latencies::Latencies;

/// The limit before anything is known.
const FIRST: usize = 32;
const LEAST: usize = 4;
const MOST: usize = 10_000;
/// Waiting that is tolerated, as part of the time without it: what varies by itself.
const TOLERANCE: f64 = 1.25;
/// A window shrinks the limit to so much of it at most.
const STEEPEST: f64 = 0.5;
/// A window lasts so long, and for twice the median, and until it has so many answers.
const WINDOW: Duration = Duration::from_millis(100);
const WINDOW_ANSWERS: u32 = 20;
/// The least median is that of so many spans of this length.
const SPAN: Duration = Duration::from_secs(10);
const SPANS: usize = 6;
/// Between two probes, at first and in the long run.
const FIRST_PROBE: Duration = Duration::from_secs(1);
const PROBE_EVERY: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Adaptive {
    born: Instant,
    limit: AtomicUsize,
    /// The most requests at the same time in this window.
    peak: AtomicUsize,
    latencies: Latencies,
    /// When the window ends, and since when requests began that tell of the present limit: in
    /// microseconds from `born` on.
    window_end: AtomicU64,
    valid_from: AtomicU64,
    /// Whoever ends a window has it; nobody waits for it.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The least median of each span, the present one last.
    least: [Option<Duration>; SPANS],
    span_end: Instant,
    /// The limit that a probe interrupts.
    interrupted: Option<usize>,
    next_probe: Instant,
    probe_every: Duration,
}

impl State {
    fn note_median(&mut self, median: Duration, now: Instant) {
        if now >= self.span_end {
            self.least.rotate_left(1);
            self.least[SPANS - 1] = None;
            self.span_end = now + SPAN;
        }
        let own = &mut self.least[SPANS - 1];
        *own = Some(own.map_or(median, |least| least.min(median)));
    }

    fn least(&self) -> Option<Duration> {
        self.least.iter().flatten().min().copied()
    }

    /// A probe says what the median is without a queue: what was thought before is forgotten.
    fn end_probe(&mut self, median: Duration) {
        self.least = [None; SPANS];
        self.least[SPANS - 1] = Some(median);
    }
}

impl Adaptive {
    pub fn new(now: Instant) -> Self {
        Self {
            born: now,
            limit: AtomicUsize::new(FIRST),
            peak: AtomicUsize::new(0),
            latencies: Latencies::default(),
            window_end: AtomicU64::new(micros(WINDOW)),
            valid_from: AtomicU64::new(0),
            state: Mutex::new(State {
                least: [None; SPANS],
                span_end: now + SPAN,
                interrupted: None,
                next_probe: now + FIRST_PROBE,
                probe_every: FIRST_PROBE,
            }),
        }
    }

    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// So many requests are under way.
    pub fn note_in_flight(&self, count: usize) {
        if self.peak.load(Ordering::Relaxed) < count {
            self.peak.fetch_max(count, Ordering::Relaxed);
        }
    }

    /// The answer to a request that began at `began` begins `now`. `route`: for the log.
    pub fn note(&self, route: &str, began: Instant, now: Instant) {
        let at = |instant: Instant| micros(instant.saturating_duration_since(self.born));
        if at(began) < self.valid_from.load(Ordering::Relaxed) {
            return;
        }
        let count = self.latencies.add(now.saturating_duration_since(began));
        if count < WINDOW_ANSWERS || at(now) < self.window_end.load(Ordering::Relaxed) {
            return;
        }
        let Ok(mut state) = self.state.try_lock() else { return };
        if at(now) < self.window_end.load(Ordering::Relaxed) {
            // Another thread has just ended the window.
            return;
        }
        let Some(median) = self.latencies.take_median() else { return };
        let before = self.limit();
        let limit = self.next_limit(&mut state, before, median, now);
        if limit < before || limit > before * 3 / 2 {
            // What began under the other limit says nothing of this one: it would be shrunk twice for
            // the same queue.
            self.valid_from.store(at(now), Ordering::Relaxed);
        }
        self.limit.store(limit, Ordering::Relaxed);
        self.window_end.store(at(now) + micros(WINDOW.max(median * 2)), Ordering::Relaxed);
        log::debug!(
            "route {route}: concurrency.max is {limit} after {before}: a median of {median:?}, {:?} without a queue",
            state.least().unwrap_or_default()
        );
    }

    fn next_limit(&self, state: &mut State, limit: usize, median: Duration, now: Instant) -> usize {
        let peak = self.peak.swap(0, Ordering::Relaxed);
        if let Some(interrupted) = state.interrupted.take() {
            state.end_probe(median);
            return interrupted;
        }
        state.note_median(median, now);
        let least = state.least().unwrap_or(median);
        if peak >= limit && now >= state.next_probe && limit > LEAST {
            state.next_probe = now + state.probe_every;
            state.probe_every = (state.probe_every * 2).min(PROBE_EVERY);
            state.interrupted = Some(limit);
            return (limit / 2).max(LEAST);
        }
        if peak * 3 < limit * 2 {
            // It says nothing of a limit that is not felt.
            return limit;
        }
        changed(limit, least, median)
    }
}

/// The limit after a window with this median.
fn changed(limit: usize, least: Duration, median: Duration) -> usize {
    let gradient = TOLERANCE * least.as_secs_f64() / median.as_secs_f64().max(1e-6);
    let shrunk = limit as f64 * gradient.clamp(STEEPEST, 1.0);
    // Room to grow, as the queue in front of a few servers varies.
    let next = shrunk + shrunk.sqrt() / 2.0;
    (next.round() as usize).clamp(LEAST, MOST)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An upstream that serves `capacity` requests at once, each in `service`, under more load than it
    /// can take, for `windows` windows.
    fn overload(adaptive: &Adaptive, now: &mut Instant, capacity: usize, service: Duration, windows: usize) {
        for _ in 0..windows {
            let in_flight = adaptive.limit();
            let latency = service.mul_f64((in_flight as f64 / capacity as f64).max(1.0));
            adaptive.note_in_flight(in_flight);
            let began = *now;
            *now += latency.max(WINDOW) * 3;
            for _ in 0..WINDOW_ANSWERS {
                adaptive.note("r", *now - latency.min(now.duration_since(began)), *now);
            }
        }
    }

    #[test]
    fn the_limit_comes_near_to_what_the_upstream_serves_at_once_and_stays_there() {
        for capacity in [8, 64, 400] {
            let mut now = Instant::now();
            let adaptive = Adaptive::new(now);
            let service = Duration::from_millis(20);
            overload(&adaptive, &mut now, capacity, service, 400);
            for _ in 0..50 {
                overload(&adaptive, &mut now, capacity, service, 20);
                let state = adaptive.state.lock().unwrap();
                let limit = state.interrupted.unwrap_or(adaptive.limit());
                assert!((capacity..=capacity * 2).contains(&limit), "{capacity}: {limit} {state:?}");
            }
        }
    }

    #[test]
    fn an_upstream_that_loses_capacity_is_followed() {
        let mut now = Instant::now();
        let adaptive = Adaptive::new(now);
        overload(&adaptive, &mut now, 64, Duration::from_millis(20), 300);
        overload(&adaptive, &mut now, 8, Duration::from_millis(20), 60);
        assert!(adaptive.limit() <= 16, "{}", adaptive.limit());
        overload(&adaptive, &mut now, 64, Duration::from_millis(20), 200);
        assert!(adaptive.limit() >= 32, "{}", adaptive.limit());
    }

    #[test]
    fn a_limit_that_is_not_felt_stays_and_nobody_is_turned_away_to_measure() {
        let mut now = Instant::now();
        let adaptive = Adaptive::new(now);
        for _ in 0..1000 {
            adaptive.note_in_flight(FIRST / 4);
            now += WINDOW * 2;
            (0..WINDOW_ANSWERS).for_each(|_| adaptive.note("r", now - Duration::from_millis(9), now));
            assert_eq!(adaptive.limit(), FIRST);
        }
    }
}
