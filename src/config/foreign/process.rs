//! Words for listeners, the process, trust, limits and a client's deadlines.

use super::entry::{
    ANY, LIMITS, LISTENER, LISTENER_TLS, ROUTE, ROUTE_LIMITS, ROUTE_TIMEOUTS, TOP, later, nothing, valued, write,
};
use super::translate::{listening, number, seconds, size, underscores};
use crate::config::section::Foreign;
use crate::config::section::Place::{Here, Route, Top};

const LISTENER_WITH_TLS: &str =
    "listeners: [{ address: \"0.0.0.0:443\", tls: { certificates: [{ cert: a.pem, key: a.key }] } }]";
const LISTENER_WITH_HTTP2: &str = "listeners: [{ address: \"0.0.0.0:8080\", http2: true }]";
const LISTENER_WITH_PROXY_PROTOCOL: &str =
    "listeners: [{ address: \"0.0.0.0:8080\", proxy_protocol: { from: [\"10.0.0.0/8\"] } }]";

pub const PROCESS: &[Foreign] = &[
    // The admin endpoint.
    write(words!["listen" "bind" "port"], &["`admin`"], Here, &["address: %"], "127.0.0.1:9180"),
    // Listeners.
    valued(
        words![
            "listen" "bind" "entrypoints" "entry_points" "frontend" "frontends" "port" "ports" "http_port" "address"
        ],
        LISTENER,
        Here,
        &["address: %"],
        "0.0.0.0:8080",
        listening,
    ),
    valued(
        words![
            "listen" "listener" "bind" "entrypoints" "entry_points" "frontend" "frontends" "port" "ports"
            "http_port"
        ],
        ANY,
        Top,
        &["listeners: [%]"],
        "0.0.0.0:8080",
        listening,
    ),
    write(
        words![
            "ssl" "ssl_certificate" "ssl_certificate_key" "https" "certificate" "certificates" "certs"
            "tls_certificate"
        ],
        ANY,
        Top,
        &[LISTENER_WITH_TLS],
        "",
    ),
    write(words!["tls"], ROUTE, Top, &[LISTENER_WITH_TLS], ""),
    write(words!["tls"], TOP, Top, &[LISTENER_WITH_TLS], ""),
    write(
        words!["cert" "cert_file" "crt" "key" "key_file" "cert_key"],
        LISTENER_TLS,
        Here,
        &["certificates: [{ cert: a.pem, key: a.key }]"],
        "",
    ),
    write(words!["ssl_protocols" "protocols" "minversion"], LISTENER_TLS, Here, &["min_version: \"1.2\""], ""),
    write(
        words!["ssl_client_certificate" "ca" "clientauth" "mtls" "verify"],
        LISTENER_TLS,
        Here,
        &["client_auth: { ca: clients.pem, mode: require }"],
        "",
    ),
    write(words!["ssl_session_ticket_key" "session_tickets" "tickets"], LISTENER_TLS, Here, &["ticket_keys: auto"], ""),
    nothing(
        words!["ssl_ciphers" "ciphers" "cipher_suites" "ciphersuites" "curves" "ssl_prefer_server_ciphers"],
        ANY,
        "only strong cipher suites are offered, and none can be chosen: leave it out",
    ),
    write(words!["proxy_protocol" "accept_proxy" "proxyprotocol"], TOP, Top, &[LISTENER_WITH_PROXY_PROTOCOL], ""),
    later(words!["acme" "letsencrypt" "certificatesresolvers"], ANY, "listeners[].tls.acme"),
    later(words!["stream" "tcp"], TOP, "listeners[].tcp"),
    write(words!["http_redirect" "https_redirect" "redirectscheme"], LISTENER, Here, &["redirect_https: true"], ""),
    // The process.
    write(
        words!["worker_processes" "worker_threads" "workers" "worker" "nbthread" "nbproc" "cores"],
        ANY,
        Top,
        &["server: { threads: auto }"],
        "",
    ),
    write(words!["pid" "pidfile"], ANY, Top, &["server: { pid_file: % }"], "/run/proxy.pid"),
    write(words!["access_log" "accesslog"], ANY, Top, &["log: { access: { to: % } }"], "/var/log/access.log"),
    write(words!["log_format"], ANY, Top, &["log: { access: { format: combined } }"], ""),
    write(words!["log_level" "loglevel"], ANY, Top, &["log: { level: % }"], "info"),
    write(
        words![
            "grace" "grace_period" "graceful_shutdown" "shutdown_timeout" "worker_shutdown_timeout"
            "hard_stop_after"
        ],
        ANY,
        Top,
        &["server: { drain: { timeout: 25s } }"],
        "",
    ),
    write(
        words!["stats" "dashboard" "status_page" "stub_status" "ping" "api"],
        TOP,
        Top,
        &["admin: { address: \"127.0.0.1:9180\" }"],
        "",
    ),
    nothing(
        words!["metrics" "prometheus"],
        ANY,
        "metrics are not supported yet; `/upstreams` of `admin` tells of servers",
    ),
    nothing(words!["traces" "tracing" "opentelemetry" "otel" "opentracing"], ANY, "traces are not supported yet"),
    nothing(words!["http3" "quic"], ANY, "HTTP/3 is not supported yet"),
    write(words!["http2" "h2" "h2c" "grpc" "protocols"], ANY, Top, &[LISTENER_WITH_HTTP2], ""),
    write(words!["cors"], TOP, Route, &["cors: { origins: [\"https://app.example.com\"] }"], ""),
    nothing(
        words!["auto_https" "local_certs" "on_demand_tls"],
        ANY,
        "there are no automatic certificates yet: leave it out",
    ),
    nothing(words!["http"], TOP, "its settings stand at the top of the file: `listeners`, `upstreams`, `routes`"),
    nothing(words!["global"], TOP, "its settings are `server` (the process), `log` and `limits`"),
    nothing(words!["defaults"], TOP, "every key has a default: see docs/configuration.md"),
    nothing(
        words!["events" "use" "multi_accept" "sendfile" "tcp_nopush" "tcp_nodelay"],
        ANY,
        "there is nothing to set: leave it out",
    ),
    nothing(words!["providers" "include" "import" "includes"], ANY, "a configuration is one file: this one"),
    nothing(words!["version" "apiversion" "kind"], TOP, "a configuration has no version: leave it out"),
    valued(
        words!["worker_connections" "maxconn" "max_connections"],
        TOP,
        Top,
        &["limits: { connections: % }"],
        "20000",
        number,
    ),
    later(words!["proxy_cache_path"], ANY, "cache"),
    // Who is believed, and who is asked.
    write(
        words![
            "set_real_ip_from" "real_ip" "real_ip_header" "real_ip_recursive" "trusted_proxy" "trustedips"
            "forwardedheaders" "forwarded_headers" "forwardfor"
        ],
        ANY,
        Top,
        &["trusted_proxies: [%]"],
        "10.0.0.0/8",
    ),
    write(
        words!["resolver" "resolvers" "nameserver" "dns_servers"],
        ANY,
        Top,
        &["dns: { nameservers: [%] }"],
        "10.0.0.53",
    ),
    write(
        words!["error_page" "error_pages" "errorfile" "handle_errors"],
        ANY,
        Top,
        &["errors: { pages: { 5xx: ./error.html } }"],
        "",
    ),
    // Limits and a client's deadlines.
    valued(
        words!["underscores_in_headers" "ignore_invalid_headers"],
        ANY,
        Top,
        &["headers: { underscores: % }"],
        "keep",
        underscores,
    ),
    valued(words!["body" "max_body" "body_size"], LIMITS, Here, &["request_body: %"], "100MiB", size),
    valued(
        words!["client_max_body_size" "max_body_size" "body_limit" "request_body_max_size" "maxrequestbodybytes"],
        ANY,
        Top,
        &["limits: { request_body: % }"],
        "100MiB",
        size,
    ),
    // What a route cannot have of its own.
    nothing(
        words!["request_line" "request_headers" "request_header_count"],
        ROUTE_LIMITS,
        "the head is read before a route is known: the key stands in `limits` at the top of the file",
    ),
    nothing(
        words!["connections" "connections_per_ip" "h2_streams"],
        ROUTE_LIMITS,
        "a connection is let in before a route is known: the key stands in `limits` at the top of the file; requests \
         of one route are limited by its `concurrency`",
    ),
    nothing(
        words!["request_header" "keepalive" "tls_handshake" "h2_idle"],
        ROUTE_TIMEOUTS,
        "it passes before a route is known: the key stands in `timeouts` at the top of the file",
    ),
    write(
        words!["large_client_header_buffers" "client_header_buffer_size" "max_header_size" "max_header_bytes"],
        ANY,
        Top,
        &["limits: { request_headers: 32KiB }"],
        "",
    ),
    valued(
        words!["keepalive_timeout" "idle_timeout" "idletimeout" "http_keep_alive"],
        ANY,
        Top,
        &["timeouts: { keepalive: % }"],
        "75s",
        seconds,
    ),
    valued(
        words!["client_header_timeout" "read_header_timeout" "http_request"],
        ANY,
        Top,
        &["timeouts: { request_header: % }"],
        "10s",
        seconds,
    ),
    valued(words!["client_body_timeout"], ANY, Top, &["timeouts: { request_body_idle: % }"], "60s", seconds),
    valued(words!["send_timeout"], ANY, Top, &["timeouts: { write_idle: % }"], "60s", seconds),
    valued(
        words!["timeout"],
        TOP,
        Here,
        &["timeouts: { request_body_idle: % }", "upstreams: { NAME: { timeouts: { response_header: % } } }"],
        "60s",
        seconds,
    ),
];
