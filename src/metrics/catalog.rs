//! Every metric once: its name, its type, its labels and what it tells. `docs/metrics.md` is made from it.

/// What kind of figure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Debug)]
pub struct Family {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

macro_rules! families {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(pub static $constant: Family =
            Family { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };)*

        /// In the order of the exposition.
        pub static FAMILIES: &[&Family] = &[$(&$constant),*];
    };
}

families! {
    HTTP_REQUESTS = Counter "pingora_proxy_http_requests_total" ["listener", "route", "method", "code"]
        "Requests that are over, by the status that their clients got.";
    HTTP_REQUEST_DURATION = Histogram "pingora_proxy_http_request_duration_seconds" ["route"]
        "From the head of a request to the end of its response.";
    HTTP_REQUEST_BODY_BYTES = Counter "pingora_proxy_http_request_body_bytes_total" ["route"]
        "Bytes of request bodies that were read from clients.";
    HTTP_RESPONSE_BODY_BYTES = Counter "pingora_proxy_http_response_body_bytes_total" ["route"]
        "Bytes of response bodies that were sent to clients.";
    HTTP_REQUESTS_IN_FLIGHT = Gauge "pingora_proxy_http_requests_in_flight" ["listener"]
        "Requests at the moment, tunnels included.";
    FAILURES = Counter "pingora_proxy_failures_total" ["route", "reason", "source"]
        "Requests that the proxy answered or cut short itself, by the reason that the access log and Proxy-Status say.";
    RATE_LIMIT_REFUSED = Counter "pingora_proxy_rate_limit_refused_total" ["route", "key"]
        "Requests above a limit of the route, which were refused.";
    RATE_LIMIT_WOULD_REFUSE = Counter "pingora_proxy_rate_limit_dry_run_total" ["route", "key"]
        "Requests above a limit of the route that passed because of `dry_run`.";
    RATE_LIMIT_STORE_AWAY = Gauge "pingora_proxy_rate_limit_store_away" ["store"]
        "1 while a store of shared limits does not answer and each proxy counts by itself.";
    CONCURRENCY_LIMIT = Gauge "pingora_proxy_concurrency_limit" ["route"]
        "How many requests of the route may be at its upstream at once: the configured number, or the one that was found.";
    CONCURRENCY_IN_FLIGHT = Gauge "pingora_proxy_concurrency_in_flight" ["route"]
        "Requests that have one of these places.";
    CONCURRENCY_QUEUED = Gauge "pingora_proxy_concurrency_queued" ["route"]
        "Requests that wait for one of these places.";

    CONNECTIONS = Gauge "pingora_proxy_connections_active" ["listener"]
        "Connections of clients at the moment.";
    CONNECTIONS_ACCEPTED = Counter "pingora_proxy_connections_accepted_total" ["listener"]
        "Connections of clients that were accepted.";
    CONNECTIONS_REFUSED = Counter "pingora_proxy_connections_refused_total" ["limit"]
        "Connections that were one too many by a limit, `connections` or `connections_per_ip`.";
    PROXY_HEADERS_REFUSED = Counter "pingora_proxy_proxy_headers_refused_total" ["listener"]
        "Connections that were closed because their PROXY header was missing, malformed or slow.";
    TLS_HANDSHAKES = Counter "pingora_proxy_tls_handshakes_total" ["listener", "outcome"]
        "TLS handshakes with clients: `ok`, `failed`, `timeout`, or `not_tls`.";
    TLS_CERT_NOT_AFTER = Gauge "pingora_proxy_tls_cert_not_after_seconds" ["listener", "file", "name"]
        "When a certificate in force expires, in seconds since 1970; `name` is its first name.";
    HTTP2_CONNECTIONS = Counter "pingora_proxy_http2_connections_total" ["listener"]
        "Connections of clients that chose HTTP/2.";
    HTTP2_STREAMS = Counter "pingora_proxy_http2_streams_total" ["listener"]
        "Streams that clients of HTTP/2 began.";
    HTTP2_CUT_OFF = Counter "pingora_proxy_http2_connections_cut_off_total" ["reason"]
        "Connections of HTTP/2 that were ended at once because of what their clients did, by the error code of GOAWAY.";

    UPSTREAM_REQUESTS = Counter "pingora_proxy_upstream_requests_total" ["upstream", "server"]
        "Attempts that a server was chosen for, health checks excluded.";
    UPSTREAM_FAILURES = Counter "pingora_proxy_upstream_failures_total" ["upstream", "server"]
        "Those of the attempts that failed.";
    UPSTREAM_EJECTIONS = Counter "pingora_proxy_upstream_ejections_total" ["upstream", "server"]
        "How often a server was taken out because of failures in a row.";
    UPSTREAM_HEALTHY = Gauge "pingora_proxy_upstream_healthy" ["upstream", "server"]
        "1 while the server gets requests: neither down nor ejected, draining or disabled.";
    UPSTREAM_STATE = Gauge "pingora_proxy_upstream_state" ["upstream", "server", "state"]
        "1 for the state that the server is in: `up`, `down`, `ejected`, `draining` or `disabled`.";
    UPSTREAM_IN_FLIGHT = Gauge "pingora_proxy_upstream_requests_in_flight" ["upstream", "server"]
        "Requests at the server at the moment.";
    UPSTREAM_AVAILABLE = Gauge "pingora_proxy_upstream_servers_available" ["upstream"]
        "Servers that get requests now.";
    UPSTREAM_QUEUED = Gauge "pingora_proxy_upstream_queued" ["upstream"]
        "Requests that wait for a server with room.";
    UPSTREAM_RETRIES = Counter "pingora_proxy_upstream_retries_total" ["upstream"]
        "Attempts after the first one of a request.";
    UPSTREAM_RETRY_BUDGET_REFUSED = Counter "pingora_proxy_upstream_retry_budget_refused_total" ["upstream"]
        "Retries that were not made because the budget of `retry` was used up.";
    UPSTREAM_CONNECT = Histogram "pingora_proxy_upstream_connect_seconds" ["upstream"]
        "How long new connections to its servers took, TLS included.";
    UPSTREAM_TLS = Histogram "pingora_proxy_upstream_tls_seconds" ["upstream"]
        "How long the TLS handshake of these connections took.";
    UPSTREAM_FIRST_BYTE = Histogram "pingora_proxy_upstream_first_byte_seconds" ["upstream"]
        "From the choice of a server to the head of its response, with the wait for a place among its connections.";
    UPSTREAM_QUEUE = Histogram "pingora_proxy_upstream_queue_seconds" ["upstream"]
        "How long requests waited for a place or for a server with room. Those that did not have to wait are not counted.";
    UPSTREAM_TRANSFER = Histogram "pingora_proxy_upstream_transfer_seconds" ["upstream"]
        "From the head of the response of a server to the end of the response to the client, tunnels included.";
    UPSTREAM_CONNECTIONS = Counter "pingora_proxy_upstream_connections_total" ["upstream"]
        "Connections that were made for requests.";
    UPSTREAM_REUSED = Counter "pingora_proxy_upstream_connections_reused_total" ["upstream"]
        "Attempts that went over a connection that was there.";
    UPSTREAM_OPEN = Gauge "pingora_proxy_upstream_connections_open" ["upstream"]
        "Open connections, idle ones included.";
    UPSTREAM_POOL_IDLE = Gauge "pingora_proxy_upstream_pool_idle" ["upstream"]
        "Open connections of HTTP/1 that wait for a request.";

    CONFIG_GENERATION = Gauge "pingora_proxy_config_generation" []
        "The number of the configuration in force, from 1 at the start.";
    CONFIG_LAST_RELOAD_SUCCESSFUL = Gauge "pingora_proxy_config_last_reload_successful" []
        "0 if the last reload was refused.";
    CONFIG_LAST_RELOAD_TIMESTAMP = Gauge "pingora_proxy_config_last_reload_timestamp_seconds" []
        "When the configuration in force was put in force, in seconds since 1970.";
    READY = Gauge "pingora_proxy_ready" []
        "1 while new connections are welcome, as `/ready` says.";
    ACCESS_LOG_LOST = Counter "pingora_proxy_access_log_lost_lines_total" []
        "Lines of the access log that could not be written.";
    ERROR_LOG_SUPPRESSED = Counter "pingora_proxy_error_log_suppressed_total" []
        "Lines of the error log that were left out, because there were many of the same kind.";
    TRACE_SPANS_EXPORTED = Counter "pingora_proxy_trace_spans_exported_total" []
        "Spans that the collector of traces took.";
    TRACE_SPANS_LOST = Counter "pingora_proxy_trace_spans_lost_total" ["why"]
        "Spans that never came to the collector: `queue_full` if too many waited, `not_sent` if it is away or slow, or `refused`.";
    PANICS = Counter "pingora_proxy_panics_total" []
        "Faults of the proxy itself that it lived through.";
    BUILD_INFO = Gauge "pingora_proxy_build_info" ["version", "pingora", "arch", "os"]
        "Always 1: the versions of the proxy and of the Pingora in it, and what it was built for.";

    PROCESS_CPU = Counter "process_cpu_seconds_total" []
        "Time of the processors in user and system mode, in seconds.";
    PROCESS_RESIDENT = Gauge "process_resident_memory_bytes" []
        "Resident memory.";
    PROCESS_VIRTUAL = Gauge "process_virtual_memory_bytes" []
        "Virtual memory.";
    PROCESS_OPEN_FDS = Gauge "process_open_fds" []
        "Open file descriptors.";
    PROCESS_MAX_FDS = Gauge "process_max_fds" []
        "How many file descriptors there may be.";
    PROCESS_START_TIME = Gauge "process_start_time_seconds" []
        "When the process was started, in seconds since 1970.";
    PROCESS_THREADS = Gauge "process_threads" []
        "Threads of the process.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_prometheus_wants_them() {
        let names: std::collections::BTreeSet<_> = FAMILIES.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), FAMILIES.len());
        for family in FAMILIES {
            let is_counter = family.kind == Kind::Counter;
            assert_eq!(family.name.ends_with("_total"), is_counter, "{}", family.name);
            let is_ours = family.name.starts_with("pingora_proxy_") || family.name.starts_with("process_");
            assert!(is_ours && !family.help.contains(['\\', '"', '\n']), "{}", family.name);
            assert!(family.help.ends_with('.'), "{}", family.name);
        }
    }
}
