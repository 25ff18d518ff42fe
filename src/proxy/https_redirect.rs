//! `redirect_https` of a listener: each of its requests is sent to the same place by HTTPS.

use bytes::Bytes;
use http::StatusCode;
use pingora_http::RequestHeader;

use super::admission::{Admission, origin_form};
use super::context::RequestCtx;
use crate::downstream::ClientConnection;
use crate::filter::{Cause, Reply};
use crate::listener::ListenerIndex;
use crate::runtime::Snapshot;

/// The redirect of a request that came without TLS to such a listener. What a trusted proxy has
/// taken by HTTPS goes on, and what is no request is told so.
pub fn reply(head: &RequestHeader, ctx: &RequestCtx) -> Option<Reply> {
    on(head, ctx.connection()?, &ctx.admission, &ctx.snapshot)
}

/// The same for a request on this connection, be it a live one or one that is only asked about.
pub fn on(
    head: &RequestHeader,
    connection: &ClientConnection,
    admission: &Admission,
    snapshot: &Snapshot,
) -> Option<Reply> {
    let entrance = snapshot.entrances.get(ListenerIndex(connection.listener))?;
    if !entrance.redirect_https || admission.scheme == "https" {
        return None;
    }
    match admission.route {
        Ok(_) | Err(Cause::NoRoute) => {}
        Err(_) => return None,
    }
    let name = admission.host_name();
    if name.is_empty() {
        // A request of HTTP/1.0 that does not say where it goes (RFC 9110 section 15.5.22).
        let body = Bytes::from_static(b"this port only leads to HTTPS, and the request names no host\n");
        return Some(Reply::Respond { status: StatusCode::UPGRADE_REQUIRED, body, headers: Vec::new() });
    }
    let target = origin_form(head).ok()?;
    let target = if target == "*" { "/" } else { &target };
    Some(Reply::Redirect { location: format!("https://{name}{target}"), status: StatusCode::PERMANENT_REDIRECT })
}
