//! Counts a finished request. No lock is taken, nothing is allocated, and nothing looked up by its name:
//! the snapshot has the figures of each route beside it.

use http::Method;

use super::access_record::MalformedRequest;
use super::context::RequestCtx;
use super::ending::Ending;
use super::spans;
use crate::filter::Cause;
use crate::metrics::{FinishedRequest, Series, method_index};
use crate::runtime::Snapshot;

pub fn count(ending: &Ending<'_>, ctx: &RequestCtx) {
    let series = Series::new(ending.connection.listener, method_index(&ending.request.method), ending.status);
    let metrics = ctx.route().map_or(&ctx.snapshot.unrouted, |route| &route.metrics);
    metrics.count(&FinishedRequest {
        series,
        at: ctx.at,
        request_id: ctx.request_id.number(),
        trace_id: spans::trace_sent(ending, ctx).map(|trace| u128::from_be_bytes(trace.id)),
        duration: ending.duration,
        bytes_in: ending.bytes_in,
        bytes_out: ending.bytes_out,
        failure: ctx.failure.map(numbered),
    });
    if let Some(pool) = ctx.pool() {
        let transfer = ctx.attempts.ttfb.map(|ttfb| ending.duration.saturating_sub(ttfb));
        pool.metrics().finished(ctx.attempts.queue, transfer);
    }
}

/// Counts bytes that were no request, and what they were answered with.
pub fn count_malformed(snapshot: &Snapshot, malformed: &MalformedRequest<'_>) {
    let method = malformed.head.split(|byte| *byte == b' ').next().unwrap_or_default();
    let method = Method::from_bytes(method).as_ref().map_or(u8::MAX, method_index);
    snapshot.unrouted.count(&FinishedRequest {
        series: Series::new(malformed.connection.listener, method, malformed.cause.status()),
        at: malformed.at,
        request_id: malformed.id.number(),
        trace_id: None,
        duration: malformed.started.elapsed(),
        // A head is no body, nor is the reply a route's.
        bytes_in: 0,
        bytes_out: 0,
        failure: Some(numbered(malformed.cause)),
    });
}

/// The number of a cause, of so many.
fn numbered(cause: Cause) -> (usize, usize) {
    (cause.index(), Cause::all().len())
}
