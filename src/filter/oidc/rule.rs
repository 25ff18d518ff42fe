//! What `auth.oidc` of a route says, and whether a request has a session by it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName};

use super::cookies::{self, CookieNames};
use super::site::Site;
use crate::auth::oidc::{Identity, LoginAttempt, NotASession, Oidc, OidcFault, Purpose, Session, largest};
use crate::config::{self, PathPattern, Route};
use crate::filter::cause::Cause;
use crate::filter::context::FilterRequest;
use crate::filter::findings::{Findings, WayOut};
use crate::filter::reply::Reply;
use crate::message::escaping::printable;
use crate::transport::Complaints;

/// Of a cookie's name and value, in bytes: browsers take 4 KiB (RFC 6265 section 6.1).
const LARGEST_COOKIE: usize = 3800;

#[derive(Debug)]
pub struct OidcRule {
    pub provider: Arc<Oidc>,
    pub callback_path: String,
    pub timeout: Duration,
    pub(super) logout_path: String,
    pub(super) scope: String,
    pub(super) cookies: CookieNames,
    pub(super) claims_to_headers: Vec<(String, HeaderName)>,
    /// Where somebody begins anew who has not begun here.
    pub(super) home: String,
    lifetime: Duration,
    wanted: Vec<String>,
    required: Vec<String>,
    /// The route, for the log.
    name: String,
    /// What the log says of logins that fail.
    failures: Complaints,
}

impl OidcRule {
    pub fn new(route: &Route, oidc: &config::Oidc, provider: Arc<Oidc>) -> Self {
        let plain = |pattern: &PathPattern| match pattern {
            PathPattern::Prefix(path) | PathPattern::Exact(path) => Some(path.clone()),
            PathPattern::Regex(_) => None,
        };
        Self {
            provider,
            callback_path: oidc.callback_path.clone(),
            timeout: oidc.timeout,
            logout_path: oidc.logout_path.clone(),
            scope: oidc.scopes.join(" "),
            cookies: CookieNames::new(&oidc.cookie_name),
            claims_to_headers: oidc.claims_to_headers.clone(),
            home: route.matcher.paths.iter().find_map(plain).unwrap_or_else(|| "/".to_owned()),
            lifetime: oidc.session_lifetime,
            wanted: oidc.kept_claims(),
            required: oidc.required.clone(),
            name: route.name.clone(),
            failures: Complaints::default(),
        }
    }

    /// Has `then` do something with what a cookie of this name is bound to.
    fn bound<T>(&self, site: &Site<'_>, cookie: &str, then: impl FnOnce(&[&[u8]]) -> T) -> T {
        let host = site.name();
        let (issuer, client) = (self.provider.issuer.as_bytes(), self.provider.client_id.as_bytes());
        then(&[issuer, client, cookie.as_bytes(), host.as_bytes()])
    }

    /// The session of the request.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn session(&self, request: &FilterRequest<'_>, now: SystemTime) -> Result<Session, OidcFault> {
        let site = Site::of(request);
        let name = &self.cookies.of(site.is_secure()).session;
        let mut values = cookies::values(&request.head.headers, name);
        let value = match (values.next(), values.next()) {
            (Some(value), None) => value,
            (Some(_), Some(_)) => return Err(OidcFault::SessionTwice),
            (None, _) => return Err(OidcFault::LoginNeeded),
        };
        if value.len() > LARGEST_COOKIE {
            return Err(OidcFault::SessionInvalid);
        }
        let seals = self.provider.seals();
        let text = self.bound(&site, name, |bound| seals.open(Purpose::Session, bound, value));
        let text = text.ok_or(OidcFault::SessionInvalid)?;
        Session::read(&text, self.lifetime, &self.wanted, &self.required, now).map_err(|why| match why {
            NotASession::Invalid => OidcFault::SessionInvalid,
            NotASession::Expired => OidcFault::SessionExpired,
        })
    }

    /// The value of the cookie of an attempt.
    pub(super) fn seal_attempt(&self, site: &Site<'_>, name: &str, attempt: &LoginAttempt) -> Option<String> {
        let (seals, text) = (self.provider.seals(), attempt.to_text()?);
        self.bound(site, name, |bound| seals.seal(Purpose::Attempt, bound, &text))
    }

    /// The attempt in a cookie, if it was made here and is not over.
    pub(super) fn open_attempt(
        &self,
        site: &Site<'_>,
        name: &str,
        value: &[u8],
        now: SystemTime,
    ) -> Option<LoginAttempt> {
        let seals = self.provider.seals();
        let text = self.bound(site, name, |bound| seals.open(Purpose::Attempt, bound, value))?;
        LoginAttempt::read(&text, now)
    }

    /// Whether the provider has to be asked for claims that the ID token lacks.
    pub fn lacks_claims(&self, identity: &Identity) -> bool {
        identity.lacks(&self.wanted)
    }

    /// Lets somebody in who has logged in, and leads back to where that began.
    pub fn welcome(
        &self,
        request: &FilterRequest<'_>,
        identity: &Identity,
        to: String,
        findings: &mut Findings,
    ) -> Reply {
        let claims = match identity.kept(&self.wanted, &self.required) {
            Ok(claims) => claims,
            Err(fault) => return self.fail(fault, to, None, findings),
        };
        let site = Site::of(request);
        let names = self.cookies.of(site.is_secure());
        let large = largest(&claims).map(|(name, length)| format!("the claim `{name}` has {length} bytes"));
        let session = Session::begin(identity.sub.clone(), claims, SystemTime::now());
        let seals = self.provider.seals();
        let sealed = session
            .to_text()
            .and_then(|text| self.bound(&site, &names.session, |bound| seals.seal(Purpose::Session, bound, &text)));
        let Some(value) = sealed else { return Reply::Error(Cause::Internal) };
        if names.session.len() + 1 + value.len() > LARGEST_COOKIE {
            return self.fail(OidcFault::SessionTooLarge, to, large, findings);
        }
        let Some(cookie) = names.set(&names.session, &value, self.lifetime.as_secs()) else {
            return Reply::Error(Cause::Internal);
        };
        findings.set_cookie(cookie);
        Reply::Redirect { location: to, status: http::StatusCode::SEE_OTHER }
    }

    /// A page that says why, and from which somebody begins anew at `to`. `detail` is shown and logged.
    pub fn fail(&self, fault: OidcFault, to: String, detail: Option<String>, findings: &mut Findings) -> Reply {
        detail.iter().for_each(|detail| self.note(fault, detail));
        findings.keep_private();
        findings.offer(WayOut { href: to, label: "Log in again", detail });
        Reply::Error(Cause::LoginRefused(fault))
    }

    /// The log says more of a login that failed, now and then.
    pub fn note(&self, fault: OidcFault, detail: &str) {
        let detail = printable(detail);
        let what = format_args!("route `{}`: a login failed: {}: {detail}", self.name, fault.message());
        self.failures.say(log::Level::Warn, module_path!(), &what);
    }

    /// Whether the request has a cookie of a session, be it good or not.
    pub(super) fn has_session_cookie(&self, headers: &HeaderMap, is_secure: bool) -> bool {
        cookies::values(headers, &self.cookies.of(is_secure).session).next().is_some()
    }
}
