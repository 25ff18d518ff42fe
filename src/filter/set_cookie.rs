//! `response.cookie`: the attributes of the cookies that an upstream sets.

use http::header::{self, HeaderValue};

use super::chain::{Chain, ResponseFilter};
use super::context::{Origin, ResponseContext};
use crate::config::{Route, SameSite, SecurePolicy, SetCookieEdits};
use crate::http1::spelling;
use crate::message::cookie::{SetCookieRewrite, rewrite_set_cookie};

#[derive(Debug)]
struct SetCookie(SetCookieEdits);

pub fn add(route: &Route, chain: &mut Chain) -> Result<(), String> {
    let SetCookieEdits { domain, path, secure, http_only, same_site } = &route.response.set_cookie;
    let attributes = *secure != SecurePolicy::Keep || http_only.is_some() || same_site.is_some();
    if attributes || !domain.is_empty() || !path.is_empty() {
        chain.response.push(Box::new(SetCookie(route.response.set_cookie.clone())));
    }
    Ok(())
}

impl SetCookie {
    /// How cookies change for a client that came over TLS or not.
    fn rewrite(&self, client_is_https: bool) -> SetCookieRewrite<'_> {
        SetCookieRewrite {
            domains: &self.0.domain,
            paths: &self.0.path,
            secure: match self.0.secure {
                SecurePolicy::Keep => None,
                SecurePolicy::Auto if !client_is_https => Some(false),
                // Browsers refuse `SameSite=None` without it.
                SecurePolicy::Auto => (self.0.same_site == Some(SameSite::None)).then_some(true),
                SecurePolicy::Always => Some(true),
                SecurePolicy::Never => Some(false),
            },
            http_only: self.0.http_only,
            same_site: self.0.same_site.map(|s| match s {
                SameSite::Strict => "Strict",
                SameSite::Lax => "Lax",
                SameSite::None => "None",
            }),
        }
    }
}

impl ResponseFilter for SetCookie {
    fn on_response(&self, cx: &mut ResponseContext<'_>) {
        if !matches!(cx.origin, Origin::Upstream { rare, .. } if rare.set_cookie) {
            return;
        }
        let how = self.rewrite(cx.request.is_secure());
        let mut changed = false;
        let fields = spelling::response_fields(&cx.response).filter(|(name, _)| name.is(&header::SET_COOKIE));
        let rewritten: Vec<(_, HeaderValue)> = fields
            .map(|(name, value)| {
                let value = match rewrite_set_cookie(value.as_bytes(), &how) {
                    Some(bytes) => {
                        changed = true;
                        pingora_http::header_value_from_raw(bytes)
                    }
                    None => value.clone(),
                };
                (name.to_bytes(), value)
            })
            .collect();
        if !changed {
            return;
        }
        let mut rewritten = rewritten.into_iter();
        // `set` drops the other values and keeps the place of the first.
        if let Some((name, value)) = rewritten.next() {
            cx.response.set(name, value);
        }
        for (name, value) in rewritten {
            cx.response.append(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::context::tests::answered;
    use super::super::fields::tests::response_lines;
    use super::*;

    fn rewritten(fields: &[(&'static str, &'static str)]) -> Vec<String> {
        let edits = SetCookieEdits { secure: SecurePolicy::Auto, ..SetCookieEdits::default() };
        response_lines(&answered(fields, |cx| SetCookie(edits).on_response(cx)))
    }

    #[test]
    fn every_set_cookie_is_rewritten_and_stays_apart() {
        let fields = [("Set-Cookie", "a=1; Secure"), ("Set-Cookie", "b=2; secure; HttpOnly")];
        assert_eq!(rewritten(&fields), ["Set-Cookie: a=1", "Set-Cookie: b=2; HttpOnly"]);
    }

    #[test]
    fn rewritten_fields_keep_their_spelling() {
        let fields = [("set-cookie", "a=1; Secure"), ("SET-Cookie", "b=2")];
        assert_eq!(rewritten(&fields), ["set-cookie: a=1", "SET-Cookie: b=2"]);
    }
}
