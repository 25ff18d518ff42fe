//! Whether a request is tried again: never once the client has seen some of a response.
//! What a failure says of its server is recorded here, too.

use std::sync::Arc;
use std::time::Instant;

use http::{StatusCode, header};
use pingora::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::attempts::Attempts;
use super::context::RequestCtx;
use super::error::{Refusal, cause_of};
use super::keepalive::is_unanswered;
use super::tracing;
use crate::config::{Retry, RetryMethods, RetryReason};
use crate::filter::Cause;
use crate::upstream::Pool;
use crate::upstream::http1::idle_limit;

/// Servers that one request finds dead, before it gives up.
const MOST_PASSED_OVER: usize = 32;

/// A connection was never made, so that nothing was sent: any method may go elsewhere. The
/// error says whether it does.
pub fn after_connecting(ctx: &mut RequestCtx, mut error: Box<Error>) -> Box<Error> {
    error.set_retry(false);
    let cause = cause_of(&error, false);
    tracing::end_attempt(ctx, Some(cause));
    let Some(pool) = ctx.pool().map(Arc::clone) else { return error };
    if cause == Cause::ResourcesExhausted {
        // Ours; another server would not help.
        return error;
    }
    record_failure(ctx, &pool, cause.message());
    let rules = pool.retry();
    let may = rules.is_on(RetryReason::Connect) && rules.attempts > 1 && has_time(ctx);
    if may && ctx.attempts.tried.len() < MOST_PASSED_OVER && pool.has_another(&ctx.attempts.tried) {
        error.set_retry(true);
    } else if may && ctx.attempts.tried.len() > 1 {
        return Refusal { cause: Cause::NoneReached, retry_after: Some(1) }.because(&error);
    }
    error
}

/// The request was sent, at least in part. The error says whether it is sent again.
pub fn after_sending(session: &mut Session, ctx: &mut RequestCtx, mut error: Box<Error>, reused: bool) -> Box<Error> {
    error.set_retry(false);
    if std::mem::take(&mut ctx.attempts.retry_for_status) {
        tracing::end_attempt(ctx, None);
        error.set_retry(true);
        return error;
    }
    let Some(pool) = ctx.pool().map(Arc::clone) else { return error };
    let answered = ctx.attempts.status.is_some();
    let cause = cause_of(&error, answered);
    tracing::end_attempt(ctx, Some(cause));
    if cause == Cause::RequestTimeout && !answered && !session.as_mut().is_body_done() {
        return Refusal::of(Cause::BodyTooSlow).because(&error);
    }
    let wanted = wants_retry(ctx, &pool, cause, reused);
    if wanted && !answered && may_be_sent_again(session, ctx, &pool) {
        use_free_retry(&mut ctx.attempts);
        error.set_retry(true);
    }
    error
}

/// Records what a failed attempt says of its server. Returns whether the upstream's `retry`
/// wants another one.
fn wants_retry(ctx: &mut RequestCtx, pool: &Pool, cause: Cause, reused: bool) -> bool {
    let (rules, answered) = (pool.retry(), ctx.attempts.status.is_some());
    ctx.attempts.unprocessed = cause == Cause::RequestRefused;
    match cause {
        Cause::RequestRefused => {
            // It is busy or about to end, which is no failure of it.
            if pool.available() > 1 {
                mark_tried(ctx);
            }
            rules.is_on(RetryReason::Connect)
        }
        Cause::RequestReset => {
            record_failure(ctx, pool, cause.message());
            rules.is_on(RetryReason::Reset)
        }
        Cause::UpstreamClosed | Cause::UpstreamTruncated => {
            // A server may close an idle connection at any time: that is no failure of it.
            let stale = reused && !answered;
            ctx.attempts.needs_new_connection = stale;
            match stale {
                false => record_failure(ctx, pool, cause.message()),
                true if pool.available() > 1 => mark_tried(ctx),
                true => {}
            }
            rules.is_on(RetryReason::Reset)
        }
        Cause::ResponseTimeout | Cause::ReadTimeout | Cause::SendTimeout => {
            record_failure(ctx, pool, cause.message());
            rules.is_on(RetryReason::Timeout) && pool.has_another(&ctx.attempts.tried)
        }
        Cause::RequestTimeout if answered => false,
        Cause::RequestTimeout
        | Cause::UpstreamInvalid
        | Cause::UpstreamFields
        | Cause::UpstreamHeadTooLarge
        | Cause::UpstreamCoding
        | Cause::TlsFailed => {
            record_failure(ctx, pool, cause.message());
            false
        }
        _ => false,
    }
}

