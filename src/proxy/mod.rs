//! The one `ProxyHttp`: each hook takes from the context, calls a function and stores the
//! result.

mod access_record;
mod admission;
mod asked;
mod attempts;
mod basic_auth;
mod context;
mod deadlines;
mod ending;
mod error;
mod explain;
mod finished;
mod forward_auth;
mod framing;
mod grpc;
mod grpc_web;
mod http_proxy;
mod https_redirect;
mod keepalive;
mod limits;
mod local_reply;
mod metering;
mod mirror;
mod oidc;
mod outcome;
mod reply;
mod request;
mod request_id;
mod response;
mod retry;
mod routing;
mod select_peer;
mod server_timing;
mod service;
mod shared_limit;
mod spans;
mod told;
mod tracing;
mod waiting;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use pingora::{Error, Result};
use pingora_core::protocols::Digest;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use crate::filter::Cause;
use crate::runtime::Live;
use crate::upstream::Connector;
pub use asked::{Asked, parse_header};
use context::Client;
pub use context::RequestCtx;
use error::Refusal;
pub use explain::{Explanation, explain};
use grpc_web::{GrpcWeb, NotBase64};
use mirror::Mirrors;
pub use outcome::{Forecast, Outcome, forecast};
pub use routing::Decision;
pub use service::{HttpService, HttpServiceParts};
pub use told::Told;

/// The service that Pingora drives.
#[derive(Debug)]
pub struct Proxy {
    live: Arc<Live>,
    mirrors: Arc<Mirrors>,
    /// The worker's connections for questions of its own.
    asking: Connector,
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
        ctx.client = Some(Client::of(session)?);
        deadlines::begin_request(session, ctx);
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut RequestCtx) -> Result<bool> {
        let Some(client) = &ctx.client else { return Err(Refusal::of(Cause::Internal).into()) };
        ctx.admission = admission::decide(session.req_header(), &client.connection, &ctx.snapshot);
        request_id::take(session.req_header(), ctx);
        ctx.trace = tracing::begin(session.req_header(), ctx);
        limits::check_connection(ctx)?;
        if let Some(reply) = https_redirect::reply(session.req_header(), ctx) {
            return reply::send(session, ctx, reply).await.map(|()| true);
        }
        ctx.admission.route.map_err(Refusal::of)?;
        limits::begin_route(session, ctx)?;
        deadlines::begin_route(ctx);
        ctx.split_index = select_peer::split_index(session.req_header(), ctx);
        ctx.grpc_web = GrpcWeb::of(session.req_header(), ctx);
        match local_reply::before_upstream(&self.asking, session, ctx).await {
            Some(reply) => reply::send(session, ctx, reply).await.map(|()| true),
            None => {
                ctx.place = limits::take_place(session, ctx).await?;
                Ok(false)
            }
        }
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut RequestCtx) -> Result<Box<HttpPeer>> {
        select_peer::select_peer(session, ctx).await
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut RequestCtx,
        e: Box<Error>,
    ) -> Box<Error> {
        retry::after_connecting(ctx, e)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        e: Box<Error>,
        ctx: &mut RequestCtx,
        client_reused: bool,
    ) -> Box<Error> {
        retry::after_sending(session, ctx, e, client_reused)
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
        ctx.attempts.connected(reused, fd, digest);
        tracing::connected(ctx);
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        upstream_request: &mut RequestHeader,
        ctx: &mut RequestCtx,
    ) -> Result<()> {
        request::edit_live_request(session, upstream_request, ctx)?;
        ctx.mirror = self.mirrors.begin_copy(session, upstream_request, ctx);
        request::attach_exchange(session, upstream_request, ctx);
        ctx.grpc_web.as_mut().map_or(Ok(()), |call| call.edit_request(upstream_request))
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut RequestCtx,
    ) -> Result<()> {
        mirror::copy(ctx, body.as_ref(), end_of_stream);
        if let Some(call) = &mut ctx.grpc_web
            && let Err(NotBase64) = call.edit_request_body(body, end_of_stream)
        {
            // The server sees a message that is shorter than it says, if any of it has come so far.
            *body = Some(Bytes::new());
            ctx.client.iter().for_each(|client| client.exchange.limits.refuse_body());
        }
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
        response::prepare_response(session, upstream_response, ctx)?;
        limits::note_answer(upstream_response.status, ctx);
        ctx.grpc_web.as_mut().map_or(Ok(()), |call| call.edit_response(upstream_response))
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut RequestCtx,
    ) -> Result<Option<std::time::Duration>> {
        if let Some(call) = &ctx.grpc_web {
            call.edit_response_body(body);
        }
        if end_of_stream {
            response::end_response(session, ctx);
        }
        Ok(None)
    }

    async fn response_trailer_filter(
        &self,
        session: &mut Session,
        trailers: &mut HeaderMap,
        ctx: &mut RequestCtx,
    ) -> Result<Option<Bytes>> {
        response::end_response(session, ctx);
        Ok(ctx.grpc_web.as_ref().and_then(|call| call.trailers(trailers)))
    }

    async fn fail_to_proxy(&self, session: &mut Session, e: &Error, ctx: &mut RequestCtx) -> FailToProxy {
        log::debug!("request {}: {e}", ctx.request_id);
        let refusal = Refusal::of_error(e, ctx.attempts.status.is_some());
        limits::note_failure(refusal.cause, ctx);
        let can_reuse_downstream = reply::fail(session, ctx, refusal).await;
        FailToProxy { error_code: refusal.cause.status(), can_reuse_downstream }
    }

    async fn logging(&self, session: &mut Session, e: Option<&Error>, ctx: &mut RequestCtx) {
        retry::note_end(ctx, e.is_some());
        finished::tell(session, ctx);
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
