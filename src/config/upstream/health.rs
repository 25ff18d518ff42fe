//! `health`: how it is noticed that a server is down.

use std::time::Duration;

use http::StatusCode;

use super::protocol::UpstreamProtocol;
use super::server::UpstreamServer;
use crate::config::section::{
    AsSection, Fields, FromKeys, Reader, Scalar, Syntax, Value, number, optional, or_null, or_word, section,
};
use crate::config::value::{Address, PERCENT, STATUS_RANGE, ServerPlace, at_least, statuses};
use crate::config::yaml::{Invalid, Location, Parsed, Yaml};

section! {
    /// How the proxy notices that a server is down.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`health`" pub struct Health {
        /// Asks each server at intervals.
        active: Option<ActiveCheck> = null, with or_null(AsSection);
        /// Ejects a server for a while if real requests to it fail; never the last one.
        passive: Option<Passive> = {}, with or_word("off", "Failures of real requests are not counted.", AsSection);
    }
}

section! {
    /// Requests of our own to each server.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`active`" pub struct ActiveCheck {
        /// Between two checks, give or take a tenth; at least 100ms.
        interval: Duration = "5s", with at_least(Duration::from_millis(100), "a server is checked at most ten times a second");
        /// How long one check may take.
        timeout: Duration = "1s";
        /// Good checks in a row after which a server is up; one is enough while no server is up.
        healthy_after: u32 = 2, in 1..=100;
        /// Bad checks in a row after which a server is down.
        unhealthy_after: u32 = 3, in 1..=100;
        /// Another port than the server's own.
        port: Option<u16> = null, with or_null(number(1..=u16::MAX));
        /// Whether the check speaks TLS; by default as the upstream does.
        tls: Option<bool> = null, with or_null(bool::form());
    }
    first { kind: CheckKind }
    derived { locations: Locations }
    check ActiveCheck::note_locations;
}

/// Where keys stand that depend on the upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Locations {
    port: Location,
    tls: Location,
    grpc: Location,
}

/// What one check is.
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
    /// `grpc.health.v1.Health/Check` is asked for this service; empty is the whole server.
    Grpc { service: String, host: Option<String> },
}

section! {
    /// What one check is.
    #[derive(Clone, Debug)]
    "`active`" pub struct CheckKeys {
        /// The path to GET.
        path: Option<String>, with optional(CHECK_PATH);
        /// Whether the check only opens a connection and sends no request; then there is no `path`.
        tcp: bool = false;
        /// The service to ask `grpc.health.v1.Health/Check` for, `""` for the whole server; then there is no `path`.
        grpc: Option<String> = null, with or_null(GRPC_SERVICE);
        /// The statuses that are good: one, or a range.
        status: (u16, u16) = "200-399", with STATUS_RANGE;
        /// The Host to send; by default the server's name.
        host: Option<String> = null, with or_null(CHECK_HOST);
    }
    no_effect CheckKeys::no_effect;
    check CheckKeys::need_path;
}

impl CheckKeys {
    fn no_effect(&self, key: &str) -> Option<Invalid> {
        let other = match (&self.grpc, self.tcp) {
            (Some(_), _) if !matches!(key, "grpc" | "host") => "`grpc`",
            (None, true) if key != "tcp" => "`tcp: true`",
            (Some(_) | None, _) => return None,
        };
        Some(Invalid::new(format!("`{key}` has no effect with {other}")))
    }

    fn need_path(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        let is_grpc = fields.get("grpc").is_some_and(|node| !node.is_null());
        if !fields.has("path") && !self.tcp && !is_grpc {
            fields.missing(reader, "path", "/healthz");
        }
    }
}

impl FromKeys for CheckKind {
    type Keys = CheckKeys;

    fn from_keys(keys: CheckKeys) -> Option<Self> {
        match (keys.grpc, keys.path) {
            (Some(service), _) => Some(Self::Grpc { service, host: keys.host }),
            (None, Some(path)) if !keys.tcp => Some(Self::Http { path, status: keys.status, host: keys.host }),
            (None, Some(_) | None) => Some(Self::Tcp),
        }
    }

