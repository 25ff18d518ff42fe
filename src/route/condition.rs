//! The conditions of one route, checked in a fixed order, and the first one that does not
//! hold, in words.

use std::fmt;
use std::net::IpAddr;

use http::{HeaderMap, Method};

use super::values::{CookieValues, HeaderValues, QueryValues, Values};
use crate::config::{HostPattern, Match, PathPattern, ValuePattern};
use crate::message::client;

/// The parts of a request on which routes match.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'r> {
    pub method: &'r Method,
    /// In lower case and without a port (`message::host::normalize`); empty without a Host.
    pub host: &'r str,
    /// A reading of the path (`message::readings`).
    pub path: &'r str,
    pub query: &'r str,
    pub headers: &'r HeaderMap,
    /// `None` for a client on a unix socket.
    pub client_ip: Option<IpAddr>,
}

/// The first condition that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    Host(String),
    Path(String),
    Method(String),
    Header(String),
    Query(String),
    Cookie(String),
    ClientIp(String),
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(text) => write!(f, "host {text}"),
            Self::Path(text) => write!(f, "path {text}"),
            Self::Method(text) => write!(f, "method {text}"),
            Self::Header(text) => write!(f, "header {text}"),
            Self::Query(text) => write!(f, "query {text}"),
            Self::Cookie(text) => write!(f, "cookie {text}"),
            Self::ClientIp(text) => write!(f, "client_ip {text}"),
        }
    }
}

pub(super) fn host_holds(pattern: &HostPattern, host: &str) -> bool {
    match pattern {
        HostPattern::Any => true,
        HostPattern::Exact(exact) => exact == host,
        HostPattern::Suffix(suffix) => {
            host.strip_suffix(suffix.as_str()).is_some_and(|head| head.len() > 1 && head.ends_with('.'))
        }
    }
}

/// Whether one of the route's regexes finds something in the path.
pub(super) fn regex_holds(matcher: &Match, view: &RequestView<'_>) -> bool {
    matcher.paths.iter().any(|pattern| matches!(pattern, PathPattern::Regex(regex) if regex.is_match(view.path)))
}

/// One value is enough. Bytes that are no UTF-8 are replaced before a regex looks: they would
/// hide the rest of a value from it.
fn value_holds(pattern: &ValuePattern, values: &impl Values) -> bool {
    match pattern {
        ValuePattern::Present => values.any(&mut |_| true),
        ValuePattern::Absent => !values.any(&mut |_| true),
        ValuePattern::Is(wanted) => values.any(&mut |value| value == wanted.as_bytes()),
        ValuePattern::Regex(regex) => values.any(&mut |value| regex.is_match(&String::from_utf8_lossy(value))),
    }
}

fn describe(pattern: &ValuePattern) -> String {
    match pattern {
        ValuePattern::Is(value) => format!("is not `{value}`"),
        ValuePattern::Regex(regex) => format!("does not match /{}/", regex.as_str()),
        ValuePattern::Present => "is absent".to_owned(),
        ValuePattern::Absent => "is present".to_owned(),
    }
}

fn describe_path(pattern: &PathPattern) -> String {
    match pattern {
        PathPattern::Exact(exact) => format!("is not `{exact}`"),
        PathPattern::Prefix(prefix) => format!("is not under `{prefix}`"),
        PathPattern::Regex(regex) => format!("does not match /{}/", regex.as_str()),
    }
}

/// Whether every condition other than host and path holds.
pub(super) fn others_hold(matcher: &Match, view: &RequestView<'_>) -> bool {
    method_holds(matcher, view)
        && matcher.headers.iter().all(|(n, p)| value_holds(p, &HeaderValues(view.headers, n)))
        && matcher.query.iter().all(|(n, p)| value_holds(p, &QueryValues(view.query, n)))
        && matcher.cookies.iter().all(|(n, p)| value_holds(p, &CookieValues(view.headers, n)))
        && client_holds(matcher, view)
}

fn method_holds(matcher: &Match, view: &RequestView<'_>) -> bool {
    matcher.methods.is_empty() || matcher.methods.contains(view.method)
}

fn client_holds(matcher: &Match, view: &RequestView<'_>) -> bool {
    matcher.client_ips.is_empty() || view.client_ip.is_some_and(|ip| client::is_in(ip, &matcher.client_ips))
}

/// The first condition of `matcher` that does not hold for `view`; `None` when the route
/// matches. `explain` calls it, not the request path.
pub(super) fn first_mismatch(matcher: &Match, view: &RequestView<'_>) -> Option<Mismatch> {
    let host = view.host;
    if !matcher.hosts.is_empty() && !matcher.hosts.iter().any(|p| host_holds(p, host)) {
        return Some(Mismatch::Host(format!("`{host}` is none of {}", join_hosts(&matcher.hosts))));
    }
    if !matcher.paths.is_empty() && !matcher.paths.iter().any(|pattern| pattern.holds(view.path)) {
        let wanted: Vec<String> = matcher.paths.iter().map(describe_path).collect();
        return Some(Mismatch::Path(format!("`{}` {}", view.path, wanted.join(" and "))));
    }
    if !method_holds(matcher, view) {
        let methods: Vec<&str> = matcher.methods.iter().map(Method::as_str).collect();
        return Some(Mismatch::Method(format!("{} is none of {}", view.method, methods.join(", "))));
    }
    for (name, pattern) in &matcher.headers {
        if !value_holds(pattern, &HeaderValues(view.headers, name)) {
            return Some(Mismatch::Header(format!("`{name}` {}", describe(pattern))));
        }
    }
    for (name, pattern) in &matcher.query {
        if !value_holds(pattern, &QueryValues(view.query, name)) {
            return Some(Mismatch::Query(format!("`{name}` {}", describe(pattern))));
        }
    }
    for (name, pattern) in &matcher.cookies {
        if !value_holds(pattern, &CookieValues(view.headers, name)) {
            return Some(Mismatch::Cookie(format!("`{name}` {}", describe(pattern))));
        }
    }
    if !client_holds(matcher, view) {
        let client = view.client_ip.map_or_else(|| "a unix socket".to_owned(), |ip| ip.to_string());
        return Some(Mismatch::ClientIp(format!("{client} is in none of the networks")));
    }
    None
}

fn join_hosts(hosts: &[HostPattern]) -> String {
    hosts.iter().map(|pattern| format!("`{pattern}`")).collect::<Vec<_>>().join(", ")
}
