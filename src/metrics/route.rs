//! The figures of one route.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::exemplar::{Exemplar, ExemplarCell};
use super::histogram::{BUCKETS, Buckets, Histogram, nanos};
use super::series::Series;
use super::shards::Sharded;

/// The series of a route that are told apart. Those beyond are counted by the class of their status.
const MOST_SERIES: usize = 128;
/// So many places are looked at for a series.
const MOST_STEPS: usize = 32;
/// None and 1xx to 5xx, and whatever is no status.
const CLASSES: usize = 7;

/// A request that is over.
#[derive(Clone, Copy, Debug)]
pub struct FinishedRequest {
    pub series: Series,
    pub at: SystemTime,
    /// That of an exemplar, if it can be one.
    pub request_id: Option<u128>,
    /// That of its trace, if its spans are sent.
    pub trace_id: Option<u128>,
    pub duration: Duration,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// The number of its cause, of so many, where the proxy gave the answer or cut it short.
    pub failure: Option<(usize, usize)>,
}

/// What is counted of a route, from one configuration to the next.
#[derive(Debug)]
pub struct RouteMetrics {
    /// Which series stands where; all threads have them in the same places. 0 is none.
    series: [AtomicU32; MOST_SERIES],
    cells: Sharded<Cells>,
}

/// What one thread counts.
#[derive(Debug)]
struct Cells {
    requests: [AtomicU64; MOST_SERIES],
    /// Those of series that found no place.
    beyond: [AtomicU64; CLASSES],
    latency: Buckets,
    exemplars: [ExemplarCell; BUCKETS],
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    /// One for each cause, made with the first failure.
    failures: OnceLock<Box<[AtomicU64]>>,
}

impl Default for Cells {
    fn default() -> Self {
        Self {
            requests: [const { AtomicU64::new(0) }; MOST_SERIES],
            beyond: Default::default(),
            latency: Buckets::default(),
            exemplars: Default::default(),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            failures: OnceLock::new(),
        }
    }
}

impl Default for RouteMetrics {
    fn default() -> Self {
        Self { series: [const { AtomicU32::new(0) }; MOST_SERIES], cells: Sharded::default() }
    }
}

impl RouteMetrics {
    pub fn count(&self, request: &FinishedRequest) {
        let cells = self.cells.own();
        let requests = match self.place(request.series) {
            Some(place) => &cells.requests[place],
            None => &cells.beyond[class_of(request.series.code())],
        };
        requests.fetch_add(1, Ordering::Relaxed);
        let nanos = nanos(request.duration);
        let bucket = cells.latency.observe(nanos);
        let at = request.at.duration_since(UNIX_EPOCH).map_or(0, millis);
        if let Some(request_id) = request.request_id {
            cells.exemplars[bucket].offer(Exemplar { request_id, trace_id: request.trace_id, nanos, at });
        }
        for (bytes, cell) in [(request.bytes_in, &cells.bytes_in), (request.bytes_out, &cells.bytes_out)] {
            if bytes > 0 {
                cell.fetch_add(bytes, Ordering::Relaxed);
            }
        }
        if let Some((cause, of)) = request.failure {
            let failures = cells.failures.get_or_init(|| (0..of).map(|_| AtomicU64::new(0)).collect());
            failures.get(cause).map(|cell| cell.fetch_add(1, Ordering::Relaxed));
        }
    }

    /// Where a series stands; it gets a place when it comes first. `None` where there is no room.
    fn place(&self, series: Series) -> Option<usize> {
        let bits = series.to_bits();
        let start = usize::try_from(bits.wrapping_mul(0x9e37_79b9) >> 25).unwrap_or_default();
        for step in 0..MOST_STEPS {
            let place = (start + step) % MOST_SERIES;
            match self.series[place].load(Ordering::Relaxed) {
                seen if seen == bits => return Some(place),
                0 => match self.series[place].compare_exchange(0, bits, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => return Some(place),
                    Err(other) if other == bits => return Some(place),
                    Err(_) => {}
                },
                _ => {}
            }
        }
        None
    }

