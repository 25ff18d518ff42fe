//! From the tree to upstreams: their servers, TLS, timeouts and pools, and which of
//! them the routes use. Must not know what a route matches.

use std::collections::HashMap;
use std::time::Duration;

use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::address;
use super::check::{self, DURATION};
use super::decode::{Cx, Fields};
use super::keys;
use super::model::*;
use super::node::{Key, Kind, Node};
use super::problem::Span;
use super::value::{self, Read, Wrong, nearest};

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
        if matches!(node.kind, Kind::Map(_)) {
            cx.not_yet(node.span, "a split between upstreams");
            return None;
        }
        let text = cx.text(node, "an upstream's name or an address such as `127.0.0.1:3000`")?;
        if let Some(id) = self.by_name.get(text).copied() {
            if let Some(entry) = self.entries.get_mut(id) {
                entry.used = true;
            }
            return Some(UpstreamId(id));
        }
        if !text.contains(':') {
            self.dangling(cx, node, text);
            return None;
        }
        let direct = cx.accept(node.span, address::direct(text))?;
        let id = self.add(text.to_owned(), node.span, Some(implicit(text, direct)), vec![node.span]);
        if let Some(entry) = self.entries.get_mut(id.0) {
            entry.used = true;
        }
        Some(id)
    }

    fn dangling(&self, cx: &mut Cx<'_>, node: &Node, text: &str) {
        let names = || self.entries.iter().map(|e| e.name.as_str()).filter(|n| !n.contains(':'));
        let help = match nearest(text, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if text == "localhost" || text.contains('.') => {
                format!("if it is an address, its port is missing, as in `{text}:80`")
            }
            None if names().next().is_none() => "no upstream is defined; an address is written `host:port`".into(),
            None => format!("defined are: {}", names().take(8).collect::<Vec<_>>().join(", ")),
        };
        cx.error_help(node.span, format!("there is no upstream `{text}`"), help);
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
                if listeners.iter().any(|listener| is_own(&server.address, &listener.address)) {
                    cx.error(*span, format!("`{}` is this proxy's own listener", server.written));
                }
            }
        }
    }

    pub fn finish(self) -> Vec<Upstream> {
        self.entries.into_iter().filter_map(|e| e.upstream).collect()
    }
}

