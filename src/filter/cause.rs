//! Why the proxy answers by itself: one [`Cause`] for each reason, with its
//! status, its words and its Proxy-Status error (RFC 9209).

use crate::auth::{ServiceFault, TokenFault};
use crate::downstream::Malformed;
use crate::telemetry::ErrorSource;
use crate::upstream::CertificateFault;

/// All of one cause: its status, its error type of RFC 9209 section 2.3, whose
/// fault it is, and a sentence for a person.
type Row = (u16, &'static str, ErrorSource, &'static str);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    HostMissing,
    HostInvalid,
    HostConflict,
    TargetInvalid,
    PathAmbiguous,
    PathLeavesRoot,
    RequestInvalid,
    UnderscoreInName,
    ConnectionNames,
    FramingAmbiguous,
    CodingUnsupported,
    ChunkInvalid,
    OriginRefused,
    AddressRefused,
    NoRoute,
    MethodRefused,
    Misdirected,
    PasswordMissing,
    PasswordMalformed,
    PasswordWrong,
    PasswordsBusy,
    CredentialsTwice,
    TokenRefused(TokenFault),
    ServiceDenied,
    ServiceFailed(ServiceFault),
    RateLimited,
    HeadTimeout,
    BodyTimeout,
    BodyTooSlow,
    BodyRate,
    BodyWithheld,
    ClientStalled,
    ResponseRate,
    ClientTooSlow,
    BodyTooLarge,
    LineTooLong,
    ExpectationFailed,
    HeadTooLarge,
    TooManyFields,
    LoopDetected,
    ConnectionsOfAddress,
    ClientGone,
    Internal,
    ConnectRefused,
    ConnectFailed,
    TlsFailed,
    CertificateRefused(CertificateFault),
    Http2NotSelected,
    TunnelRefused,
    NotSwitched,
    RequestRefused,
    RequestReset,
    UpstreamClosed,
    UpstreamInvalid,
    UpstreamFields,
    UpstreamHeadTooLarge,
    UpstreamCoding,
    ConnectionLimit,
    ConcurrencyLimit,
    ConcurrencyTimeout,
    ResourcesExhausted,
    AllDown,
    NoneReached,
    NoAddress,
    QueueFull,
    QueueTimeout,
    ConnectTimeout,
    ResponseTimeout,
    SendTimeout,
    RequestTimeout,
    VersionUnsupported,
}

