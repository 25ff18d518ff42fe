//! `GET /stats`: the figures that people look at, as JSON. Counts are those since the process began; who
//! wants rates asks twice.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::figures::{Figures, listeners, routes};
use crate::downstream::Excess;
use crate::filter::Cause;
use crate::metrics::{BOUNDS, Histogram, RouteFigures};
use crate::runtime::Snapshot;
use crate::server::lifecycle::status::Phase;
use crate::telemetry::{contained_panics, lost_lines};
use crate::upstream::Pool;

#[derive(Serialize)]
struct Stats<'s> {
    at_ms: u64,
    pid: u32,
    version: &'static str,
    phase: &'static str,
    ready: bool,
    uptime_s: u64,
    generation: u64,
    panics: u64,
    lost_log_lines: u64,
    connections: ClientConnections,
    requests: Requests,
    bounds_ms: Vec<f64>,
    routes: Vec<RouteStats<'s>>,
    upstreams: Vec<UpstreamStats<'s>>,
    reasons: Vec<Reason>,
}

#[derive(Serialize)]
struct ClientConnections {
    active: u64,
    accepted: u64,
    refused: u64,
}

#[derive(Serialize)]
struct Requests {
    in_flight: u64,
}

#[derive(Serialize)]
struct RouteStats<'s> {
    name: &'s str,
    requests: u64,
    /// By class.
    status: BTreeMap<&'static str, u64>,
    bytes_in: u64,
    bytes_out: u64,
    /// Of each bucket alone; the last is above all bounds.
    latency: Vec<u64>,
    latency_sum_ms: f64,
}

#[derive(Serialize)]
struct UpstreamStats<'s> {
    name: &'s str,
    requests: u64,
    failures: u64,
    retries: u64,
    ejections: u64,
    connections: UpstreamConnections,
    /// To the first byte.
    latency: Vec<u64>,
    latency_sum_ms: f64,
}

#[derive(Serialize)]
struct UpstreamConnections {
    idle: u64,
    made: u64,
    reused: u64,
}

#[derive(Serialize)]
struct Reason {
    reason: &'static str,
    source: &'static str,
    count: u64,
}

pub fn report(figures: &Figures) -> String {
    let snapshot = figures.live.pin();
    let status = &figures.status;
    let routes: Vec<_> = routes(&snapshot).map(|(name, metrics)| (name, metrics.read())).collect();
    let (connections, in_flight) = clients(figures, &snapshot);
    let stats = Stats {
        at_ms: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION"),
        phase: status.phase().describe(),
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
    };
    serde_json::to_string(&stats).unwrap_or_default()
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

fn of_route<'s>(name: &'s str, figures: &RouteFigures) -> RouteStats<'s> {
    let (requests, classes) = figures.classes();
    RouteStats {
        name,
        requests,
        status: ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(classes).collect(),
        bytes_in: figures.bytes_in,
        bytes_out: figures.bytes_out,
        latency: figures.latency.counts.to_vec(),
        latency_sum_ms: millis(&figures.latency),
    }
}

fn of_upstream(pool: &Pool) -> UpstreamStats<'_> {
    let figures = pool.metrics().read();
    UpstreamStats {
        name: &pool.name,
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
        reason: cause.reason(),
        source: cause.source().as_str(),
        count: routes.iter().filter_map(|(_, figures)| figures.failures.get(at)).sum(),
    });
    each.filter(|reason| reason.count > 0).collect()
}

fn millis(histogram: &Histogram) -> f64 {
    histogram.sum().as_secs_f64() * 1e3
}