    pub fn read(&self) -> RouteFigures {
        let mut figures = RouteFigures::default();
        let (mut requests, mut beyond) = ([0; MOST_SERIES], [0; CLASSES]);
        let add = |sums: &mut [u64], cells: &[AtomicU64]| {
            sums.iter_mut().zip(cells).for_each(|(sum, cell)| *sum += cell.load(Ordering::Relaxed));
        };
        for cells in self.cells.iter() {
            add(&mut requests, &cells.requests);
            add(&mut beyond, &cells.beyond);
            figures.latency.add(&cells.latency);
            for (newest, cell) in figures.exemplars.iter_mut().zip(&cells.exemplars) {
                *newest = newest.iter().copied().chain(cell.read()).max_by_key(Exemplar::worth);
            }
            figures.bytes_in += cells.bytes_in.load(Ordering::Relaxed);
            figures.bytes_out += cells.bytes_out.load(Ordering::Relaxed);
            if let Some(failures) = cells.failures.get() {
                figures.failures.resize(failures.len().max(figures.failures.len()), 0);
                add(&mut figures.failures, failures);
            }
        }
        let series = self.series.iter().map(|bits| Series::from_bits(bits.load(Ordering::Relaxed)));
        let counted = series.zip(requests).filter(|(_, count)| *count > 0);
        figures.requests = counted.filter_map(|(series, count)| Some((series?, count))).collect();
        let beyond = CLASS_NAMES.into_iter().zip(beyond);
        figures.beyond = beyond.filter(|(_, count)| *count > 0).collect();
        figures
    }
}

/// What was read of a route.
#[derive(Clone, Debug, Default)]
pub struct RouteFigures {
    pub requests: Vec<(Series, u64)>,
    /// Those of series that are not told apart, by the class of their status.
    pub beyond: Vec<(&'static str, u64)>,
    pub latency: Histogram,
    /// One of each bucket, where there is one.
    pub exemplars: [Option<Exemplar>; BUCKETS],
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// By the number of the cause; as long as there are causes, or empty.
    pub failures: Vec<u64>,
}

impl RouteFigures {
    /// The number of requests, and those of each class from 1xx to 5xx.
    pub fn classes(&self) -> (u64, [u64; 5]) {
        let told = self.requests.iter().map(|(series, count)| (class_of(series.code()), *count));
        let beyond = self
            .beyond
            .iter()
            .map(|(name, count)| (CLASS_NAMES.iter().position(|known| known == name).unwrap_or_default(), *count));
        let (mut all, mut classes) = (0, [0; 5]);
        for (class, count) in told.chain(beyond) {
            all += count;
            if let Some(sum) = class.checked_sub(1).and_then(|class| classes.get_mut(class)) {
                *sum += count;
            }
        }
        (all, classes)
    }
}

/// As the label `code` says them.
const CLASS_NAMES: [&str; CLASSES] = ["0", "1xx", "2xx", "3xx", "4xx", "5xx", "_other"];

fn class_of(code: u16) -> usize {
    usize::from(code / 100).min(CLASSES - 1)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(series: Series) -> FinishedRequest {
        FinishedRequest {
            series,
            at: UNIX_EPOCH + Duration::from_secs(1),
            request_id: Some(7),
            trace_id: None,
            duration: Duration::from_millis(3),
            bytes_in: 2,
            bytes_out: 5,
            failure: None,
        }
    }

    #[test]
    fn every_request_is_counted_once_whatever_thread_counts() {
        let route = RouteMetrics::default();
        std::thread::scope(|scope| {
            for thread in 0..8_u8 {
                let route = &route;
                scope.spawn(move || {
                    for n in 0..900_u16 {
                        let failure = (n % 3 == 0).then_some((usize::from(thread), 9));
                        route.count(&FinishedRequest { failure, ..request(Series::new(0, thread, 200 + n % 3)) });
                    }
                });
            }
        });
        let figures = route.read();
        assert_eq!((figures.requests.len(), figures.beyond.len()), (24, 0));
        assert!(figures.requests.iter().all(|(_, count)| *count == 300));
        assert_eq!((figures.latency.count(), figures.bytes_in, figures.bytes_out), (7200, 14_400, 36_000));
        assert_eq!(figures.failures, [300, 300, 300, 300, 300, 300, 300, 300, 0]);
        assert_eq!(figures.classes(), (7200, [0, 7200, 0, 0, 0]));
        assert_eq!(figures.exemplars[3].map(|exemplar| exemplar.request_id), Some(7));
    }

    #[test]
    fn a_flood_of_series_is_bounded_and_loses_no_request() {
        let route = RouteMetrics::default();
        for code in 0..1000 {
            route.count(&request(Series::new(usize::from(code % 7), 0, code)));
        }
        let figures = route.read();
        assert!(figures.requests.len() <= MOST_SERIES && figures.requests.len() > 32, "{}", figures.requests.len());
        let (all, classes) = figures.classes();
        assert_eq!((all, classes), (1000, [100; 5]));
    }
}
