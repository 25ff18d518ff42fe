//! The configuration as the rest of the program sees it: typed, complete and
//! valid by construction. Owns no parsing and must not know YAML, sockets or
//! runtime types; `check` is the only place that builds it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use ipnet::IpNet;
use regex::Regex;

pub use super::model_upstream::*;

/// Everything one process runs by.
#[derive(Clone, Debug)]
pub struct Config {
    pub server: Server,
    pub admin: AdminAddress,
    pub log: Log,
    pub listeners: Vec<Listener>,
    /// Peers whose `X-Forwarded-*` and `Forwarded` are believed.
    pub trusted_proxies: Vec<IpNet>,
    pub limits: HeadLimits,
    pub timeouts: ClientTimeouts,
    pub dns: Dns,
    /// Named upstreams first, then one for each address a route names directly.
    pub upstreams: Vec<Upstream>,
    /// In the order of the file; `route::Table` sorts them.
    pub routes: Vec<Route>,
    pub errors: ErrorPages,
}

/// The process. Default threads: one per core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `None` is `auto`: one per core. 1..=1024.
    pub threads: Option<usize>,
    /// `None` is `auto`.
    pub work_stealing: Option<bool>,
    pub daemon: bool,
    pub pid_file: Place,
    /// Of the socket where `-u` and `-s` are answered.
    pub upgrade_sock: Place,
    /// `None` changes nothing.
    pub identity: Option<Identity>,
    pub error_log: ErrorLog,
    pub reload_on_change: bool,
    pub drain: Drain,
}

/// Who the process becomes, when root starts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub user: Account,
    pub group: Account,
}

/// A user or a group that existed when the config was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// `None` where it was not written but follows from the other.
    pub written: Option<String>,
    pub id: u32,
}

/// Where a file of the process's own stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the process's own folder, if no other process has it.
    Auto,
    Off,
    At(PathBuf),
}

/// How the process ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// From TERM to the closing of the listeners. May be zero.
    pub delay: Duration,
    /// For requests in flight, once the listeners are closed.
    pub timeout: Duration,
    /// For tunnels and event streams, after an upgrade.
    pub tunnels: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// 127.0.0.1:9180, if nothing else has it.
    Auto,
    Off,
    /// A loopback address or a unix socket.
    At(Address),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorLog {
    Stderr,
    File(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub level: log::LevelFilter,
    pub access: AccessLog,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    pub to: AccessTarget,
    /// `None` is `auto`: text on a terminal, JSON elsewhere.
    pub format: Option<AccessFormat>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessTarget {
    Off,
    Stdout,
    File(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessFormat {
    Json,
    Combined,
    Text,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub address: Address,
}

/// Where something listens, or where an upstream server is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    Tcp(SocketAddr),
    /// An absolute path.
    Unix(PathBuf),
}

/// Bounds of a request's head: its line and all of it in bytes, its fields in number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    pub request_line: usize,
    pub request_headers: usize,
    pub request_header_count: usize,
}

/// A client's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTimeouts {
    /// From the first byte of a request to the end of its head.
    pub request_header: Duration,
    /// Since the last byte of a request body.
    pub request_body_idle: Duration,
    /// An idle connection between two requests.
    pub keepalive: Duration,
    /// A WebSocket, or another upgrade, in which neither side speaks.
    pub tunnel_idle: Duration,
}

/// Index into `Config::upstreams`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamId(pub usize);

#[derive(Clone, Debug)]
pub struct Route {
    /// As written, or `routes[3]`.
    pub name: String,
    /// Line in the file, for `explain`; 0 where there is no file.
    pub line: usize,
    pub matcher: Match,
    pub priority: i32,
    pub request: RequestEdits,
    pub response: ResponseEdits,
    pub mirror: Option<Mirror>,
    pub action: Action,
}

/// All conditions must hold. An empty list is no condition; within a list one is enough.
#[derive(Clone, Debug, Default)]
pub struct Match {
    pub hosts: Vec<HostPattern>,
    pub path: Option<PathPattern>,
    pub methods: Vec<Method>,
    pub headers: Vec<(HeaderName, ValuePattern)>,
    pub query: Vec<(String, ValuePattern)>,
    pub cookies: Vec<(String, ValuePattern)>,
    pub client_ips: Vec<IpNet>,
}

/// Lower case, without port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    Exact(String),
    /// `*.example.com` holds `example.com`: one or more labels stand before it.
    Suffix(String),
    /// `*`
    Any,
}

#[derive(Clone, Debug)]
pub enum PathPattern {
    /// By segment: `/api` and `/api/` match `/api`, `/api/` and `/api/x`, not `/apix`.
    Prefix(String),
    Exact(String),
    Regex(Regex),
}

