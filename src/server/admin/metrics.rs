//! `GET /metrics`: every figure of the process, in the order of the catalog.

use std::collections::BTreeMap;

use super::access::NAME;
use super::figures::{Figures, listeners, routes};
use super::process_figures::ProcessFigures;
use crate::downstream::{Excess, http2};
use crate::filter::Cause;
use crate::listener::Entrance;
use crate::metrics::*;
use crate::runtime::Snapshot;
use crate::server::lifecycle::status::{Phase, Status};
use crate::telemetry::{SpanLoss, contained_panics, exported_spans, held_back_messages, lost_lines, lost_spans};
use crate::transport::suppressed_lines;
use crate::upstream::{HealthStatus, Pool, UpstreamReport};

/// The version of Pingora, which only the lock file tells. A test compares the two.
const PINGORA: &str = "0.9.1";

/// `own` is the endpoint itself.
pub fn exposition(figures: &Figures, own: &Entrance, format: Format) -> String {
    let snapshot = figures.live.pin();
    let listeners = listeners(&snapshot);
    let mut text = Exposition::new(format);
    tell_routes(&mut text, &snapshot, &listeners);
    tell_limits(&mut text, &snapshot);
    tell_listeners(&mut text, &listeners, (figures, own));
    tell_upstreams(&mut text, &snapshot);
    tell_process(&mut text, &figures.status);
    text.finish()
}

type Listeners<'l> = [(String, &'l Entrance)];

fn tell_routes(text: &mut Exposition, snapshot: &Snapshot, listeners: &Listeners<'_>) {
    let routes: Vec<_> = routes(snapshot).map(|(name, metrics)| (name, metrics.read())).collect();
    text.begin(&HTTP_REQUESTS);
    for (route, figures) in &routes {
        for (series, count) in &figures.requests {
            let listener = series.listener().and_then(|at| listeners.get(at)).map_or("_other", |(name, _)| name);
            let code = match series.code() {
                999 => "_other".to_owned(),
                code => code.to_string(),
            };
            text.sample(&HTTP_REQUESTS, &[listener, route, series.method(), &code], count);
        }
        for (code, count) in &figures.beyond {
            text.sample(&HTTP_REQUESTS, &["_other", route, "_other", code], count);
        }
    }
    text.begin(&HTTP_REQUEST_DURATION);
    for (route, figures) in &routes {
        text.histogram(&HTTP_REQUEST_DURATION, &[route], &figures.latency, &figures.exemplars);
    }
    text.begin(&HTTP_REQUEST_BODY_BYTES);
    routes.iter().for_each(|(route, figures)| text.sample(&HTTP_REQUEST_BODY_BYTES, &[route], figures.bytes_in));
    text.begin(&HTTP_RESPONSE_BODY_BYTES);
    routes.iter().for_each(|(route, figures)| text.sample(&HTTP_RESPONSE_BODY_BYTES, &[route], figures.bytes_out));
    text.begin(&HTTP_REQUESTS_IN_FLIGHT);
    for (listener, entrance) in listeners {
        text.sample(&HTTP_REQUESTS_IN_FLIGHT, &[listener], entrance.metrics.requests_in_flight());
    }
    text.begin(&FAILURES);
    for (route, figures) in &routes {
        for (cause, count) in Cause::all().iter().zip(&figures.failures).filter(|(_, count)| **count > 0) {
            text.sample(&FAILURES, &[route, cause.reason(), cause.source().as_str()], count);
        }
    }
}

fn tell_limits(text: &mut Exposition, snapshot: &Snapshot) {
    // Two limits of a route may count by the same key.
    let mut refused: BTreeMap<(&str, String), (u64, u64)> = BTreeMap::new();
    for route in &snapshot.routes {
        for limiter in route.filters.limiters() {
            let sums = refused.entry((&route.name, limiter.key())).or_default();
            let (refused, dry_run) = limiter.refusals();
            *sums = (sums.0 + refused, sums.1 + dry_run);
        }
    }
    text.begin(&RATE_LIMIT_REFUSED);
    refused.iter().for_each(|((route, key), sums)| text.sample(&RATE_LIMIT_REFUSED, &[route, key], sums.0));
    text.begin(&RATE_LIMIT_WOULD_REFUSE);
    refused.iter().for_each(|((route, key), sums)| text.sample(&RATE_LIMIT_WOULD_REFUSE, &[route, key], sums.1));
    text.begin(&RATE_LIMIT_STORE_AWAY);
    // Two that differ in their passwords may be at one place.
    let mut stores: BTreeMap<String, bool> = BTreeMap::new();
    snapshot.stores().for_each(|store| *stores.entry(store.place().to_string()).or_default() |= store.is_away());
    stores.iter().for_each(|(place, away)| text.sample(&RATE_LIMIT_STORE_AWAY, &[place], u8::from(*away)));
    let bounded =
        || snapshot.routes.iter().filter_map(|route| Some((route.name.as_str(), route.concurrency.as_ref()?)));
    text.begin(&CONCURRENCY_LIMIT);
    bounded().for_each(|(route, bound)| text.sample(&CONCURRENCY_LIMIT, &[route], bound.limit()));
    text.begin(&CONCURRENCY_IN_FLIGHT);
    bounded().for_each(|(route, bound)| text.sample(&CONCURRENCY_IN_FLIGHT, &[route], bound.in_flight()));
    text.begin(&CONCURRENCY_QUEUED);
    bounded().for_each(|(route, bound)| text.sample(&CONCURRENCY_QUEUED, &[route], bound.queued()));
}

