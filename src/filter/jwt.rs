//! `auth.jwt`: signed tokens, verified here, and what they say of the client.

use std::sync::Arc;
use std::time::SystemTime;

use http::header::{self, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::cause::Cause;
use super::chain::{Chain, RequestFilter, UpstreamRequestFilter, Verdict};
use super::context::{FilterContext, FilterRequest, UpstreamRequestContext};
use super::findings::Findings;
use super::reply::Reply;
use crate::auth::{Jwt, TokenFault, claim_field};
use crate::config::{Route, TokenPlace};
use crate::message::alike::are_alike;
use crate::message::path::split_query;
use crate::message::{cookie, query};

#[derive(Debug)]
struct JwtFilter {
    jwt: Arc<Jwt>,
    from: TokenPlace,
    claims_to_headers: Vec<(String, HeaderName)>,
    /// `None` where the token goes on, or not in a field.
    dropped_field: Option<HeaderName>,
}

pub fn add(route: &Route, chain: &mut Chain) -> Result<(), String> {
    let Some(config) = route.auth.as_ref().and_then(|auth| auth.jwt.as_ref()) else {
        chain.learnt.jwt = None;
        return Ok(());
    };
    let jwt = Arc::new(Jwt::new(config, chain.learnt.jwt.as_deref()));
    chain.learnt.jwt = Some(Arc::clone(&jwt));
    let dropped = Some(&config.from).filter(|_| !config.forward_credentials);
    if let Some(place @ (TokenPlace::Cookie(_) | TokenPlace::Query(_))) = dropped {
        chain.upstream_request.push(Box::new(WithoutToken(place.clone())));
    }
    chain.hides_query = matches!(config.from, TokenPlace::Query(_));
    chain.request.push(Box::new(JwtFilter {
        jwt,
        from: config.from.clone(),
        claims_to_headers: config.claims_to_headers.clone(),
        dropped_field: dropped.and_then(|place| match place {
            TokenPlace::Header(name) => Some(name.clone()),
            TokenPlace::Cookie(_) | TokenPlace::Query(_) => None,
        }),
    }));
    Ok(())
}

impl RequestFilter for JwtFilter {
    fn on_request(&self, cx: &mut FilterContext<'_>) -> Verdict {
        let verified = token(&cx.request, &self.from, |token| self.jwt.verify(token, SystemTime::now()));
        let told = match verified {
            Ok(told) => told,
            Err(fault) => return refuse(fault, cx.findings),
        };
        for (claim, name) in &self.claims_to_headers {
            let text = told.text(claim);
            cx.findings.tell_upstream(name.clone(), text.and_then(claim_field));
        }
        if let Some(name) = &self.dropped_field {
            cx.findings.tell_upstream(name.clone(), None);
        }
        cx.findings.set_claims(told);
        Verdict::Continue
    }
}

/// RFC 6750 section 3: who brought no token is told no error.
fn refuse(fault: TokenFault, findings: &mut Findings) -> Verdict {
    let challenge = match fault {
        TokenFault::Missing => Ok(HeaderValue::from_static("Bearer")),
        TokenFault::NoKeys => {
            findings.tell_client(RETRY_AFTER, HeaderValue::from_static("1"));
            return Verdict::Reply(Reply::Error(Cause::TokenRefused(fault)));
        }
        TokenFault::Twice => Ok(HeaderValue::from_static("Bearer error=\"invalid_request\"")),
        fault => {
            let text = fault.message();
            HeaderValue::try_from(format!("Bearer error=\"invalid_token\", error_description=\"{text}\""))
        }
    };
    if let Ok(challenge) = challenge {
        findings.tell_client(WWW_AUTHENTICATE, challenge);
    }
    Verdict::Reply(Reply::Error(Cause::TokenRefused(fault)))
}

/// Has `then` look at the one token that stands in this place.
fn token<T>(
    request: &FilterRequest<'_>,
    place: &TokenPlace,
    then: impl FnOnce(&[u8]) -> Result<T, TokenFault>,
) -> Result<T, TokenFault> {
    let headers = &request.head.headers;
    match place {
        TokenPlace::Header(name) => {
            let field = only(headers.get_all(name).iter())?.as_bytes();
            // To some upstreams `X_Token` is `X-Token`.
            if headers.keys().any(|other| other != name && are_alike(other.as_str(), name.as_str())) {
                return Err(TokenFault::Twice);
            }
            if place.is_authorization() { then(bearer(field)?) } else { then(field) }
        }
        TokenPlace::Cookie(name) => {
            let fields = headers.get_all(header::COOKIE).iter();
            then(only(fields.flat_map(|field| cookie::all(field.as_bytes(), name)))?)
        }
        TokenPlace::Query(name) => {
            let (_, text) = split_query(request.target());
            let text = text.unwrap_or_default();
            let value = only(query::all(text, name))?;
            // Some upstreams take a `;` for a `&`.
            if !query::all_by_any(text, name).eq(std::iter::once(&*value)) {
                return Err(TokenFault::Twice);
            }
            then(value.as_bytes())
        }
    }
}

/// Upstreams might read another of several.
fn only<T>(mut values: impl Iterator<Item = T>) -> Result<T, TokenFault> {
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        (Some(_), Some(_)) => Err(TokenFault::Twice),
        (None, _) => Err(TokenFault::Missing),
    }
}

/// RFC 6750 section 2.1. Another scheme is no token.
fn bearer(field: &[u8]) -> Result<&[u8], TokenFault> {
    match field.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"Bearer ") => Ok(token.trim_ascii()),
        Some(_) | None => Err(TokenFault::Missing),
    }
}