#[derive(Clone, Debug)]
pub enum ValuePattern {
    Is(String),
    Regex(Regex),
    Present,
    Absent,
}

#[derive(Clone, Debug, Default)]
pub struct RequestEdits {
    pub path: Option<PathEdit>,
    pub headers: HeaderEdits,
    pub query: QueryEdits,
    pub cookies: CookieEdits,
    pub host: HostPolicy,
}

#[derive(Clone, Debug)]
pub enum PathEdit {
    StripPrefix(String),
    AddPrefix(String),
    Replace(String),
    /// `with` may name groups as `$1` or `${name}`.
    Regex {
        pattern: Regex,
        with: String,
    },
}

#[derive(Clone, Debug, Default)]
pub struct HeaderEdits {
    pub remove: Vec<HeaderName>,
    pub set: Vec<(FieldName, HeaderValue)>,
    pub add: Vec<(FieldName, HeaderValue)>,
}

/// A header name in the spelling the operator chose.
#[derive(Clone, Debug)]
pub struct FieldName {
    pub name: HeaderName,
    pub spelled: String,
}

/// Names and values already percent-encoded for a query.
#[derive(Clone, Debug, Default)]
pub struct QueryEdits {
    pub remove: Vec<String>,
    pub set: Vec<(String, String)>,
    pub add: Vec<(String, String)>,
}

#[derive(Clone, Debug, Default)]
pub struct CookieEdits {
    pub remove: Vec<String>,
    pub set: Vec<(String, String)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostPolicy {
    #[default]
    Preserve,
    /// The upstream server's own name (its SNI with TLS, otherwise as it was written).
    Upstream,
    Literal(String),
}

#[derive(Clone, Debug, Default)]
pub struct ResponseEdits {
    pub headers: HeaderEdits,
    pub set_cookie: SetCookieEdits,
    /// Whether redirects to the upstream's own address come back as ours. Default true.
    pub rewrite_location: bool,
}

#[derive(Clone, Debug, Default)]
pub struct SetCookieEdits {
    /// From, to; lower case, no leading dot. An empty `to` drops the attribute.
    pub domain: Vec<(String, String)>,
    /// From, to prefix; the longest `from` that fits wins.
    pub path: Vec<(String, String)>,
    pub secure: SecurePolicy,
    /// `None` leaves it as it is.
    pub http_only: Option<bool>,
    pub same_site: Option<SameSite>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecurePolicy {
    /// Left as the upstream set it.
    #[default]
    Keep,
    /// Dropped when the client came over plain HTTP (a browser would refuse the
    /// cookie), kept otherwise.
    Auto,
    Always,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    Strict,
    Lax,
    None,
}

#[derive(Clone, Debug)]
pub enum Action {
    Upstream(UpstreamId),
    Split(Split),
    Redirect { to: Template, status: StatusCode },
    Respond { status: StatusCode, body: String, headers: Vec<(FieldName, HeaderValue)> },
}

impl Action {
    /// Where requests may go by it.
    pub fn upstreams(&self) -> Vec<UpstreamId> {
        match self {
            Self::Upstream(id) => vec![*id],
            Self::Split(split) => split.shares.iter().map(|(id, _)| *id).collect(),
            Self::Redirect { .. } | Self::Respond { .. } => Vec::new(),
        }
    }
}

/// Several upstreams, each with its share of the requests.
#[derive(Clone, Debug)]
pub struct Split {
    /// At least one; shares of at least 1.
    pub shares: Vec<(UpstreamId, u32)>,
    /// What keeps a client at its part; `None` is chance.
    pub by: Option<KeySource>,
}

#[derive(Clone, Debug)]
pub struct Mirror {
    pub upstream: UpstreamId,
    /// In percent, 1 to 100.
    pub share: u8,
}

/// Text with `{scheme}`, `{host}`, `{path}`, `{query}`, `{method}`, `{client_ip}`, `{request_id}` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(pub Vec<TemplatePart>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplatePart {
    Text(String),
    Scheme,
    Host,
    /// The path as the client sent it.
    Path,
    /// With its `?`, or empty.
    Query,
    Method,
    ClientIp,
    RequestId,
}

/// What a client sees when the proxy itself answers with an error.
#[derive(Clone, Debug, Default)]
pub struct ErrorPages {
    /// Exact statuses before classes.
    pub pages: Vec<(StatusSet, ErrorPage)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusSet {
    One(StatusCode),
    /// 4 is `4xx`, 5 is `5xx`.
    Class(u8),
}

#[derive(Clone, Debug)]
pub struct ErrorPage {
    pub path: PathBuf,
    /// By the file's ending.
    pub content_type: &'static str,
    pub body: Vec<u8>,
}