impl Cause {
    const fn row(self) -> Row {
        use ErrorSource::{Client, Proxy, Upstream};
        match self {
            Self::HostMissing => (400, "http_request_error", Client, "the request has no Host"),
            Self::HostInvalid => (400, "http_request_error", Client, "the Host of the request is not one host name"),
            Self::HostConflict => {
                (400, "http_request_error", Client, "the Host of the request differs from its target")
            }
            Self::TargetInvalid => (
                400,
                "http_request_error",
                Client,
                "the target of the request has a bad escape or a character that must be escaped",
            ),
            Self::PathAmbiguous => (
                400,
                "http_request_error",
                Client,
                "services read this path in different ways, which lead to different routes: see `paths.ambiguous`",
            ),
            Self::PathLeavesRoot => {
                (400, "http_request_error", Client, "the path leads above its root, and the route edits paths")
            }
            Self::RequestInvalid => (400, "http_request_error", Client, "the request is not valid HTTP"),
            Self::UnderscoreInName => (
                400,
                "http_request_error",
                Client,
                "a header field has an underscore in its name: see `headers.underscores`",
            ),
            Self::ConnectionNames => (
                400,
                "http_request_error",
                Client,
                "the Connection field names a field that belongs to the whole request",
            ),
            Self::FramingAmbiguous => {
                (400, "http_request_error", Client, "the length of the request body can be read two ways")
            }
            Self::ChunkInvalid => (400, "http_request_error", Client, "the request body is not chunked as it says"),
            Self::OriginRefused => (
                403,
                "http_request_denied",
                Client,
                "the origin of this preflight is not one of the route's `cors.origins`",
            ),
            Self::AddressRefused => {
                (403, "http_request_denied", Client, "the client's address is not let in: see `access` of the route")
            }
            Self::NoRoute => (404, "destination_not_found", Client, "no route matches this request"),
            Self::MethodRefused => (405, "http_request_error", Client, "this method is not forwarded"),
            Self::Misdirected => (
                421,
                "http_request_error",
                Client,
                "this host wants another client certificate than the one that the connection was made for",
            ),
            Self::PasswordMissing => {
                (401, "http_request_denied", Client, "a user's name and password are asked for, see `auth.basic`")
            }
            Self::PasswordMalformed => {
                (401, "http_request_denied", Client, "the Authorization field holds no name and password (RFC 7617)")
            }
            Self::PasswordWrong => (
                401,
                "http_request_denied",
                Client,
                "there is no such user, or the password is wrong: see `auth.basic.users_file`",
            ),
            Self::PasswordsBusy => (
                503,
                "connection_limit_reached",
                Proxy,
                "too many passwords are being checked at once, see `auth.basic`: those that were good lately still pass",
            ),
            Self::CredentialsTwice => {
                (400, "http_request_error", Client, "the request has credentials more than once, see `auth`")
            }
            Self::TokenRefused(fault) => match fault.status() {
                503 => (503, "destination_unavailable", Upstream, fault.message()),
                status => (status, "http_request_denied", Client, fault.message()),
            },
            Self::ServiceDenied => {
                (403, "http_request_denied", Client, "the service of `auth.forward` did not let the request pass")
            }
            Self::ServiceFailed(fault) => (fault.status(), fault.proxy_status(), Upstream, fault.message()),
            Self::RateLimited => {
                (429, "http_request_denied", Client, "there were too many requests: see `rate_limit` of the route")
            }
            Self::HeadTimeout => (
                408,
                "http_request_error",
                Client,
                "the head of the request did not arrive within `timeouts.request_header`",
            ),
            Self::BodyTimeout => (
                408,
                "http_request_error",
                Client,
                "the request body stopped arriving for `timeouts.request_body_idle`",
            ),
            Self::BodyTooSlow => (
                408,
                "http_request_error",
                Client,
                "the request body did not arrive within the upstream's `timeouts.request`",
            ),
            Self::BodyRate => {
                (408, "http_request_error", Client, "the request body arrived more slowly than `timeouts.min_rate`")
            }
            Self::BodyWithheld => (
                408,
                "http_request_error",
                Client,
                "the client had its response and did not send the rest of the request body",
            ),
            Self::ResponseRate => {
                (408, "http_request_error", Client, "the client took the response more slowly than `timeouts.min_rate`")
            }
            Self::ClientStalled => {
                (408, "http_request_error", Client, "the client took nothing of the response for `timeouts.write_idle`")
            }
            Self::ClientTooSlow => (
                408,
                "http_request_error",
                Client,
                "the client did not take the whole response within the upstream's `timeouts.request`",
            ),
            Self::BodyTooLarge => {
                (413, "http_request_error", Client, "the request body is larger than `limits.request_body`")
            }
            Self::LineTooLong => {
                (414, "http_request_error", Client, "the request line is longer than `limits.request_line`")
            }
            Self::ExpectationFailed => {
                (417, "http_request_error", Client, "the expectation of the request is not known")
            }
            Self::HeadTooLarge => {
                (431, "http_request_error", Client, "the head of the request is larger than `limits.request_headers`")
            }
            Self::TooManyFields => (
                431,
                "http_request_error",
                Client,
                "the request has more header fields than `limits.request_header_count`",
            ),
            Self::CodingUnsupported => {
                (501, "http_request_error", Client, "the request body has a transfer coding other than `chunked`")
            }
            Self::ConnectionsOfAddress => (
                429,
                "connection_limit_reached",
                Client,
                "the address of the client has as many connections as `limits.connections_per_ip` lets it have",
            ),
            Self::LoopDetected => {
                (508, "proxy_loop_detected", Proxy, "the request came back to this proxy again and again")
            }
            Self::ClientGone => (499, "http_request_error", Client, "the client closed the connection"),
            Self::Internal => (500, "proxy_internal_error", Proxy, "the proxy failed"),
            Self::ConnectRefused => (502, "connection_refused", Upstream, "the upstream refused the connection"),
            Self::ConnectFailed => (502, "destination_ip_unroutable", Upstream, "the upstream could not be reached"),
            Self::TlsFailed => (502, "tls_protocol_error", Upstream, "the TLS handshake with the upstream failed"),
            Self::CertificateRefused(fault) => (502, "tls_certificate_error", Upstream, fault.message()),
            Self::Http2NotSelected => (
                502,
                "tls_protocol_error",
                Upstream,
                "the upstream does not speak HTTP/2 over TLS, as its `protocol` says: it did not select `h2`",
            ),
            Self::TunnelRefused => (
                502,
                "http_upgrade_failed",
                Upstream,
                "the upstream takes no upgrade such as WebSocket over HTTP/2 (RFC 8441): see `protocol`",
            ),
            Self::NotSwitched => (
                502,
                "http_upgrade_failed",
                Upstream,
                "the upstream answered a WebSocket request with success instead of 101, which over HTTP/2 would open it",
            ),
            Self::RequestRefused => (
                503,
                "connection_limit_reached",
                Upstream,
                "the upstream refused the request without looking at it (HTTP/2 REFUSED_STREAM or GOAWAY)",
            ),
            Self::RequestReset => (
                502,
                "connection_terminated",
                Upstream,
                "the upstream reset the request before its answer was complete",
            ),
            Self::UpstreamClosed => (
                502,
                "connection_terminated",
                Upstream,
                "the upstream closed the connection before its answer was complete",
            ),
            Self::UpstreamInvalid => (502, "http_protocol_error", Upstream, "the upstream's answer is not valid HTTP"),
            Self::UpstreamFields => (
                502,
                "http_response_header_section_size",
                Upstream,
                "the upstream's answer has more than 1024 header fields, which cannot be carried",
            ),
            Self::UpstreamHeadTooLarge => (
                502,
                "http_response_header_section_size",
                Upstream,
                "the head of the upstream's answer is larger than `limits.response_headers`",
            ),
            Self::UpstreamCoding => (
                502,
                "http_response_transfer_coding",
                Upstream,
                "the upstream's answer has a transfer coding other than `chunked`",
            ),
            Self::ConnectionLimit => (
                503,
                "connection_limit_reached",
                Proxy,
                "the proxy has as many connections as `limits.connections` lets it have",
            ),
            Self::ConcurrencyLimit => (
                503,
                "connection_limit_reached",
                Proxy,
                "the route has as many requests at its upstream as its `concurrency.max` lets it have",
            ),
            Self::ConcurrencyTimeout => (
                503,
                "connection_limit_reached",
                Proxy,
                "the route had no room for the request within its `concurrency.queue_timeout`",
            ),
            Self::ResourcesExhausted => {
                (503, "connection_limit_reached", Proxy, "the proxy has no more connections to give")
            }
            Self::AllDown => (503, "destination_unavailable", Upstream, "no server of the upstream is up"),
            Self::NoneReached => {
                (503, "destination_unavailable", Upstream, "no server of the upstream could be connected to")
            }
            Self::NoAddress => (503, "dns_error", Upstream, "no server of the upstream has an address"),
            Self::QueueFull => (
                503,
                "connection_limit_reached",
                Proxy,
                "every server of the upstream is at `pool.max_connections`, and the queue is full",
            ),
            Self::QueueTimeout => (
                503,
                "connection_limit_reached",
                Proxy,
                "no server of the upstream had room within `pool.queue_timeout`",
            ),
            Self::ConnectTimeout => (
                504,
                "connection_timeout",
                Upstream,
                "the upstream did not accept the connection within its `timeouts.connect`",
            ),
            Self::ResponseTimeout => (
                504,
                "http_response_timeout",
                Upstream,
                "the upstream did not answer in time: see its `timeouts.response_header` and `read_idle`",
            ),
            Self::SendTimeout => (
                504,
                "connection_write_timeout",
                Upstream,
                "the upstream did not take the request within its `timeouts.write_idle`",
            ),
            Self::RequestTimeout => {
                (504, "http_response_timeout", Upstream, "the upstream did not finish within `timeouts.request`")
            }
            Self::VersionUnsupported => {
                (505, "http_request_error", Client, "this version of HTTP is not spoken in this form")
            }
        }
    }