/// Keeps the token away from the upstream where it is no field of its own.
#[derive(Debug)]
struct WithoutToken(TokenPlace);

impl UpstreamRequestFilter for WithoutToken {
    fn on_upstream_request(&self, cx: &mut UpstreamRequestContext<'_>) {
        match &self.0 {
            TokenPlace::Header(name) => cx.upstream.retain(|field, _| field != name),
            TokenPlace::Query(name) => {
                let query = &mut cx.target().query;
                *query = query::edit(query.as_deref(), std::slice::from_ref(name), &[], &[]).map(Into::into);
            }
            TokenPlace::Cookie(name) => {
                let is_it = |cookie: &[u8]| cookie == name.as_bytes();
                let fields: Vec<_> = kept_cookies(&cx.upstream.headers, is_it);
                cx.upstream.retain(|field, _| field != header::COOKIE);
                fields.into_iter().for_each(|field| cx.upstream.append("Cookie", field));
            }
        }
    }
}

fn kept_cookies(headers: &HeaderMap, is_gone: impl Fn(&[u8]) -> bool) -> Vec<HeaderValue> {
    let fields = headers.get_all(header::COOKIE).iter();
    let kept = fields.filter_map(|field| cookie::without(field.as_bytes(), &is_gone));
    kept.map(pingora_http::header_value_from_raw).collect()
}

#[cfg(test)]
mod tests {
    use super::super::context::tests::{asked, sent};
    use super::super::fields::tests::lines;
    use super::*;
    use pingora_http::RequestHeader;

    fn found(target: &str, fields: &[(&'static str, &'static str)], place: &TokenPlace) -> Result<String, TokenFault> {
        let mut head = RequestHeader::build("GET", target.as_bytes(), None).unwrap();
        for (name, value) in fields {
            head.append_header(*name, *value).unwrap();
        }
        asked(target, |request| {
            let request = FilterRequest { head: &head, ..*request };
            token(&request, place, |token| Ok(String::from_utf8(token.to_vec()).unwrap()))
        })
    }

    #[test]
    fn a_token_stands_in_its_place_once() {
        let bearer = TokenPlace::Header(header::AUTHORIZATION);
        let field = |value| found("/", &[("Authorization", value)], &bearer);
        assert_eq!(field("bEARER  a.b.c "), Ok("a.b.c".to_owned()));
        assert_eq!(field("Bearer a.b.c, Bearer d.e.f"), Ok("a.b.c, Bearer d.e.f".to_owned()));
        assert_eq!((field("Basic x"), field("Bearer")), (Err(TokenFault::Missing), Err(TokenFault::Missing)));
        let twice = [("Authorization", "Bearer a"), ("Authorization", "Basic b")];
        assert_eq!(found("/", &twice, &bearer), Err(TokenFault::Twice));
        let cookie = TokenPlace::Cookie("t".to_owned());
        assert_eq!(found("/", &[("Cookie", "a=1; t=x"), ("Cookie", "tt=2")], &cookie), Ok("x".to_owned()));
        assert_eq!(found("/", &[("Cookie", "t=1"), ("Cookie", "t=2")], &cookie), Err(TokenFault::Twice));
        let query = TokenPlace::Query("t".to_owned());
        assert_eq!(found("/?a&t=x.y&b", &[], &query), Ok("x.y".to_owned()));
        assert_eq!(found("/?t=x&%74=y", &[], &query), Err(TokenFault::Twice));
        assert_eq!(found("/", &[], &query), Err(TokenFault::Missing));
        let field = TokenPlace::Header(HeaderName::from_static("x-token"));
        assert_eq!(found("/", &[("X-Token", "x"), ("X-Tokens", "y")], &field), Ok("x".to_owned()));
    }

    #[test]
    fn a_second_token_is_seen_as_upstreams_see_it() {
        let query = TokenPlace::Query("t".to_owned());
        for target in ["/?a=1;t=y&t=x", "/?t=x;t=y", "/?t=x&a=1;t=x", "/?t=x;a=1"] {
            assert_eq!(found(target, &[], &query), Err(TokenFault::Twice), "{target}");
        }
        assert_eq!(found("/?a=1;b=2&t=x", &[], &query), Ok("x".to_owned()));
        assert_eq!(found("/?a=1;t=x", &[], &query), Err(TokenFault::Missing));
        let field = TokenPlace::Header(HeaderName::from_static("x-token"));
        for other in ["X-Token", "X_Token"] {
            assert_eq!(found("/", &[("X-Token", "x"), (other, "y")], &field), Err(TokenFault::Twice), "{other}");
        }
    }

    #[test]
    fn a_token_that_does_not_go_on_leaves_the_rest() {
        let without = |place, target, fields: &[_]| {
            let up = sent(target, fields, |cx| WithoutToken(place).on_upstream_request(cx));
            (String::from_utf8(up.raw_path().to_vec()).unwrap(), lines(&up))
        };
        let cookie = TokenPlace::Cookie("t".to_owned());
        let fields = [("Cookie", "a=1; t=x"), ("B", "1"), ("Cookie", "t=y")];
        assert_eq!(
            without(cookie, "/?t=1", &fields),
            ("/?t=1".to_owned(), vec!["B: 1".to_owned(), "Cookie: a=1".into()])
        );
        let query = TokenPlace::Query("t".to_owned());
        assert_eq!(without(query, "/x?a=1&t=x", &[]).0, "/x?a=1");
    }
}
