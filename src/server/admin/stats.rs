//! `GET /stats`: the figures that people look at, as JSON. Counts are those since the process began; who
//! wants rates asks twice.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::figures::{Figures, listeners, routes};
use crate::downstream::Excess;
use crate::filter::Cause;
use crate::metrics::{BOUNDS, Histogram, RouteFigures};
use crate::runtime::Snapshot;
use crate::server::lifecycle::status::Phase;
use crate::telemetry::{contained_panics, lost_lines};
use crate::upstream::Pool;

/// The figures of a process.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stats {
    pub at_ms: u64,
    pub pid: u32,
    pub version: String,
    pub phase: String,
    pub ready: bool,
    pub uptime_s: u64,
    pub generation: u64,
    pub panics: u64,
    pub lost_log_lines: u64,
    pub connections: ClientConnections,
    pub requests: Requests,
    pub bounds_ms: Vec<f64>,
    pub routes: Vec<RouteStats>,
    pub upstreams: Vec<UpstreamStats>,
    pub reasons: Vec<Reason>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct ClientConnections {
    pub active: u64,
    pub accepted: u64,
    pub refused: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Requests {
    pub in_flight: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct RouteStats {
    pub name: String,
    pub requests: u64,
    /// By class.
    pub status: BTreeMap<String, u64>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Of each bucket alone; the last is above all bounds.
    pub latency: Vec<u64>,
    pub latency_sum_ms: f64,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct UpstreamStats {
    pub name: String,
    pub requests: u64,
    pub failures: u64,
    pub retries: u64,
    pub ejections: u64,
    pub connections: UpstreamConnections,
    /// To the first byte.
    pub latency: Vec<u64>,
    pub latency_sum_ms: f64,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct UpstreamConnections {
    pub idle: u64,
    pub made: u64,
    pub reused: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Reason {
    pub reason: String,
    pub source: String,
    pub count: u64,
}

pub fn stats(figures: &Figures) -> Stats {
    let snapshot = figures.live.pin();
    let status = &figures.status;
    let routes: Vec<_> = routes(&snapshot).map(|(name, metrics)| (name, metrics.read())).collect();
    let (connections, in_flight) = clients(figures, &snapshot);
    Stats {
        at_ms: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        phase: status.phase().describe().to_owned(),
        ready: status.phase() == Phase::Serving,
        uptime_s: status.started.elapsed().as_secs(),
        generation: status.generation(),
        panics: contained_panics(),
        lost_log_lines: lost_lines(),
        connections,
        requests: Requests { in_flight },
        bounds_ms: BOUNDS.iter().map(|(nanos, _)| *nanos as f64 / 1e6).collect(),
        reasons: reasons(&routes),
        routes: routes.iter().map(|(name, figures)| of_route(name, figures)).collect(),
        upstreams: snapshot.pools.iter().map(|pool| of_upstream(pool)).collect(),
    }
}

fn clients(figures: &Figures, snapshot: &Snapshot) -> (ClientConnections, u64) {
    let listeners = listeners(snapshot);
    let sum = |value: fn(&crate::metrics::ListenerMetrics) -> u64| {
        listeners.iter().map(|(_, entrance)| value(&entrance.metrics)).sum()
    };
    let capacity = &figures.connections.capacity;
    let connections = ClientConnections {
        active: sum(|metrics| metrics.active()),
        accepted: sum(|metrics| metrics.accepted()),
        refused: capacity.refused(Excess::Connections) + capacity.refused(Excess::OfAddress),
    };
    (connections, sum(|metrics| metrics.requests_in_flight()))
}

fn of_route(name: &str, figures: &RouteFigures) -> RouteStats {
    let (requests, classes) = figures.classes();
    RouteStats {
        name: name.to_owned(),
        requests,
        status: ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().map(str::to_owned).zip(classes).collect(),
        bytes_in: figures.bytes_in,
        bytes_out: figures.bytes_out,
        latency: figures.latency.counts.to_vec(),
        latency_sum_ms: millis(&figures.latency),
    }
}

fn of_upstream(pool: &Pool) -> UpstreamStats {
    let figures = pool.metrics().read();
    UpstreamStats {
        name: pool.name.to_string(),
        requests: figures.attempts,
        failures: figures.failures,
        retries: figures.retries,
        ejections: figures.ejections,
        connections: UpstreamConnections { idle: figures.idle, made: figures.opened, reused: figures.reused },
        latency: figures.first_byte.counts.to_vec(),
        latency_sum_ms: millis(&figures.first_byte),
    }
}

/// Of all routes together; those that happened.
fn reasons(routes: &[(&str, RouteFigures)]) -> Vec<Reason> {
    let each = Cause::all().iter().enumerate().map(|(at, cause)| Reason {
        reason: cause.reason().to_owned(),
        source: cause.source().as_str().to_owned(),
        count: routes.iter().filter_map(|(_, figures)| figures.failures.get(at)).sum(),
    });
    each.filter(|reason| reason.count > 0).collect()
}

fn millis(histogram: &Histogram) -> f64 {
    histogram.sum().as_secs_f64() * 1e3
}
