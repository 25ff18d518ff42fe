//! From the tree to how an upstream's servers are chosen, watched, tried again and
//! limited. Must not know which servers they are.

use std::time::Duration;

use http::StatusCode;

use super::check::{self, DURATION, open};
use super::check_server::Found;
use super::decode::{Cx, Fields};
use super::keys;
use super::model::*;
use super::node::{Kind, Node};
use super::value::{self, Read, Wrong};
use super::value_upstream::{key_source, percent, status_range};

/// Pingora keeps so much of a body.
const MOST_BUFFERED: usize = 64 << 10;

pub fn default_timeouts() -> UpstreamTimeouts {
    UpstreamTimeouts {
        connect: Some(Duration::from_secs(3)),
        response_header: Some(Duration::from_secs(60)),
        read_idle: Some(Duration::from_secs(60)),
        write_idle: Some(Duration::from_secs(60)),
        request: None,
        pool_idle: Some(Duration::from_secs(55)),
    }
}

pub fn default_pool() -> Pool {
    Pool { max_idle: None, max_connections: None, queue: 0, queue_timeout: Duration::from_secs(5) }
}

pub fn default_retry() -> Retry {
    Retry {
        attempts: 2,
        connect: true,
        reset: true,
        timeout: true,
        methods: RetryMethods::Idempotent,
        statuses: Vec::new(),
        budget: 20,
        body_buffer: MOST_BUFFERED,
    }
}

pub fn default_health() -> Health {
    Health { active: None, passive: Some(default_passive()) }
}

fn default_passive() -> Passive {
    let statuses = vec![StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];
    Passive { failures: 5, eject_for: Duration::from_secs(30), max_ejected: 50, statuses }
}

pub fn timeouts(cx: &mut Cx<'_>, node: Option<&Node>) -> UpstreamTimeouts {
    let mut timeouts = default_timeouts();
    let Some(fields) = open(cx, node, &keys::UPSTREAM_TIMEOUTS) else { return timeouts };
    let mut set = |name: &str, to: &mut Option<Duration>| {
        let Some(node) = fields.get(name) else { return };
        if node.text() == Some("none") {
            *to = None;
        } else if let Some(duration) = cx.read(node, DURATION, value::duration) {
            *to = Some(duration);
        }
    };
    set("connect", &mut timeouts.connect);
    set("response_header", &mut timeouts.response_header);
    set("read_idle", &mut timeouts.read_idle);
    set("write_idle", &mut timeouts.write_idle);
    set("request", &mut timeouts.request);
    set("pool_idle", &mut timeouts.pool_idle);
    timeouts
}

pub fn pool(cx: &mut Cx<'_>, node: Option<&Node>) -> Pool {
    let mut pool = default_pool();
    let Some(fields) = open(cx, node, &keys::POOL) else { return pool };
    if let Some(node) = fields.get("max_idle").filter(|node| node.text() != Some("auto")) {
        if matches!(node.kind, Kind::Number(_)) {
            pool.max_idle = cx.integer(node, 0, 65535).and_then(|max| usize::try_from(max).ok());
        } else {
            cx.expected(node, "`auto` or a whole number from 0 to 65535");
        }
    }
    if let Some(node) = fields.get("max_connections").filter(|node| node.text() != Some("unlimited")) {
        pool.max_connections = cx.integer(node, 1, 1_000_000).and_then(|max| u32::try_from(max).ok());
    }
    if let Some(queue) = fields.get("queue").and_then(|node| cx.integer(node, 0, 1_000_000)) {
        pool.queue = usize::try_from(queue).unwrap_or(0);
    }
    if let Some(wait) = fields.get("queue_timeout").and_then(|node| cx.read(node, DURATION, value::duration)) {
        pool.queue_timeout = wait;
    }
    if pool.max_connections.is_none() && pool.queue > 0 {
        cx.error_help(
            fields.key_span("queue"),
            "`queue` has no effect without `max_connections`",
            "nothing waits where nothing is limited",
        );
    } else if pool.queue == 0 && fields.get("queue_timeout").is_some() {
        cx.error(fields.key_span("queue_timeout"), "`queue_timeout` has no effect without `queue`");
    }
    pool
}

pub fn slow_start(cx: &mut Cx<'_>, node: &Node) -> Option<Duration> {
    cx.read(node, DURATION, value::duration_or_zero)
}

pub fn balance(cx: &mut Cx<'_>, node: &Node) -> Option<Balance> {
    if matches!(node.kind, Kind::Map(_)) {
        let fields = Fields::open(cx, node, &keys::BALANCE_HASH)?;
        let by = fields.required(cx, "hash")?;
        return cx.read(by, "what to hash, such as `header:x-user`", key_source).map(Balance::Hash);
    }
    Some(match cx.word(node, keys::BALANCE)? {
        "least_conn" => Balance::LeastConn,
        "p2c" => Balance::P2c,
        "random" => Balance::Random,
        "ip_hash" => Balance::Hash(KeySource::ClientIp),
        _ => Balance::RoundRobin,
    })
}

