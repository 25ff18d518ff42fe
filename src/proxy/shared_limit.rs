//! The step that asks the stores of the limits which several proxies share.

use pingora_http::RequestHeader;

use super::context::RequestCtx;
use crate::filter::{FilterContext, Findings, Reply};

/// The reply to a request that is above such a limit. Each limit waits for its store no longer than
/// its `store_timeout`, and decides by what this process has counted when that has passed.
pub async fn ask(head: &RequestHeader, ctx: &mut RequestCtx) -> Option<Reply> {
    if ctx.route()?.filters.shared_limits().is_empty() {
        return None;
    }
    let mut findings = std::mem::take(&mut ctx.findings);
    let reply = ask_each(head, ctx, &mut findings).await;
    ctx.findings = findings;
    reply
}

/// Asks up to the first limit that refuses.
async fn ask_each(head: &RequestHeader, ctx: &RequestCtx, findings: &mut Findings) -> Option<Reply> {
    let mut cx = FilterContext { request: ctx.request(head), findings };
    for limit in ctx.route()?.filters.shared_limits() {
        if let Some(reply) = limit.ask(&mut cx).await {
            return Some(reply);
        }
    }
    None
}
