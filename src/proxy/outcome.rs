//! What would become of a request that no client has sent, for `explain` and `replay`. It asks the functions
//! that serve a request, and opens no connection.

use std::sync::Arc;

use http::StatusCode;
use pingora_http::RequestHeader;

use super::admission::{self, Admission};
use super::context::RequestCtx;
use super::{basic_auth, https_redirect, limits, local_reply, request, select_peer};
use crate::auth::OidcFault;
use crate::config::Underscores;
use crate::downstream::ClientConnection;
use crate::downstream::http1::Head;
use crate::filter::{Cause, Reply};
use crate::http1::spelling;
use crate::message::request_id::RequestId;
use crate::route::RouteIndex;
use crate::runtime::Snapshot;
use crate::upstream::PickRequest;

#[derive(Debug)]
pub enum Outcome {
    Refused(Cause),
    /// The request line and fields as they came, which a forecast leaves out, and as they go up.
    Forwarded {
        upstream: Arc<str>,
        came: Vec<String>,
        sent: Vec<String>,
        underscores: Underscores,
    },
    Redirected {
        status: StatusCode,
        location: String,
    },
    Answered {
        status: StatusCode,
    },
}

/// Whether a server of the upstream is chosen for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Server {
    /// One that may have requests now.
    Picked,
    /// None, so that nothing depends on which of them are well or whose turn it is.
    Any,
}

/// What would become of a recorded request.
#[derive(Debug)]
pub struct Forecast {
    /// `None` where no route takes it.
    pub route: Option<RouteIndex>,
    pub remote_trusted: bool,
    pub outcome: Outcome,
}

/// `head`: a whole request's, as it would come over the wire; `connection`: on which it would.
pub fn forecast(head: &[u8], connection: &Arc<ClientConnection>, snapshot: &Arc<Snapshot>) -> Forecast {
    let refused = |cause| Forecast { route: None, remote_trusted: false, outcome: Outcome::Refused(cause) };
    let request = match Head::read(head, (&snapshot.limits).into()) {
        Ok(Some(read)) => read.request,
        Ok(None) => return refused(Cause::RequestInvalid),
        Err(malformed) => return refused(malformed.into()),
    };
    let admission = admission::decide(&request, connection, snapshot);
    let remote_trusted = admission.remote_trusted;
    if let Some(reply) = https_redirect::on(&request, connection, &admission, snapshot) {
        return Forecast { route: None, remote_trusted, outcome: of_reply(reply) };
    }
    let route = admission.route.ok();
    Forecast { route, remote_trusted, outcome: of(&request, connection, admission, snapshot, Server::Any) }
}

/// What becomes of a request that was admitted, or refused there.
pub(super) fn of(
    request: &RequestHeader,
    connection: &ClientConnection,
    admission: Admission,
    snapshot: &Arc<Snapshot>,
    server: Server,
) -> Outcome {
    if let Err(cause) = admission.route {
        return Outcome::Refused(cause);
    }
    let mut ctx = RequestCtx::new(Arc::clone(snapshot));
    ctx.request_id = RequestId::example();
    ctx.admission = admission;
    if limits::is_body_too_large(request, &ctx) {
        return Outcome::Refused(Cause::BodyTooLarge);
    }
    if let Some(reply) = local_reply::of_filters(request, &mut ctx) {
        return of_login(&reply, &ctx).unwrap_or_else(|| of_reply(reply));
    }
    // A log that requests are replayed from has no passwords.
    if let (Server::Picked, Some(cause)) = (server, basic_auth::known_denial(request, &mut ctx)) {
        return Outcome::Refused(cause);
    }
    if let Some(reply) = local_reply::of_action(request, &ctx) {
        return of_reply(reply);
    }
    ctx.split_index = select_peer::split_index(request, &ctx);
    let Some(pool) = ctx.pool().cloned() else { return Outcome::Refused(Cause::Internal) };
    if server == Server::Picked {
        ctx.attempts.pick = match pool.try_pick(&PickRequest::default()) {
            Ok(pick) => Some(pick),
            Err(unavailable) => return Outcome::Refused(select_peer::cause_of(unavailable)),
        };
    }
    let mut upstream = request.clone();
    if let Err(cause) = request::edit_request(request, connection, &mut upstream, &ctx) {
        return Outcome::Refused(cause);
    }
    Outcome::Forwarded {
        upstream: Arc::clone(&pool.name),
        came: if server == Server::Picked { lines(request) } else { Vec::new() },
        sent: lines(&upstream),
        underscores: snapshot.underscores,
    }
}

/// What becomes of a browser without a session, where nobody has fetched what is to be known of the provider.
fn of_login(reply: &Reply, ctx: &RequestCtx) -> Option<Outcome> {
    let rule = ctx.route()?.filters.oidc()?;
    let is_login = matches!(reply, Reply::Error(Cause::LoginRefused(OidcFault::NotReady)));
    let location = format!("the login of {}", rule.provider.issuer);
    is_login.then_some(Outcome::Redirected { status: StatusCode::FOUND, location })
}

pub(super) fn of_reply(reply: Reply) -> Outcome {
    match reply {
        Reply::Error(cause) => Outcome::Refused(cause),
        Reply::Redirect { location, status } => Outcome::Redirected { status, location },
        Reply::Respond { status, .. } => Outcome::Answered { status },
        // Nobody asks the provider here; it would lead there.
        Reply::ExchangeCode(exchange) => Outcome::Redirected { status: StatusCode::SEE_OTHER, location: exchange.to },
    }
}

fn lines(request: &RequestHeader) -> Vec<String> {
    let joined = |first: &[u8], between: &str, second: &[u8]| {
        let mut line = String::with_capacity(first.len() + between.len() + second.len());
        line.push_str(&String::from_utf8_lossy(first));
        line.push_str(between);
        line.push_str(&String::from_utf8_lossy(second));
        line
    };
    let mut all = Vec::with_capacity(request.headers.len() + 1);
    all.push(joined(request.method.as_str().as_bytes(), " ", request.raw_path()));
    all.extend(
        spelling::request_fields(request)
            .map(|(name, value)| joined(name.to_text().as_bytes(), ": ", value.as_bytes())),
    );
    all
}
