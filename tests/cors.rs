//! Pages of other origins, and fields by which browsers guard a page: what goes over the wire.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use support::front::{Ask, Front, every_front};
use support::{Origin, Response};

every_front! {
    a_preflight_is_answered_without_the_upstream
    an_origin_that_is_not_listed_gets_no_field
    each_answer_can_be_read_by_its_page_alone
    errors_of_the_proxy_can_be_read_as_well
    an_options_that_is_no_preflight_is_the_upstreams
    any_origin_may_use_what_is_public
    fields_that_guard_a_page_are_said_once
}

const PAGE: &str = "https://app.test";

/// An upstream that has its own mind of other origins.
fn service() -> Origin {
    Origin::start(|request, wire| {
        wire.body(&request.headers, false);
        wire.send(
            "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: false\r\n\
             Vary: Accept-Encoding\r\nX-Frame-Options: DENY\r\nX-Total: 7\r\nContent-Length: 2\r\n\r\nok",
        );
        true
    })
}

fn start(front: Front, origin: &Origin) -> support::front::Fronted {
    front.start(&format!(
        "listeners: ['{{listen}}']\nroutes:\n\
         \x20 - match: {{ path: /api }}\n\
         \x20   cors: {{ origins: ['{PAGE}', 'https://*.preview.test'], methods: [PUT], headers: [authorization, x-a],\n\
         \x20     expose: [x-total], credentials: true, max_age: 1h }}\n\
         \x20   response: {{ security: true }}\n\
         \x20   upstream: '{0}'\n\
         \x20 - {{ match: {{ path: /public }}, cors: {{ origins: ['*'], headers: '*' }}, upstream: '{0}' }}\n\
         \x20 - {{ match: {{ path: /gone }}, cors: {{ origins: ['{PAGE}'] }}, upstream: '127.0.0.1:1' }}\n\
         \x20 - {{ match: {{ path: /moved }}, cors: {{ origins: ['{PAGE}'] }}, redirect: /api }}\n",
        origin.address
    ))
}

fn preflight(target: &str, page: &str) -> Ask {
    let ask = Ask::new("OPTIONS", target).field("Origin", page).field("Access-Control-Request-Method", "PUT");
    ask.field("Access-Control-Request-Headers", "authorization")
}

/// The fields that concern pages of other origins, in lower case and in order.
fn shared(response: &Response) -> Vec<String> {
    let concerns = |name: &str| name.starts_with("access-control-") || name == "vary";
    let fields = response.headers.iter().map(|(name, value)| (name.to_lowercase(), value));
    let mut lines: Vec<String> =
        fields.filter(|(name, _)| concerns(name)).map(|(name, value)| format!("{name}: {value}")).collect();
    lines.sort();
    lines
}

fn a_preflight_is_answered_without_the_upstream(front: Front) {
    let origin = service();
    let proxy = start(front, &origin);
    let mut link = proxy.link();
    for page in [PAGE, "https://x.preview.test", "https://y.x.preview.test"] {
        let answer = link.ask(&preflight("/api/x", page));
        assert_eq!((answer.status, answer.body.len()), (204, 0));
        assert_eq!(answer.header("content-length"), None);
        assert_eq!(
            shared(&answer),
            [
                "access-control-allow-credentials: true".to_owned(),
                "access-control-allow-headers: authorization, x-a".to_owned(),
                "access-control-allow-methods: PUT".to_owned(),
                format!("access-control-allow-origin: {page}"),
                "access-control-max-age: 3600".to_owned(),
                "vary: Access-Control-Request-Method, Access-Control-Request-Headers, Origin".to_owned(),
            ]
        );
    }
    assert_eq!(origin.count(), 0);
}

