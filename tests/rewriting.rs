//! Redirects and cookies of an upstream, as a client gets them: each edit of what goes up has
//! its inverse on what comes back, and no cookie is made that a browser refuses.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use support::{Origin, Proxy};

/// Answers with what the fields `X-Field-*` of the request say, as fields of that name.
fn echoing() -> Origin {
    Origin::start(|request, wire| {
        let echoed = request.headers.iter().filter_map(|(name, value)| {
            let name = name.to_ascii_lowercase();
            Some(format!("{}: {value}\r\n", name.strip_prefix("x-field-")?))
        });
        let fields: String = echoed.collect();
        wire.send(format!("HTTP/1.1 302 Found\r\n{fields}Content-Length: 0\r\n\r\n"));
        true
    })
}

/// A proxy whose one route has these keys.
fn before(origin: &Origin, keys: &str) -> Proxy {
    let text = format!(
        "listeners: ['{{listen}}']\ntrusted_proxies: [127.0.0.1]\nroutes: [{{ {keys}, upstream: '{}' }}]\n",
        origin.address
    );
    Proxy::start(&text)
}

/// What becomes of a field of the upstream's answer to a request for `target` that came over `scheme`.
fn answered(proxy: &Proxy, target: &str, scheme: &str, field: (&str, &str)) -> String {
    let (name, value) = field;
    let answer = proxy.ask(format!(
        "GET {target} HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-Proto: {scheme}\r\nX-Field-{name}: {value}\r\n\r\n"
    ));
    assert_eq!(answer.status, 302);
    answer.header(name).unwrap().to_owned()
}

#[test]
fn a_redirect_under_an_added_prefix_comes_back_without_it() {
    let origin = echoing();
    let proxy = before(&origin, "request: { path: { add_prefix: /x } }");
    let answered = |name, value: &str| answered(&proxy, "/a", "http", (name, value));
    let own = format!("http://{}/x/y?q#f", origin.address);
    for (from, to) in [
        ("/x/y?q", "/y?q"),
        ("/x", "/"),
        (own.as_str(), "http://example.com/y?q#f"),
        ("http://example.com/x/y", "http://example.com/y"),
        ("//example.com/x/y", "//example.com/y"),
        ("y", "y"),
        ("/other", "/other"),
        ("http://elsewhere.test/x/y", "http://elsewhere.test/x/y"),
        ("/x//evil.test/", "/.//evil.test/"),
    ] {
        assert_eq!(answered("Location", from), to, "{from}");
        assert_eq!(answered("Content-Location", from), to, "{from}");
    }
    assert_eq!(answered("Refresh", "0; url=/x/y"), "0; url=/y");
    assert_eq!(origin.last().target(), "/x/a");
}

#[test]
fn a_redirect_under_a_stripped_prefix_comes_back_with_it() {
    let origin = echoing();
    let proxy = before(&origin, "match: { path: /api }, request: { path: { strip_prefix: /api } }");
    let answered = |target, value: &str| answered(&proxy, target, "http", ("Location", value));
    let own = format!("http://{}/y", origin.address);
    for (from, to) in [
        ("/y?q#f", "/api/y?q#f"),
        (own.as_str(), "http://example.com/api/y"),
        ("//example.com/y", "//example.com/api/y"),
        ("?q", "?q"),
        ("http://elsewhere.test/y", "http://elsewhere.test/y"),
    ] {
        assert_eq!(answered("/api/a", from), to, "{from}");
    }
    // `login` means `/login` to the upstream, which saw `/`.
    assert_eq!(answered("/api", "login"), "/api/login");
    assert_eq!(answered("/api/", "login"), "login");
    // A service that knows of the prefix, and one that has such a path itself.
    assert_eq!(answered("/api/a", "/api/y"), "/api/y");
    assert_eq!(answered("/api/api/a", "/api/a/"), "/api/api/a/");
}

