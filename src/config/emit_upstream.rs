//! An upstream as YAML that can be fed back, defaults included. Must not know how YAML
//! is laid out.

use std::time::Duration;

use super::emit::{Yaml, duration, path};
use super::model::*;
use super::value::size_text;
use super::value_upstream::{key_source_text, status_range_text};

pub fn upstream(upstream: &Upstream) -> Yaml {
    Yaml::map([
        ("servers", Yaml::list(upstream.servers.iter().map(server))),
        ("balance", balance(&upstream.balance)),
        ("sticky", Yaml::or_null(upstream.sticky.as_ref().map(sticky))),
        ("tls", upstream.tls.as_ref().map_or(Yaml::word("false"), tls)),
        ("health", health(&upstream.health)),
        ("retry", retry(&upstream.retry)),
        ("timeouts", timeouts(&upstream.timeouts)),
        ("pool", pool(&upstream.pool)),
        ("slow_start", duration(upstream.slow_start)),
    ])
}

pub fn dns(dns: &Dns) -> Yaml {
    let nameservers = Yaml::list(dns.nameservers.iter().map(Yaml::text));
    Yaml::map([("nameservers", nameservers), ("timeout", duration(dns.timeout))])
}

fn server(server: &UpstreamServer) -> Yaml {
    let mut entries = Vec::new();
    let mut add = |key: &str, value: Yaml| entries.push((key.to_owned(), value));
    let place = match &server.place {
        ServerPlace::At(_) | ServerPlace::Named(Named { kind: Lookup::One { .. }, .. }) => "address",
        ServerPlace::Named(Named { kind: Lookup::Each { .. }, .. }) => "dns",
        ServerPlace::Named(Named { kind: Lookup::Services, .. }) => "srv",
    };
    add(place, Yaml::text(&server.written));
    if let ServerPlace::Named(named) = &server.place {
        add("refresh", duration(named.refresh));
    }
    add("weight", Yaml::word(server.weight));
    add("backup", Yaml::word(server.backup));
    Yaml::Map(entries)
}

fn balance(balance: &Balance) -> Yaml {
    match balance {
        Balance::RoundRobin => Yaml::word("round_robin"),
        Balance::LeastConn => Yaml::word("least_conn"),
        Balance::P2c => Yaml::word("p2c"),
        Balance::Random => Yaml::word("random"),
        Balance::Hash(KeySource::ClientIp) => Yaml::word("ip_hash"),
        Balance::Hash(source) => Yaml::map([("hash", Yaml::text(key_source_text(source)))]),
    }
}

fn sticky(sticky: &Sticky) -> Yaml {
    Yaml::map([
        ("cookie", Yaml::text(&sticky.cookie)),
        ("max_age", duration(sticky.max_age)),
        ("secure", sticky.secure.map_or(Yaml::word("auto"), Yaml::word)),
        ("secret_file", Yaml::or_null(sticky.secret.as_ref().map(|secret| path(&secret.path)))),
    ])
}

fn percent(value: u8) -> Yaml {
    Yaml::text(format!("{value}%"))
}

fn statuses(statuses: &[http::StatusCode]) -> Yaml {
    Yaml::list(statuses.iter().map(|status| Yaml::word(status.as_u16())))
}

fn health(health: &Health) -> Yaml {
    let passive = match &health.passive {
        None => Yaml::text("off"),
        Some(passive) => Yaml::map([
            ("failures", Yaml::word(passive.failures)),
            ("eject_for", duration(passive.eject_for)),
            ("max_ejected", percent(passive.max_ejected)),
            ("statuses", statuses(&passive.statuses)),
        ]),
    };
    Yaml::map([("active", Yaml::or_null(health.active.as_ref().map(active))), ("passive", passive)])
}

fn active(check: &ActiveCheck) -> Yaml {
    let mut entries = Vec::new();
    let mut add = |key: &str, value: Yaml| entries.push((key.to_owned(), value));
    match &check.kind {
        CheckKind::Tcp => add("tcp", Yaml::word(true)),
        CheckKind::Http { path, status, host } => {
            add("path", Yaml::text(path));
            add("status", Yaml::text(status_range_text(*status)));
            add("host", Yaml::or_null(host.as_ref().map(Yaml::text)));
        }
    }
    add("interval", duration(check.interval));
    add("timeout", duration(check.timeout));
    add("healthy_after", Yaml::word(check.healthy_after));
    add("unhealthy_after", Yaml::word(check.unhealthy_after));
    add("port", Yaml::or_null(check.port.map(Yaml::word)));
    add("tls", Yaml::or_null(check.tls.map(Yaml::word)));
    Yaml::Map(entries)
}

/// With one attempt, nothing else of it has any effect.
fn retry(retry: &Retry) -> Yaml {
    if retry.attempts == 1 {
        return Yaml::map([("attempts", Yaml::word(1))]);
    }
    let on = [(retry.connect, "connect"), (retry.reset, "reset"), (retry.timeout, "timeout")];
    let methods = match retry.methods {
        RetryMethods::Idempotent => "idempotent",
        RetryMethods::Safe => "safe",
    };
    Yaml::map([
        ("attempts", Yaml::word(retry.attempts)),
        ("on", Yaml::list(on.into_iter().filter(|(is, _)| *is).map(|(_, word)| Yaml::word(word)))),
        ("methods", Yaml::word(methods)),
        ("statuses", statuses(&retry.statuses)),
        ("budget", percent(retry.budget)),
        ("body_buffer", Yaml::word(size_text(retry.body_buffer))),
    ])
}

fn timeouts(t: &UpstreamTimeouts) -> Yaml {
    let deadline = |d: Option<Duration>| d.map_or(Yaml::word("none"), duration);
    Yaml::map([
        ("connect", deadline(t.connect)),
        ("response_header", deadline(t.response_header)),
        ("read_idle", deadline(t.read_idle)),
        ("write_idle", deadline(t.write_idle)),
        ("request", deadline(t.request)),
        ("pool_idle", deadline(t.pool_idle)),
    ])
}

fn pool(pool: &Pool) -> Yaml {
    let mut entries = vec![("max_idle".to_owned(), pool.max_idle.map_or(Yaml::word("auto"), Yaml::word))];
    let mut add = |key: &str, value: Yaml| entries.push((key.to_owned(), value));
    add("max_connections", pool.max_connections.map_or(Yaml::word("unlimited"), Yaml::word));
    add("queue", Yaml::word(pool.queue));
    if pool.queue > 0 {
        add("queue_timeout", duration(pool.queue_timeout));
    }
    Yaml::Map(entries)
}

fn tls(tls: &UpstreamTls) -> Yaml {
    let file = |pem: &PemFile| path(&pem.path);
    let (cert, key) = match &tls.identity {
        Some((cert, key)) => (Some(file(cert)), Some(file(key))),
        None => (None, None),
    };
    Yaml::map([
        ("sni", Yaml::text(&tls.sni)),
        ("verify", Yaml::word(tls.verify)),
        ("ca", Yaml::or_null(tls.ca.as_ref().map(file))),
        ("cert", Yaml::or_null(cert)),
        ("key", Yaml::or_null(key)),
    ])
}