fn an_origin_that_is_not_listed_gets_no_field(front: Front) {
    let origin = service();
    let proxy = start(front, &origin);
    for page in ["https://evil.test", "http://app.test", "https://app.test.evil", "https://preview.test", "null"] {
        let refused = proxy.ask(&preflight("/api", page));
        assert_eq!((refused.status, shared(&refused)), (403, vec!["vary: Origin".to_owned()]), "{page}");
        assert!(refused.text().contains("`cors.origins`"), "{}", refused.text());
        assert_eq!(origin.count(), 0);
    }
    // What a form could send as well goes up; the page cannot read the answer.
    let passed = proxy.ask(&Ask::get("/api").field("Origin", "https://evil.test"));
    assert_eq!((passed.status, shared(&passed)), (200, vec!["vary: Accept-Encoding, Origin".to_owned()]));
    assert_eq!(origin.last().header("origin"), Some("https://evil.test"));
}

fn each_answer_can_be_read_by_its_page_alone(front: Front) {
    let origin = service();
    let proxy = start(front, &origin);
    let answer = proxy.ask(&Ask::post("/api", "x").field("Origin", PAGE));
    let fields = |vary: &str| {
        vec![
            "access-control-allow-credentials: true".to_owned(),
            format!("access-control-allow-origin: {PAGE}"),
            "access-control-expose-headers: x-total".to_owned(),
            format!("vary: {vary}"),
        ]
    };
    assert_eq!((answer.status, shared(&answer)), (200, fields("Accept-Encoding, Origin")));
    // A cache must not give this one to a page.
    assert_eq!(shared(&proxy.ask(&Ask::get("/api"))), ["vary: Accept-Encoding, Origin"]);
    let moved = proxy.ask(&Ask::get("/moved").field("Origin", PAGE));
    assert_eq!(moved.status, 308);
    assert_eq!(shared(&moved), [format!("access-control-allow-origin: {PAGE}"), "vary: Origin".to_owned()]);
}

fn errors_of_the_proxy_can_be_read_as_well(front: Front) {
    let origin = service();
    let proxy = start(front, &origin);
    let failed = proxy.ask(&Ask::get("/gone").field("Origin", PAGE));
    assert!(failed.status == 502 || failed.status == 503, "{}", failed.status);
    assert_eq!(shared(&failed), [format!("access-control-allow-origin: {PAGE}"), "vary: Origin".to_owned()]);
}

fn an_options_that_is_no_preflight_is_the_upstreams(front: Front) {
    let origin = service();
    let proxy = start(front, &origin);
    for ask in [
        Ask::new("OPTIONS", "/api"),
        Ask::new("OPTIONS", "/api").field("Origin", PAGE),
        Ask::new("OPTIONS", "/api").field("Access-Control-Request-Method", "PUT"),
    ] {
        let count = origin.count();
        assert_eq!((proxy.ask(&ask).status, origin.count()), (200, count + 1), "{ask:?}");
    }
}

fn any_origin_may_use_what_is_public(front: Front) {
    let origin = service();
    let proxy = start(front, &origin);
    for page in ["https://evil.test", "null"] {
        let asked = proxy.ask(&preflight("/public", page));
        assert_eq!(asked.header("access-control-allow-origin"), Some("*"));
        assert_eq!(asked.header("access-control-allow-headers"), Some("authorization"));
        assert_eq!((asked.status, asked.header("access-control-allow-credentials")), (204, None));
    }
    // With an Origin or without: one answer for every cache.
    let fields = ["access-control-allow-origin: *", "vary: Accept-Encoding"];
    assert_eq!(shared(&proxy.ask(&Ask::get("/public"))), fields);
    assert_eq!(shared(&proxy.ask(&Ask::get("/public").field("Origin", "null"))), fields);
}

fn fields_that_guard_a_page_are_said_once(front: Front) {
    let origin = service();
    let proxy = start(front, &origin);
    for ask in [Ask::get("/api"), preflight("/api", "https://evil.test")] {
        let answer = proxy.ask(&ask);
        assert_eq!(answer.all("x-content-type-options"), ["nosniff"]);
        assert_eq!(answer.all("referrer-policy"), ["strict-origin-when-cross-origin"]);
        // The upstream's own stands.
        let frame = if answer.status == 200 { "DENY" } else { "SAMEORIGIN" };
        assert_eq!(answer.all("x-frame-options"), [frame]);
        let hsts: &[&str] = if front.is_tls() { &["max-age=31536000"] } else { &[] };
        assert_eq!(answer.all("strict-transport-security"), hsts);
    }
}
