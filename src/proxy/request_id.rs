//! Who is told the id of a request, and whose word for it is taken.

use http::HeaderValue;
use pingora_http::{RequestHeader, ResponseHeader};

use super::context::RequestCtx;
use crate::config::RequestIdField;
use crate::filter::Edited;
use crate::filter::forwarding::X_REQUEST_ID;
use crate::message::request_id::RequestId;

/// Takes the id that a trusted proxy in front has given the request.
pub fn take(request: &RequestHeader, ctx: &mut RequestCtx) {
    if !ctx.admission.remote_trusted || ctx.snapshot.request_id == RequestIdField::Off {
        return;
    }
    if let Some(given) = request.headers.get(&X_REQUEST_ID.name).and_then(|id| RequestId::taken(id.as_bytes())) {
        ctx.request_id = given;
    }
}

/// What the upstream is told, whatever the client said there.
pub fn for_upstream(ctx: &RequestCtx) -> Option<HeaderValue> {
    let wanted = matches!(ctx.snapshot.request_id, RequestIdField::Both | RequestIdField::Upstream);
    wanted.then(|| field(ctx)).flatten()
}

/// Tells the client, whatever the upstream said there.
pub fn tell_client(response: &mut Edited<'_, ResponseHeader>, ctx: &RequestCtx) {
    let wanted = matches!(ctx.snapshot.request_id, RequestIdField::Both | RequestIdField::Client);
    if let Some(id) = wanted.then(|| field(ctx)).flatten() {
        response.set_known(&X_REQUEST_ID, id);
    }
}

/// Made once, for both sides.
fn field(ctx: &RequestCtx) -> Option<HeaderValue> {
    ctx.request_id_field.get_or_init(|| ctx.request_id.to_field()).clone()
}
