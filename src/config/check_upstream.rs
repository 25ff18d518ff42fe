//! From the tree to upstreams, and which of them the routes use. Must not know what a route matches.

use std::collections::HashMap;

use super::address;
use super::decode::{Cx, Fields};
use super::keys;
use super::model::*;
use super::node::{Key, Node};
use super::problem::Span;
use super::value::nearest;
use super::{check_resilience, check_server, check_tls};

/// The upstreams in the order of their ids, while routes are still being read.
pub struct Upstreams {
    entries: Vec<Entry>,
    by_name: HashMap<String, usize>,
}

struct Entry {
    name: String,
    span: Span,
    used: bool,
    /// `None` where it had problems; the name still exists.
    upstream: Option<Upstream>,
    /// Where each of its servers stands.
    servers: Vec<Span>,
}

impl Upstreams {
    pub fn read(cx: &mut Cx<'_>, node: Option<&Node>) -> Upstreams {
        let mut all = Upstreams { entries: Vec::new(), by_name: HashMap::new() };
        let Some(node) = node else { return all };
        for (key, value) in cx.entries(node, "names to upstreams") {
            check_name(cx, key.span, &key.text, "an upstream's name");
            let (upstream, servers) = upstream(cx, key, value).unzip();
            all.add(key.text.clone(), key.span, upstream, servers.unwrap_or_default());
        }
        all
    }

    fn add(&mut self, name: String, span: Span, upstream: Option<Upstream>, servers: Vec<Span>) -> UpstreamId {
        let id = self.entries.len();
        self.by_name.insert(name.clone(), id);
        self.entries.push(Entry { name, span, used: false, upstream, servers });
        UpstreamId(id)
    }

    /// What a route's `upstream` stands for: a name, or an address.
    pub fn resolve(&mut self, cx: &mut Cx<'_>, node: &Node) -> Option<UpstreamId> {
        let text = cx.text(node, "an upstream's name or an address such as `127.0.0.1:3000`")?;
        if self.by_name.contains_key(text) || !text.contains(':') {
            return self.named(cx, node.span, text);
        }
        let direct = cx.accept(node.span, address::direct(text))?;
        let id = self.add(text.to_owned(), node.span, Some(implicit(text, direct)), vec![node.span]);
        if let Some(entry) = self.entries.get_mut(id.0) {
            entry.used = true;
        }
        Some(id)
    }

    /// What a name stands for.
    pub fn named(&mut self, cx: &mut Cx<'_>, span: Span, text: &str) -> Option<UpstreamId> {
        let Some(id) = self.by_name.get(text).copied() else {
            self.dangling(cx, span, text);
            return None;
        };
        if let Some(entry) = self.entries.get_mut(id) {
            entry.used = true;
        }
        Some(UpstreamId(id))
    }

    fn dangling(&self, cx: &mut Cx<'_>, span: Span, text: &str) {
        let names = || self.entries.iter().map(|e| e.name.as_str()).filter(|n| !n.contains(':'));
        let help = match nearest(text, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if text == "localhost" || text.contains('.') => {
                format!("if it is an address, its port is missing, as in `{text}:80`")
            }
            None if names().next().is_none() => "no upstream is defined; an address is written `host:port`".into(),
            None => format!("defined are: {}", names().take(8).collect::<Vec<_>>().join(", ")),
        };
        cx.error_help(span, format!("there is no upstream `{text}`"), help);
    }

    pub fn get(&self, id: UpstreamId) -> Option<&Upstream> {
        self.entries.get(id.0).and_then(|e| e.upstream.as_ref())
    }

    pub fn warn_unused(&self, cx: &mut Cx<'_>) {
        for entry in self.entries.iter().filter(|e| !e.used) {
            cx.warn(entry.span, format!("no route uses the upstream `{}`", entry.name), None);
        }
    }