/// Does not count an attempt whose pooled connection was dead before it was used, or at which no
/// server looked. Only the first such attempt is not counted: the server may be about to reset the next connection,
/// too.
fn use_free_retry(attempts: &mut Attempts) {
    if is_free_retry(attempts) {
        attempts.free_retry_used = true;
        attempts.sent = attempts.sent.saturating_sub(1);
    }
}

/// What the log and the pool learn of the upstream's answer, and whether it is wanted.
///
/// # Errors
/// When it is to be tried again, or is no answer.
pub fn note_response(session: &Session, head: &ResponseHeader, ctx: &mut RequestCtx) -> Result<()> {
    if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(());
    }
    ctx.attempts.status = Some(head.status.as_u16());
    let now = Instant::now();
    ctx.attempts.ttfb = Some(now.saturating_duration_since(ctx.started));
    tracing::answered(ctx, head.status.as_u16());
    let Some(pool) = ctx.pool().map(Arc::clone) else { return Ok(()) };
    if let Some(pick) = &ctx.attempts.pick {
        let began = ctx.attempts.began.iter();
        began.for_each(|began| pick.metrics().answered(now.saturating_duration_since(*began)));
        // They say it in each answer; the first one of a connection is enough.
        if !ctx.attempts.reused
            && let Some(limit) = idle_limit(head)
        {
            pick.endpoint.note_idle_limit(limit);
        }
        if pool.is_failure(head.status.as_u16()) {
            pool.record_failure(&pick.endpoint, &format!("it answered {}", head.status.as_u16()));
        }
    }
    if pool.retry().statuses.contains(&head.status) {
        mark_tried(ctx);
        if may_be_sent_again(session, ctx, &pool) {
            ctx.attempts.retry_for_status = true;
            ctx.attempts.status = None;
            return Err(Error::explain(ErrorType::HTTPStatus(head.status.as_u16()), "tried again").into_up());
        }
    }
    Ok(())
}

/// Whether a server did what it should is known at the end of its answer.
pub fn note_end(ctx: &RequestCtx, failed: bool) {
    let (Some(pool), Some(pick), Some(status)) = (ctx.pool(), &ctx.attempts.pick, ctx.attempts.status) else { return };
    if !failed && !pool.is_failure(status) {
        pool.record_success(&pick.endpoint);
    }
}

fn may_be_sent_again(session: &Session, ctx: &RequestCtx, pool: &Pool) -> bool {
    let rules = pool.retry();
    ctx.attempts.sent < rules.attempts
        && has_time(ctx)
        && is_unanswered(session)
        && (ctx.attempts.unprocessed || fits_methods(session, rules))
        && is_whole_body_kept(session, rules)
        && (is_free_retry(&ctx.attempts) || pool.may_retry(Instant::now()))
}

/// Whether the next attempt replaces one whose pooled connection was dead before it was used, or
/// at which no server looked, for the first time. It adds no load to the upstream, so that it needs nothing of the
/// retry budget: a server that restarts takes a whole pool of connections with it.
fn is_free_retry(attempts: &Attempts) -> bool {
    (attempts.needs_new_connection || attempts.unprocessed) && !attempts.free_retry_used
}

fn fits_methods(session: &Session, rules: &Retry) -> bool {
    let method = &session.req_header().method;
    match rules.methods {
        RetryMethods::Idempotent => method.is_idempotent(),
        RetryMethods::Safe => method.is_safe(),
    }
}

/// Of what was read of it so far; the rest is still to come from the client.
fn is_whole_body_kept(session: &Session, rules: &Retry) -> bool {
    // A client that waited for 100 has been told to send it once.
    let expects = session.req_header().headers.contains_key(header::EXPECT);
    let read = session.body_bytes_read();
    !session.as_ref().retry_buffer_truncated() && read <= rules.body_buffer && !(expects && read > 0)
}

fn has_time(ctx: &RequestCtx) -> bool {
    ctx.deadline().is_none_or(|deadline| deadline > Instant::now())
}

fn record_failure(ctx: &mut RequestCtx, pool: &Pool, reason: &str) {
    if let Some(pick) = &ctx.attempts.pick {
        pool.record_failure(&pick.endpoint, reason);
    }
    mark_tried(ctx);
}

fn mark_tried(ctx: &mut RequestCtx) {
    let tried = &mut ctx.attempts.tried;
    if let Some(pick) = &ctx.attempts.pick
        && !tried.iter().any(|server| Arc::ptr_eq(server, &pick.endpoint))
    {
        tried.push(Arc::clone(&pick.endpoint));
    }
}
