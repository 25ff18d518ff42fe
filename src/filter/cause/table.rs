//! The table of causes: one row for each, from which the enum [`Cause`] is made.

use super::families;
use super::row::Row;
use crate::auth::{OidcFault, ServiceFault, TokenFault};
use crate::telemetry::ErrorSource;
use crate::upstream::CertificateFault;

/// Declares the enum, its rows, and their order. What stands in brackets is a cause with faults of
/// its own, whose rows are made from those.
macro_rules! causes {
    (
        $($name:ident = $status:literal $source:ident $reason:literal $proxy_status:literal, $message:literal, $cure:literal;)*
        $([$family:ident($fault:ident) $row:path])*
    ) => {
        /// Why the proxy answers by itself, or why it ends what it has begun.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Cause {
            $($name,)*
            $($family($fault),)*
        }

        /// Every cause once.
        pub static ALL: std::sync::LazyLock<Vec<Cause>> = std::sync::LazyLock::new(|| {
            let mut all = vec![$(Cause::$name,)*];
            $(all.extend($fault::ALL.iter().map(|fault| Cause::$family(*fault)));)*
            all
        });

        impl Cause {
            pub(super) const fn row(self) -> Row {
                match self {
                    $(Self::$name => Row {
                        status: $status,
                        reason: $reason,
                        proxy_status: $proxy_status,
                        source: ErrorSource::$source,
                        message: $message,
                        cure: $cure,
                    },)*
                    $(Self::$family(fault) => $row(fault),)*
                }
            }
        }
    };
}

