//! The way back from the provider: what the browser brings has to be the answer to an attempt that this
//! browser began here.

use std::time::SystemTime;

use http::{HeaderName, HeaderValue, Method};

use super::cookies;
use super::login::{not_ready, place};
use super::rule::OidcRule;
use super::site::Site;
use crate::auth::oidc::{LoginAttempt, OidcFault, same};
use crate::filter::code_exchange::CodeExchange;
use crate::filter::context::FilterContext;
use crate::filter::reply::Reply;
use crate::message::path::split_query;
use crate::message::query;

/// In bytes.
const LONGEST_CODE: usize = 4096;
/// Of the words of the provider that a page shows, in characters.
const LONGEST_WORDS: usize = 200;

pub fn reply(rule: &OidcRule, cx: &mut FilterContext<'_>) -> Reply {
    cx.findings.keep_private();
    // The code stands in the URL: no page that is opened from here is told it.
    cx.findings.tell_client(HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer"));
    let (_, text) = split_query(cx.request.target());
    let text = text.unwrap_or_default();
    let home = || rule.home.clone();
    let Some(state) = only(text, "state").filter(|_| cx.request.head.method == Method::GET) else {
        return rule.fail(OidcFault::CallbackInvalid, home(), None, cx.findings);
    };
    if !rule.provider.is_ready() {
        // The attempt is as good in a moment.
        return not_ready(rule, cx);
    }
    let Some(attempt) = take_attempt(rule, cx, &state) else {
        return rule.fail(OidcFault::StateUnknown, home(), None, cx.findings);
    };
    // What was sealed is trusted; it costs nothing to look at it again.
    let to = place(&attempt.to);
    match answer(rule, text) {
        Ok(code) => Reply::ExchangeCode(Box::new(CodeExchange {
            code,
            verifier: attempt.verifier,
            nonce: attempt.nonce,
            redirect_uri: Site::of(&cx.request).url(&rule.callback_path),
            to,
        })),
        Err(fault) => {
            let words = Some(text).filter(|_| fault == OidcFault::Denied).map(words_of_provider);
            rule.fail(fault, to, words, cx.findings)
        }
    }
}

/// The attempt of this state, if this browser began it; its cookie is taken away.
fn take_attempt(rule: &OidcRule, cx: &mut FilterContext<'_>, state: &str) -> Option<LoginAttempt> {
    let site = Site::of(&cx.request);
    let names = rule.cookies.of(site.is_secure());
    let name = names.of_attempt(state)?;
    let mut values = cookies::values(&cx.request.head.headers, &name);
    let value = values.next()?;
    let is_only = values.next().is_none();
    if let Some(gone) = names.clear(&name) {
        cx.findings.set_cookie(gone);
    }
    let attempt = rule.open_attempt(&site, &name, value, SystemTime::now()).filter(|_| is_only)?;
    same(attempt.state.as_bytes(), state.as_bytes()).then_some(attempt)
}

/// The code in the provider's answer.
///
/// # Errors
/// Why there is none.
fn answer(rule: &OidcRule, text: &str) -> Result<String, OidcFault> {
    let mut issuers = query::all(text, "iss");
    match (issuers.next(), issuers.next()) {
        (Some(issuer), None) if *issuer == *rule.provider.issuer => {}
        (Some(_), _) => return Err(OidcFault::IssuerMixedUp),
        (None, _) => {
            // RFC 9207 section 2.4.
            if rule.provider.metadata().is_some_and(|metadata| metadata.names_itself) {
                return Err(OidcFault::IssuerMixedUp);
            }
        }
    }
    if query::get(text, "error").is_some() {
        return Err(OidcFault::Denied);
    }
    only(text, "code").filter(|code| (1..=LONGEST_CODE).contains(&code.len())).ok_or(OidcFault::CallbackInvalid)
}

/// The value of a parameter that comes once (RFC 6749 section 3.1).
fn only(text: &str, name: &str) -> Option<String> {
    let mut values = query::all(text, name);
    let value = values.next()?.into_owned();
    values.next().is_none().then_some(value)
}

/// The error that the provider names (RFC 6749 section 4.1.2.1).
fn words_of_provider(text: &str) -> String {
    let parts = ["error", "error_description"].into_iter().filter_map(|name| query::get(text, name));
    let words = parts.collect::<Vec<_>>().join(": ");
    words.chars().take(LONGEST_WORDS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
