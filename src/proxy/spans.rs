//! The spans of a finished request: its own and one for each attempt, by the semantic conventions of
//! OpenTelemetry for HTTP. Nothing is written for a request whose spans nobody gets.

use http::{Method, Version, header};

use super::context::RequestCtx;
use super::ending::Ending;
use super::tracing::{Attempt, Fate, Trace};
use crate::filter::Cause;
use crate::telemetry::{self, Span, SpanKind, SpanWriter};

/// Sends them on their way.
pub fn tell(ending: &Ending<'_>, ctx: &RequestCtx) {
    let (Some(trace), Some(traces)) = (trace_sent(ending, ctx), &ctx.snapshot.traces) else { return };
    let mut writer = SpanWriter::default();
    let told = Told { ending, ctx, trace };
    told.request(&mut writer);
    for (index, attempt) in trace.attempts.iter().enumerate() {
        told.attempt(&mut writer, index, attempt);
    }
    traces.queue.push(writer.finish());
}

/// The trace of a request whose spans are sent.
pub fn trace_sent<'c>(ending: &Ending<'_>, ctx: &'c RequestCtx) -> Option<&'c Trace> {
    ctx.trace.as_ref().filter(|trace| match trace.fate {
        Fate::Sampled => true,
        Fate::IfFailed => has_failed(ending.status, ctx.failure),
        Fate::Unrecorded => false,
    })
}

fn has_failed(status: u16, failure: Option<Cause>) -> bool {
    telemetry::has_failed(status, failure.map(Cause::source))
}

struct Told<'t> {
    ending: &'t Ending<'t>,
    ctx: &'t RequestCtx,
    trace: &'t Trace,
}

