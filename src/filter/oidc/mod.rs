//! `auth.oidc`: who has a session passes, and a browser that opens a page without one is sent to the
//! provider. The exchange of the code that it comes back with waits for the provider: the step
//! `proxy/oidc.rs`.

mod callback;
mod cookies;
mod login;
mod logout;
mod rule;
mod site;

use std::sync::Arc;
use std::time::SystemTime;

use http::header::{self, ACCEPT, WWW_AUTHENTICATE};
use http::{HeaderValue, Method};

pub use rule::OidcRule;

use super::cause::Cause;
use super::chain::{Chain, RequestFilter, UpstreamRequestFilter, Verdict};
use super::context::{FilterContext, FilterRequest, UpstreamRequestContext};
use super::hop_by_hop::asks_for_upgrade;
use super::reply::Reply;
use crate::auth::oidc::{Oidc, OidcFault, Session};
use crate::auth::{Told, claim_field};
use crate::config::Route;
use crate::message::cookie;
use crate::message::path::split_query;

#[derive(Debug)]
struct OidcFilter(Arc<OidcRule>);

pub fn add(route: &Route, chain: &mut Chain) -> Result<(), String> {
    let Some(config) = route.auth.as_ref().and_then(|auth| auth.oidc.as_ref()) else {
        chain.learnt.oidc = None;
        return Ok(());
    };
    let provider = Arc::new(Oidc::new(config, chain.learnt.oidc.as_deref())?);
    chain.learnt.oidc = Some(Arc::clone(&provider));
    let rule = Arc::new(OidcRule::new(route, config, provider));
    chain.upstream_request.push(Box::new(WithoutCookies(Arc::clone(&rule))));
    chain.request.push(Box::new(OidcFilter(Arc::clone(&rule))));
    chain.oidc = Some(rule);
    Ok(())
}

impl RequestFilter for OidcFilter {
    fn on_request(&self, cx: &mut FilterContext<'_>) -> Verdict {
        let (path, _) = split_query(cx.request.target());
        if cx.request.known_as().is_empty() {
            return Verdict::Reply(Reply::Error(Cause::HostMissing));
        }
        if path == self.0.callback_path {
            return Verdict::Reply(callback::reply(&self.0, cx));
        }
        if path == self.0.logout_path {
            return Verdict::Reply(logout::reply(&self.0, cx));
        }
        match self.0.session(&cx.request, SystemTime::now()) {
            Ok(session) => {
                self.grant(session, cx);
                Verdict::Continue
            }
            Err(fault) if fault != OidcFault::SessionTwice && is_navigation(&cx.request) => {
                Verdict::Reply(login::begin(&self.0, cx))
            }
            Err(fault) => Verdict::Reply(refuse(fault, cx)),
        }
    }
}

impl OidcFilter {
    fn grant(&self, session: Session, cx: &mut FilterContext<'_>) {
        for (claim, name) in &self.0.claims_to_headers {
            cx.findings.tell_upstream(name.clone(), session.claim(claim).and_then(claim_field));
        }
        cx.findings.set_claims(Told::always(session.into_claims()));
    }
}

/// A redirect would only confuse a page that fetches: it is told that a login is needed.
fn refuse(fault: OidcFault, cx: &mut FilterContext<'_>) -> Reply {
    if fault.status() == 401 {
        // RFC 9110 section 15.5.2 wants a challenge, and there is no registered scheme for this one.
        cx.findings.tell_client(WWW_AUTHENTICATE, HeaderValue::from_static("Cookie realm=\"login\""));
    }
    cx.findings.keep_private();
    Reply::Error(Cause::LoginRefused(fault))
}

/// Whether a person's browser opens a page, and would follow a redirect to another one.
fn is_navigation(request: &FilterRequest<'_>) -> bool {
    let headers = &request.head.headers;
    if !matches!(request.head.method, Method::GET | Method::HEAD) || asks_for_upgrade(request.head) {
        return false;
    }
    // A page within a page, or one that is fetched in advance, would leave a cookie for each of them, and a
    // provider is seldom shown in a frame.
    let is_other = headers.get("sec-fetch-dest").is_some_and(|dest| dest != "document");
    if is_other || ["sec-purpose", "purpose"].iter().any(|name| headers.contains_key(*name)) {
        return false;
    }
    match headers.get("sec-fetch-mode") {
        Some(mode) => mode == "navigate",
        None => {
            let is_script = headers.get("x-requested-with").is_some_and(|with| with == "XMLHttpRequest");
            let takes_html = |accept: &HeaderValue| memchr::memmem::find(accept.as_bytes(), b"text/html").is_some();
            !is_script && headers.get_all(ACCEPT).iter().any(takes_html)
        }
    }
}

/// Keeps the cookies of logins away from the upstream.
#[derive(Debug)]
struct WithoutCookies(Arc<OidcRule>);

impl UpstreamRequestFilter for WithoutCookies {
    fn on_upstream_request(&self, cx: &mut UpstreamRequestContext<'_>) {
        let is_ours = |name: &[u8]| self.0.cookies.holds(name);
        let fields = || cx.upstream.headers.get_all(header::COOKIE).iter();
        if !fields().any(|field| cookies::names(field.as_bytes()).any(is_ours)) {
            return;
        }
        let kept = fields().filter_map(|field| cookie::without(field.as_bytes(), is_ours));
        let kept: Vec<_> = kept.map(pingora_http::header_value_from_raw).collect();
        cx.upstream.retain(|name, _| name != header::COOKIE);
        kept.into_iter().for_each(|field| cx.upstream.append("Cookie", field));
    }
}

#[cfg(test)]
mod tests;
