//! The part of the configuration that tells of upstreams: their servers, and how one
//! of them is chosen, watched, tried again and limited. Owns no parsing.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, StatusCode};

use super::Address;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The key in the file, or the address itself where a route names one.
    pub name: String,
    /// True when a route named an address: such an upstream is not printed by `-T`.
    pub implicit: bool,
    /// At least one.
    pub servers: Vec<UpstreamServer>,
    pub balance: Balance,
    pub sticky: Option<Sticky>,
    pub tls: Option<UpstreamTls>,
    pub health: Health,
    pub retry: Retry,
    pub timeouts: UpstreamTimeouts,
    pub pool: Pool,
    /// How long a server that came back is given a growing share. May be zero.
    pub slow_start: Duration,
}

impl Upstream {
    /// Idle connections that each thread keeps, at most. 0 closes each connection after
    /// its request.
    pub fn max_idle(&self) -> usize {
        const USUAL: usize = 128;
        // With fewer than one for each server, none would be there when its turn comes.
        self.pool.max_idle.unwrap_or_else(|| USUAL.max(self.servers.len() * 2))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamServer {
    pub place: ServerPlace,
    /// 1..=1000, default 1.
    pub weight: u32,
    /// Asked only while none of the others is there.
    pub backup: bool,
    /// As the file has it, without `dns` or `srv`.
    pub written: String,
}

/// Where a server is, or where to ask for that.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServerPlace {
    At(Address),
    Named(Named),
}

/// Asked again each `refresh`, off the request path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Named {
    pub name: String,
    pub kind: Lookup,
    pub refresh: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// One server: the first address of the name.
    One { port: u16 },
    /// Each A and AAAA record is a server.
    Each { port: u16 },
    /// Each target of the SRV records of the best priority is a server.
    Services,
}

/// Who is asked for names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// None: those of the system.
    pub nameservers: Vec<SocketAddr>,
    /// Of one question.
    pub timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Balance {
    RoundRobin,
    LeastConn,
    P2c,
    Random,
    Hash(KeySource),
}

/// What of a request tells clients apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    ClientIp,
    Header(HeaderName),
    Cookie(String),
    Query(String),
    Path,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sticky {
    /// Its name.
    pub cookie: String,
    pub max_age: Duration,
    /// `None` is `auto`: where the client came over HTTPS.
    pub secure: Option<bool>,
    /// What signs it; `None` is a key of the process's own.
    pub secret: Option<Secret>,
}

/// A file that held at least 16 bytes when the config was checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    pub path: PathBuf,
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("path", &self.path).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    pub active: Option<ActiveCheck>,
    pub passive: Option<Passive>,
}

/// Questions of our own to each server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveCheck {
    pub kind: CheckKind,
    pub interval: Duration,
    pub timeout: Duration,
    /// In a row, each at least 1.
    pub healthy_after: u32,
    pub unhealthy_after: u32,
    /// `None` is the server's own.
    pub port: Option<u16>,
    /// `None` is as the upstream has it.
    pub tls: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// A connection is enough.
    Tcp,
    Http {
        path: String,
        /// From, to.
        status: (u16, u16),
        /// `None` is the server's own name.
        host: Option<String>,
    },
}

/// What real requests tell of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passive {
    /// In a row, at least 1.
    pub failures: u32,
    /// The first time; each next time longer.
    pub eject_for: Duration,
    /// In percent of the servers.
    pub max_ejected: u8,
    /// Answers that count as failures.
    pub statuses: Vec<StatusCode>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Tries in all; 1 is no retry.
    pub attempts: u32,
    pub connect: bool,
    pub reset: bool,
    pub timeout: bool,
    pub methods: RetryMethods,
    pub statuses: Vec<StatusCode>,
    /// Retries in percent of the requests.
    pub budget: u8,
    /// Bytes of a request's body that are kept for a retry; at most 64 KiB.
    pub body_buffer: usize,
}

/// Requests that may be sent again once they were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryMethods {
    /// RFC 9110 section 9.2.2.
    Idempotent,
    /// RFC 9110 section 9.2.1.
    Safe,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Never empty: an empty SNI would silently switch verification off.
    pub sni: String,
    pub verify: bool,
    pub ca: Option<PemFile>,
    /// Client certificate and key: both or neither.
    pub identity: Option<(PemFile, PemFile)>,
}

/// A PEM file that was readable and held what it should when the config was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemFile {
    pub path: PathBuf,
    /// DER of each certificate, or of the one key.
    pub der: Vec<Vec<u8>>,
}

/// `None` is `none`: no deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTimeouts {
    pub connect: Option<Duration>,
    /// From the last byte of a request to the head of its response.
    pub response_header: Option<Duration>,
    /// Between two pieces of a response.
    pub read_idle: Option<Duration>,
    pub write_idle: Option<Duration>,
    /// From the request's head to the last byte of its response, over all tries.
    pub request: Option<Duration>,
    pub pool_idle: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Idle connections kept by each thread; see [`Upstream::max_idle`]. `None` is `auto`.
    pub max_idle: Option<usize>,
    /// Requests at once to one server; `None` is unlimited.
    pub max_connections: Option<u32>,
    /// Requests that may wait for a server with room. May be 0.
    pub queue: usize,
    pub queue_timeout: Duration,
}
