//! The access record of a finished request.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::{Version, header};
use pingora_proxy::Session;

use super::context::RequestCtx;
use crate::downstream::http1::field;
use crate::downstream::{ClientConnection, Initiator};
use crate::exchange::GivenUp;
use crate::filter::Cause;
use crate::message::request_id::RequestId;
use crate::message::trace_context;
use crate::telemetry::{self, AccessLogger, AccessRecord};

/// Logs the request, when anybody reads the log.
pub fn log(session: &Session, ctx: &mut RequestCtx) {
    ctx.is_logged = true;
    let status = session.response_written().map(|head| head.status.as_u16());
    let (bytes_in, bytes_out) = (session.body_bytes_read(), session.body_bytes_sent());
    log_seen(&GivenUp { request: session.req_header(), status, bytes_in, bytes_out }, ctx);
}

impl Drop for RequestCtx {
    fn drop(&mut self) {
        telemetry::note_request(&self.request_id);
        leave_word(self);
    }
}

/// Has a request logged that is given up before its end: its client is gone, or its task panicked.
fn leave_word(ctx: &mut RequestCtx) {
    if ctx.is_logged || ctx.client.is_none() {
        return;
    }
    let left = std::mem::replace(ctx, RequestCtx::new(Arc::clone(&ctx.snapshot)));
    let Some(exchange) = left.exchange().map(Arc::clone) else { return };
    let cause = if std::thread::panicking() { Cause::Internal } else { Cause::ClientGone };
    exchange.last_word.leave(move |given_up| {
        let mut left = left;
        left.is_logged = true;
        left.failure.get_or_insert(cause);
        log_seen(given_up, &left);
    });
}

fn log_seen(seen: &GivenUp<'_>, ctx: &RequestCtx) {
    let logger = &ctx.snapshot.access;
    let connection = ctx.connection();
    if !logger.is_on() || connection.is_some_and(|connection| connection.initiator == Initiator::Probe) {
        return;
    }
    let request = seen.request;
    let tls = connection.and_then(|connection| connection.tls.as_ref());
    let status = seen.status.or_else(|| ctx.failure.map(|cause| cause.status())).unwrap_or(0);
    let target = request.raw_path();
    let split = memchr::memchr(b'?', target).unwrap_or(target.len());
    let hides_query = ctx.route().is_some_and(|route| route.filters.hides_query());
    let header_bytes = |name: header::HeaderName| request.headers.get(name).map(|v| v.as_bytes());
    logger.log(&AccessRecord {
        at: ctx.at,
        request_id: &ctx.request_id,
        trace_id: trace_context::trace_id(&request.headers),
        client_ip: ctx.admission.client_ip,
        remote_ip: connection.and_then(|connection| connection.ip),
        method: request.method.as_str(),
        scheme: ctx.admission.scheme,
        host: ctx.admission.host.as_bytes(),
        path: &target[..split],
        query: if hides_query { b"" } else { target.get(split + 1..).unwrap_or_default() },
        proto: match request.version {
            // A WebSocket comes to the hooks as the request of HTTP/1.1 that it stands for.
            _ if connection.is_some_and(|connection| connection.is_http2) => "HTTP/2.0",
            Version::HTTP_10 => "HTTP/1.0",
            _ => "HTTP/1.1",
        },
        status,
        bytes_in: count(seen.bytes_in),
        bytes_out: count(seen.bytes_out),
        duration: Instant::now().saturating_duration_since(ctx.started),
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
        headers: Some(&request.headers),
    });
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

/// Logs what can be read of them.
pub fn log_malformed(logger: &AccessLogger, malformed: &MalformedRequest<'_>, bytes_out: usize) {
    if !logger.is_on() {
        return;
    }
    let tls = malformed.connection.tls.as_ref();
    let line = malformed.head.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
    let mut words = line.split(|b| *b == b' ');
    let method = words.next().and_then(|word| std::str::from_utf8(word).ok()).unwrap_or("");
    let target = words.next().unwrap_or_default();
    let split = memchr::memchr(b'?', target).unwrap_or(target.len());
    logger.log(&AccessRecord {
        at: malformed.at,
        request_id: malformed.id,
        trace_id: None,
        client_ip: malformed.connection.ip,
        remote_ip: malformed.connection.ip,
        method,
        scheme: malformed.connection.scheme(),
        host: field(malformed.head, "host").unwrap_or_default(),
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
        headers: None,
    });
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
