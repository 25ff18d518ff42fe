//! The trace that a request belongs to (W3C Trace Context): whether it is recorded, what the upstream is told,
//! and when the attempts of it began and ended. `spans.rs` makes spans of that at the request's end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use pingora_http::RequestHeader;

use super::context::RequestCtx;
use crate::config::TraceParent;
use crate::filter::{Cause, Edited};
use crate::message::trace_context::{self, SpanId, TraceId};

/// Attempts of one request that are recorded; later ones are not.
const MOST_ATTEMPTS: usize = 32;

/// A request as its trace knows it.
#[derive(Debug)]
pub struct Trace {
    pub id: TraceId,
    pub span: SpanId,
    pub parent: Option<SpanId>,
    pub fate: Fate,
    pub attempts: Vec<Attempt>,
}

/// What becomes of what is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is sent.
    Sampled,
    /// It is sent if the request fails.
    IfFailed,
    /// Nothing is recorded.
    Unrecorded,
}

/// One attempt to have an upstream answer.
#[derive(Debug)]
pub struct Attempt {
    pub span: SpanId,
    pub server: Arc<str>,
    pub began: Instant,
    pub ended: Option<Instant>,
    /// Whether the connection had been there, once there was one.
    pub reused: Option<bool>,
    pub connect: Option<Duration>,
    pub tls: Option<Duration>,
    pub ttfb: Option<Duration>,
    pub status: Option<u16>,
    pub failure: Option<Cause>,
}

impl Trace {
    /// As the access log has it.
    pub fn hex_id(&self) -> [u8; 32] {
        trace_context::hex(self.id)
    }

    /// The attempt that is under way.
    fn attempt(&mut self) -> Option<&mut Attempt> {
        self.attempts.last_mut().filter(|attempt| attempt.ended.is_none())
    }
}

/// Decides about a request whose client is known.
pub fn begin(request: &RequestHeader, ctx: &RequestCtx) -> Option<Trace> {
    let traces = ctx.snapshot.traces.as_ref()?;
    let parent = trace_context::parent(&request.headers);
    let is_believed = match traces.parent {
        TraceParent::Trusted => ctx.admission.remote_trusted,
        TraceParent::Any => true,
        TraceParent::None => false,
    };
    let decided = parent.filter(|_| is_believed).map(|parent| parent.sampled);
    let fate = match decided.unwrap_or_else(|| traces.samples()) {
        true => Fate::Sampled,
        false if traces.errors => Fate::IfFailed,
        false => Fate::Unrecorded,
    };
    Some(Trace {
        id: parent.map_or_else(|| fastrand::u128(1..).to_be_bytes(), |parent| parent.trace),
        span: new_span(),
        parent: parent.map(|parent| parent.span),
        fate,
        attempts: Vec::new(),
    })
}

fn new_span() -> SpanId {
    fastrand::u64(1..).to_be_bytes()
}

/// Tells the upstream whose child its span is. Whoever is not recorded stands in no tree: then the upstream's
/// parent is that of the request.
pub fn tell_upstream(upstream: &mut Edited<'_, RequestHeader>, ctx: &RequestCtx) {
    let Some(trace) = &ctx.trace else { return };
    let parent = match (trace.fate, trace.attempts.last()) {
        (Fate::Unrecorded, _) => trace.parent.unwrap_or(trace.span),
        (Fate::Sampled | Fate::IfFailed, attempt) => attempt.map_or(trace.span, |attempt| attempt.span),
    };
    let field = trace_context::field(trace.id, parent, trace.fate == Fate::Sampled);
    if let Ok(mut field) = HeaderValue::from_bytes(&field) {
        // As the id of the request, it is not for the tables of HTTP/2.
        field.set_sensitive(true);
        upstream.set("traceparent", field);
    }
    // It says something of a trace that this is not (section 3.3).
    if trace.parent.is_none() && upstream.headers.contains_key("tracestate") {
        upstream.retain(|name, _| name != "tracestate");
    }
}

/// A server was chosen.
pub fn begin_attempt(ctx: &mut RequestCtx) {
    let (Some(trace), Some(pick)) = (&mut ctx.trace, &ctx.attempts.pick) else { return };
    if trace.fate == Fate::Unrecorded || trace.attempts.len() >= MOST_ATTEMPTS {
        return;
    }
    trace.attempts.push(Attempt {
        span: new_span(),
        server: Arc::clone(&pick.endpoint.label),
        began: Instant::now(),
        ended: None,
        reused: None,
        connect: None,
        tls: None,
        ttfb: None,
        status: None,
        failure: None,
    });
}

/// It is reached.
pub fn connected(ctx: &mut RequestCtx) {
    let Some(attempt) = ctx.trace.as_mut().and_then(Trace::attempt) else { return };
    attempt.reused = Some(ctx.attempts.reused);
    (attempt.connect, attempt.tls) = (ctx.attempts.connect, ctx.attempts.tls);
}

/// It answers.
pub fn answered(ctx: &mut RequestCtx, status: u16) {
    let Some(attempt) = ctx.trace.as_mut().and_then(Trace::attempt) else { return };
    attempt.status = Some(status);
    attempt.ttfb = Some(attempt.began.elapsed());
}

/// The attempt is over, and failed for this cause if there is one.
pub fn end_attempt(ctx: &mut RequestCtx, failure: Option<Cause>) {
    let Some(attempt) = ctx.trace.as_mut().and_then(Trace::attempt) else { return };
    attempt.ended = Some(Instant::now());
    attempt.failure = failure;
}
