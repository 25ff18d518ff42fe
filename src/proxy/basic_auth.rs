//! The step that checks a password which is not known yet, beside the threads that serve clients.

use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::context::RequestCtx;
use super::waiting::while_client_stays;
use crate::filter::{Cause, Entry, Reply};

/// Why the request may not pass, as far as is known without a check of its password.
pub fn known_denial(head: &RequestHeader, ctx: &mut RequestCtx) -> Option<Cause> {
    let snapshot = std::sync::Arc::clone(&ctx.snapshot);
    let rule = snapshot.routes.get(ctx.admission.route.ok()?)?.filters.basic()?;
    match rule.enter(&head.headers, &mut ctx.findings) {
        Entry::Denied(cause) => Some(cause),
        Entry::Granted | Entry::Check(_) => None,
    }
}

/// The reply to who may not pass.
pub async fn reply(session: &mut Session, ctx: &mut RequestCtx) -> Option<Reply> {
    let snapshot = std::sync::Arc::clone(&ctx.snapshot);
    let rule = snapshot.routes.get(ctx.admission.route.ok()?)?.filters.basic()?;
    let client = ctx.admission.client_ip;
    let entry = match rule.enter(&session.req_header().headers, &mut ctx.findings) {
        Entry::Check(check) => match while_client_stays(session, check.run(client)).await {
            Ok(checked) => rule.conclude(checked, &mut ctx.findings),
            Err(_) => return Some(Reply::Error(Cause::ClientGone)),
        },
        decided @ (Entry::Granted | Entry::Denied(_)) => decided,
    };
    match entry {
        Entry::Granted => None,
        Entry::Denied(cause) => Some(Reply::Error(cause)),
        Entry::Check(_) => Some(Reply::Error(Cause::Internal)),
    }
}
