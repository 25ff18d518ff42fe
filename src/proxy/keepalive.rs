//! Whether the client's connection goes on after a response, and what becomes of a request
//! body that nobody has read by then.

use std::time::Duration;

use http::{Method, StatusCode, header};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::context::RequestCtx;
use crate::filter::Cause;
use crate::telemetry::ErrorSource;

/// How long a client that got a response in place of 100 may take to close the connection.
const LINGER: Duration = Duration::from_secs(2);

/// The driver reads the rest of a body after a final response, for a while, so that the
/// connection can go on. But a client that waited for 100 may send its next request instead
/// of the body (RFC 9110 section 10.1.1), and the proxy cannot tell the two apart, so that
/// the connection is closed after the response. Returns whether some of the body is still to
/// come.
pub fn close_if_body_is_withheld(session: &mut Session, ctx: &RequestCtx) -> bool {
    let unfinished = !session.as_mut().is_body_done();
    if unfinished && session.req_header().headers.contains_key(header::EXPECT) {
        ctx.close_connection();
    }
    unfinished
}

/// Has the driver know when nothing follows the head of an upstream's response, while the
/// client has still to send some of its body.
pub fn end_bodyless_response(session: &Session, head: &ResponseHeader, ctx: &RequestCtx) {
    let empty = || head.headers.get(header::CONTENT_LENGTH).is_some_and(|length| length == "0");
    let bodyless = matches!(head.status.as_u16(), 204 | 304) || session.req_header().method == Method::HEAD || empty();
    if let Some(exchange) = ctx.exchange().filter(|_| bodyless) {
        exchange.end_response();
    }
}

/// The same at the end of a response's body. The end of one direction of a tunnel is not that of the
/// other.
pub fn end_response(session: &mut Session, ctx: &RequestCtx) {
    if !session.as_mut().is_body_done()
        && !session.was_upgraded()
        && let Some(exchange) = ctx.exchange()
    {
        exchange.end_response();
    }
}

/// Whether the client waits for 100 before it sends its body (RFC 9110 section 10.1.1).
fn waits_for_continue(session: &Session) -> bool {
    session.req_header().headers.contains_key(header::EXPECT) && session.body_bytes_read() == 0
}

/// Ends the connection of a client that had its response before it sent all of its body.
/// Whether that is a failure: not of one that waited for 100 and got the response instead.
pub async fn give_up_rest_of_body(session: &mut Session) -> bool {
    if !waits_for_continue(session) {
        return true;
    }
    // The client may have begun to send: it sees the end, and what it sent is read, for closing
    // at once would destroy the response on its way.
    session.as_mut().shutdown().await;
    session.set_total_drain_timeout(Some(LINGER));
    if let Err(e) = session.as_mut().drain_request_body().await {
        log::debug!("the body that was not sent: {e}");
    }
    false
}

/// Reads the rest of a body: a client that still sends would lose a response to a
/// connection that is closed at once.
pub async fn discard_body(session: &mut Session, cause: Cause) {
    let waits = waits_for_continue(session);
    match cause.source() {
        // What it sends is not worth reading.
        ErrorSource::Client => {}
        ErrorSource::Proxy | ErrorSource::Upstream if waits => {}
        ErrorSource::Proxy | ErrorSource::Upstream => {
            if let Err(e) = session.as_mut().drain_request_body().await {
                log::debug!("the rest of a body was not read: {e}");
            }
        }
    }
}

/// Whether a final response can still be given: 101 is one, other 1xx are not.
pub fn is_unanswered(session: &Session) -> bool {
    session
        .response_written()
        .is_none_or(|head| head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS)
}
