//! The one `ProxyHttp`: each hook takes from the context, calls one function and
//! stores the result. Must not know the configuration file or the process.

mod choose;
mod context;
mod fail;
mod forward;
mod framing;
mod front;
mod intake;
mod mirror;
mod record;
mod rehearse;
mod reply;
mod retry;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use pingora::{Error, Result};
use pingora_core::protocols::Digest;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

pub use crate::filter::Cause;
use crate::filter::Reply;
use crate::runtime::Live;
pub use context::RequestCtx;
pub use front::Front;
use mirror::Mirrors;
pub use rehearse::{End, Rehearsal, rehearse};

/// The service that Pingora drives.
#[derive(Debug)]
pub struct Proxy {
    live: Arc<Live>,
    mirrors: Mirrors,
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = RequestCtx;

    fn new_ctx(&self) -> RequestCtx {
        RequestCtx::new(self.live.pin())
    }

    /// Pingora's own default would load a compression module for every request.
    fn init_downstream_modules(&self, _modules: &mut pingora_core::modules::http::HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, ctx: &mut RequestCtx) -> Result<()> {
        forward::set_client_deadlines(session, ctx);
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut RequestCtx) -> Result<bool> {
        let local = match intake::admit(session, ctx) {
            Ok(()) => forward::local_reply(session.req_header(), ctx),
            Err(cause) => Some(Reply::Error(cause)),
        };
        ctx.part = choose::part(session.req_header(), ctx);
        match local {
            Some(reply) => reply::send(session, ctx, reply).await.map(|()| true),
            None => Ok(false),
        }
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut RequestCtx) -> Result<Box<HttpPeer>> {
        choose::next_peer(session, ctx).await
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut RequestCtx,
        mut e: Box<Error>,
    ) -> Box<Error> {
        e.set_retry(retry::after_connecting(ctx, &e));
        e
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut e: Box<Error>,
        ctx: &mut RequestCtx,
        client_reused: bool,
    ) -> Box<Error> {
        e.set_retry(retry::after_sending(session, ctx, &e, client_reused));
        e
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        reused: bool,
        _peer: &HttpPeer,
        fd: std::os::unix::io::RawFd,
        digest: Option<&Digest>,
        ctx: &mut RequestCtx,
    ) -> Result<()> {
        ctx.attempt.reused = reused;
        ctx.attempt.sent += 1;
        if let Some(pick) = ctx.attempt.pick.as_ref().filter(|_| !reused) {
            pick.server.note_connection(fd, digest.and_then(|digest| digest.socket_digest.as_ref()));
        }
        ctx.attempt.connect = ctx.attempt.began.filter(|_| !reused).map(|began| began.elapsed());
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        upstream_request: &mut RequestHeader,
        ctx: &mut RequestCtx,
    ) -> Result<()> {
        forward::prepare_request(session, upstream_request, ctx)?;
        ctx.mirror = self.mirrors.begin(session, upstream_request, ctx);
        Ok(())
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut RequestCtx,
    ) -> Result<()> {
        mirror::copy(ctx, body.as_ref(), end_of_stream);
        forward::follow_body(session, body);
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        upstream_response: &mut ResponseHeader,
        ctx: &mut RequestCtx,
    ) -> Result<()> {
        retry::note_response(session, upstream_response, ctx)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        upstream_response: &mut ResponseHeader,
        ctx: &mut RequestCtx,
    ) -> Result<()> {
        forward::prepare_response(session, upstream_response, ctx)
    }

    async fn fail_to_proxy(&self, session: &mut Session, e: &Error, ctx: &mut RequestCtx) -> FailToProxy {
        let cause = ctx.refused.unwrap_or_else(|| fail::cause_of(e));
        log::debug!("request {:016x}: {e}", ctx.request_id);
        ctx.failure = Some(cause);
        if forward::is_unanswered(session) && cause != fail::Cause::ClientGone {
            session.set_keepalive(None);
            if let Err(e) = reply::send(session, ctx, Reply::Error(cause)).await {
                log::debug!("request {:016x}: the client did not take the reply: {e}", ctx.request_id);
            }
            ctx.attempt.leave();
            forward::drain(session, cause).await;
        }
        FailToProxy { error_code: cause.status(), can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, e: Option<&Error>, ctx: &mut RequestCtx) {
        retry::note_end(ctx, e.is_some());
        record::log(session, ctx);
    }

    /// The access log says it, with the request id.
    fn suppress_error_log(&self, _session: &Session, _ctx: &RequestCtx, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _ctx: &RequestCtx,
        _error: &Error,
        _context: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}
