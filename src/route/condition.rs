//! The conditions of one route, checked in a fixed order, and the first one that does not
//! hold, in words.

use std::fmt;
use std::net::IpAddr;

use http::{HeaderMap, Method};

use super::values::{CookieValues, HeaderValues, QueryValues, Values};
use crate::config::{
    ClientCertPattern, Fingerprint, HostPattern, Match, PathPattern, Such, ValuePattern, may_be_secret,
};
use crate::message::client;
use crate::transport::ClientIdentity;

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
    /// Whom the certificate names that the client has shown, if it has.
    pub client_cert: Option<&'r ClientIdentity>,
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
    ClientCert(String),
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
            Self::ClientCert(text) => write!(f, "client_cert {text}"),
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

/// A value that may be a secret is not told.
fn describe(name: &str, pattern: &ValuePattern) -> String {
    let shown = |value| if may_be_secret(name) { "***" } else { value };
    match pattern {
        ValuePattern::Is(value) => format!("is not `{}`", shown(value)),
        ValuePattern::Regex(regex) => format!("does not match /{}/", shown(regex.as_str())),
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
        && cert_holds(matcher, view)
}

fn method_holds(matcher: &Match, view: &RequestView<'_>) -> bool {
    matcher.methods.is_empty() || matcher.methods.contains(view.method)
}

fn client_holds(matcher: &Match, view: &RequestView<'_>) -> bool {
    matcher.client_ips.is_empty() || view.client_ip.is_some_and(|ip| client::is_in(ip, &matcher.client_ips))
}

fn cert_holds(matcher: &Match, view: &RequestView<'_>) -> bool {
    match (&matcher.client_cert, view.client_cert) {
        (None, _) | (Some(ClientCertPattern::Present), Some(_)) | (Some(ClientCertPattern::Absent), None) => true,
        (Some(ClientCertPattern::Absent), Some(_)) | (Some(_), None) => false,
        (Some(ClientCertPattern::Such(such)), Some(identity)) => is_such(such, identity),
    }
}

/// Case makes a difference in names: two CAs may mean two persons by it.
fn is_such(such: &Such, identity: &ClientIdentity) -> bool {
    let names = &such.common_names;
    let is_named = || identity.common_name.as_ref().is_some_and(|own| names.iter().any(|name| **name == **own));
    let has_san = || identity.sans.iter().any(|own| such.sans.iter().any(|san| **san == **own));
    let is_it = || such.fingerprints.contains(&Fingerprint(identity.fingerprint));
    (names.is_empty() || is_named()) && (such.sans.is_empty() || has_san()) && (such.fingerprints.is_empty() || is_it())
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
            return Some(Mismatch::Header(format!("`{name}` {}", describe(name.as_str(), pattern))));
        }
    }
    for (name, pattern) in &matcher.query {
        if !value_holds(pattern, &QueryValues(view.query, name)) {
            return Some(Mismatch::Query(format!("`{name}` {}", describe(name, pattern))));
        }
    }
    for (name, pattern) in &matcher.cookies {
        if !value_holds(pattern, &CookieValues(view.headers, name)) {
            return Some(Mismatch::Cookie(format!("`{name}` {}", describe(name, pattern))));
        }
    }
    if !client_holds(matcher, view) {
        let client = view.client_ip.map_or_else(|| "a client without an address".to_owned(), |ip| ip.to_string());
        return Some(Mismatch::ClientIp(format!("{client} is in none of the networks")));
    }
    if !cert_holds(matcher, view) {
        let text = match (&matcher.client_cert, view.client_cert) {
            (_, None) => "is absent",
            (Some(ClientCertPattern::Absent), Some(_)) => "is present",
            (_, Some(_)) => "is another one",
        };
        return Some(Mismatch::ClientCert(text.to_owned()));
    }
    None
}

fn join_hosts(hosts: &[HostPattern]) -> String {
    hosts.iter().map(|pattern| format!("`{pattern}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_said_of_a_certificate_must_fit_and_one_of_a_list_is_enough() {
        let ann = ClientIdentity {
            common_name: Some("ann".into()),
            sans: ["ann@us.example".into(), "us.example".into()].into(),
            fingerprint: [7; 32],
        };
        let holds = |pattern: Option<ClientCertPattern>, client_cert: Option<&ClientIdentity>| {
            let (headers, matcher) = (HeaderMap::new(), Match { client_cert: pattern, ..Match::default() });
            let view = RequestView {
                method: &Method::GET,
                host: "a",
                path: "/",
                query: "",
                headers: &headers,
                client_ip: None,
                client_cert,
            };
            assert_eq!(others_hold(&matcher, &view), first_mismatch(&matcher, &view).is_none());
            others_hold(&matcher, &view)
        };
        let such = |names: &[&str], sans: &[&str], hashes: &[u8]| {
            let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            let fingerprints = hashes.iter().map(|hash| Fingerprint([*hash; 32])).collect();
            Some(ClientCertPattern::Such(Such { common_names: texts(names), sans: texts(sans), fingerprints }))
        };
        assert!(holds(None, None) && holds(None, Some(&ann)));
        assert!(holds(Some(ClientCertPattern::Present), Some(&ann)) && !holds(Some(ClientCertPattern::Present), None));
        assert!(holds(Some(ClientCertPattern::Absent), None) && !holds(Some(ClientCertPattern::Absent), Some(&ann)));
        assert!(holds(such(&["bob", "ann"], &["us.example"], &[1, 7]), Some(&ann)));
        for pattern in [
            such(&["Ann"], &[], &[]),
            such(&["ann"], &["example"], &[]),
            such(&["ann"], &[], &[1]),
            such(&["bob"], &["us.example"], &[]),
        ] {
            assert!(!holds(pattern.clone(), Some(&ann)), "{pattern:?}");
        }
        assert!(!holds(such(&["ann"], &[], &[]), None));
    }
}
