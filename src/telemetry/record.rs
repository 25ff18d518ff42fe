//! The access record: what is logged of a finished request.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use http::HeaderMap;

use crate::message::request_id::RequestId;

/// Whose fault a failure was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorSource {
    Client,
    Proxy,
    Upstream,
}

impl ErrorSource {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Proxy => "proxy",
            Self::Upstream => "upstream",
        }
    }
}

/// Whether a request counts as failed where failures are kept, whatever becomes of the others: `log.access.always`
/// and `traces.errors`. What a client does wrong is none.
pub fn has_failed(status: u16, source: Option<ErrorSource>) -> bool {
    status >= 500 || source.is_some_and(|source| source != ErrorSource::Client)
}

/// A finished request.
#[derive(Clone, Debug)]
pub struct AccessRecord<'r> {
    pub at: SystemTime,
    pub request_id: &'r RequestId,
    /// In hex digits.
    pub trace_id: Option<&'r [u8]>,
    pub client_ip: Option<IpAddr>,
    pub remote_ip: Option<IpAddr>,
    pub method: &'r str,
    pub scheme: &'r str,
    pub host: &'r [u8],
    pub path: &'r [u8],
    pub query: &'r [u8],
    pub proto: &'r str,
    /// 499 when the client left before a response, as in nginx.
    pub status: u16,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub duration: Duration,
    pub route: Option<&'r str>,
    pub upstream: Option<&'r str>,
    pub upstream_status: Option<u16>,
    /// How long it waited for a place at the upstream, if it had to.
    pub queue: Option<Duration>,
    pub connect: Option<Duration>,
    pub tls: Option<Duration>,
    pub ttfb: Option<Duration>,
    pub retries: u32,
    pub reused: bool,
    /// Of the client's connection.
    pub tls_version: Option<&'r str>,
    pub sni: Option<&'r str>,
    pub user_agent: Option<&'r [u8]>,
    pub referer: Option<&'r [u8]>,
    /// The word for what went wrong.
    pub reason: Option<&'r str>,
    /// The same as a sentence.
    pub error: Option<&'r str>,
    pub error_source: Option<ErrorSource>,
    /// Where the client's connection came in.
    pub listener: Option<&'r str>,
    /// The fields of the request's head, for templates that name some.
    pub headers: Option<&'r HeaderMap>,
}

impl AccessRecord<'_> {
    /// From the head of the server's response to the end of the request.
    pub fn transfer(&self) -> Option<Duration> {
        self.ttfb.map(|ttfb| self.duration.saturating_sub(ttfb))
    }
}
