//! What is a browser that opens a page, and what the upstream is not told.

use pingora_http::RequestHeader;

use super::*;
use crate::filter::context::tests::{asked, sent};
use crate::filter::fields::tests::lines;

fn rule() -> Arc<OidcRule> {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "0123456789abcdefghijklmnopqrstuvwxyz").unwrap();
    let oidc = format!(
        "{{ issuer: 'https://id.test', client_id: shop, cookie_secret_file: '{}', callback_path: /a/back, logout_path: /a/out }}",
        secret.display()
    );
    let route = format!("{{ match: {{ path: /a }}, auth: {{ oidc: {oidc} }}, respond: {{}} }}");
    let text = format!("listeners: [':80']\nroutes: [{route}]\n");
    let (config, warnings) = crate::config::parse("test.yaml", &text, &|_| None).unwrap_or_else(|e| panic!("{e}"));
    assert!(warnings.is_empty(), "{warnings:?}");
    let chain = crate::filter::compile(&config.routes[0], None).unwrap();
    Arc::clone(chain.oidc().unwrap())
}

fn is_page(method: &str, fields: &[(&'static str, &'static str)]) -> bool {
    let mut head = RequestHeader::build(method, b"/", None).unwrap();
    for (name, value) in fields {
        head.append_header(*name, *value).unwrap();
    }
    asked("/", |request| is_navigation(&FilterRequest { head: &head, ..*request }))
}

#[test]
fn a_browser_that_opens_a_page_is_told_from_scripts() {
    let html = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    assert!(is_page("GET", &[html]) && is_page("HEAD", &[html]));
    assert!(is_page("GET", &[("sec-fetch-mode", "navigate")]));
    assert!(is_page("GET", &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")]));
    for fields in [
        &[][..],
        &[("accept", "*/*")],
        &[html, ("sec-fetch-mode", "cors")],
        &[html, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
        &[html, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("sec-purpose", "prefetch")],
        &[html, ("sec-fetch-mode", "websocket")],
        &[html, ("x-requested-with", "XMLHttpRequest")],
        &[html, ("connection", "upgrade"), ("upgrade", "websocket")],
    ] {
        assert!(!is_page("GET", fields), "{fields:?}");
    }
    assert!(!is_page("POST", &[html, ("sec-fetch-mode", "navigate")]));
}

#[test]
fn the_upstream_gets_every_other_cookie() {
    let rule = rule();
    let up = |fields: &[(&'static str, &'static str)]| {
        let edited = sent("/a", fields, |cx| WithoutCookies(Arc::clone(&rule)).on_upstream_request(cx));
        lines(&edited)
    };
    let ours = "a=1; oidc_session=x;__Host-oidc_session=y; oidc_session_login_0123456789ab=z;b";
    assert_eq!(
        up(&[("Cookie", ours), ("X", "1"), ("Cookie", "oidc_session=x"), ("Cookie", "c=2")]),
        ["X: 1", "Cookie: a=1; b", "Cookie: c=2"]
    );
    // What needs no edit keeps its bytes.
    assert_eq!(up(&[("Cookie", "a=1;b;; oidc=1")]), ["Cookie: a=1;b;; oidc=1"]);
}

#[test]
fn without_a_provider_the_answer_is_no_redirect() {
    let filter = OidcFilter(rule());
    let verdict = |target: &str, fields: &[(&'static str, &'static str)]| {
        let mut head = RequestHeader::build("GET", target.as_bytes(), None).unwrap();
        for (name, value) in fields {
            head.append_header(*name, *value).unwrap();
        }
        let mut findings = crate::filter::Findings::default();
        let verdict = asked(target, |request| {
            let request = FilterRequest { head: &head, ..*request };
            filter.on_request(&mut FilterContext { request, findings: &mut findings })
        });
        match verdict {
            Verdict::Continue => None,
            Verdict::Reply(Reply::Error(cause)) => Some(cause.reason()),
            Verdict::Reply(Reply::Respond { .. }) => Some("page"),
            Verdict::Reply(other) => panic!("{other:?}"),
        }
    };
    assert_eq!(verdict("/a", &[("accept", "text/html")]), Some("auth_oidc_not_ready"));
    assert_eq!(verdict("/a", &[]), Some("auth_oidc_login_needed"));
    assert_eq!(verdict("/a/back?code=a&state=b", &[]), Some("auth_oidc_not_ready"));
    assert_eq!(verdict("/a/out", &[]), Some("page"));
    assert_eq!(verdict("/a", &[("cookie", "oidc_session=x; oidc_session=y")]), Some("auth_oidc_session_twice"));
}