fn is_own(server: &Address, listener: &Address) -> bool {
    match (server, listener) {
        (Address::Tcp(to), Address::Tcp(own)) => {
            to.port() == own.port() && (to.ip() == own.ip() || own.ip().is_unspecified() && to.ip().is_loopback())
        }
        (Address::Unix(to), Address::Unix(own)) => to == own,
        (Address::Tcp(_), Address::Unix(_)) | (Address::Unix(_), Address::Tcp(_)) => false,
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
    Upstream {
        name: text.to_owned(),
        implicit: true,
        servers: vec![UpstreamServer { address: direct.server.address, weight: 1, written: direct.server.written }],
        tls: sni.map(|sni| UpstreamTls { sni, verify: true, ca: None, identity: None }),
        timeouts: default_timeouts(),
        pool: Pool { max_idle: 128 },
    }
}

fn upstream(cx: &mut Cx<'_>, key: &Key, node: &Node) -> Option<(Upstream, Vec<Span>)> {
    let fields = Fields::open(cx, node, &keys::UPSTREAM)?;
    let servers = servers(cx, key, &fields);
    if let Some(node) = fields.get("balance") {
        balance(cx, node);
    }
    let names: Vec<Option<String>> = servers.iter().map(|s| s.name.clone()).collect();
    let tls = fields.get("tls").and_then(|node| tls(cx, node, fields.key_span("tls"), &names, &servers));
    let mut timeouts = default_timeouts();
    if let Some(node) = fields.get("timeouts") {
        read_timeouts(cx, node, &mut timeouts);
    }
    let mut pool = Pool { max_idle: 128 };
    if let Some(node) = fields.get("pool")
        && let Some(fields) = Fields::open(cx, node, &keys::POOL)
        && let Some(node) = fields.get("max_idle")
        && let Some(max) = cx.integer(node, 0, 65535)
    {
        pool.max_idle = usize::try_from(max).unwrap_or(0);
    }
    let (servers, spans) = servers.into_iter().map(|s| (s.server, s.span)).unzip();
    Some((Upstream { name: key.text.clone(), implicit: false, servers, tls, timeouts, pool }, spans))
}

struct Named {
    server: UpstreamServer,
    name: Option<String>,
    span: Span,
}

fn servers(cx: &mut Cx<'_>, key: &Key, fields: &Fields<'_>) -> Vec<Named> {
    let Some(node) = fields.get("servers") else {
        if !fields.refused {
            cx.error(key.span, format!("`servers` is missing in the upstream `{}`", key.text));
        }
        return Vec::new();
    };
    let items = cx.list(node, "addresses such as `127.0.0.1:3000`");
    if items.is_empty() && matches!(node.kind, Kind::Seq(_)) {
        cx.error(node.span, format!("the upstream `{}` has no server", key.text));
    }
    let mut out: Vec<Named> = Vec::new();
    for item in items {
        let Some(named) = server(cx, item) else { continue };
        if out.iter().any(|n| n.server.written == named.server.written) {
            cx.error_help(
                item.span,
                format!("duplicate server `{}`", named.server.written),
                "`weight` gives one a larger share",
            );
        }
        out.push(named);
    }
    out
}

fn server(cx: &mut Cx<'_>, node: &Node) -> Option<Named> {
    const WHAT: &str = "an address such as `127.0.0.1:3000`";
    let mut weight = 1;
    let address = if matches!(node.kind, Kind::Map(_)) {
        let fields = Fields::open(cx, node, &keys::UPSTREAM_SERVER)?;
        if let Some(node) = fields.get("weight") {
            weight = cx.integer(node, 1, 1000).and_then(|w| u32::try_from(w).ok()).unwrap_or(1);
        }
        let address = fields.required(cx, "address")?;
        cx.read(address, WHAT, address::server)?
    } else {
        cx.read(node, WHAT, address::server)?
    };
    let server = UpstreamServer { address: address.address, weight, written: address.written };
    Some(Named { server, name: address.name, span: node.span })
}

fn balance(cx: &mut Cx<'_>, node: &Node) {
    if matches!(node.kind, Kind::Map(_)) {
        cx.not_yet(node.span, "balancing by a hash");
        return;
    }
    if let Some(later) = keys::BALANCE_LATER.iter().find(|w| node.text() == Some(w)) {
        cx.not_yet(node.span, &format!("`{later}`"));
        return;
    }
    cx.word(node, keys::BALANCE);
}

fn tls(cx: &mut Cx<'_>, node: &Node, at: Span, names: &[Option<String>], servers: &[Named]) -> Option<UpstreamTls> {
    if let Kind::Bool(on, _) = node.kind {
        let sni = if on { sni(cx, None, at, true, names, servers) } else { None };
        return sni.map(|sni| UpstreamTls { sni, verify: true, ca: None, identity: None });
    }
    if !matches!(node.kind, Kind::Map(_)) {
        cx.expected(node, "`true`, `false` or a map");
        return None;
    }
    let fields = Fields::open(cx, node, &keys::UPSTREAM_TLS)?;
    let verify = fields.get("verify").and_then(|node| cx.boolean(node)).unwrap_or(true);
    let ca = fields.get("ca").and_then(|node| pem(cx, node, "certificate", is_certificate));
    if !verify && fields.get("ca").is_some() {
        cx.error_help(fields.key_span("ca"), "`ca` has no effect with `verify: false`", "remove one of them");
    }
    let cert = fields.get("cert").and_then(|node| pem(cx, node, "certificate", is_certificate));
    let key = fields.get("key").and_then(|node| pem(cx, node, "private key", is_key));
    for (one, other) in [("cert", "key"), ("key", "cert")] {
        if fields.get(one).is_some() && fields.get(other).is_none() {
            cx.error(fields.key_span(one), format!("`{one}` needs `{other}` beside it"));
        }
    }
    let identity = cert.zip(key);
    if let Some((cert, key)) = &identity {
        cx.accept(fields.key_span("key"), belong_together(cert, key));
    }
    let sni = sni(cx, fields.get("sni"), at, verify, names, servers)?;
    Some(UpstreamTls { sni, verify, ca, identity })
}

/// Asks rustls itself, which is what will use them.
fn belong_together(cert: &PemFile, key: &PemFile) -> Read<()> {
    let chain = cert.der.iter().map(|der| CertificateDer::from(der.clone())).collect();
    let unusable = |reason: &dyn std::fmt::Display| Wrong::new(format!("the private key cannot be used: {reason}"));
    let der = key.der.first().cloned().unwrap_or_default();
    let der = PrivateKeyDer::try_from(der).map_err(|e| unusable(&e))?;
    match CertifiedKey::from_der(chain, der, &rustls::crypto::ring::default_provider()) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => {
            let help = format!("it is not the key of {}", cert.path.display());
            Err(Wrong::with_help("`cert` and `key` do not belong together", help))
        }
        Err(e) => Err(unusable(&e)),
    }
}