impl Told<'_> {
    fn request(&self, writer: &mut SpanWriter) {
        let (ctx, ending, request) = (self.ctx, self.ending, self.ending.request);
        let route = ctx.route().map(|route| route.name.as_str());
        let field = |name: header::HeaderName| request.headers.get(name).map(|value| value.as_bytes());
        writer.begin(&Span {
            trace: self.trace.id,
            id: self.trace.span,
            parent: self.trace.parent,
            state: self.state(),
            kind: SpanKind::Server,
            name: self.method().0,
            of: route,
            start: ctx.at,
            duration: ending.duration,
            failure: has_failed(ending.status, ctx.failure).then(|| ctx.failure.map_or("", |cause| cause.message())),
        });
        self.tell_method(writer);
        let target = request.raw_path();
        let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
        writer.text("url.path", path);
        writer.text("url.scheme", ctx.admission.scheme.as_bytes());
        let (host, port) = parted(ctx.admission.host.to_str().unwrap_or_default());
        writer.optional("server.address", Some(host.as_bytes()).filter(|host| !host.is_empty()));
        port.into_iter().for_each(|port| writer.number("server.port", port));
        writer.address("client.address", ctx.admission.client_ip);
        writer.address("network.peer.address", ending.connection.ip);
        let version = match request.version {
            _ if ending.connection.is_http2 => "2",
            Version::HTTP_10 => "1.0",
            _ => "1.1",
        };
        writer.text("network.protocol.version", version.as_bytes());
        writer.optional("http.route", route.map(str::as_bytes));
        if ending.status > 0 {
            writer.number("http.response.status_code", ending.status);
        }
        writer.optional("user_agent.original", field(header::USER_AGENT));
        writer.text("pingora_proxy.request_id", ctx.request_id.to_string().as_bytes());
        writer.millis("pingora_proxy.queue_ms", ctx.attempts.queue);
        writer.millis("pingora_proxy.ttfb_ms", ctx.attempts.ttfb);
        self.tell_failure(writer, ctx.failure, Some(ending.status).filter(|status| *status >= 500));
        writer.end();
    }

    fn attempt(&self, writer: &mut SpanWriter, index: usize, attempt: &Attempt) {
        // One that nobody ended shares the fate of the request.
        let failure = if attempt.ended.is_some() { attempt.failure } else { self.ctx.failure };
        let bad_status = attempt.status.filter(|status| *status >= 400);
        let is_failed = failure.is_some() || bad_status.is_some();
        let offset = attempt.began.saturating_duration_since(self.ctx.started);
        writer.begin(&Span {
            trace: self.trace.id,
            id: attempt.span,
            parent: Some(self.trace.span),
            state: self.state(),
            kind: SpanKind::Client,
            name: self.method().0,
            of: None,
            start: self.ctx.at + offset,
            duration: attempt.ended.unwrap_or(self.ending.at).saturating_duration_since(attempt.began),
            failure: is_failed.then(|| failure.map_or("", |cause| cause.message())),
        });
        self.tell_method(writer);
        let (address, port) = parted(&attempt.server);
        writer.text("server.address", address.as_bytes());
        port.into_iter().for_each(|port| writer.number("server.port", port));
        if index > 0 {
            writer.number("http.request.resend_count", u64::try_from(index).unwrap_or(u64::MAX));
        }
        attempt.status.into_iter().for_each(|status| writer.number("http.response.status_code", status));
        let upstream = self.ctx.pool().map(|pool| pool.name.as_bytes());
        writer.optional("pingora_proxy.upstream", upstream);
        attempt.reused.into_iter().for_each(|reused| writer.flag("pingora_proxy.connection_reused", reused));
        writer.millis("pingora_proxy.connect_ms", attempt.connect);
        writer.millis("pingora_proxy.tls_ms", attempt.tls);
        writer.millis("pingora_proxy.ttfb_ms", attempt.ttfb);
        self.tell_failure(writer, failure, bad_status);
        writer.end();
    }

    /// The reason word of the access log, or the status where there is none.
    fn tell_failure(&self, writer: &mut SpanWriter, failure: Option<Cause>, status: Option<u16>) {
        match (failure, status) {
            (Some(cause), _) => writer.text("error.type", cause.reason().as_bytes()),
            (None, Some(status)) => writer.text("error.type", status.to_string().as_bytes()),
            (None, None) => {}
        }
    }

    /// How the span is called by it, and the attribute: a method that anyone may make up would make a name of its
    /// own for each request.
    fn method(&self) -> (&str, &str) {
        match &self.ending.request.method {
            known @ &(Method::GET
            | Method::HEAD
            | Method::POST
            | Method::PUT
            | Method::DELETE
            | Method::CONNECT
            | Method::OPTIONS
            | Method::TRACE
            | Method::PATCH) => (known.as_str(), known.as_str()),
            _ => ("HTTP", "_OTHER"),
        }
    }

    fn tell_method(&self, writer: &mut SpanWriter) {
        let (_, method) = self.method();
        writer.text("http.request.method", method.as_bytes());
        if method == "_OTHER" {
            writer.text("http.request.method_original", self.ending.request.method.as_str().as_bytes());
        }
    }

    /// `tracestate` of the trace that goes on; of several fields, the first.
    fn state(&self) -> Option<&[u8]> {
        self.trace.parent?;
        self.ending.request.headers.get("tracestate").map(|state| state.as_bytes())
    }
}

/// Host and port; a name without a port, and the path of a socket, as they are.
fn parted(server: &str) -> (&str, Option<u16>) {
    let port = |(host, port): (&'_ str, &str)| Some((host.len(), port.parse::<u16>().ok()?));
    match server.rsplit_once(':').and_then(port) {
        Some((length, port)) => (bare(server.get(..length).unwrap_or(server)), Some(port)),
        None => (bare(server), None),
    }
}

/// An address of IPv6 without its brackets.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_parted_from_ports() {
        for (server, parts) in [
            ("127.0.0.1:3000", ("127.0.0.1", Some(3000))),
            ("[::1]:80", ("::1", Some(80))),
            ("[::1]", ("::1", None)),
            ("a.example", ("a.example", None)),
            ("a.example:99999", ("a.example:99999", None)),
            ("unix:/run/a.sock", ("unix:/run/a.sock", None)),
            ("", ("", None)),
        ] {
            assert_eq!(parted(server), parts, "{server}");
        }
    }
}