    /// A server that is one of our own listeners would be asked for ever.
    pub fn refuse_loops(&self, cx: &mut Cx<'_>, listeners: &[Listener]) {
        for entry in &self.entries {
            let servers = entry.upstream.iter().flat_map(|upstream| &upstream.servers);
            for (server, span) in servers.zip(&entry.servers) {
                if listeners.iter().any(|listener| is_own(&server.place, &listener.address)) {
                    cx.error(*span, format!("`{}` is this proxy's own listener", server.written));
                }
            }
        }
    }

    pub fn finish(self) -> Vec<Upstream> {
        self.entries.into_iter().filter_map(|e| e.upstream).collect()
    }
}

fn is_own(server: &ServerPlace, listener: &Address) -> bool {
    match (server, listener) {
        (ServerPlace::At(Address::Tcp(to)), Address::Tcp(own)) => {
            to.port() == own.port() && (to.ip() == own.ip() || own.ip().is_unspecified() && to.ip().is_loopback())
        }
        (ServerPlace::At(Address::Unix(to)), Address::Unix(own)) => to == own,
        (ServerPlace::Named(Named { name, kind, .. }), Address::Tcp(own)) => {
            let port = match kind {
                Lookup::One { port } | Lookup::Each { port } => Some(*port),
                Lookup::Services => None,
            };
            let here = own.ip().is_unspecified() || own.ip().is_loopback();
            name == "localhost" && port == Some(own.port()) && here
        }
        (ServerPlace::At(_) | ServerPlace::Named(_), Address::Unix(_) | Address::Tcp(_)) => false,
    }
}

/// Names appear in logs and in other keys, so they are kept plain.
pub fn check_name(cx: &mut Cx<'_>, span: Span, text: &str, what: &str) {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if text.is_empty() || text.len() > 64 || !text.chars().all(plain) {
        cx.error(span, format!("{what} has 1 to 64 letters, digits, `-`, `_` and `.`"));
    }
}

fn implicit(text: &str, direct: address::Direct) -> Upstream {
    let sni = direct.server.name.clone().filter(|_| direct.tls);
    let server =
        UpstreamServer { place: direct.server.place, weight: 1, backup: false, written: direct.server.written };
    Upstream {
        name: text.to_owned(),
        implicit: true,
        servers: vec![server],
        balance: Balance::RoundRobin,
        sticky: None,
        tls: sni.map(|sni| UpstreamTls { sni, verify: true, ca: None, identity: None }),
        health: check_resilience::default_health(),
        retry: check_resilience::default_retry(),
        timeouts: check_resilience::default_timeouts(),
        pool: check_resilience::default_pool(),
        slow_start: std::time::Duration::ZERO,
    }
}

fn upstream(cx: &mut Cx<'_>, key: &Key, node: &Node) -> Option<(Upstream, Vec<Span>)> {
    let fields = Fields::open(cx, node, &keys::UPSTREAM)?;
    let servers = check_server::servers(cx, key, &fields);
    let balance = fields.get("balance").and_then(|node| check_resilience::balance(cx, node));
    let sticky = fields.get("sticky").and_then(|node| check_resilience::sticky(cx, node));
    let names: Vec<Option<String>> = servers.iter().map(|s| s.name.clone()).collect();
    let tls = fields.get("tls").and_then(|node| check_tls::tls(cx, node, fields.key_span("tls"), &names, &servers));
    let health = check_resilience::health(cx, fields.get("health"), tls.is_some(), &servers);
    let retry = check_resilience::retry(cx, fields.get("retry"));
    let timeouts = check_resilience::timeouts(cx, fields.get("timeouts"));
    let pool = check_resilience::pool(cx, fields.get("pool"));
    let slow_start = fields.get("slow_start").and_then(|node| check_resilience::slow_start(cx, node));
    let (servers, spans) = servers.into_iter().map(|s| (s.server, s.span)).unzip();
    let upstream = Upstream {
        name: key.text.clone(),
        implicit: false,
        servers,
        balance: balance.unwrap_or(Balance::RoundRobin),
        sticky,
        tls,
        health,
        retry,
        timeouts,
        pool,
        slow_start: slow_start.unwrap_or_default(),
    };
    Some((upstream, spans))
}
