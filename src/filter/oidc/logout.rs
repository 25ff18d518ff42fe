//! The end of a session: its cookie is taken away, and the browser is sent to the provider, which ends
//! its own (OpenID Connect RP-Initiated Logout).

use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, ORIGIN, REFERER};
use http::{HeaderName, HeaderValue, StatusCode};

use super::login::with_parameters;
use super::rule::OidcRule;
use super::site::Site;
use crate::auth::oidc::OidcFault;
use crate::config::FieldName;
use crate::filter::cause::Cause;
use crate::filter::context::{FilterContext, FilterRequest};
use crate::filter::findings::WayOut;
use crate::filter::reply::Reply;
use crate::message::html;

pub fn reply(rule: &OidcRule, cx: &mut FilterContext<'_>) -> Reply {
    cx.findings.keep_private();
    let site = Site::of(&cx.request);
    // The provider leads back here, too.
    if !rule.has_session_cookie(&cx.request.head.headers, site.is_secure()) {
        return page();
    }
    if is_cross_site(&cx.request, &site) {
        let (href, label) = (rule.logout_path.clone(), "Log out");
        cx.findings.offer(WayOut { href, label, detail: None });
        return Reply::Error(Cause::LoginRefused(OidcFault::LogoutCrossSite));
    }
    let names = rule.cookies.of(site.is_secure());
    let Some(gone) = names.clear(&names.session) else { return Reply::Error(Cause::Internal) };
    cx.findings.set_cookie(gone);
    let metadata = rule.provider.metadata();
    let Some(end) = metadata.as_ref().and_then(|metadata| metadata.end_session.as_deref()) else { return page() };
    let back = site.url(&rule.logout_path);
    let parameters = [("client_id", rule.provider.client_id.as_str()), ("post_logout_redirect_uri", &back)];
    Reply::Redirect { location: with_parameters(end, &parameters), status: StatusCode::SEE_OTHER }
}

/// Whether another site sent the browser here: it may not log people out. Old browsers, and others over
/// HTTP, only say where a form or a link was.
fn is_cross_site(request: &FilterRequest<'_>, site: &Site<'_>) -> bool {
    let headers = &request.head.headers;
    if let Some(from) = headers.get("sec-fetch-site") {
        return from == "cross-site";
    }
    let (own, from) = (site.url("/"), |name| headers.get(name).map(HeaderValue::as_bytes));
    from(ORIGIN).is_some_and(|origin| [origin, b"/"].concat() != own.as_bytes())
        || from(REFERER).is_some_and(|referer| !referer.starts_with(own.as_bytes()))
}

fn page() -> Reply {
    let field = |name: HeaderName, spelled: &str, value| {
        (FieldName { name, spelled: spelled.to_owned() }, HeaderValue::from_static(value))
    };
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    let headers = vec![
        field(CONTENT_TYPE, "Content-Type", "text/html; charset=utf-8"),
        field(CONTENT_SECURITY_POLICY, "Content-Security-Policy", policy),
    ];
    Reply::Respond {
        status: StatusCode::OK,
        body: html::page("Logged out", "<p>You are logged out here.</p>").into(),
        headers,
    }
}
