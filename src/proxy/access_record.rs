//! The access record of a finished request.

use std::borrow::Cow;
use std::time::{Instant, SystemTime};

use http::{Version, header};

use super::context::RequestCtx;
use super::ending::{Ending, count};
use super::tracing::Trace;
use crate::downstream::ClientConnection;
use crate::downstream::http1::field;
use crate::filter::Cause;
use crate::listener::ListenerIndex;
use crate::message::path::split_query;
use crate::message::request_id::RequestId;
use crate::message::trace_context;
use crate::runtime::Snapshot;
use crate::telemetry::AccessRecord;

/// Logs the request, when anybody reads the log.
pub fn log(ending: &Ending<'_>, ctx: &RequestCtx) {
    let logger = &ctx.snapshot.access;
    if !logger.is_on() {
        return;
    }
    let Ending { request, connection, status, bytes_in, bytes_out, duration, .. } = *ending;
    let tls = connection.tls.as_ref();
    let target = request.raw_path();
    let split = memchr::memchr(b'?', target).unwrap_or(target.len());
    let path = || split_query(ctx.target(request)).0;
    let hides_query = ctx.route().is_some_and(|route| route.filters.hides_query(path));
    let header_bytes = |name: header::HeaderName| request.headers.get(name).map(|v| v.as_bytes());
    let traced = ctx.trace.as_ref().map(Trace::hex_id);
    logger.log(&AccessRecord {
        at: ctx.at,
        request_id: &ctx.request_id,
        trace_id: traced.as_ref().map(<[u8; 32]>::as_slice).or_else(|| trace_context::trace_id(&request.headers)),
        client_ip: ctx.admission.client_ip,
        remote_ip: connection.ip,
        method: request.method.as_str(),
        scheme: ctx.admission.scheme,
        host: ctx.admission.host.as_bytes(),
        path: &target[..split],
        query: if hides_query { b"" } else { target.get(split + 1..).unwrap_or_default() },
        proto: match request.version {
            // A WebSocket comes to the hooks as the request of HTTP/1.1 that it stands for.
            _ if connection.is_http2 => "HTTP/2.0",
            Version::HTTP_10 => "HTTP/1.0",
            _ => "HTTP/1.1",
        },
        status,
        bytes_in,
        bytes_out,
        duration,
        route: ctx.route().map(|route| route.name.as_str()),
        upstream: ctx.attempts.server(),
        upstream_status: ctx.attempts.status,
        queue: ctx.attempts.queue,
        connect: ctx.attempts.connect,
        tls: ctx.attempts.tls,
        ttfb: ctx.attempts.ttfb,
        retries: ctx.attempts.count.saturating_sub(1),
        reused: ctx.attempts.reused,
        tls_version: tls.map(|tls| tls.version),
        sni: tls.and_then(|tls| tls.server_name.as_deref()),
        user_agent: header_bytes(header::USER_AGENT),
        referer: header_bytes(header::REFERER),
        reason: ctx.failure.map(|cause| cause.reason()),
        error: ctx.failure.map(|cause| cause.message()),
        error_source: ctx.failure.map(|cause| cause.source()),
        listener: listener(&ctx.snapshot, connection),
        headers: Some(&request.headers),
    });
}

fn listener<'s>(snapshot: &'s Snapshot, connection: &ClientConnection) -> Option<&'s str> {
    Some(snapshot.entrances.get(ListenerIndex(connection.listener))?.name())
}

/// Bytes that were no request.
#[derive(Debug)]
pub struct MalformedRequest<'r> {
    pub at: SystemTime,
    pub started: Instant,
    pub id: &'r RequestId,
    pub cause: Cause,
    /// Whatever came.
    pub head: &'r [u8],
    pub connection: &'r ClientConnection,
}

/// A password in front of a host makes a request malformed (RFC 9110 section 4.2.4), and stays one.
fn without_password(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(at) = memchr::memrchr(b'@', text) else { return Cow::Borrowed(text) };
    let (login, rest) = text.split_at(at);
    let start = memchr::memmem::find(login, b"://").map_or(0, |scheme| scheme + 3);
    let Some(colon) = login.get(start..).and_then(|login| memchr::memchr(b':', login)) else {
        return Cow::Borrowed(text);
    };
    let kept = login.get(..=start + colon).unwrap_or_default();
    Cow::Owned([kept, b"***", rest].concat())
}

/// Logs what can be read of them.
pub fn log_malformed(snapshot: &Snapshot, malformed: &MalformedRequest<'_>, bytes_out: usize) {
    let logger = &snapshot.access;
    if !logger.is_on() {
        return;
    }
    let tls = malformed.connection.tls.as_ref();
    let line = malformed.head.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
    let mut words = line.split(|b| *b == b' ');
    let method = words.next().and_then(|word| std::str::from_utf8(word).ok()).unwrap_or("");
    let target = without_password(words.next().unwrap_or_default());
    let host = without_password(field(malformed.head, "host").unwrap_or_default());
    let split = memchr::memchr(b'?', &target).unwrap_or(target.len());
    logger.log(&AccessRecord {
        at: malformed.at,
        request_id: malformed.id,
        trace_id: None,
        client_ip: malformed.connection.ip,
        remote_ip: malformed.connection.ip,
        method,
        scheme: malformed.connection.scheme(),
        host: &host,
        path: &target[..split],
        query: target.get(split + 1..).unwrap_or_default(),
        proto: words.next().and_then(|word| std::str::from_utf8(word).ok()).unwrap_or(""),
        status: malformed.cause.status(),
        bytes_in: count(malformed.head.len()),
        bytes_out: count(bytes_out),
        duration: malformed.started.elapsed(),
        route: None,
        upstream: None,
        upstream_status: None,
        queue: None,
        connect: None,
        tls: None,
        ttfb: None,
        retries: 0,
        reused: false,
        tls_version: tls.map(|tls| tls.version),
        sni: tls.and_then(|tls| tls.server_name.as_deref()),
        user_agent: field(malformed.head, "user-agent"),
        referer: field(malformed.head, "referer"),
        reason: Some(malformed.cause.reason()),
        error: Some(malformed.cause.message()),
        error_source: Some(malformed.cause.source()),
        listener: listener(snapshot, malformed.connection),
        headers: None,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_front_of_a_host_is_not_shown() {
        for (text, shown) in [
            ("http://u:s3cret@h.test/a?b", "http://u:***@h.test/a?b"),
            ("u:s3c:r@et@h", "u:***@h"),
            ("/a@b", "/a@b"),
            ("http://u@h/", "http://u@h/"),
            ("h:80", "h:80"),
            ("", ""),
        ] {
            assert_eq!(without_password(text.as_bytes()), shown.as_bytes(), "{text}");
        }
    }
}
