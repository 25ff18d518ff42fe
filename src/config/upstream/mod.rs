//! `upstreams`: groups of servers, and how one of them is chosen, watched, tried again and
//! limited.

mod balance;
mod health;
mod pool;
mod protocol;
mod proxy_protocol;
mod retry;
mod server;
mod sticky;
mod timeouts;
mod tls;

use std::time::Duration;

pub use balance::Balance;
pub use health::{ActiveCheck, CheckKind, Health, Passive};
pub use pool::Pool;
pub use protocol::UpstreamProtocol;
pub use proxy_protocol::SendProxy;
pub use retry::{Retry, RetryMethods, RetryReason};
pub use server::UpstreamServer;
pub use sticky::{Secret, Sticky};
pub use timeouts::UpstreamTimeouts;
pub use tls::UpstreamTls;

use super::listener::Listener;
use super::section::{AsSection, Fields, Form, Reader, Shape, Switch, or_null, section, some_of};
use super::value::{Address, DURATION_OR_ZERO, DirectUpstream, Lookup, NAME, Named, ServerPlace, direct_upstream};
use super::yaml::{Kind, MapKey, Node, Span, Yaml};

section! {
    /// A group of servers.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "an upstream" pub struct Upstream {
        /// `IP:port`, `name:port` (at any of its addresses), `unix:/path`, or a map; at least one.
        servers: Vec<UpstreamServer>, required "[\"127.0.0.1:3000\"]", with some_of("addresses such as `127.0.0.1:3000`", UpstreamServer::short_or_map(), ("this upstream has no server", None));
        /// How a server is chosen for a request.
        balance: Balance = "round_robin";
        /// A cookie that keeps a client at its server.
        sticky: Option<Sticky> = null, with or_null(AsSection);
        /// TLS to the servers; `true` for its defaults.
        tls: Option<UpstreamTls> = false, with Switch;
        /// Which HTTP the servers are spoken to in.
        protocol: UpstreamProtocol = "http1";
        /// How a server is told of the client: by the PROXY protocol, in front of everything else on each connection, TLS included. A connection then carries the requests of one client only.
        proxy_protocol: SendProxy = "off";
        /// How the proxy notices that a server is down.
        health: Health = {};
        /// When a request is tried again, at another server if there is one.
        retry: Retry = {};
        /// How long the servers may take; `none` is no deadline.
        timeouts: UpstreamTimeouts = {};
        /// Connections to the servers, and requests that wait for one.
        pool: Pool = {};
        /// How long a server that came back gets a growing share of the requests.
        slow_start: Duration = "0s", with DURATION_OR_ZERO;
    }
    derived {
        /// The key in the file, or the address itself where a route names one.
        name: String,
        /// Whether a route named an address: such an upstream is not printed.
        implicit: bool,
    }
    check Upstream::check;
}

impl Upstream {
    /// Idle connections that each thread keeps, at most. 0 closes each connection after
    /// its request.
    pub fn max_idle(&self) -> usize {
        const USUAL: usize = 128;
        // With fewer than one for each server, none would be there when its turn comes.
        self.pool.max_idle.unwrap_or_else(|| USUAL.max(self.servers.len() * 2))
    }

    fn check(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        server::refuse_duplicates(reader, &self.servers);
        if !self.servers.is_empty() && self.servers.iter().all(|server| server.backup) {
            let span = fields.get("servers").map_or(fields.span, |node| node.span);
            reader.error(span, "every server is a backup; one must not be");
        }
        if let Some(tls) = &mut self.tls {
            tls.infer_sni(reader, fields.key_span("tls"), &self.servers);
        }
        self.check_protocol(reader, fields);
        if let Some(active) = &self.health.active {
            active.check_servers(reader, self.tls.is_some(), self.protocol, &self.servers);
        }
    }

    /// TLS is where a server selects HTTP/2.
    fn check_protocol(&self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        let span = fields.get("protocol").map_or(fields.span, |node| node.span);
        match (self.protocol, &self.tls) {
            (UpstreamProtocol::Http2, None) => {
                let help = "add `tls: true`, or write `h2c` for HTTP/2 without TLS";
                reader.error_help(span, "`protocol: http2` needs `tls`", help);
            }
            (UpstreamProtocol::Auto, None) => {
                let help = "without TLS nothing says what a server speaks: write `http1` or `h2c`, or add `tls: true`";
                reader.error_help(span, "`protocol: auto` needs `tls`", help);
            }
            (UpstreamProtocol::H2c, Some(_)) => {
                let help = "write `http2` for HTTP/2 over TLS";
                reader.error_help(span, "`protocol: h2c` is HTTP/2 without TLS, and this upstream has `tls`", help);
            }
            (UpstreamProtocol::Http1, _)
            | (UpstreamProtocol::Http2 | UpstreamProtocol::Auto, Some(_))
            | (UpstreamProtocol::H2c, None) => {}
        }
    }

