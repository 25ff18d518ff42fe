//! The beginning of a login: the browser is sent to the provider, with a cookie by which it is known
//! again when it comes back.

use std::fmt::Write as _;
use std::time::SystemTime;

use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::rule::OidcRule;
use super::site::Site;
use crate::auth::oidc::{LoginAttempt, OidcFault};
use crate::filter::cause::Cause;
use crate::filter::context::FilterContext;
use crate::filter::reply::Reply;
use crate::message::query;

/// Attempts that a browser may have under way, in several tabs.
const MOST_ATTEMPTS: usize = 5;
/// Cookies of attempts that are looked at.
const MOST_SEEN: usize = 16;
/// Of the place where the login began, in bytes. A longer one is forgotten.
const LONGEST_PLACE: usize = 1024;

pub fn begin(rule: &OidcRule, cx: &mut FilterContext<'_>) -> Reply {
    cx.findings.keep_private();
    let Some(metadata) = rule.provider.metadata() else { return not_ready(rule, cx) };
    let (site, now) = (Site::of(&cx.request), SystemTime::now());
    let Some(attempt) = LoginAttempt::begin(place(cx.request.target()), now) else {
        return Reply::Error(Cause::Internal);
    };
    let names = rule.cookies.of(site.is_secure());
    let set = names.of_attempt(&attempt.state).and_then(|name| {
        let value = rule.seal_attempt(&site, &name, &attempt)?;
        names.set(&name, &value, LoginAttempt::SECONDS)
    });
    let Some(set) = set else { return Reply::Error(Cause::Internal) };
    forget_oldest(rule, cx, &site, now);
    cx.findings.set_cookie(set);
    let redirect_uri = site.url(&rule.callback_path);
    let location = with_parameters(
        &metadata.authorization,
        &[
            ("response_type", "code"),
            ("client_id", &rule.provider.client_id),
            ("redirect_uri", &redirect_uri),
            ("scope", &rule.scope),
            ("state", &attempt.state),
            ("nonce", &attempt.nonce),
            ("code_challenge", &attempt.challenge()),
            ("code_challenge_method", "S256"),
        ],
    );
    Reply::Redirect { location, status: StatusCode::FOUND }
}

/// Nothing is known of the provider yet: it is asked again before its time.
pub fn not_ready(rule: &OidcRule, cx: &mut FilterContext<'_>) -> Reply {
    rule.provider.wanted.notify_one();
    cx.findings.tell_client(RETRY_AFTER, HeaderValue::from_static("5"));
    Reply::Error(Cause::LoginRefused(OidcFault::NotReady))
}

/// Makes room for one more attempt.
fn forget_oldest(rule: &OidcRule, cx: &mut FilterContext<'_>, site: &Site<'_>, now: SystemTime) {
    let names = rule.cookies.of(site.is_secure());
    let begun = |(name, value): (&str, &[u8])| {
        let attempt = rule.open_attempt(site, name, value, now);
        (attempt.map_or(0, |attempt| attempt.begun()), name.to_owned())
    };
    let mut attempts: Vec<_> = names.attempts(&cx.request.head.headers).take(MOST_SEEN).map(begun).collect();
    let surplus = (attempts.len() + 1).saturating_sub(MOST_ATTEMPTS);
    if surplus > 0 {
        attempts.sort_unstable();
        let gone = attempts.iter().take(surplus).filter_map(|(_, name)| names.clear(name));
        gone.for_each(|cookie| cx.findings.set_cookie(cookie));
    }
}

/// A URL with more parameters.
pub fn with_parameters(url: &str, parameters: &[(&str, &str)]) -> String {
    let mut all = url.to_owned();
    let mut between = if url.contains('?') { '&' } else { '?' };
    for (name, value) in parameters {
        // Writing to a String cannot fail.
        write!(all, "{between}{name}={}", query::encode(value)).unwrap_or_default();
        between = '&';
    }
    all
}

/// What no URI holds as it is (RFC 3986 appendix A).
const NOT_IN_URI: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

/// Path and query of the request, to come back to. Browsers take `//host` and `/\host` for another site.
pub fn place(target: &str) -> String {
    let is_path = target.starts_with('/') && !target.starts_with("//") && !target.contains('\\');
    let escaped = is_path.then(|| utf8_percent_encode(target, NOT_IN_URI).to_string());
    escaped.filter(|place| place.len() <= LONGEST_PLACE).unwrap_or_else(|| "/".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path_of_this_site() {
        for kept in ["/", "/a/b?c=d&e=//f", "/a//b", "/?to=https://evil.test", "/%2f%2fevil.test"] {
            assert_eq!(place(kept), kept);
        }
        let long = format!("/{}", "x".repeat(1024));
        for other in ["//evil.test", "///evil.test", "/\\evil.test", "/a\\b", "https://evil.test/", "*", "", &long] {
            assert_eq!(place(other), "/", "{other}");
        }
        assert_eq!(place("/é?\"<>{}"), "/%C3%A9?%22%3C%3E%7B%7D");
    }

    #[test]
    fn parameters_are_encoded_behind_those_that_are_there() {
        assert_eq!(with_parameters("https://a/b", &[("c", "d e"), ("f", "&=é")]), "https://a/b?c=d%20e&f=%26%3D%C3%A9");
        assert_eq!(with_parameters("https://a/b?x=1", &[("c", "")]), "https://a/b?x=1&c=");
    }
}