/// The name to ask for, given or taken from the servers. Never empty.
fn sni(
    cx: &mut Cx<'_>,
    given: Option<&Node>,
    at: Span,
    verify: bool,
    names: &[Option<String>],
    servers: &[Named],
) -> Option<String> {
    if let Some(node) = given {
        return cx.read(node, "a host name", |text| match text.parse::<std::net::IpAddr>() {
            Ok(ip) if !verify => Ok(ip.to_string()),
            Ok(_) => Err(Wrong::with_help(
                "`sni` is a name, not an IP address",
                "or switch verification off with `verify: false`",
            )),
            Err(_) => value::dns_name(text),
        });
    }
    let (first, rest) = names.split_first()?;
    if rest.iter().any(|n| n != first) {
        cx.error_help(
            at,
            "the servers have different names",
            "say which one their certificates hold: `tls: { sni: … }`",
        );
        return None;
    }
    if let Some(name) = first {
        return Some(name.clone());
    }
    match servers.first().map(|s| &s.server.address) {
        Some(Address::Tcp(socket)) if !verify => Some(socket.ip().to_string()),
        _ => {
            cx.error_help(
                at,
                "TLS needs a name to verify, and the servers have none",
                "say which one: `tls: { sni: … }`",
            );
            None
        }
    }
}

fn is_certificate(kind: SectionKind) -> bool {
    kind == SectionKind::Certificate
}

fn is_key(kind: SectionKind) -> bool {
    matches!(kind, SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey)
}

fn pem(cx: &mut Cx<'_>, node: &Node, what: &str, wanted: fn(SectionKind) -> bool) -> Option<PemFile> {
    let text = cx.text(node, "a PEM file's path")?;
    let path = cx.path(text);
    let bytes = check::read_file(cx, node, &path)?;
    let mut der = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(&bytes) {
        match section {
            Ok((kind, content)) if wanted(kind) => der.push(content),
            Ok(_) => {}
            Err(e) => {
                cx.error(node.span, format!("this file is not valid PEM: {e}"));
                return None;
            }
        }
    }
    if der.is_empty() {
        cx.error(node.span, format!("there is no {what} in this file"));
        return None;
    }
    let unusable = if what == "private key" {
        der.truncate(1);
        PrivateKeyDer::try_from(der.first().map_or(&[][..], Vec::as_slice)).err().map(str::to_owned)
    } else {
        der.iter().find_map(|der| X509Certificate::from_der(der).err()).map(|e| e.to_string())
    };
    if let Some(reason) = unusable {
        cx.error(node.span, format!("the {what} in this file cannot be used: {reason}"));
        return None;
    }
    Some(PemFile { path, der })
}

fn default_timeouts() -> UpstreamTimeouts {
    UpstreamTimeouts {
        connect: Some(Duration::from_secs(3)),
        response_header: Some(Duration::from_secs(60)),
        read_idle: Some(Duration::from_secs(60)),
        write_idle: Some(Duration::from_secs(60)),
        pool_idle: Some(Duration::from_secs(55)),
    }
}

fn read_timeouts(cx: &mut Cx<'_>, node: &Node, timeouts: &mut UpstreamTimeouts) {
    let Some(fields) = Fields::open(cx, node, &keys::UPSTREAM_TIMEOUTS) else { return };
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
    set("pool_idle", &mut timeouts.pool_idle);
}