    /// The upstream of a route that names an address, which was accepted there.
    pub fn of_address(reader: &mut Reader<'_>, address: &str, span: Span) -> Option<Self> {
        let DirectUpstream { address: with_port, written, tls } = reader.accept(span, direct_upstream(address))?;
        let key = |name: &str| MapKey { text: name.to_owned(), span };
        let node = |kind| Node { span, kind };
        let servers = node(Kind::Seq(vec![node(Kind::String(with_port))]));
        let settings = vec![(key("servers"), servers), (key("tls"), node(Kind::Bool(tls, tls.to_string())))];
        let mut upstream: Self = AsSection.read(reader, &node(Kind::Map(settings)))?;
        upstream.name = address.to_owned();
        upstream.implicit = true;
        if let Some(only) = upstream.servers.first_mut() {
            only.address.written = written;
        }
        Some(upstream)
    }
}

/// The upstreams by name. Those of routes that name an address come behind them.
pub fn upstreams() -> impl Form<Vec<Upstream>> {
    ByName
}

struct ByName;

impl Form<Vec<Upstream>> for ByName {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<Vec<Upstream>> {
        let Kind::Map(entries) = &node.kind else {
            let names = if let Kind::Seq(items) = &node.kind { items.as_slice() } else { &[] };
            for (name, span) in names.iter().filter_map(|item| item.entry("name")?.1.text().zip(Some(item.span))) {
                // So that routes are not told that there is no such upstream.
                reader.upstreams.declare(name, span);
            }
            let help = "write each below its name: `upstreams: { api: { servers: [\"127.0.0.1:3000\"] } }`".to_owned();
            reader.expected_help(node, &["a map of names to upstreams"], Some(help));
            return None;
        };
        let mut upstreams = Vec::new();
        for (key, node) in entries {
            reader.upstreams.declare(&key.text, key.span);
            reader.accept(key.span, (NAME.parse)(&key.text));
            if let Some(help) = instead_of_addresses(node) {
                reader.expected_help(node, &["a map with `servers`"], Some(help));
                continue;
            }
            reader.name_next(format!("the upstream `{}`", key.text));
            let upstream: Option<Upstream> = AsSection.read(reader, node);
            upstreams.extend(upstream.map(|upstream| Upstream { name: key.text.clone(), ..upstream }));
        }
        Some(upstreams)
    }

    fn shape(&self) -> Shape {
        Shape::Map { name: NAME.syntax, value: Box::new(Form::<Upstream>::shape(&AsSection)), least: 0 }
    }

    fn print(&self, upstreams: &Vec<Upstream>) -> Yaml {
        let named = upstreams.iter().filter(|upstream| !upstream.implicit);
        Yaml::Map(named.map(|upstream| (upstream.name.clone(), AsSection.print(upstream))).collect())
    }
}

/// What to write instead of servers that stand without their key.
fn instead_of_addresses(node: &Node) -> Option<String> {
    let addresses: Vec<&str> = match &node.kind {
        Kind::Seq(items) => items.iter().map(Node::text).collect::<Option<_>>()?,
        Kind::String(text) | Kind::Number(text) => vec![text],
        Kind::Null | Kind::Bool(..) | Kind::Map(_) | Kind::Bad => return None,
    };
    let quoted: Vec<String> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
    Some(format!("write `{{ servers: [{}] }}`", quoted.join(", ")))
}

/// The upstreams of all addresses that routes name, in the order of their indices.
pub fn of_addresses(reader: &mut Reader<'_>) -> Vec<Upstream> {
    let addresses: Vec<(String, Span)> =
        reader.upstreams.addresses().map(|(address, span)| (address.to_owned(), span)).collect();
    addresses.iter().filter_map(|(address, span)| Upstream::of_address(reader, address, *span)).collect()
}

/// Warns of each upstream that no route uses.
pub fn warn_unused(reader: &mut Reader<'_>) {
    let unused: Vec<(String, Span)> = reader.upstreams.unused().map(|(name, span)| (name.to_owned(), span)).collect();
    for (name, span) in unused {
        reader.warn(span, format!("no route uses the upstream `{name}`"), None);
    }
}

/// Reports each server that is one of our own listeners: it would be asked for ever.
pub fn refuse_loops(reader: &mut Reader<'_>, upstreams: &[Upstream], listeners: &[Listener]) {
    for server in upstreams.iter().flat_map(|upstream| &upstream.servers) {
        if listeners.iter().any(|listener| is_own(&server.address.place, &listener.address)) {
            let message = format!("`{}` is this proxy's own listener", server.address.written);
            reader.error(server.location.0, message);
        }
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