fn tell_listeners(text: &mut Exposition, listeners: &Listeners<'_>, (figures, own): (&Figures, &Entrance)) {
    let each = |text: &mut Exposition, family: &Family, value: fn(&ListenerMetrics) -> u64| {
        text.begin(family);
        for (listener, entrance) in listeners {
            text.sample(family, &[listener], value(&entrance.metrics));
        }
    };
    each(text, &CONNECTIONS, ListenerMetrics::active);
    each(text, &CONNECTIONS_ACCEPTED, ListenerMetrics::accepted);
    text.begin(&CONNECTIONS_REFUSED);
    for (limit, excess) in [("connections", Excess::Connections), ("connections_per_ip", Excess::OfAddress)] {
        text.sample(&CONNECTIONS_REFUSED, &[limit], figures.connections.capacity.refused(excess));
    }
    each(text, &PROXY_HEADERS_REFUSED, ListenerMetrics::proxy_headers_refused);
    let own = (NAME, own);
    let with_tls = listeners.iter().map(|(listener, entrance)| (listener.as_str(), *entrance)).chain([own]);
    let with_tls: Vec<_> = with_tls.filter(|(_, entrance)| entrance.has_tls()).collect();
    text.begin(&TLS_HANDSHAKES);
    for (listener, entrance) in &with_tls {
        for (outcome, count) in entrance.metrics.handshakes() {
            text.sample(&TLS_HANDSHAKES, &[listener, outcome], count);
        }
    }
    text.begin(&TLS_CERT_NOT_AFTER);
    for (listener, entrance) in &with_tls {
        // One file may be listed twice.
        let files = entrance.certificates().into_iter();
        let files: BTreeMap<_, _> = files.map(|found| (found.file.display().to_string(), found.certificate)).collect();
        for (file, certificate) in files {
            let name = certificate.names().next().unwrap_or_default();
            text.sample(&TLS_CERT_NOT_AFTER, &[listener, &file, name], certificate.not_after());
        }
    }
    each(text, &HTTP2_CONNECTIONS, ListenerMetrics::http2_connections);
    each(text, &HTTP2_STREAMS, ListenerMetrics::http2_streams);
    text.begin(&HTTP2_CUT_OFF);
    http2::cut_off_counts().for_each(|(reason, count)| text.sample(&HTTP2_CUT_OFF, &[reason], count));
}

/// What one server shows, or all of one name together.
#[derive(Default)]
struct ServerSums {
    requests: u64,
    failures: u64,
    ejections: u64,
    in_flight: u64,
    /// That of the worst.
    state: Option<HealthStatus>,
}

