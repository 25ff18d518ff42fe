//! How many requests of one route may be at its upstream at the same time: a bound that the
//! configuration states, or one that is found by how long the upstream takes ([`adaptive`]).
//! Counted over all workers; a request that finds room takes no lock.

mod adaptive;
mod latencies;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::queue::Queue;
use crate::config;
use adaptive::Adaptive;

/// The requests of one route in one configuration.
#[derive(Debug)]
pub struct Concurrency {
    route: Arc<str>,
    settings: config::Concurrency,
    limit: Limit,
    shared: Arc<Shared>,
}

#[derive(Debug)]
enum Limit {
    Fixed(usize),
    Adaptive(Arc<Adaptive>),
}

/// What one configuration's requests share with the next one's.
#[derive(Debug, Default)]
struct Shared {
    in_flight: AtomicUsize,
    queue: Queue<(), Place>,
}

/// Why a request gets no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPlace {
    /// There are as many as there may be, and as many wait as may.
    Full,
    /// The request waited for too long.
    Timeout,
}

/// A request's place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    concurrency: Arc<Concurrency>,
    /// `None` once the answer has begun.
    began: Option<Instant>,
}

impl Place {
    /// The upstream has answered.
    pub fn answered(&mut self) {
        let Some(began) = self.began.take() else { return };
        if let Limit::Adaptive(adaptive) = &self.concurrency.limit {
            adaptive.note(&self.concurrency.route, began, Instant::now());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.concurrency.shared.in_flight.fetch_sub(1, Ordering::AcqRel);
        self.concurrency.serve_queue();
    }
}

impl Concurrency {
    /// `previous`: what the route of this name had before a reload. Its requests go on to count, and
    /// what was found of the upstream stays known.
    pub fn new(route: &str, settings: &config::Concurrency, previous: Option<&Self>) -> Arc<Self> {
        let limit = match (settings.max, previous.map(|previous| &previous.limit)) {
            (Some(max), _) => Limit::Fixed(usize::try_from(max).unwrap_or(usize::MAX)),
            (None, Some(Limit::Adaptive(adaptive))) => Limit::Adaptive(Arc::clone(adaptive)),
            (None, Some(Limit::Fixed(_)) | None) => Limit::Adaptive(Arc::new(Adaptive::new(Instant::now()))),
        };
        let shared = previous.map(|previous| Arc::clone(&previous.shared)).unwrap_or_default();
        Arc::new(Self { route: route.into(), settings: settings.clone(), limit, shared })
    }

    /// How many there may be at the moment.
    pub fn limit(&self) -> usize {
        match &self.limit {
            Limit::Fixed(most) => *most,
            Limit::Adaptive(adaptive) => adaptive.limit(),
        }
    }

    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::Acquire)
    }

    pub fn queued(&self) -> usize {
        self.shared.queue.len()
    }

    pub fn has_queue(&self) -> bool {
        self.settings.queue > 0
    }

    /// A place without waiting.
    ///
    /// # Errors
    /// When there is none, or other requests wait for one already.
    pub fn take(self: &Arc<Self>) -> Result<Place, NoPlace> {
        let nobody_waits = !self.has_queue() || self.shared.queue.is_empty();
        if nobody_waits { self.try_take().ok_or(NoPlace::Full) } else { Err(NoPlace::Full) }
    }

    /// Waits in the queue for a place.
    ///
    /// # Errors
    /// When the queue is full, or none comes up in time.
    pub async fn wait(self: &Arc<Self>) -> Result<Place, NoPlace> {
        let Some((place, counted)) = self.shared.queue.join((), self.settings.queue) else {
            return Err(NoPlace::Full);
        };
        // There may have been room again before this request was in the queue.
        self.serve_queue();
        let waited = pingora_timeout::timeout(self.settings.queue_timeout, place).await;
        drop(counted);
        match waited {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => self.try_take().ok_or(NoPlace::Timeout),
        }
    }

    fn try_take(self: &Arc<Self>) -> Option<Place> {
        let most = self.limit();
        let more = |now: usize| (now < most).then_some(now + 1);
        let taken = self.shared.in_flight.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more);
        if let Limit::Adaptive(adaptive) = &self.limit {
            adaptive.note_in_flight(taken.map_or(most, |before| before + 1));
        }
        taken.ok().map(|_| Place { concurrency: Arc::clone(self), began: Some(Instant::now()) })
    }

    fn serve_queue(self: &Arc<Self>) {
        self.shared.queue.serve(|()| self.try_take(), |()| false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn settings(max: Option<u32>, queue: usize) -> config::Concurrency {
        config::Concurrency { max, queue, queue_timeout: Duration::from_millis(50) }
    }

    #[test]
    fn a_place_is_free_again_once_it_is_dropped() {
        let concurrency = Concurrency::new("r", &settings(Some(2), 0), None);
        let (first, _second) = (concurrency.take().unwrap(), concurrency.take().unwrap());
        assert_eq!(concurrency.take().unwrap_err(), NoPlace::Full);
        drop(first);
        drop(concurrency.take().unwrap());
        assert_eq!(concurrency.shared.in_flight.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn requests_wait_in_turn_and_not_for_ever() {
        let concurrency = Concurrency::new("r", &settings(Some(1), 1), None);
        let held = concurrency.take().unwrap();
        let waiting = tokio::spawn({
            let concurrency = Arc::clone(&concurrency);
            async move { concurrency.wait().await }
        });
        while concurrency.shared.queue.is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(concurrency.wait().await.unwrap_err(), NoPlace::Full);
        drop(held);
        let place = waiting.await.unwrap().unwrap();
        assert_eq!(concurrency.wait().await.unwrap_err(), NoPlace::Timeout);
        drop(place);
        assert!(concurrency.take().is_ok());
    }

    #[test]
    fn the_next_configuration_counts_the_requests_of_the_one_before() {
        let before = Concurrency::new("r", &settings(Some(2), 0), None);
        let _held = before.take().unwrap();
        let narrower = Concurrency::new("r", &settings(Some(1), 0), Some(&before));
        assert_eq!(narrower.take().unwrap_err(), NoPlace::Full);
        let adaptive = Concurrency::new("r", &settings(None, 0), Some(&narrower));
        let again = Concurrency::new("r", &settings(None, 5), Some(&adaptive));
        match (&adaptive.limit, &again.limit) {
            (Limit::Adaptive(one), Limit::Adaptive(other)) => assert!(Arc::ptr_eq(one, other)),
            (Limit::Fixed(_) | Limit::Adaptive(_), _) => panic!("{again:?}"),
        }
    }
}
