//! What came of a request is told once, at its end: to the metrics, the access log and the traces. A request that
//! nobody finishes, because its client left or its task panicked, is told of when it is dropped.

use std::sync::Arc;

use pingora_proxy::Session;

use super::access_record::MalformedRequest;
use super::context::{Client, RequestCtx};
use super::ending::Ending;
use super::{access_record, metering, spans};
use crate::downstream::Initiator;
use crate::exchange::{Exchange, GivenUp};
use crate::filter::Cause;
use crate::runtime::Snapshot;
use crate::telemetry;

/// The request is over.
pub fn tell(session: &Session, ctx: &mut RequestCtx) {
    ctx.is_finished = true;
    if ctx.failure.is_none_or(|cause| cause == Cause::ClientGone) && is_cut(ctx) {
        ctx.failure = Some(Cause::Shutdown);
    }
    let status = session.response_written().map(|head| head.status.as_u16());
    let (bytes_in, bytes_out) = (session.body_bytes_read(), session.body_bytes_sent());
    tell_seen(&GivenUp { request: session.req_header(), status, bytes_in, bytes_out }, ctx);
}

/// Whether the process ended the request: with itself, or because the time of a tunnel was over.
fn is_cut(ctx: &RequestCtx) -> bool {
    let with_process = |client: &Client| client.connection.is_cut() || client.exchange.download.is_cut();
    ctx.client.as_ref().is_some_and(with_process)
}

fn tell_seen(seen: &GivenUp<'_>, ctx: &RequestCtx) {
    let Some(connection) = ctx.connection().filter(|connection| connection.initiator != Initiator::Probe) else {
        return;
    };
    let ending = Ending::new(seen, connection, ctx);
    metering::count(&ending, ctx);
    access_record::log(&ending, ctx);
    spans::tell(&ending, ctx);
}

/// Bytes that were no request are done with. `bytes_out`: of the reply.
pub fn tell_malformed(snapshot: &Snapshot, malformed: &MalformedRequest<'_>, bytes_out: usize) {
    metering::count_malformed(snapshot, malformed);
    access_record::log_malformed(snapshot, malformed, bytes_out);
}

impl Drop for RequestCtx {
    fn drop(&mut self) {
        telemetry::note_request(&self.request_id);
        if !self.is_finished {
            leave_word(self);
        }
        if let Some(client) = &self.client {
            client.connection.metrics.request_ends();
        }
    }
}

/// The request is told of once its session, which is dropped next, says what became of it.
fn leave_word(ctx: &mut RequestCtx) {
    if ctx.client.is_none() {
        return;
    }
    let mut left = std::mem::replace(ctx, RequestCtx::new(Arc::clone(&ctx.snapshot)));
    ctx.is_finished = true;
    left.is_finished = true;
    left.failure.get_or_insert(match () {
        () if std::thread::panicking() => Cause::Internal,
        () if is_cut(&left) => Cause::Shutdown,
        () => Cause::ClientGone,
    });
    // What the exchange holds must not hold the exchange.
    let Some(Client { connection, exchange }) = left.client.take() else { return };
    left.client = Some(Client { connection, exchange: Arc::new(Exchange::default()) });
    exchange.last_word.leave(move |given_up| tell_seen(given_up, &left));
}
