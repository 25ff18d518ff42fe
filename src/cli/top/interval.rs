//! What two looks at the figures of a process say of the time between them.

use std::collections::HashMap;

use proxy_service::server::{RouteStats, Stats};

/// The time between two looks, and the figures at its end.
pub struct Interval<'s> {
    pub now: &'s Stats,
    pub seconds: f64,
    /// Each route with what was added, the busiest first.
    pub routes: Vec<(&'s RouteStats, Added)>,
    pub all: Added,
}

/// What was added to the figures of a route.
#[derive(Debug, Default, PartialEq)]
pub struct Added {
    pub requests: u64,
    pub errors: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    latency: Vec<u64>,
}

impl<'s> Interval<'s> {
    pub fn between(before: &Stats, now: &'s Stats) -> Self {
        // Another process begins at nothing.
        let is_same = before.pid == now.pid;
        let known: HashMap<&str, &RouteStats> =
            before.routes.iter().filter(|_| is_same).map(|route| (route.name.as_str(), route)).collect();
        let added = |route: &'s RouteStats| (route, Added::between(known.get(route.name.as_str()).copied(), route));
        let mut routes: Vec<_> = now.routes.iter().map(added).collect();
        routes.sort_by_key(|(route, added)| std::cmp::Reverse((added.requests, route.requests)));
        let all = routes.iter().fold(Added::default(), |sum, (_, added)| sum.and(added));
        let millis = if is_same { now.at_ms.saturating_sub(before.at_ms) } else { now.uptime_s * 1000 };
        Self { now, seconds: (millis.max(1) as f64) / 1000.0, routes, all }
    }

    pub fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.seconds
    }

    /// The latency in milliseconds that this part of the requests did not pass.
    pub fn percentile(&self, of: &Added, part: f64) -> Option<f64> {
        percentile(&of.latency, &self.now.bounds_ms, part)
    }
}

impl Added {
    fn between(before: Option<&RouteStats>, now: &RouteStats) -> Self {
        let errors = |route: &RouteStats| route.status.get("5xx").copied().unwrap_or_default();
        let was = |value: fn(&RouteStats) -> u64| before.map_or(0, value);
        let latency = now.latency.iter().enumerate();
        let bucket = |at: usize| before.and_then(|before| before.latency.get(at)).copied().unwrap_or_default();
        Self {
            requests: now.requests.saturating_sub(was(|route| route.requests)),
            errors: errors(now).saturating_sub(before.map_or(0, errors)),
            bytes_in: now.bytes_in.saturating_sub(was(|route| route.bytes_in)),
            bytes_out: now.bytes_out.saturating_sub(was(|route| route.bytes_out)),
            latency: latency.map(|(at, count)| count.saturating_sub(bucket(at))).collect(),
        }
    }

    fn and(mut self, other: &Self) -> Self {
        self.requests += other.requests;
        self.errors += other.errors;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.latency.resize(self.latency.len().max(other.latency.len()), 0);
        self.latency.iter_mut().zip(&other.latency).for_each(|(sum, count)| *sum += count);
        self
    }
}

/// By linear interpolation in the bucket. Above all bounds it is the last of them, which is the least that is
/// known.
fn percentile(counts: &[u64], bounds: &[f64], part: f64) -> Option<f64> {
    let all: u64 = counts.iter().sum();
    let mut left = part * all as f64;
    for (at, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let count = *count as f64;
        if left <= count {
            let from = at.checked_sub(1).and_then(|before| bounds.get(before)).copied().unwrap_or_default();
            return Some(bounds.get(at).map_or(from, |to| from + (to - from) * left / count));
        }
        left -= count;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_lies_in_its_bucket() {
        let bounds = [1.0, 2.0, 4.0];
        assert_eq!(percentile(&[0, 0, 0, 0], &bounds, 0.5), None);
        assert_eq!(percentile(&[10, 0, 0, 0], &bounds, 0.5), Some(0.5));
        assert_eq!(percentile(&[5, 0, 5, 0], &bounds, 0.5), Some(1.0));
        assert_eq!(percentile(&[5, 0, 5, 0], &bounds, 0.9), Some(3.6));
        assert_eq!(percentile(&[0, 0, 0, 3], &bounds, 0.99), Some(4.0));
    }
}