#[test]
fn a_stripped_prefix_is_put_back_however_the_client_spelled_it() {
    let origin = echoing();
    let keys = "match: { path: /api }, request: { path: { strip_prefix: /api } }, response: { cookie: { path: { /app: /api } } }";
    let proxy = before(&origin, keys);
    let answered = |target, name, value: &str| answered(&proxy, target, "http", (name, value));
    for (target, sent, from, to) in [
        ("/%61pi/x", "/x", "/login", "/api/login"),
        ("/%61pi/x", "/x", "/%61pi/login", "/%61pi/login"),
        // `login` means `/login` to the upstream, which saw `/`.
        ("/%61pi", "/", "login", "/api/login"),
        ("/%61p%69/", "/", "login", "login"),
        // The upstream has such a path itself.
        ("/%61pi/api/a", "/api/a", "/api/a/", "/api/api/a/"),
        ("/api/%61pi/a", "/%61pi/a", "/%61pi/a/", "/api/%61pi/a/"),
    ] {
        assert_eq!(answered(target, "Location", from), to, "{target} {from}");
        assert_eq!(answered(target, "Content-Location", from), to, "{target} {from}");
        assert_eq!(answered(target, "Refresh", &format!("0; url={from}")), format!("0; url={to}"), "{target} {from}");
        assert_eq!(origin.last().target(), sent);
    }
    assert_eq!(answered("/%61pi/x", "Set-Cookie", "s=1; Path=/%61pp/y"), "s=1; Path=/api/y");
    let added = before(&origin, "request: { path: { add_prefix: /%7ex } }");
    for from in ["/%7ex/y", "/~x/y", "/%7E%78/y"] {
        assert_eq!(self::answered(&added, "/a", "http", ("Location", from)), "/y", "{from}");
    }
}

#[test]
fn a_redirect_to_the_host_that_the_route_gives_is_ours() {
    let origin = echoing();
    let proxy = before(&origin, "request: { host: App.internal }");
    let answered = |scheme, value: &str| answered(&proxy, "/a", scheme, ("Location", value));
    for (scheme, from, to) in [
        ("http", "http://app.internal/y", "http://example.com/y"),
        ("http", "http://APP.internal:80/y", "http://example.com/y"),
        ("http", "//app.internal", "//example.com"),
        ("https", "http://app.internal/y", "https://example.com/y"),
        ("https", "https://app.internal/y", "https://example.com/y"),
        // The upstream wants TLS; over plain HTTP it would say so again for ever.
        ("http", "https://app.internal/y", "https://example.com/y"),
        ("http", "http://app.internal:8080/y", "http://app.internal:8080/y"),
        ("http", "http://other.internal/y", "http://other.internal/y"),
    ] {
        assert_eq!(answered(scheme, from), to, "{scheme} {from}");
    }
    assert_eq!(origin.last().header("host"), Some("App.internal"));
}

#[test]
fn cookies_that_browsers_would_refuse_are_not_made() {
    let origin = echoing();
    let edits = "domain: { app.internal: example.com }, path: { /: /shop/ }, http_only: false";
    let proxy = before(&origin, &format!("response: {{ cookie: {{ {edits} }} }}"));
    let cookie = |scheme, value: &str| answered(&proxy, "/", scheme, ("Set-Cookie", value));
    let whole = "; Path=/; Domain=app.internal; Secure; HttpOnly; SameSite=None; Partitioned";
    for (scheme, name, left) in [
        ("http", "s", "; Path=/shop/; Domain=example.com"),
        ("https", "s", "; Path=/shop/; Domain=example.com; Secure; SameSite=None; Partitioned"),
        ("http", "__Secure-s", "; Path=/shop/; Domain=example.com; Secure; SameSite=None; Partitioned"),
        ("http", "__host-s", "; Path=/; Domain=app.internal; Secure; SameSite=None; Partitioned"),
        ("http", "__Host-Http-s", whole),
    ] {
        assert_eq!(cookie(scheme, &format!("{name}=1{whole}")), format!("{name}=1{left}"), "{scheme}");
    }
    let none = before(&origin, "response: { cookie: { same_site: none } }");
    let cookie = |scheme, value: &str| answered(&none, "/", scheme, ("Set-Cookie", value));
    assert_eq!(cookie("https", "s=1"), "s=1; Secure; SameSite=None");
    assert_eq!(cookie("http", "s=1; Secure"), "s=1");
    let kept = before(&origin, "response: { cookie: { secure: keep, same_site: none } }");
    assert_eq!(answered(&kept, "/", "https", ("Set-Cookie", "s=1")), "s=1");
    assert_eq!(answered(&kept, "/", "http", ("Set-Cookie", "s=1; Secure")), "s=1; Secure; SameSite=None");
}