    fn to_keys(&self) -> CheckKeys {
        match self.clone() {
            Self::Tcp => CheckKeys { path: None, tcp: true, grpc: None, status: (200, 399), host: None },
            Self::Http { path, status, host } => CheckKeys { path: Some(path), tcp: false, grpc: None, status, host },
            Self::Grpc { service, host } => {
                CheckKeys { path: None, tcp: false, grpc: Some(service), status: (200, 399), host }
            }
        }
    }
}

const CHECK_PATH: Scalar<String> = Scalar {
    what: "a path such as `/healthz`",
    syntax: Syntax { kind: "path", numbers: false, pattern: Some(r#"^/[!"$-~]*$"#), examples: &["/healthz"] },
    parse: check_path,
    print: |path| Yaml::text(path),
};

fn check_path(text: &str) -> Parsed<String> {
    if !text.starts_with('/') || !text.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        return Err(Invalid::new(format!("`{text}` is not a path to ask for")));
    }
    Ok(text.to_owned())
}

const GRPC_SERVICE: Scalar<String> = Scalar {
    what: "a service's name, or an empty text",
    syntax: Syntax {
        kind: "service",
        numbers: false,
        pattern: Some(r"^([A-Za-z0-9_]+([.][A-Za-z0-9_]+)*)?$"),
        examples: &["", "shop.Orders"],
    },
    parse: grpc_service,
    print: |service| Yaml::text(service),
};

fn grpc_service(text: &str) -> Parsed<String> {
    let is_name = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if text.is_empty() || text.split('.').all(is_name) {
        return Ok(text.to_owned());
    }
    Err(Invalid::new(format!("`{text}` is not the name of a gRPC service")))
}

const CHECK_HOST: Scalar<String> = Scalar {
    what: "a host",
    syntax: Syntax { kind: "host", numbers: true, pattern: Some(r"^[^\s/@,]+$"), examples: &["app.internal"] },
    parse: check_host,
    print: |host| Yaml::text(host),
};

fn check_host(text: &str) -> Parsed<String> {
    let wrong = || Invalid::new(format!("`{text}` is not a host"));
    crate::message::host::split(text).filter(|(name, _)| !name.is_empty()).ok_or_else(wrong)?;
    Ok(text.to_owned())
}

impl ActiveCheck {
    fn note_locations(&mut self, _: &mut Reader<'_>, fields: &Fields<'_>) {
        self.locations.port.0 = fields.key_span("port");
        self.locations.tls.0 = fields.key_span("tls");
        self.locations.grpc.0 = fields.key_span("grpc");
    }

    /// Reports what cannot hold for these servers.
    pub fn check_servers(
        &self,
        reader: &mut Reader<'_>,
        has_tls: bool,
        protocol: UpstreamProtocol,
        servers: &[UpstreamServer],
    ) {
        let speaks_http2 = match protocol {
            UpstreamProtocol::Http1 => false,
            UpstreamProtocol::H2c => true,
            UpstreamProtocol::Http2 | UpstreamProtocol::Auto => self.tls != Some(false),
        };
        if matches!(self.kind, CheckKind::Grpc { .. }) && !speaks_http2 {
            let help = "gRPC is spoken over HTTP/2: `protocol: h2c`, or `http2` with `tls`";
            reader.error_help(self.locations.grpc.0, "a check by gRPC needs HTTP/2", help);
        }
        let is_unix = |server: &UpstreamServer| matches!(server.address.place, ServerPlace::At(Address::Unix(_)));
        if self.port.is_some() && !servers.is_empty() && servers.iter().all(is_unix) {
            reader.error(self.locations.port.0, "`port` has no effect: a Unix socket has none");
        }
        if self.tls == Some(true) && !has_tls {
            let help = "it says what to verify";
            reader.error_help(self.locations.tls.0, "a check over TLS needs the upstream's `tls`", help);
        }
    }
}

section! {
    /// What real requests tell of a server.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`passive`" pub struct Passive {
        /// Failures in a row after which a server is ejected.
        failures: u32 = 5, in 1..=10_000;
        /// For how long, the first time; twice as long the second time in a row, and so on, up to ten times as long.
        eject_for: Duration = "30s";
        /// The most that are ejected at once, in percent of the servers; never the last one.
        max_ejected: u8 = "50%", with PERCENT;
        /// Statuses that count as failures, besides resets, timeouts and refused connections.
        statuses: Vec<StatusCode> = [502, 503, 504], with statuses();
    }
}