causes! {
    HostMissing = 400 Client "host_missing" "http_request_error",
        "the request has no Host",
        "The client sends no `Host`, which HTTP/1.1 asks for (RFC 9112 section 3.2). Often a hand-written client \
         or a scanner.";
    HostInvalid = 400 Client "host_invalid" "http_request_error",
        "the Host of the request is not one host name",
        "`Host` is sent twice, is a list, or has characters that no host name has. Mend the client.";
    HostConflict = 400 Client "host_conflict" "http_request_error",
        "the Host of the request differs from its target",
        "The target of the request names another host than `Host` or `:authority`. Mend the client, or whatever \
         rewrites its requests.";
    TargetInvalid = 400 Client "target_invalid" "http_request_error",
        "the target of the request has a bad escape or a character that must be escaped",
        "The client has to escape what stands in the path or the query (RFC 3986 section 2.1).";
    PathAmbiguous = 400 Client "path_ambiguous" "http_request_error",
        "services read this path in different ways, which lead to different routes: see `paths.ambiguous`",
        "The path has dots, double slashes, `%2f`, `%5c` or parameters, by which it can be read as that of another \
         route. `explain` shows the readings; `paths.ambiguous` decides.";
    PathLeavesRoot = 400 Client "path_above_root" "http_request_error",
        "the path leads above its root, and the route edits paths",
        "The path has more `..` than segments. Mend the client; it is often a scanner.";
    RequestInvalid = 400 Client "request_invalid" "http_request_error",
        "the request is not valid HTTP",
        "What came does not follow RFC 9112 or RFC 9113. Often TLS on a port without TLS, or a scanner.";
    UnderscoreInName = 400 Client "header_underscore" "http_request_error",
        "a header field has an underscore in its name: see `headers.underscores`",
        "Name the field with hyphens, or set `headers.underscores: keep`.";
    ConnectionNames = 400 Client "connection_names" "http_request_error",
        "the Connection field names a field that belongs to the whole request",
        "`Connection` names a field such as `Host` or `Authorization`, which would be lost on the way. Mend the \
         client.";
    FramingAmbiguous = 400 Client "framing_ambiguous" "http_request_error",
        "the length of the request body can be read two ways",
        "The request has `Content-Length` and `Transfer-Encoding`, or lengths that differ: a smuggling attempt, or \
         a broken client.";
    ChunkInvalid = 400 Client "chunk_invalid" "http_request_error",
        "the request body is not chunked as it says",
        "The chunked body breaks RFC 9112 section 7.1. Mend the client.";
    OriginRefused = 403 Client "cors_origin_refused" "http_request_denied",
        "the origin of this preflight is not one of the route's `cors.origins`",
        "Add the origin to `cors.origins` of the route, if its pages may call.";
    AddressRefused = 403 Client "access_denied" "http_request_denied",
        "the client's address is not let in: see `access` of the route",
        "Look whether `client_ip` in the log is the one that you expect: behind another proxy, `trusted_proxies` \
         must name that.";
    NoRoute = 404 Client "no_route" "destination_not_found",
        "no route matches this request",
        "Ask `pingora-proxy explain METHOD URL`, which says why each route does not match.";
    MethodRefused = 405 Client "method_refused" "http_request_error",
        "this method is not forwarded",
        "CONNECT and TRACE are not forwarded.";
    Misdirected = 421 Client "misdirected" "http_request_error",
        "this host wants another client certificate than the one that the connection was made for",
        "The client reuses a connection for another host. It asks again on a new one by itself (RFC 9110 section \
         15.5.20).";
    PasswordMissing = 401 Client "auth_basic_missing" "http_request_denied",
        "a user's name and password are asked for, see `auth.basic`",
        "The client has not logged in yet. Each first request of a browser is refused so.";
    PasswordMalformed = 401 Client "auth_basic_malformed" "http_request_denied",
        "the Authorization field holds no name and password (RFC 7617)",
        "The client sends another scheme, or no valid base64.";
    PasswordWrong = 401 Client "auth_basic_wrong" "http_request_denied",
        "there is no such user, or the password is wrong: see `auth.basic.users_file`",
        "Many of them from one address are somebody who guesses: limit them with `rate_limit`.";
    PasswordsBusy = 503 Proxy "auth_basic_busy" "connection_limit_reached",
        "too many passwords are being checked at once, see `auth.basic`: those that were good lately still pass",
        "A flood of passwords, or hashes that cost too much for this machine. Limit clients with `rate_limit`, or \
         lower the cost of the hashes.";
    CredentialsTwice = 400 Client "auth_credentials_twice" "http_request_error",
        "the request has credentials more than once, see `auth`",
        "`Authorization` is sent twice, and the upstream might read another one. Mend the client.";
    ServiceDenied = 403 Client "auth_forward_denied" "http_request_denied",
        "the service of `auth.forward` did not let the request pass",
        "Look into the log of that service.";
    RateLimited = 429 Client "rate_limited" "http_request_denied",
        "there were too many requests: see `rate_limit` of the route",
        "Raise `rate` or `burst` if the client is honest; it is told when to come again (`Retry-After`).";
    HeadTimeout = 408 Client "client_timeout_header" "http_request_error",
        "the head of the request did not arrive within `timeouts.request_header`",
        "A very slow client, a half-open connection, or a slowloris attack.";
    BodyTimeout = 408 Client "client_timeout_body" "http_request_error",
        "the request body stopped arriving for `timeouts.request_body_idle`",
        "The client stopped in mid-upload: its network failed, or it waits for something.";
    BodyTooSlow = 408 Client "client_timeout_request" "http_request_error",
        "the request body did not arrive within the upstream's `timeouts.request`",
        "The upload takes longer than `timeouts.request` of the upstream allows for all of a request. Raise it, or \
         set it to `none`.";
    BodyRate = 408 Client "client_slow_body" "http_request_error",
        "the request body arrived more slowly than `timeouts.min_rate`",
        "An upload slower than the least rate. Lower `timeouts.min_rate` of the route if such clients are honest.";
    BodyWithheld = 408 Client "client_withheld_body" "http_request_error",
        "the client had its response and did not send the rest of the request body",
        "The upstream answered early, and the client neither sent on nor closed.";
    ResponseRate = 408 Client "client_slow_response" "http_request_error",
        "the client took the response more slowly than `timeouts.min_rate`",
        "A download slower than the least rate. Lower `timeouts.min_rate` of the route if such clients are honest.";
    ClientStalled = 408 Client "client_timeout_write" "http_request_error",
        "the client took nothing of the response for `timeouts.write_idle`",
        "The client stopped reading: its network failed, it was suspended, or it wants to hold resources.";
    ClientTooSlow = 408 Client "client_timeout_response" "http_request_error",
        "the client did not take the whole response within the upstream's `timeouts.request`",
        "The download takes longer than `timeouts.request` of the upstream allows for all of a request. Raise it, \
         or set it to `none`.";
    BodyTooLarge = 413 Client "limit_request_body" "http_request_error",
        "the request body is larger than `limits.request_body`",
        "Raise `limits.request_body` of the route that takes uploads.";
    LineTooLong = 414 Client "limit_request_line" "http_request_error",
        "the request line is longer than `limits.request_line`",
        "Raise `limits.request_line`, or have the client send its data in a body.";
    ExpectationFailed = 417 Client "expectation_unknown" "http_request_error",
        "the expectation of the request is not known",
        "The client sends `Expect` with another value than `100-continue`.";
    HeadTooLarge = 431 Client "limit_request_headers" "http_request_error",
        "the head of the request is larger than `limits.request_headers`",
        "Often cookies that grew. Raise `limits.request_headers`, and look at who sets them.";
    TooManyFields = 431 Client "limit_request_header_count" "http_request_error",
        "the request has more header fields than `limits.request_header_count`",
        "Raise `limits.request_header_count` if the client is honest.";
    CodingUnsupported = 501 Client "transfer_coding_unsupported" "http_request_error",
        "the request body has a transfer coding other than `chunked`",
        "The client must send `Transfer-Encoding: chunked` alone, or a length.";
    ConnectionsOfAddress = 429 Client "limit_connections_per_ip" "connection_limit_reached",
        "the address of the client has as many connections as `limits.connections_per_ip` lets it have",
        "Many users behind one address (NAT) need more: raise `limits.connections_per_ip`.";
    LoopDetected = 508 Proxy "loop_detected" "proxy_loop_detected",
        "the request came back to this proxy again and again",
        "An upstream leads back to this proxy: look at the route's servers and at DNS.";
    ClientGone = 499 Client "client_gone" "http_request_error",
        "the client closed the connection",
        "The user left, or a client or a proxy in front gave up: compare `duration_ms` with its timeout.";
    Internal = 500 Proxy "internal" "proxy_internal_error",
        "the proxy failed",
        "A fault of this proxy. The error log has the rest under the same request id: please report it.";
    Shutdown = 503 Proxy "proxy_shutdown" "proxy_internal_error",
        "the proxy ended before the request did",
        "The process was told to end, and the time for that was over: raise `server.drain.timeout`, or \
         `server.drain.tunnels` for WebSockets and event streams after an upgrade. The client saw no answer, or a cut one.";
    ResourcesExhausted = 503 Proxy "resources_exhausted" "proxy_internal_error",
        "the proxy has no more connections to give",
        "The process has no free descriptors or local ports. Raise `LimitNOFILE` of the unit, or let connections \
         to upstreams be reused.";
    ConnectRefused = 502 Upstream "upstream_refused" "connection_refused",
        "the upstream refused the connection",
        "Nothing listens at the server's address: the service is down, still starting, or listens elsewhere.";
    ConnectFailed = 502 Upstream "upstream_unreachable" "destination_ip_unroutable",
        "the upstream could not be reached",
        "No route to the server, a socket file that is not there, or one that this user may not open.";
    TlsFailed = 502 Upstream "upstream_tls_failed" "tls_protocol_error",
        "the TLS handshake with the upstream failed",
        "The server speaks no TLS on this port, or no version and cipher in common. Look at `tls` of the upstream.";
    Http2NotSelected = 502 Upstream "upstream_http2_not_selected" "tls_protocol_error",
        "the upstream does not speak HTTP/2 over TLS, as its `protocol` says: it did not select `h2`",
        "Set `protocol: auto` or `http1`, or turn HTTP/2 on in the server.";
    TunnelRefused = 502 Upstream "upstream_tunnel_refused" "http_upgrade_failed",
        "the upstream takes no upgrade such as WebSocket over HTTP/2 (RFC 8441): see `protocol`",
        "Give WebSockets an upstream with `protocol: http1`.";
    NotSwitched = 502 Upstream "upstream_not_switched" "http_upgrade_failed",
        "the upstream answered a WebSocket request with success instead of 101, which over HTTP/2 would open it",
        "The path is no WebSocket of the service.";
    RequestRefused = 503 Upstream "upstream_refused_request" "connection_limit_reached",
        "the upstream refused the request without looking at it (HTTP/2 REFUSED_STREAM or GOAWAY)",
        "The server is at its limit of streams, or about to end.";
    RequestReset = 502 Upstream "upstream_reset" "connection_terminated",
        "the upstream reset the request before its answer was complete",
        "The service failed on this request: look into its log.";
    UpstreamClosed = 502 Upstream "upstream_closed" "connection_terminated",
        "the upstream closed the connection before its answer",
        "The service crashed or was restarted, or its keep-alive timeout is shorter than `timeouts.pool_idle` of \
         the upstream.";
    UpstreamTruncated = 502 Upstream "upstream_truncated" "connection_terminated",
        "the upstream closed the connection before its answer was complete",
        "The service crashed in mid-answer, or sent less than its Content-Length. The client saw the answer cut.";
    UpstreamInvalid = 502 Upstream "upstream_invalid" "http_protocol_error",
        "the upstream's answer is not valid HTTP",
        "The server speaks another protocol on this port, or breaks RFC 9112. The error log has what was wrong.";
    UpstreamFields = 502 Upstream "upstream_too_many_headers" "http_response_header_section_size",
        "the upstream's answer has more than 1024 header fields, which cannot be carried",
        "Mend the service.";
    UpstreamHeadTooLarge = 502 Upstream "limit_response_headers" "http_response_header_section_size",
        "the head of the upstream's answer is larger than `limits.response_headers`",
        "Raise `limits.response_headers` of the route; often cookies or a Content-Security-Policy that grew.";
    UpstreamCoding = 502 Upstream "upstream_transfer_coding" "http_response_transfer_coding",
        "the upstream's answer has a transfer coding other than `chunked`",
        "Mend the service: it must not compress with `Transfer-Encoding`.";
    ConnectionLimit = 503 Proxy "limit_connections" "connection_limit_reached",
        "the proxy has as many connections as `limits.connections` lets it have",
        "Raise `limits.connections` and the descriptors of the process, or find out who opens so many.";
    ConcurrencyLimit = 503 Proxy "limit_concurrency" "connection_limit_reached",
        "the route has as many requests at its upstream as its `concurrency.max` lets it have",
        "The upstream is slower than what comes. Add servers, or raise `concurrency.max` or `queue`.";
    ConcurrencyTimeout = 503 Proxy "limit_concurrency_timeout" "connection_limit_reached",
        "the route had no room for the request within its `concurrency.queue_timeout`",
        "As `limit_concurrency`; the request waited in the queue.";
    QueueFull = 503 Proxy "upstream_queue_full" "connection_limit_reached",
        "every server of the upstream is at `pool.max_connections`, and the queue is full",
        "Raise `pool.max_connections` or `pool.queue`, or add servers.";
    QueueTimeout = 503 Proxy "upstream_queue_timeout" "connection_limit_reached",
        "no server of the upstream had room within `pool.queue_timeout`",
        "As `upstream_queue_full`; the request waited in the queue.";
    AllDown = 503 Upstream "upstream_all_down" "destination_unavailable",
        "no server of the upstream is up",
        "`pingora-proxy upstreams` says of each server why it is down.";
    NoneReached = 503 Upstream "upstream_none_reached" "destination_unavailable",
        "no server of the upstream could be connected to",
        "Each server was tried and failed. `pingora-proxy upstreams` says why.";
    NoAddress = 503 Upstream "upstream_no_address" "dns_error",
        "no server of the upstream has an address",
        "Its names cannot be looked up: `pingora-proxy upstreams` says why; see `dns`.";
    ConnectTimeout = 504 Upstream "upstream_timeout_connect" "connection_timeout",
        "the upstream did not accept the connection within its `timeouts.connect`",
        "A firewall that drops packets, a wrong address, or a server too busy to accept.";
    ResponseTimeout = 504 Upstream "upstream_timeout_header" "http_response_timeout",
        "the upstream did not begin its answer within its `timeouts.response_header`",
        "The service is slow or hangs. Raise the key for routes that are slow by nature.";
    ReadTimeout = 504 Upstream "upstream_timeout_read" "http_response_timeout",
        "the upstream sent nothing of its answer for its `timeouts.read_idle`",
        "The service stopped in mid-answer. For streams that are quiet by nature, set `stream: true` on the route.";
    SendTimeout = 504 Upstream "upstream_timeout_write" "connection_write_timeout",
        "the upstream did not take the request within its `timeouts.write_idle`",
        "The service does not read what it is sent.";
    RequestTimeout = 504 Upstream "upstream_timeout_request" "http_response_timeout",
        "the upstream did not finish within `timeouts.request`",
        "The whole request took longer than the upstream's `timeouts.request`. Raise it for routes that are slow \
         by nature.";
    VersionUnsupported = 505 Client "version_unsupported" "http_request_error",
        "this version of HTTP is not spoken in this form",
        "The client names a version other than HTTP/1.0 or HTTP/1.1 in its request line.";

    [TokenRefused(TokenFault) families::token]
    [ServiceFailed(ServiceFault) families::service]
    [LoginRefused(OidcFault) families::oidc]
    [CertificateRefused(CertificateFault) families::certificate]
}