pub fn sticky(cx: &mut Cx<'_>, node: &Node) -> Option<Sticky> {
    let fields = Fields::open(cx, node, &keys::STICKY)?;
    let cookie = fields.required(cx, "cookie").and_then(|node| cx.read(node, "a cookie's name", value::cookie_name));
    let max_age = match fields.get("max_age") {
        Some(node) => cx.read(node, DURATION, whole_seconds),
        None => Some(Duration::from_secs(3600)),
    };
    let secure = match fields.get("secure") {
        Some(node) if node.text() != Some("auto") => match node.kind {
            Kind::Bool(value, _) => Some(value),
            _ => {
                cx.expected(node, "`auto`, `true` or `false`");
                None
            }
        },
        Some(_) | None => None,
    };
    let secret = match fields.get("secret_file") {
        Some(node) => secret(cx, node).map(Some),
        None => Some(None),
    };
    Some(Sticky { cookie: cookie?, max_age: max_age?, secure, secret: secret? })
}

fn whole_seconds(text: &str) -> Read<Duration> {
    let duration = value::duration(text)?;
    if duration.subsec_millis() > 0 {
        return Err(Wrong::new("a cookie's age is in whole seconds"));
    }
    Ok(duration)
}

fn secret(cx: &mut Cx<'_>, node: &Node) -> Option<Secret> {
    const LEAST: usize = 16;
    let text = cx.text(node, "a file's path")?;
    let path = cx.path(text);
    let bytes = check::read_file(cx, node, &path)?.trim_ascii().to_vec();
    if bytes.len() < LEAST {
        cx.error(node.span, format!("a secret has at least {LEAST} bytes; this file has {}", bytes.len()));
        return None;
    }
    Some(Secret { path, bytes })
}

/// `tls`: whether the upstream speaks it, so that a check can.
pub fn health(cx: &mut Cx<'_>, node: Option<&Node>, tls: bool, servers: &[Found]) -> Health {
    let mut health = default_health();
    let Some(fields) = open(cx, node, &keys::HEALTH) else { return health };
    health.active = fields.get("active").and_then(|node| active(cx, node, tls, servers));
    if let Some(node) = fields.get("passive") {
        health.passive = if node.text() == Some("off") { None } else { passive(cx, node) };
    }
    health
}

fn active(cx: &mut Cx<'_>, node: &Node, upstream_tls: bool, servers: &[Found]) -> Option<ActiveCheck> {
    let fields = Fields::open(cx, node, &keys::ACTIVE)?;
    let kind = check_kind(cx, &fields);
    let mut duration = |name: &str, default: Duration| match fields.get(name) {
        Some(node) => cx.read(node, DURATION, value::duration).unwrap_or(default),
        None => default,
    };
    let interval = duration("interval", Duration::from_secs(5));
    let timeout = duration("timeout", Duration::from_secs(1));
    if interval < Duration::from_millis(100) {
        cx.error(fields.key_span("interval"), "a server is checked at most ten times a second");
    }
    let mut count = |name: &str, most: i64| {
        let count = fields.get(name).and_then(|node| cx.integer(node, 1, most));
        count.and_then(|count| u32::try_from(count).ok())
    };
    let healthy_after = count("healthy_after", 100).unwrap_or(2);
    let unhealthy_after = count("unhealthy_after", 100).unwrap_or(3);
    let port = count("port", 65535).and_then(|port| u16::try_from(port).ok());
    let tls = fields.get("tls").and_then(|node| cx.boolean(node));
    let is_unix = |found: &Found| matches!(found.server.place, ServerPlace::At(Address::Unix(_)));
    if port.is_some() && !servers.is_empty() && servers.iter().all(is_unix) {
        cx.error(fields.key_span("port"), "`port` has no effect: a Unix socket has none");
    }
    if tls == Some(true) && !upstream_tls {
        cx.error_help(fields.key_span("tls"), "a check over TLS needs the upstream's `tls`", "it says what to verify");
    }
    Some(ActiveCheck { kind: kind?, interval, timeout, healthy_after, unhealthy_after, port, tls })
}

fn check_kind(cx: &mut Cx<'_>, fields: &Fields<'_>) -> Option<CheckKind> {
    let tcp = fields.get("tcp").and_then(|node| cx.boolean(node)).unwrap_or(false);
    if tcp {
        for name in ["path", "status", "host"].into_iter().filter(|name| fields.get(name).is_some()) {
            cx.error(fields.key_span(name), format!("`{name}` has no effect with `tcp: true`"));
        }
        return Some(CheckKind::Tcp);
    }
    let path = match fields.get("path") {
        Some(node) => cx.read(node, "a path such as `/healthz`", check_path),
        None => {
            if !fields.refused {
                cx.error_help(fields.span, "`path` is missing in `active`", "or `tcp: true`");
            }
            None
        }
    };
    let status = match fields.get("status") {
        Some(node) => cx.read(node, "a status, or from-to such as `200-399`", status_range),
        None => Some((200, 399)),
    };
    let host = match fields.get("host") {
        Some(node) => cx.read(node, "a host", check_host).map(Some),
        None => Some(None),
    };
    Some(CheckKind::Http { path: path?, status: status?, host: host? })
}