    /// Whether nothing more can be said to the client.
    pub const fn is_lost_client(self) -> bool {
        matches!(
            self,
            Self::ClientGone | Self::ClientStalled | Self::ClientTooSlow | Self::ResponseRate | Self::BodyWithheld
        )
    }

    /// 499 is never sent: that client is gone.
    pub const fn status(self) -> u16 {
        self.row().0
    }

    /// A sentence for a person.
    pub const fn message(self) -> &'static str {
        self.row().3
    }

    /// The error type of RFC 9209 section 2.3.
    pub const fn proxy_status(self) -> &'static str {
        self.row().1
    }

    pub const fn source(self) -> ErrorSource {
        self.row().2
    }
}

/// What is wrong with a request that never became one.
impl From<Malformed> for Cause {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::LineTooLong => Self::LineTooLong,
            Malformed::HeadTooLarge => Self::HeadTooLarge,
            Malformed::TooManyFields => Self::TooManyFields,
            Malformed::Syntax => Self::RequestInvalid,
            Malformed::Version => Self::VersionUnsupported,
            Malformed::Method => Self::MethodRefused,
            Malformed::Target => Self::TargetInvalid,
            Malformed::Host => Self::HostInvalid,
            Malformed::HostConflict => Self::HostConflict,
            Malformed::Framing => Self::FramingAmbiguous,
            Malformed::Coding => Self::CodingUnsupported,
        }
    }
}
