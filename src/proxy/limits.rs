//! How much a request may have of the proxy: whether its connection was let in, how large its
//! messages may be, and its place among those that the route has at its upstream.

use std::time::Instant;

use http::{HeaderValue, StatusCode, header};
use pingora::Result;
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::context::RequestCtx;
use super::deadlines;
use super::error::Refusal;
use super::waiting::while_client_stays;
use crate::downstream::Excess;
use crate::filter::Cause;
use crate::upstream::{NoPlace, Place};

/// What a client is told to wait before it tries again, in seconds.
const RETRY_AFTER: u64 = 1;

/// # Errors
/// When the connection is one too many.
pub fn check_connection(ctx: &RequestCtx) -> Result<()> {
    let Some(excess) = ctx.connection().and_then(|connection| connection.excess) else { return Ok(()) };
    let cause = match excess {
        Excess::Connections => Cause::ConnectionLimit,
        Excess::OfAddress => Cause::ConnectionsOfAddress,
    };
    Err(Refusal { cause, retry_after: Some(RETRY_AFTER) }.into())
}

/// Sets the bounds of the route.
///
/// # Errors
/// When the body says that it is larger than it may be: nothing of it is read.
pub fn begin_route(session: &mut Session, ctx: &RequestCtx) -> Result<()> {
    let (Some(route), Some(exchange)) = (ctx.route(), ctx.exchange()) else { return Ok(()) };
    exchange.limits.set_response_head(route.limits.response_headers);
    if let Some(most) = route.limits.request_body {
        exchange.limits.set_request_body(most);
    }
    let is_refused = !session.as_mut().is_body_empty() && is_body_too_large(session.req_header(), ctx);
    if is_refused { Err(Refusal::of(Cause::BodyTooLarge).into()) } else { Ok(()) }
}

/// Whether the body says that it is larger than the route lets it be.
pub fn is_body_too_large(request: &RequestHeader, ctx: &RequestCtx) -> bool {
    let Some(most) = ctx.route().and_then(|route| route.limits.request_body) else { return false };
    let length = request.headers.get(header::CONTENT_LENGTH).and_then(length);
    length.is_some_and(|length| length > u64::try_from(most).unwrap_or(u64::MAX))
}

fn length(field: &HeaderValue) -> Option<u64> {
    field.to_str().ok()?.parse().ok()
}

/// A place among the requests that the route has at its upstream, if it limits them.
///
/// # Errors
/// When there is none, and none comes up in time.
pub async fn take_place(session: &mut Session, ctx: &mut RequestCtx) -> Result<Option<Place>> {
    let Some(concurrency) = ctx.route().and_then(|route| route.concurrency.clone()) else { return Ok(None) };
    let taken = match concurrency.take() {
        Err(NoPlace::Full) if concurrency.has_queue() => {
            deadlines::wait_for_server(ctx);
            let began = Instant::now();
            let outcome = while_client_stays(session, concurrency.wait()).await;
            ctx.attempts.waited(began);
            outcome?
        }
        taken => taken,
    };
    let cause = match taken {
        Ok(place) => return Ok(Some(place)),
        Err(NoPlace::Full) => Cause::ConcurrencyLimit,
        Err(NoPlace::Timeout) => Cause::ConcurrencyTimeout,
    };
    Err(Refusal { cause, retry_after: Some(RETRY_AFTER) }.into())
}

/// The upstream's answer to the request begins.
pub fn note_answer(status: StatusCode, ctx: &mut RequestCtx) {
    if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    let is_tunnel = ctx.exchange().is_some_and(|exchange| exchange.is_tunnel());
    let Some(place) = &mut ctx.place else { return };
    // An error may come at once, however long the upstream takes for what succeeds.
    if !status.is_server_error() {
        place.answered();
    }
    if is_tunnel {
        ctx.place = None;
    }
}

/// The request failed: that its upstream did not answer in time says how long it takes.
pub fn note_failure(cause: Cause, ctx: &mut RequestCtx) {
    if let (Cause::ResponseTimeout | Cause::ReadTimeout, Some(place)) = (cause, &mut ctx.place) {
        place.answered();
    }
}