fn check_path(text: &str) -> Read<String> {
    if !text.starts_with('/') || !text.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        return Err(Wrong::new(format!("`{text}` is not a path to ask for")));
    }
    Ok(text.to_owned())
}

fn check_host(text: &str) -> Read<String> {
    let wrong = || Wrong::new(format!("`{text}` is not a host"));
    crate::message::host::split(text).filter(|(name, _)| !name.is_empty()).ok_or_else(wrong)?;
    Ok(text.to_owned())
}

fn passive(cx: &mut Cx<'_>, node: &Node) -> Option<Passive> {
    let mut passive = default_passive();
    let fields = Fields::open(cx, node, &keys::PASSIVE)?;
    if let Some(failures) = fields.get("failures").and_then(|node| cx.integer(node, 1, 10_000)) {
        passive.failures = u32::try_from(failures).unwrap_or(passive.failures);
    }
    if let Some(time) = fields.get("eject_for").and_then(|node| cx.read(node, DURATION, value::duration)) {
        passive.eject_for = time;
    }
    if let Some(most) = fields.get("max_ejected").and_then(|node| cx.read(node, PERCENT, |t| percent(t, 1, 100))) {
        passive.max_ejected = most;
    }
    if let Some(node) = fields.get("statuses") {
        passive.statuses = statuses(cx, node);
    }
    Some(passive)
}

const PERCENT: &str = "a percentage such as `20%`";

fn statuses(cx: &mut Cx<'_>, node: &Node) -> Vec<StatusCode> {
    let items = cx.list(node, "statuses such as `503`");
    let read = |item| cx.integer(item, 400, 599).and_then(|code| u16::try_from(code).ok());
    items.iter().filter_map(read).filter_map(|code| StatusCode::from_u16(code).ok()).collect()
}

pub fn retry(cx: &mut Cx<'_>, node: Option<&Node>) -> Retry {
    let mut retry = default_retry();
    let Some(fields) = open(cx, node, &keys::RETRY) else { return retry };
    if let Some(attempts) = fields.get("attempts").and_then(|node| cx.integer(node, 1, 10)) {
        retry.attempts = u32::try_from(attempts).unwrap_or(retry.attempts);
    }
    if let Some(node) = fields.get("on") {
        (retry.connect, retry.reset, retry.timeout) = (false, false, false);
        for item in cx.list(node, "words such as `connect`") {
            match cx.word(item, keys::RETRY_ON) {
                Some("connect") => retry.connect = true,
                Some("reset") => retry.reset = true,
                Some("timeout") => retry.timeout = true,
                Some(_) | None => {}
            }
        }
    }
    if let Some(word) = fields.get("methods").and_then(|node| cx.word(node, keys::RETRY_METHODS)) {
        retry.methods = if word == "safe" { RetryMethods::Safe } else { RetryMethods::Idempotent };
    }
    if let Some(node) = fields.get("statuses") {
        retry.statuses = statuses(cx, node);
    }
    if let Some(budget) = fields.get("budget").and_then(|node| cx.read(node, PERCENT, |t| percent(t, 1, 100))) {
        retry.budget = budget;
    }
    if let Some(size) = fields.get("body_buffer").and_then(|node| cx.read(node, "a size such as `64KiB`", buffer)) {
        retry.body_buffer = size;
    }
    if retry.attempts == 1 {
        for name in ["on", "methods", "statuses", "budget", "body_buffer"] {
            if fields.get(name).is_some() {
                cx.error(fields.key_span(name), format!("`{name}` has no effect with `attempts: 1`"));
            }
        }
    }
    retry
}

fn buffer(text: &str) -> Read<usize> {
    let size = value::size(text)?;
    if size > MOST_BUFFERED {
        return Err(Wrong::new("at most 64KiB of a body are kept"));
    }
    Ok(size)
}

/// Who is asked for names.
pub fn dns(cx: &mut Cx<'_>, node: Option<&Node>) -> Dns {
    let mut dns = Dns { nameservers: Vec::new(), timeout: Duration::from_secs(2) };
    let Some(fields) = open(cx, node, &keys::DNS) else { return dns };
    if let Some(node) = fields.get("nameservers") {
        let items = cx.list(node, "addresses such as `10.0.0.53`");
        let read = |item| cx.read(item, "an address such as `10.0.0.53`", nameserver);
        dns.nameservers = items.iter().filter_map(read).collect();
    }
    if let Some(timeout) = fields.get("timeout").and_then(|node| cx.read(node, DURATION, value::duration)) {
        dns.timeout = timeout;
    }
    dns
}

fn nameserver(text: &str) -> Read<std::net::SocketAddr> {
    let wrong = || Wrong::with_help(format!("`{text}` is not a nameserver"), "`IP` or `IP:port`");
    text.parse().or_else(|_| text.parse::<std::net::IpAddr>().map(|ip| (ip, 53).into())).map_err(|_| wrong())
}
