//! The fields of the access log: the names by which templates and JSON call them.

/// Declares the enum and the name of each field.
macro_rules! fields {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal),* $(,)?) => {
        /// What a line can hold of a request. docs/logs.md says what each one is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum LogField {
            $($(#[doc = $doc])* $variant),*
        }

        impl LogField {
            /// Each with the name that stands in a template.
            pub const ALL: &'static [(&'static str, Self)] = &[$(($name, Self::$variant)),*];
        }
    };
}

fields! {
    Ts = "ts",
    /// As the combined format has it; templates only.
    TsCommon = "ts_common",
    Level = "level",
    RequestId = "request_id",
    TraceId = "trace_id",
    ClientIp = "client_ip",
    RemoteIp = "remote_ip",
    Method = "method",
    Scheme = "scheme",
    Host = "host",
    /// Path and query as sent; templates only.
    Target = "target",
    Path = "path",
    Query = "query",
    Proto = "proto",
    Status = "status",
    BytesIn = "bytes_in",
    BytesOut = "bytes_out",
    DurationMs = "duration_ms",
    Route = "route",
    Upstream = "upstream",
    UpstreamStatus = "upstream_status",
    QueueMs = "queue_ms",
    ConnectMs = "connect_ms",
    TlsMs = "tls_ms",
    TtfbMs = "ttfb_ms",
    TransferMs = "transfer_ms",
    Retries = "retries",
    Reused = "reused",
    TlsVersion = "tls_version",
    Sni = "sni",
    UserAgent = "user_agent",
    Referer = "referer",
    Reason = "reason",
    Error = "error",
    ErrorSource = "error_source",
    Listener = "listener",
}
