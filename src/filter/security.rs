//! `response.security`: fields by which browsers guard a page. What an answer says already
//! stands, so that none is said twice: the service knows its pages better.

use http::header::{self, HeaderName, HeaderValue};

use super::chain::{Chain, ResponseFilter};
use super::context::ResponseContext;
use crate::config::{Route, Security};

pub fn add(route: &Route, chain: &mut Chain) -> Result<(), String> {
    if let Some(security) = &route.response.security {
        chain.response.push(Box::new(SecurityFields::new(security)?));
    }
    Ok(())
}

#[derive(Debug)]
struct SecurityFields {
    fields: Vec<(HeaderName, &'static str, HeaderValue)>,
    /// Only for clients that came by HTTPS (RFC 6797 section 7.2).
    hsts: Option<HeaderValue>,
}

impl SecurityFields {
    fn new(security: &Security) -> Result<Self, String> {
        let word = HeaderValue::from_static;
        let fields = [
            (header::X_CONTENT_TYPE_OPTIONS, "X-Content-Type-Options", security.nosniff.then(|| word("nosniff"))),
            (header::X_FRAME_OPTIONS, "X-Frame-Options", security.frame.field().map(word)),
            (header::REFERRER_POLICY, "Referrer-Policy", security.referrer.field().map(word)),
            (header::CONTENT_SECURITY_POLICY, "Content-Security-Policy", security.csp.clone()),
        ];
        let fields = fields.into_iter().filter_map(|(name, spelled, value)| Some((name, spelled, value?))).collect();
        let hsts = security.hsts.map(|hsts| HeaderValue::try_from(format!("max-age={}", hsts.as_secs())));
        Ok(Self { fields, hsts: hsts.transpose().map_err(|e| e.to_string())? })
    }
}

impl ResponseFilter for SecurityFields {
    fn on_response(&self, cx: &mut ResponseContext<'_>) {
        for (name, spelled, value) in &self.fields {
            if !cx.response.headers.contains_key(name) {
                cx.response.append(*spelled, value.clone());
            }
        }
        let hsts = self.hsts.as_ref().filter(|_| cx.request.is_secure());
        if let Some(hsts) = hsts.filter(|_| !cx.response.headers.contains_key(header::STRICT_TRANSPORT_SECURITY)) {
            cx.response.append("Strict-Transport-Security", hsts.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::context::tests::answered;
    use super::super::fields::tests::response_lines;
    use super::*;

    fn guarded(security: &str, scheme: &'static str, said: &[(&'static str, &'static str)]) -> Vec<String> {
        let text = format!("listeners: [':80']\nroutes: [{{ respond: {{}}, response: {{ security: {security} }} }}]\n");
        let (config, _) = crate::config::parse("test.yaml", &text, &|_| None).unwrap();
        let fields = SecurityFields::new(config.routes[0].response.security.as_ref().unwrap()).unwrap();
        response_lines(&answered(said, |cx| {
            cx.request.scheme = scheme;
            fields.on_response(cx);
        }))
    }

    const DEFAULTS: [&str; 3] = [
        "X-Content-Type-Options: nosniff",
        "X-Frame-Options: SAMEORIGIN",
        "Referrer-Policy: strict-origin-when-cross-origin",
    ];

    #[test]
    fn one_word_is_enough_and_hsts_is_for_https() {
        assert_eq!(guarded("true", "http", &[]), DEFAULTS);
        let secure = guarded("true", "https", &[]);
        assert_eq!(
            (&secure[..3], secure[3].as_str()),
            (&DEFAULTS.map(str::to_owned)[..], "Strict-Transport-Security: max-age=31536000")
        );
    }

    #[test]
    fn each_can_be_chosen_or_left_out() {
        let none = "{ hsts: off, nosniff: false, frame: off, referrer: off }";
        assert!(guarded(none, "https", &[]).is_empty());
        let all = "{ hsts: 1h, frame: deny, referrer: no-referrer, csp: \"default-src 'self'\" }";
        assert_eq!(
            guarded(all, "https", &[]),
            [
                "X-Content-Type-Options: nosniff",
                "X-Frame-Options: DENY",
                "Referrer-Policy: no-referrer",
                "Content-Security-Policy: default-src 'self'",
                "Strict-Transport-Security: max-age=3600",
            ]
        );
    }

    #[test]
    fn what_the_upstream_says_stands() {
        let said = [
            ("x-frame-options", "DENY"),
            ("Strict-Transport-Security", "max-age=1; preload"),
            ("Referrer-Policy", "origin"),
            ("X-Content-Type-Options", "nosniff"),
        ];
        let lines: Vec<String> = said.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(guarded("true", "https", &said), lines);
    }
}
