//! The services that the proxy itself asks about clients, over TLS: whom it believes, and that without a
//! good certificate nobody passes.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use serde_json::json;
use support::provider::Provider;
use support::tls::Authority;
use support::tokens::{Signer, now, set};
use support::{Folder, Origin, Proxy, await_until};

/// Lets pass who has the cookie `session=good`; its keys are at `/keys`.
fn service(keys: String) -> Origin {
    Origin::start(move |request, wire| {
        let is_good = request.header("cookie").is_some_and(|cookies| cookies.contains("session=good"));
        let (status, body) = match request.target() {
            "/keys" => (200, keys.as_str()),
            _ if is_good => (200, ""),
            _ => (401, "sign in"),
        };
        wire.send(format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        true
    })
}

/// What speaks TLS in front of it, for `auth.test`.
fn with_tls(folder: &Folder, authority: &Authority, service: &Origin) -> Proxy {
    authority.issue(&["auth.test"]).write(folder, "service");
    folder.write("ca.pem", &authority.0.pem());
    folder.write("other.pem", &Authority::new("another one").0.pem());
    let place = folder.0.display();
    Proxy::start(&format!(
        "listeners: [{{ address: '{{listen}}', tls: {{ certificates: [{{ cert: '{place}/service.pem', key: '{place}/service.key' }}] }} }}]\n\
         routes: [{{ upstream: '{}' }}]\n",
        service.address
    ))
}

/// A route whose `auth` is this, and the service as the upstream `guard`, with such a `tls`.
fn start(origin: &Origin, auth: &str, service: SocketAddr, tls: &str) -> Proxy {
    Proxy::start(&format!(
        "listeners: ['{{listen}}']\nupstreams: {{ guard: {{ servers: ['{service}'], tls: {{ {tls} }} }} }}\n\
         routes: [{{ auth: {{ {auth} }}, upstream: '{}' }}]\n",
        origin.address
    ))
}

const COOKIE: &str = "GET /app HTTP/1.1\r\nHost: a\r\nCookie: session=good\r\n\r\n";
const FORWARD: &str = "forward: { url: 'https://guard/check', timeout: 10s }";

/// What the certificate is not good for, each with what is said of it.
fn refusals(folder: &Folder) -> [(String, &'static str); 3] {
    let place = folder.0.display();
    [
        (format!("sni: auth.test, ca: '{place}/other.pem'"), "UnknownIssuer"),
        ("sni: auth.test".to_owned(), "UnknownIssuer"),
        (format!("sni: other.test, ca: '{place}/ca.pem'"), "other.test"),
    ]
}

#[test]
fn a_service_with_a_certificate_of_an_authority_of_ones_own_decides() {
    let (folder, origin) = (Folder::new(), Origin::fixed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    let (authority, guard) = (Authority::default(), service(String::new()));
    let tls = with_tls(&folder, &authority, &guard);
    let ca = format!("sni: auth.test, ca: '{}/ca.pem'", folder.0.display());
    let proxy = start(&origin, FORWARD, tls.address, &ca);
    assert_eq!((proxy.ask(COOKIE).status, proxy.get("/app").status, origin.count()), (200, 401, 1));
    assert_eq!((guard.last().target(), guard.count()), ("/check", 2));
}

#[test]
fn a_service_whose_certificate_is_not_good_lets_nobody_pass() {
    let (folder, origin) = (Folder::new(), Origin::fixed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    let guard = service(String::new());
    let tls = with_tls(&folder, &Authority::default(), &guard);
    for (settings, why) in refusals(&folder) {
        let proxy = start(&origin, FORWARD, tls.address, &settings);
        let answer = proxy.ask(COOKIE);
        assert_eq!(answer.status, 502, "{settings}: {}", answer.text());
        assert!(!answer.text().contains(why), "the client need not know: {}", answer.text());
        let line = proxy.access_log(1).remove(0);
        assert_eq!(line["reason"], "auth_forward_unreachable", "{line}");
        let said = format!("{line}{}", proxy.read("stderr"));
        assert!(said.contains(why), "{settings}: {said}");
        assert_eq!((guard.count(), origin.count()), (0, 0), "{settings}");
    }
}

#[test]
fn a_handshake_that_hangs_is_held_to_the_deadline() {
    let origin = Origin::fixed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let auth = "forward: { url: 'https://guard/', timeout: 300ms }";
    let proxy = start(&origin, auth, silent.local_addr().unwrap(), "sni: auth.test");
    let began = Instant::now();
    let answer = proxy.ask(COOKIE);
    assert!(answer.status == 504 && answer.text().contains("`auth.forward.timeout`"), "{}", answer.text());
    assert!((Duration::from_millis(300)..Duration::from_secs(5)).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!(origin.count(), 0);
}

#[test]
fn keys_are_fetched_over_tls_from_whom_is_believed() {
    let (folder, origin) = (Folder::new(), Origin::fixed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    let (authority, signer) = (Authority::default(), Signer::p256());
    let issuer = service(set(&[signer.jwk(Some("1"))]));
    let tls = with_tls(&folder, &authority, &issuer);
    let claims = json!({ "iss": "https://us.example", "aud": "shop", "sub": "ann", "exp": now(600), "iat": now(0) });
    let token = signer.token(json!({ "alg": "ES256", "kid": "1" }), claims);
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
    let auth = "jwt: { jwks_url: 'https://guard/keys', issuer: 'https://us.example', audience: shop }";
    let ca = format!("sni: auth.test, ca: '{}/ca.pem'", folder.0.display());
    let proxy = start(&origin, auth, tls.address, &ca);
    await_until("the keys", || proxy.ask(&request).status == 200);
    assert_eq!(proxy.get("/").status, 401);
    let (before, passed) = (issuer.count(), origin.count());
    for (settings, why) in refusals(&folder) {
        let proxy = start(&origin, auth, tls.address, &settings);
        await_until("the reason", || proxy.read("stderr").contains(why));
        assert_eq!(proxy.ask(&request).status, 503, "{settings}");
    }
    assert_eq!((issuer.count(), origin.count()), (before, passed));
}

#[test]
fn a_provider_of_logins_is_believed_by_its_certificate() {
    let (folder, origin) = (Folder::new(), Origin::fixed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    let (authority, provider) = (Authority::default(), Provider::start());
    provider.change(|b| {
        b.configuration = Box::new(|all| {
            for value in all.as_object_mut().unwrap().values_mut() {
                if let Some(url) = value.as_str().and_then(|text| text.strip_prefix("http:")) {
                    *value = json!(format!("https:{url}"));
                }
            }
        });
    });
    let tls = with_tls(&folder, &authority, &provider.origin);
    let auth =
        provider.auth(&folder, ", provider_url: 'https://guard'").replace(&provider.issuer(), "https://auth.test");
    let auth = auth.strip_prefix("auth: {").unwrap().strip_suffix('}').unwrap();
    let open = "GET /app HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n";
    let ca = format!("sni: auth.test, ca: '{}/ca.pem'", folder.0.display());
    let proxy = start(&origin, auth, tls.address, &ca);
    await_until("the provider", || proxy.ask(open).status == 302);
    assert!(proxy.ask(open).header("location").unwrap().starts_with("https://auth.test/authorize?"));
    assert_eq!(provider.origin.last().header("host"), Some("auth.test"));
    let before = provider.origin.count();
    for (settings, why) in refusals(&folder) {
        let proxy = start(&origin, auth, tls.address, &settings);
        await_until("the refusal", || proxy.read("stderr").contains(why));
        let answer = proxy.ask(open);
        assert!(answer.status == 503 && !answer.text().contains(why), "{settings}: {}", answer.text());
    }
    assert_eq!((provider.origin.count(), origin.count()), (before, 0));
}