fn tell_upstreams(text: &mut Exposition, snapshot: &Snapshot) {
    let upstreams: Vec<(&Pool, _, _)> =
        snapshot.pools.iter().map(|pool| (&**pool, servers_of(pool), pool.metrics().read())).collect();
    let servers = |text: &mut Exposition, family: &Family, value: fn(&ServerSums) -> u64| {
        text.begin(family);
        for (pool, servers, _) in &upstreams {
            for (server, sums) in servers {
                text.sample(family, &[&pool.name, server], value(sums));
            }
        }
    };
    servers(text, &UPSTREAM_REQUESTS, |sums| sums.requests);
    servers(text, &UPSTREAM_FAILURES, |sums| sums.failures);
    servers(text, &UPSTREAM_EJECTIONS, |sums| sums.ejections);
    servers(text, &UPSTREAM_HEALTHY, |sums| u64::from(sums.state == Some(HealthStatus::Up)));
    text.begin(&UPSTREAM_STATE);
    for (pool, servers, _) in &upstreams {
        for (server, sums) in servers {
            for state in HealthStatus::ALL {
                let is_it = u8::from(sums.state == Some(state));
                text.sample(&UPSTREAM_STATE, &[&pool.name, server, state.as_str()], is_it);
            }
        }
    }
    servers(text, &UPSTREAM_IN_FLIGHT, |sums| sums.in_flight);
    let each = |text: &mut Exposition, family: &Family, value: fn(&Pool, &UpstreamFigures) -> u64| {
        text.begin(family);
        for (pool, _, figures) in &upstreams {
            text.sample(family, &[&pool.name], value(pool, figures));
        }
    };
    each(text, &UPSTREAM_AVAILABLE, |pool, _| count(pool.available()));
    each(text, &UPSTREAM_QUEUED, |pool, _| count(pool.waiting()));
    each(text, &UPSTREAM_RETRIES, |_, figures| figures.retries);
    each(text, &UPSTREAM_RETRY_BUDGET_REFUSED, |_, figures| figures.budget_refusals);
    let always = |_: &Pool| true;
    for (family, has, of) in [
        (&UPSTREAM_CONNECT, always as fn(&Pool) -> bool, (|f| &f.connect) as fn(&UpstreamFigures) -> &Histogram),
        (&UPSTREAM_TLS, |pool| pool.settings().tls.is_some(), |f| &f.tls),
        (&UPSTREAM_FIRST_BYTE, always, |f| &f.first_byte),
        // A route may have a queue of its own.
        (&UPSTREAM_QUEUE, |pool| pool.settings().pool.queue > 0, |f| &f.queue),
        (&UPSTREAM_TRANSFER, always, |f| &f.transfer),
    ] {
        text.begin(family);
        for (pool, _, figures) in upstreams.iter().filter(|(pool, _, f)| has(pool) || of(f).count() > 0) {
            text.histogram(family, &[&pool.name], of(figures), &Default::default());
        }
    }
    each(text, &UPSTREAM_CONNECTIONS, |_, figures| figures.opened);
    each(text, &UPSTREAM_REUSED, |_, figures| figures.reused);
    each(text, &UPSTREAM_OPEN, |_, figures| figures.open);
    each(text, &UPSTREAM_POOL_IDLE, |_, figures| figures.idle);
}

/// The servers of an upstream by their names; two of one name are added up.
fn servers_of(pool: &Pool) -> BTreeMap<String, ServerSums> {
    let UpstreamReport { servers, .. } = pool.report();
    let mut sums: BTreeMap<String, ServerSums> = BTreeMap::new();
    for server in servers {
        let sum = sums.entry(server.address).or_default();
        sum.requests += server.requests;
        sum.failures += server.failures;
        sum.ejections += server.ejections;
        sum.in_flight += u64::from(server.in_flight);
        if sum.state.is_none_or(|state| state == HealthStatus::Up) {
            sum.state = Some(server.state);
        }
    }
    sums
}

fn tell_process(text: &mut Exposition, status: &Status) {
    text.single(&CONFIG_GENERATION, status.generation());
    text.single(&CONFIG_LAST_RELOAD_SUCCESSFUL, u8::from(!status.is_last_reload_refused()));
    text.single(&CONFIG_LAST_RELOAD_TIMESTAMP, status.in_force_since());
    text.single(&READY, u8::from(status.phase() == Phase::Serving));
    text.single(&ACCESS_LOG_LOST, lost_lines());
    text.single(&ERROR_LOG_SUPPRESSED, suppressed_lines() + held_back_messages());
    text.single(&TRACE_SPANS_EXPORTED, exported_spans());
    text.begin(&TRACE_SPANS_LOST);
    SpanLoss::ALL.iter().for_each(|why| text.sample(&TRACE_SPANS_LOST, &[why.as_str()], lost_spans(*why)));
    text.single(&PANICS, contained_panics());
    text.begin(&BUILD_INFO);
    let build = [env!("CARGO_PKG_VERSION"), PINGORA, std::env::consts::ARCH, std::env::consts::OS];
    text.sample(&BUILD_INFO, &build, 1);
    let process = ProcessFigures::read();
    text.single(&PROCESS_CPU, process.cpu.as_secs_f64());
    process.resident.iter().for_each(|bytes| text.single(&PROCESS_RESIDENT, bytes));
    process.virtual_size.iter().for_each(|bytes| text.single(&PROCESS_VIRTUAL, bytes));
    process.open_files.iter().for_each(|files| text.single(&PROCESS_OPEN_FDS, files));
    process.most_files.iter().for_each(|files| text.single(&PROCESS_MAX_FDS, files));
    text.single(&PROCESS_START_TIME, status.started_at);
    process.threads.iter().for_each(|threads| text.single(&PROCESS_THREADS, threads));
}

fn count(many: usize) -> u64 {
    u64::try_from(many).unwrap_or(u64::MAX)
}
