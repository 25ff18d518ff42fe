//! What `top` shows, as lines of a width.

use proxy_service::message::escaping::printable;
use proxy_service::upstream::{EndpointReport, HealthStatus, Reports};

use super::interval::{Added, Interval};

/// How a line begins and ends where there are colours.
struct Look {
    head: (&'static str, &'static str),
    bad: (&'static str, &'static str),
}

const PLAIN: Look = Look { head: ("", ""), bad: ("", "") };
const COLOURED: Look = Look { head: ("\x1b[1m", "\x1b[0m"), bad: ("\x1b[31m", "\x1b[0m") };

/// `size`: columns and lines that there are.
pub fn plain(interval: &Interval<'_>, servers: &Reports, size: (usize, usize)) -> String {
    lines(interval, servers, size, &PLAIN)
}

pub fn coloured(interval: &Interval<'_>, servers: &Reports, size: (usize, usize)) -> String {
    lines(interval, servers, size, &COLOURED)
}

enum Kind {
    Head,
    Usual,
    Bad,
}

fn lines(interval: &Interval<'_>, servers: &Reports, (columns, most): (usize, usize), look: &Look) -> String {
    let mut all = summary(interval);
    all.push((Kind::Usual, String::new()));
    all.extend(routes(interval));
    all.push((Kind::Usual, String::new()));
    all.extend(endpoints(servers));
    let reasons = reasons(interval);
    if !reasons.is_empty() {
        all.push((Kind::Usual, String::new()));
        all.extend(reasons);
    }
    let shown = all.into_iter().take(most).map(|(kind, line)| {
        // A name of the configuration moves no cursor.
        let line: String = printable(&line).chars().take(columns).collect();
        let (on, off) = match kind {
            Kind::Head => look.head,
            Kind::Usual => ("", ""),
            Kind::Bad => look.bad,
        };
        format!("{on}{}{off}\n", line.trim_end())
    });
    shown.collect()
}

fn summary(interval: &Interval<'_>) -> Vec<(Kind, String)> {
    let (now, all) = (interval.now, &interval.all);
    let who = format!(
        "pingora-proxy {}  process {}  {}  up {}  configuration {}",
        now.version,
        now.pid,
        if now.ready { "ready" } else { &now.phase },
        age(now.uptime_s),
        now.generation
    );
    let mut lines = vec![
        (Kind::Head, who),
        (
            Kind::Usual,
            format!(
                "{:.1} requests/s   {} 5xx   latency p50 {}  p90 {}  p99 {}",
                interval.per_second(all.requests),
                percent(all),
                millis(interval.percentile(all, 0.5)),
                millis(interval.percentile(all, 0.9)),
                millis(interval.percentile(all, 0.99)),
            ),
        ),
        (
            Kind::Usual,
            format!(
                "{} connections   {} in flight   to clients {}/s   from clients {}/s",
                now.connections.active,
                now.requests.in_flight,
                bytes(interval.per_second(all.bytes_out)),
                bytes(interval.per_second(all.bytes_in)),
            ),
        ),
    ];
    for (count, what) in [(now.lost_log_lines, "log lines lost"), (now.panics, "requests lost to a panic")] {
        if count > 0 {
            lines.push((Kind::Bad, format!("{count} {what}")));
        }
    }
    lines
}

fn routes(interval: &Interval<'_>) -> Vec<(Kind, String)> {
    let row = |cells: [String; 8]| {
        let [name, rate, errors, p50, p90, p99, all, out] = cells;
        format!("{name:<32.32} {rate:>10} {errors:>8} {p50:>10} {p90:>10} {p99:>10} {all:>12} {out:>12}")
    };
    let head = ["ROUTE", "per s", "5xx", "p50", "p90", "p99", "requests", "to clients"].map(str::to_owned);
    let mut lines = vec![(Kind::Head, row(head))];
    for (route, added) in &interval.routes {
        let quantile = |part| millis(interval.percentile(added, part));
        let name = if route.name == "_none" { "(no route)" } else { &route.name };
        let cells = [
            name.to_owned(),
            format!("{:.1}", interval.per_second(added.requests)),
            percent(added),
            quantile(0.5),
            quantile(0.9),
            quantile(0.99),
            route.requests.to_string(),
            bytes(route.bytes_out as f64),
        ];
        lines.push((if added.errors > 0 { Kind::Bad } else { Kind::Usual }, row(cells)));
    }
    lines
}

fn endpoints(servers: &Reports) -> Vec<(Kind, String)> {
    let mut lines = vec![(
        Kind::Head,
        format!("{:<32} {:>10} {:>10} {:>10}  {}", "SERVER", "in flight", "requests", "failed", "state"),
    )];
    for upstream in &servers.upstreams {
        for server in &upstream.servers {
            let EndpointReport { address, in_flight, requests, failures, state, reason, .. } = server;
            let name = format!("{} {address}", upstream.name);
            let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            let line = format!("{name:<32} {in_flight:>10} {requests:>10} {failures:>10}  {}{reason}", state.as_str());
            lines.push((if *state == HealthStatus::Up { Kind::Usual } else { Kind::Bad }, line));
        }
    }
    lines
}

fn reasons(interval: &Interval<'_>) -> Vec<(Kind, String)> {
    let mut reasons: Vec<_> = interval.now.reasons.iter().collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.count));
    let lines = reasons
        .iter()
        .map(|reason| (Kind::Usual, format!("{:<38} {:>10}  {}", reason.reason, reason.count, reason.source)));
    let head = (Kind::Head, format!("{:<38} {:>10}  whose", "REASON", "failures"));
    if reasons.is_empty() { Vec::new() } else { std::iter::once(head).chain(lines).collect() }
}

fn percent(added: &Added) -> String {
    match added.requests {
        0 => "-".to_owned(),
        requests => format!("{:.1} %", 100.0 * added.errors as f64 / requests as f64),
    }
}

fn millis(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(millis) if millis >= 10_000.0 => format!("{:.1} s", millis / 1000.0),
        Some(millis) if millis >= 100.0 => format!("{millis:.0} ms"),
        Some(millis) => format!("{millis:.2} ms"),
    }
}

fn bytes(count: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut count, mut unit) = (count, 0);
    while count >= 1024.0 && unit + 1 < units.len() {
        count /= 1024.0;
        unit += 1;
    }
    let unit = units.get(unit).copied().unwrap_or_default();
    if unit == "B" { format!("{count:.0} {unit}") } else { format!("{count:.1} {unit}") }
}

fn age(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}
