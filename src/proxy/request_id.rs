//! Who is told the id of a request, and whose word for it is taken.

use http::HeaderName;
use pingora_http::{RequestHeader, ResponseHeader};

use super::context::RequestCtx;
use crate::config::RequestIdField;
use crate::filter::Edited;
use crate::message::request_id::RequestId;

const NAME: &str = "X-Request-Id";
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Takes the id that a trusted proxy in front has given the request.
pub fn take(request: &RequestHeader, ctx: &mut RequestCtx) {
    if !ctx.admission.remote_trusted || ctx.snapshot.request_id == RequestIdField::Off {
        return;
    }
    if let Some(given) = request.headers.get(X_REQUEST_ID).and_then(|id| RequestId::taken(id.as_bytes())) {
        ctx.request_id = given;
    }
}

/// Tells the upstream, whatever the client said there.
pub fn tell_upstream(upstream: &mut Edited<'_, RequestHeader>, ctx: &RequestCtx) {
    let wanted = matches!(ctx.snapshot.request_id, RequestIdField::Both | RequestIdField::Upstream);
    if let Some(id) = wanted.then(|| ctx.request_id.to_field()).flatten() {
        upstream.set(NAME, id);
    }
}

/// Tells the client, whatever the upstream said there.
pub fn tell_client(response: &mut Edited<'_, ResponseHeader>, ctx: &RequestCtx) {
    let wanted = matches!(ctx.snapshot.request_id, RequestIdField::Both | RequestIdField::Client);
    if let Some(id) = wanted.then(|| ctx.request_id.to_field()).flatten() {
        response.set(NAME, id);
    }
}
