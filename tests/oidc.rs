//! Login by OpenID Connect: the way to the provider and back, what a session lets pass, and each way in which
//! somebody would get in without one.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::front::{Answer, Ask, Front, Fronted, every_front};
use support::provider::{Browser, COOKIE_SECRET, Provider, fields, target_of};
use support::tokens::{Signer, now};
use support::{Folder, Origin, await_until};

fn ok() -> Origin {
    Origin::fixed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
}

/// A proxy whose route asks for a login, what is behind it, and the provider.
struct Running {
    proxy: Fronted,
    origin: Origin,
    provider: Provider,
    folder: Folder,
}

const CLAIMS: &str = ", claims_to_headers: { sub: x-user, email: x-email, roles: x-roles }";

fn start(more: &str) -> Running {
    start_over(Front::Http1, more)
}

fn start_over(front: Front, more: &str) -> Running {
    let (origin, provider, folder) = (ok(), Provider::start(), Folder::new());
    let proxy = front.start(&yaml(&origin, &provider.auth(&folder, more)));
    await_provider(&proxy);
    Running { proxy, origin, provider, folder }
}

fn yaml(origin: &Origin, auth: &str) -> String {
    format!(
        "listeners: ['{{listen}}']\nheaders: {{ underscores: keep }}\nroutes:\n- {{ {auth}, upstream: '{}' }}\n",
        origin.address
    )
}

fn await_provider(proxy: &Fronted) {
    let open = Ask::get("/").host("app.test").field("Accept", "text/html");
    await_until("the provider's configuration", || proxy.ask(&open).status == 302);
}

fn reason(answer: &Answer) -> String {
    let told = answer.header("proxy-status").unwrap_or_default();
    let word = told.split("details=\"").nth(1).and_then(|rest| rest.split(':').next());
    word.unwrap_or_default().to_owned()
}

/// A page that says why, which leads on and which nobody keeps.
fn is_page(answer: &Answer, status: u16, word: &str) {
    assert_eq!((answer.status, reason(answer).as_str()), (status, word), "{}", answer.text());
    assert!(answer.text().contains("<a href=\"/"), "{}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

every_front! {
    a_browser_logs_in_and_the_upstream_is_told_who_it_is
    who_is_no_browser_that_opens_a_page_is_told_so
}

fn a_browser_logs_in_and_the_upstream_is_told_who_it_is(front: Front) {
    let Running { proxy, origin, provider, folder: _folder, .. } =
        start_over(front, &format!("{CLAIMS}, scopes: [openid, email]"));
    let mut browser = Browser::new(&proxy);
    let sent = browser.open("/a%2Fb?c=d&e");
    assert_eq!((sent.status, sent.header("cache-control")), (302, Some("no-store")));
    let location = sent.header("location").unwrap().to_owned();
    let asked = fields(location.split_once('?').unwrap().1);
    assert_eq!(asked["redirect_uri"], format!("{}://app.test/oauth2/callback", front.scheme()));
    assert_eq!(asked["scope"], "openid email");
    let welcome = browser.open(&provider.log_in(&location));
    assert_eq!((welcome.status, welcome.header("location")), (303, Some("/a%2Fb?c=d&e")));
    assert_eq!(welcome.header("cache-control"), Some("no-store"));
    // The attempt's cookie is gone, that of the session is there.
    assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), [browser.session()]);
    assert_eq!(origin.count(), 0);
    browser.cookies.insert("theirs".to_owned(), "1".to_owned());
    let prefix = if front.is_tls() { "__Host-" } else { "" };
    browser.cookies.insert(format!("{prefix}oidc_session_login_0123456789ab"), "x".to_owned());
    let forging = |ask: Ask| {
        ["X-User", "x_user", "X-Email", "x_email", "X-Roles", "X_Roles"]
            .iter()
            .fold(ask, |ask, name| ask.field(name, "root"))
    };
    let answer = browser.ask(forging(Ask::get("/x")));
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    let seen = origin.last();
    let told = |name: &str| {
        let is_it = |field: &&(String, String)| field.0.to_lowercase().replace('_', "-") == name;
        seen.headers.iter().filter(is_it).map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        (told("x-user"), told("x-email"), told("x-roles")),
        (vec!["ann".to_owned()], vec!["ann@a.test".to_owned()], vec!["a,b".to_owned()])
    );
    assert_eq!(told("cookie"), ["theirs=1"]);
    // Whoever has a session may do anything by it.
    assert_eq!(browser.ask(Ask::post("/form", "x")).status, 200);
    assert_eq!(provider.origin.count(), 3, "its configuration, its keys and the code");
}

fn who_is_no_browser_that_opens_a_page_is_told_so(front: Front) {
    let Running { proxy, origin, folder: _folder, .. } = start_over(front, "");
    for ask in [
        Ask::get("/"),
        Ask::get("/").field("Accept", "application/json"),
        Ask::get("/").field("Accept", "text/html").field("Sec-Fetch-Mode", "cors"),
        Ask::get("/").field("Accept", "text/html").field("X-Requested-With", "XMLHttpRequest"),
        Ask::post("/", "x").field("Accept", "text/html").field("Sec-Fetch-Mode", "navigate"),
        Ask::new("DELETE", "/").field("Accept", "text/html"),
        Ask::new("OPTIONS", "/").field("Accept", "text/html"),
        Ask::websocket("/").field("Accept", "text/html"),
        Ask::get("/").field("Cookie", "oidc_session=x; __Host-oidc_session=x"),
    ] {
        let answer = proxy.ask(&ask);
        assert_eq!((answer.status, answer.header("location")), (401, None), "{ask:?}");
        assert!(answer.header("set-cookie").is_none() && answer.header("www-authenticate").is_some(), "{ask:?}");
        let with_cookie = ask.fields.iter().any(|(name, _)| name == "Cookie");
        assert_eq!(reason(&answer), if with_cookie { "auth_oidc_session_invalid" } else { "auth_oidc_login_needed" });
    }
    assert_eq!(origin.count(), 0);
    let head = Ask::new("HEAD", "/").field("Accept", "text/html");
    assert_eq!(proxy.ask(&head).status, 302);
}

#[test]
fn a_callback_is_good_once_and_in_its_browser_alone() {
    let Running { proxy, provider, folder: _folder, .. } = start("");
    let mut ann = Browser::new(&proxy);
    let location = ann.open("/x").header("location").unwrap().to_owned();
    let back = provider.log_in(&location);
    let begun = ann.cookies.clone();
    // Another browser, which was made to open it: nobody is logged in as somebody else.
    let mut eve = Browser::new(&proxy);
    is_page(&eve.open(&back), 400, "auth_oidc_state_unknown");
    eve.open("/");
    is_page(&eve.open(&back), 400, "auth_oidc_state_unknown");
    assert!(!eve.cookies.contains_key(eve.session()));
    // A state of her own and the code of another: the provider's nonce and challenge are not hers.
    let own = eve.open("/").header("location").unwrap().to_owned();
    let state = &fields(own.split_once('?').unwrap().1)["state"];
    let code = &fields(back.split_once('?').unwrap().1)["code"];
    is_page(&eve.open(&format!("/oauth2/callback?code={code}&state={state}")), 400, "auth_oidc_code_refused");
    // Ann comes too late, as her code is used.
    is_page(&ann.open(&back), 400, "auth_oidc_code_refused");
    is_page(&ann.open(&back), 400, "auth_oidc_state_unknown");
    assert!(ann.cookies.is_empty());
    assert_eq!(ann.log_in(&provider, "/y").status, 303);
    // With the cookie of the attempt once more.
    ann.cookies.extend(begun);
    is_page(&ann.open(&back), 400, "auth_oidc_code_refused");
    // What a callback is not.
    let good = provider.log_in(&ann_anew(&mut Browser::new(&proxy)));
    let state = good.split("state=").nth(1).unwrap();
    for (target, word) in [
        ("/oauth2/callback".to_owned(), "auth_oidc_callback_invalid"),
        ("/oauth2/callback?code=x".to_owned(), "auth_oidc_callback_invalid"),
        (format!("{good}&state={state}"), "auth_oidc_callback_invalid"),
        ("/oauth2/callback?code=x&state=x".to_owned(), "auth_oidc_state_unknown"),
        ("/oauth2/callback?code=x&state=%00%00%0d%0aSet-Cookie:x".to_owned(), "auth_oidc_state_unknown"),
        (good.clone(), "auth_oidc_state_unknown"),
    ] {
        is_page(&ann.open(&target), 400, word);
    }
    let posted = ann.ask(Ask::post(&good, "code=x").field("Accept", "text/html"));
    is_page(&posted, 400, "auth_oidc_callback_invalid");
    // Neither code nor state is in the log.
    proxy.access_log(20);
    let log = proxy.read("stdout");
    assert!(!log.contains("code-") && !log.contains(state) && log.contains("/oauth2/callback"), "{log}");
}

fn ann_anew(browser: &mut Browser<'_>) -> String {
    browser.open("/").header("location").unwrap().to_owned()
}

#[test]
fn an_answer_of_the_provider_is_one_to_this_login() {
    let Running { proxy, provider, folder: _folder, .. } = start("");
    let issuer = provider.issuer();
    let come = |more: &str, without: &str| {
        let mut browser = Browser::new(&proxy);
        let back = provider.log_in(&ann_anew(&mut browser));
        let back = if without.is_empty() { back } else { back.replace(without, "unknown") };
        browser.open(&format!("{back}{more}"))
    };
    assert_eq!(come(&format!("&iss={issuer}"), "").status, 303);
    is_page(&come("&iss=https://evil.test", ""), 400, "auth_oidc_issuer_mixed_up");
    is_page(&come(&format!("&iss={issuer}&iss={issuer}"), ""), 400, "auth_oidc_issuer_mixed_up");
    is_page(&come("", "code="), 400, "auth_oidc_callback_invalid");
    is_page(&come("&code=again", ""), 400, "auth_oidc_callback_invalid");
    let denied = come("&error=access_denied&error_description=%3Cscript%3Ealert(1)%3C/script%3E%0d%0aX:1", "code=");
    is_page(&denied, 403, "auth_oidc_denied");
    let text = denied.text();
    assert!(text.contains("access_denied: &lt;script&gt;") && !text.contains("<script"), "{text}");
    await_until("the log", || proxy.read("stderr").contains("access_denied: <script>"));
    // One that says that it always names itself.
    provider.change(|b| {
        b.configuration = Box::new(|all| all["authorization_response_iss_parameter_supported"] = json!(true));
    });
    assert_eq!(proxy.order("reload").0, 0);
    await_until("the new configuration", || reason(&come("", "")) == "auth_oidc_issuer_mixed_up");
    assert_eq!(come(&format!("&iss={issuer}"), "").status, 303);
}

#[test]
fn an_id_token_that_is_not_good_lets_nobody_in() {
    let Running { proxy, origin, provider, folder: _folder, .. } = start("");
    let mut browser = Browser::new(&proxy);
    let mut refused = |word: &str, change: Box<dyn FnOnce(&mut support::provider::Behaviour)>| {
        provider.change(change);
        let answer = browser.log_in(&provider, "/");
        is_page(&answer, 502, word);
        assert!(browser.cookies.is_empty(), "{word}");
        // As it was.
        provider.change(|b| {
            b.header = json!({ "alg": "ES256", "kid": "1" });
            b.claims = Box::new(|_| {});
            b.answer = Box::new(|_| {});
        });
    };
    let mut claim = |word: &str, name: &'static str, value: Value| {
        refused(word, Box::new(move |b| b.claims = Box::new(move |all| all[name] = value.clone())));
    };
    claim("auth_oidc_token_nonce", "nonce", json!("other"));
    claim("auth_oidc_token_nonce", "nonce", json!(null));
    claim("auth_oidc_token_audience", "aud", json!("cart"));
    claim("auth_oidc_token_audience", "aud", json!(["shop", "cart"]));
    claim("auth_oidc_token_audience", "azp", json!("cart"));
    claim("auth_oidc_token_issuer", "iss", json!("https://evil.test"));
    claim("auth_oidc_token_expired", "exp", json!(now(-61)));
    claim("auth_oidc_token_expired", "iat", json!(now(200)));
    claim("auth_oidc_token_claims", "sub", json!(7));
    let answer = |change: fn(&mut Value)| -> Box<dyn FnOnce(&mut support::provider::Behaviour)> {
        Box::new(move |b| b.answer = Box::new(change))
    };
    refused("auth_oidc_provider_invalid", answer(|all| drop(all.as_object_mut().unwrap().remove("id_token"))));
    refused("auth_oidc_provider_invalid", answer(|all| all["token_type"] = json!("mac")));
    refused("auth_oidc_token_malformed", answer(|all| all["id_token"] = json!("a.b")));
    // Without a signature, or by a secret that everybody knows.
    refused(
        "auth_oidc_token_algorithm",
        answer(|all| {
            let claims = all["id_token"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
            let header = data_encoding::BASE64URL_NOPAD.encode(b"{\"alg\":\"none\"}");
            all["id_token"] = json!(format!("{header}.{claims}."));
        }),
    );
    refused(
        "auth_oidc_token_algorithm",
        answer(|all| {
            let claims = all["id_token"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
            let claims = data_encoding::BASE64URL_NOPAD.decode(claims.as_bytes()).unwrap();
            let claims = serde_json::from_slice(&claims).unwrap();
            let by_secret = Signer::Secret(support::provider::CLIENT_SECRET.as_bytes().to_vec());
            all["id_token"] = json!(by_secret.token(json!({ "alg": "HS256" }), claims));
        }),
    );
    refused(
        "auth_oidc_token_signature",
        answer(|all| {
            let token = all["id_token"].as_str().unwrap().to_owned();
            let (message, _) = token.rsplit_once('.').unwrap();
            let signature = Signer::p256().sign("ES256", message.as_bytes());
            all["id_token"] = json!(format!("{message}.{}", data_encoding::BASE64URL_NOPAD.encode(&signature)));
        }),
    );
    let hash = |hash: &'static str| -> Box<dyn FnOnce(&mut support::provider::Behaviour)> {
        Box::new(move |b| b.claims = Box::new(move |all| all["at_hash"] = json!(hash)))
    };
    refused("auth_oidc_token_hash", hash("AAAAAAAAAAAAAAAAAAAAAA"));
    assert_eq!(origin.count(), 0);
    // SHA-256 of `opaque`, the left half.
    let half = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"opaque");
    let half = data_encoding::BASE64URL_NOPAD.encode(&half.as_ref()[..16]);
    provider.change(|b| b.claims = Box::new(move |all| all["at_hash"] = json!(half)));
    assert_eq!(Browser::new(&proxy).log_in(&provider, "/").status, 303);
}

#[test]
fn a_provider_that_fails_is_told_of_and_nobody_waits_for_ever() {
    let Running { proxy, origin, provider, folder: _folder, .. } = start(", timeout: 700ms");
    let respond = |status: &str, body: &str| {
        Some(format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
    };
    let large = "x".repeat(70_000);
    for (instead, status, word) in [
        (respond("200 OK", "<html>"), 502, "auth_oidc_provider_invalid"),
        (respond("500 Oops", "{}"), 502, "auth_oidc_provider_invalid"),
        (respond("302 Found", ""), 502, "auth_oidc_provider_invalid"),
        (respond("200 OK", &large), 502, "auth_oidc_provider_too_long"),
        (respond("401 No", "{\"error\":\"invalid_client\"}"), 502, "auth_oidc_client_refused"),
        (respond("400 No", "{\"error\":\"invalid_grant\"}"), 400, "auth_oidc_code_refused"),
        (Some(b"nonsense\r\n\r\n".to_vec()), 502, "auth_oidc_provider_invalid"),
        (Some(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_vec()), 502, "auth_oidc_provider_unreachable"),
        // It hangs.
        (Some(Vec::new()), 504, "auth_oidc_provider_timeout"),
    ] {
        provider.change(|b| b.instead = instead);
        let (mut browser, began) = (Browser::new(&proxy), Instant::now());
        is_page(&browser.log_in(&provider, "/"), status, word);
        assert!(began.elapsed() < Duration::from_secs(10) && browser.cookies.is_empty(), "{word}");
    }
    await_until("the log", || proxy.read("stderr").contains("a login failed"));
    assert_eq!(origin.count(), 0);
    // Who has a session needs no provider.
    provider.change(|b| b.instead = None);
    let mut browser = Browser::new(&proxy);
    browser.log_in(&provider, "/");
    let back = provider.log_in(&ann_anew(&mut Browser::new(&proxy)));
    drop(provider);
    assert_eq!((browser.open("/").status, browser.open(&back).status), (200, 400));
    let mut late = Browser::new(&proxy);
    let location = ann_anew(&mut late);
    let state = &fields(location.split_once('?').unwrap().1)["state"];
    let gone = late.open(&format!("/oauth2/callback?code=x&state={state}"));
    is_page(&gone, 502, "auth_oidc_provider_unreachable");
    assert_eq!(proxy.order("reload").0, 0);
    assert_eq!(browser.open("/").status, 200);
    assert_eq!(Browser::new(&proxy).open("/").status, 302, "what was fetched is kept over a reload");
}

/// A provider takes a code that comes twice for a stolen one (RFC 6749 section 4.1.2).
#[test]
fn a_code_is_sent_once_though_the_connection_breaks() {
    let Running { proxy, provider, folder: _folder, origin: _origin, .. } = start("");
    assert_eq!(Browser::new(&proxy).log_in(&provider, "/").status, 303);
    let exchanges = || {
        let seen = provider.origin.seen.lock().unwrap();
        seen.iter().filter(|request| request.target() == "/token").count()
    };
    let before = exchanges();
    provider.change(|b| b.instead = Some(b"HTTP".to_vec()));
    is_page(&Browser::new(&proxy).log_in(&provider, "/"), 502, "auth_oidc_provider_unreachable");
    assert_eq!(exchanges(), before + 1);
}

#[test]
fn without_the_provider_nobody_is_sent_anywhere() {
    let (origin, folder) = (ok(), Folder::new());
    let provider = Provider::start();
    provider.change(|b| b.configuration = Box::new(|all| all["issuer"] = json!("https://evil.test")));
    let proxy = Front::Http1.start(&yaml(&origin, &provider.auth(&folder, "")));
    await_until("the log", || proxy.read("stderr").contains("it is that of `https://evil.test`"));
    let refused = Browser::new(&proxy).open("/");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    assert_eq!(reason(&refused), "auth_oidc_not_ready");
    // Neither is one whose keys are none.
    provider.change(|b| {
        b.configuration = Box::new(|_| {});
        b.keys = Vec::new();
    });
    await_until("no keys", || {
        proxy.read("stderr").contains("no keys") || proxy.read("stderr").contains("the set has no key")
    });
    assert_eq!(Browser::new(&proxy).open("/").status, 503);
    let signer = Signer::p256();
    provider.change(|b| b.keys = vec![signer.jwk(None)]);
    await_provider(&proxy);
    assert_eq!(origin.count(), 0);
}

#[test]
fn a_cookie_that_was_changed_or_is_of_another_relation_is_none() {
    let (origin, provider, folder) = (ok(), Provider::start(), Folder::new());
    let auth = |more: &str| provider.auth(&folder, more);
    let other_client = auth("").replace("client_id: shop", "client_id: cart");
    let route = |path: &str, auth: &str| {
        let paths = format!(", callback_path: {path}/callback, logout_path: {path}/logout }} }}");
        let auth = auth.strip_suffix(" } }").unwrap().to_owned() + &paths;
        format!("- {{ match: {{ path: {path} }}, {auth}, upstream: '{}' }}\n", origin.address)
    };
    let proxy = Front::Http1.start(&format!(
        "listeners: ['{{listen}}']\nroutes:\n{}{}{}{}",
        route("/a", &auth("")),
        route("/same", &auth("")),
        route("/client", &other_client),
        route("/named", &auth(", cookie_name: other")),
    ));
    let mut browser = Browser::new(&proxy);
    await_until("the provider", || browser.open("/a").status == 302);
    browser.cookies.clear();
    assert_eq!(browser.log_in(&provider, "/a").status, 303);
    let page = |browser: &mut Browser<'_>, path: &str| browser.ask(Ask::get(path)).status;
    assert_eq!((page(&mut browser, "/a"), page(&mut browser, "/same")), (200, 200));
    assert_eq!((page(&mut browser, "/client"), page(&mut browser, "/named")), (401, 401));
    // Under the other name, and at another host.
    let sealed = browser.cookies[browser.session()].clone();
    browser.cookies.insert("other".to_owned(), sealed.clone());
    assert_eq!(page(&mut browser, "/named"), 401);
    "b.test".clone_into(&mut browser.host);
    assert_eq!(page(&mut browser, "/a"), 401);
    "APP.test.:8080".clone_into(&mut browser.host);
    assert_eq!(page(&mut browser, "/a"), 200);
    // An attempt is no session.
    let mut eve = Browser::new(&proxy);
    eve.open("/a");
    let attempt = eve.cookies.values().next().unwrap().clone();
    eve.cookies.insert("oidc_session".to_owned(), attempt);
    assert_eq!(page(&mut eve, "/a"), 401);
    let mut with = |cookie: String| {
        browser.cookies.insert("oidc_session".to_owned(), cookie);
        browser.ask(Ask::get("/a"))
    };
    for at in [0, 1, 20, sealed.len() / 2, sealed.len() - 2] {
        let mut bytes = sealed.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert_eq!(reason(&with(changed)), "auth_oidc_session_invalid", "{at}");
    }
    for bad in ["", "x", "!!", &sealed[..40], &format!("{sealed}{sealed}"), &"A".repeat(8000)] {
        assert_eq!(reason(&with(bad.to_owned())), "auth_oidc_session_invalid", "{bad}");
    }
    assert_eq!(with(sealed.clone()).status, 200);
    // Two of them: somebody else on the domain may have set one.
    let twice =
        browser.ask(Ask::get("/a").field("Cookie", &format!("oidc_session={sealed}")).field("Accept", "text/html"));
    assert_eq!((twice.status, reason(&twice).as_str()), (400, "auth_oidc_session_twice"));
}

#[test]
fn a_session_ends_and_secrets_take_turns() {
    let Running { proxy, origin, provider, folder } =
        start(", session_lifetime: 1m, claims_to_headers: { email: x-email }");
    let mut browser = Browser::new(&proxy);
    let welcome = browser.log_in(&provider, "/");
    assert!(welcome.all("set-cookie").iter().any(|cookie| cookie.contains("Max-Age=60;")), "{welcome:?}");
    let sealed = browser.cookies.clone();
    // A session that began an hour ago, sealed by the same secret: the clock is the cookie's.
    let old = sealed_session(&provider, json!({ "s": "ann", "i": now(-3600), "c": [["email", "x"]] }));
    browser.cookies.insert(browser.session().to_owned(), old);
    let over = browser.ask(Ask::get("/"));
    assert_eq!((over.status, reason(&over).as_str()), (401, "auth_oidc_session_expired"));
    assert_eq!(browser.open("/").status, 302);
    // One that lacks a claim which is wanted by now, and one of tomorrow.
    for (session, status) in [
        (json!({ "s": "ann", "i": now(-30), "c": [["email", "x"]] }), 200),
        (json!({ "s": "ann", "i": now(-30), "c": [] }), 401),
        (json!({ "s": "ann", "i": now(86400), "c": [["email", "x"]] }), 401),
        (json!({ "s": "ann", "i": now(-30), "c": [["email", "x"]], "more": 1 }), 401),
    ] {
        browser.cookies.insert(browser.session().to_owned(), sealed_session(&provider, session));
        assert_eq!(browser.ask(Ask::get("/")).status, status);
    }
    browser.cookies.clone_from(&sealed);
    assert_eq!(browser.open("/").status, 200);
    // A new secret in front of the old one: both open, the new one seals.
    let new = "ZYXWVUTSRQPONMLKJIHGFEDCBA-9876543210";
    folder.write("cookie-secret", &format!("{new}\n{COOKIE_SECRET}\n"));
    await_until("the new secret", || proxy.read("stderr").contains("seals the cookies of logins"));
    assert_eq!(browser.open("/").status, 200);
    let mut other = Browser::new(&proxy);
    assert_eq!(other.log_in(&provider, "/").status, 303);
    folder.write("cookie-secret", new);
    await_until("the end of the old one", || browser.ask(Ask::get("/")).status == 401);
    assert_eq!(other.open("/").status, 200);
    // A bad file leaves what is in force.
    folder.write("cookie-secret", "short");
    await_until("the refusal", || proxy.read("stderr").contains("the secrets of before stay in force"));
    assert_eq!(other.open("/").status, 200);
    assert!(origin.count() > 0 && !proxy.read("stderr").contains(new));
}

/// As the proxy seals one for `app.test`.
fn sealed_session(provider: &Provider, session: Value) -> String {
    use proxy_service::auth::oidc::{Purpose, Seals};
    let seals = Seals::new(&[COOKIE_SECRET.as_bytes().to_vec()]).unwrap();
    let issuer = provider.issuer();
    let bound: [&[u8]; 4] = [issuer.as_bytes(), b"shop", b"oidc_session", b"app.test"];
    seals.seal(Purpose::Session, &bound, session.to_string().as_bytes()).unwrap()
}

#[test]
fn nobody_is_led_to_another_site() {
    let Running { proxy, provider, folder: _folder, .. } = start("");
    for (target, to) in [
        ("//evil.test/x", "/"),
        ("///evil.test", "/"),
        ("/\\evil.test", ""),
        ("/x//evil.test?to=//evil.test", "/x//evil.test?to=//evil.test"),
        ("/%2f/evil.test", "/%2f/evil.test"),
        ("/%5cevil.test", "/%5cevil.test"),
        ("/?\"<>", "/?%22%3C%3E"),
    ] {
        let mut browser = Browser::new(&proxy);
        let sent = browser.open(target);
        if to.is_empty() {
            assert_eq!(sent.status, 400, "{target}");
            continue;
        }
        let location = sent.header("location").unwrap_or_else(|| panic!("{target}: {}", sent.text())).to_owned();
        let welcome = browser.open(&provider.log_in(&location));
        assert_eq!((welcome.status, welcome.header("location")), (303, Some(to)), "{target}");
    }
    // A host that somebody made up is no part of the path back.
    let mut browser = Browser::new(&proxy);
    "evil.test".clone_into(&mut browser.host);
    let location = ann_anew(&mut browser);
    let back = provider.log_in(&location);
    "app.test".clone_into(&mut browser.host);
    is_page(&browser.open(&back), 400, "auth_oidc_state_unknown");
}

#[test]
fn several_tabs_log_in_and_attempts_are_not_kept_without_end() {
    let Running { proxy, provider, folder: _folder, .. } = start("");
    let mut browser = Browser::new(&proxy);
    let backs: Vec<(String, String)> = (0..5)
        .map(|tab| {
            let target = format!("/tab/{tab}");
            let location = browser.open(&target).header("location").unwrap().to_owned();
            (target, provider.log_in(&location))
        })
        .collect();
    assert_eq!(browser.cookies.len(), 5);
    // Each of them comes back to where it began, in any order.
    for (target, back) in backs.iter().rev().take(3) {
        let welcome = browser.open(back);
        assert_eq!((welcome.status, welcome.header("location")), (303, Some(target.as_str())));
    }
    assert_eq!(browser.cookies.len(), 3);
    browser.cookies.remove(browser.session());
    for _ in 0..20 {
        assert_eq!(browser.open("/").status, 302);
        assert!(browser.cookies.len() <= 5, "{:?}", browser.cookies.keys());
    }
    // Those that nobody can open go first, and not all of them in one response.
    browser.cookies.clear();
    for n in 0..30 {
        browser.cookies.insert(format!("oidc_session_login_{n:012}"), "x".to_owned());
    }
    let sent = browser.open("/");
    assert!(sent.all("set-cookie").len() <= 17, "{}", sent.all("set-cookie").len());
    while browser.cookies.len() > 5 {
        browser.open("/");
    }
    let good = provider.log_in(&ann_anew(&mut browser));
    assert!(browser.cookies.len() <= 5);
    assert_eq!(browser.open(&good).status, 303);
}

#[test]
fn keys_that_are_new_verify_once_a_token_names_them() {
    let Running { proxy, provider, folder: _folder, .. } = start("");
    let mut browser = Browser::new(&proxy);
    assert_eq!(browser.log_in(&provider, "/").status, 303);
    // The provider is not asked more often than every five seconds: until then the token is refused.
    let new = Signer::ed25519();
    provider.change(|b| {
        b.keys.push(new.jwk(Some("2")));
        b.header = json!({ "alg": "EdDSA", "kid": "2" });
        b.signer = new;
    });
    await_until("the new key", || {
        let answer = Browser::new(&proxy).log_in(&provider, "/");
        assert!(answer.status == 303 || reason(&answer) == "auth_oidc_token_key", "{}", answer.text());
        answer.status == 303
    });
    // One that the provider does not show is none.
    provider.change(|b| b.header = json!({ "alg": "EdDSA", "kid": "3" }));
    is_page(&Browser::new(&proxy).log_in(&provider, "/"), 502, "auth_oidc_token_key");
}

#[test]
fn claims_that_are_missing_are_asked_for_and_required_ones_decide() {
    let more = ", claims_to_headers: { phone: x-phone, sub: x-user }, required: [phone]";
    let Running { proxy, origin, provider, folder: _folder, .. } = start(more);
    let mut browser = Browser::new(&proxy);
    is_page(&browser.log_in(&provider, "/"), 403, "auth_oidc_claim_missing");
    provider.change(|b| b.user_info = json!({ "sub": "ann", "phone": "+1 2", "email": "eve@a.test" }));
    assert_eq!(browser.log_in(&provider, "/").status, 303);
    assert_eq!(provider.origin.last().header("authorization"), Some("Bearer opaque"));
    assert_eq!(browser.open("/").status, 200);
    assert_eq!((origin.last().header("x-phone"), origin.last().header("x-user")), (Some("+1 2"), Some("ann")));
    // Of somebody else.
    provider.change(|b| b.user_info = json!({ "sub": "eve", "phone": "+1 2" }));
    is_page(&Browser::new(&proxy).log_in(&provider, "/"), 502, "auth_oidc_user_info");
    // More than a cookie holds.
    provider.change(|b| b.user_info = json!({ "sub": "ann", "phone": "1".repeat(5000) }));
    let large = Browser::new(&proxy).log_in(&provider, "/");
    is_page(&large, 502, "auth_oidc_session_too_large");
    assert!(
        large.text().contains("the claim `phone` has 5000 bytes")
            && large.header("set-cookie").is_some_and(|c| c.contains("Max-Age=0"))
    );
}

#[test]
fn a_logout_ends_both_sessions_and_no_other_site_can_do_it() {
    let Running { proxy, origin, provider, folder: _folder, .. } = start("");
    let mut browser = Browser::new(&proxy);
    let nothing = browser.open("/oauth2/logout");
    assert_eq!((nothing.status, nothing.header("cache-control")), (200, Some("no-store")));
    browser.log_in(&provider, "/");
    let forged =
        browser.ask(Ask::get("/oauth2/logout").field("Accept", "text/html").field("Sec-Fetch-Site", "cross-site"));
    is_page(&forged, 403, "auth_oidc_logout_cross_site");
    let forged =
        browser.ask(Ask::post("/oauth2/logout", "").field("Accept", "text/html").field("Origin", "https://evil.test"));
    is_page(&forged, 403, "auth_oidc_logout_cross_site");
    // Browsers say nothing of sites over HTTP but where a link was.
    for from in ["https://evil.test/", "http://app.test.evil.test/"] {
        let forged = browser.ask(Ask::get("/oauth2/logout").field("Accept", "text/html").field("Referer", from));
        is_page(&forged, 403, "auth_oidc_logout_cross_site");
    }
    assert_eq!(browser.open("/").status, 200);
    let out = browser.ask(Ask::get("/oauth2/logout").field("Sec-Fetch-Site", "same-origin"));
    assert_eq!((out.status, out.header("cache-control")), (303, Some("no-store")));
    let (url, query) = out.header("location").unwrap().split_once('?').unwrap();
    assert_eq!(url, format!("{}/out", provider.issuer()));
    let told = fields(query);
    assert_eq!(
        (told["client_id"].as_str(), told["post_logout_redirect_uri"].as_str()),
        ("shop", "http://app.test/oauth2/logout")
    );
    assert!(browser.cookies.is_empty());
    // The provider leads back, from another site.
    let back = target_of(&told["post_logout_redirect_uri"]);
    let back = browser.ask(Ask::get(&back).field("Sec-Fetch-Site", "cross-site"));
    assert!(back.status == 200 && back.text().contains("Logged out"), "{}", back.text());
    assert_eq!(browser.open("/").status, 302);
    // By a form, and at a provider that has no such endpoint.
    provider.change(|b| {
        b.configuration = Box::new(|all| drop(all.as_object_mut().unwrap().remove("end_session_endpoint")))
    });
    assert_eq!(proxy.order("reload").0, 0);
    await_until("the new configuration", || {
        let mut browser = Browser::new(&proxy);
        browser.log_in(&provider, "/");
        let out = browser.ask(Ask::post("/oauth2/logout", "").field("Origin", "http://app.test"));
        assert!(browser.cookies.is_empty());
        out.status == 200 && out.text().contains("Logged out")
    });
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_public_client_and_one_that_shows_its_secret_in_the_body_log_in() {
    let Running { proxy, provider, folder: _folder, .. } = start("");
    provider.change(|b| {
        b.configuration = Box::new(|all| all["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]));
    });
    assert_eq!(proxy.order("reload").0, 0);
    await_until("the new configuration", || {
        assert_eq!(Browser::new(&proxy).log_in(&provider, "/").status, 303);
        provider
            .origin
            .seen
            .lock()
            .unwrap()
            .iter()
            .rev()
            .find(|r| r.line.starts_with("POST"))
            .unwrap()
            .header("authorization")
            .is_none()
    });
    // Without the secret the provider of this test lets nobody in.
    let (origin, folder) = (ok(), Folder::new());
    let auth = provider.auth(&folder, "");
    let start = auth.find(" client_secret_file").unwrap();
    let end = auth.find(" cookie_secret_file").unwrap();
    let public = Front::Http1.start(&yaml(&origin, &format!("{}{}", &auth[..start], &auth[end..])));
    await_provider(&public);
    is_page(&Browser::new(&public).log_in(&provider, "/"), 502, "auth_oidc_client_refused");
}

#[test]
fn a_provider_is_reached_where_the_file_says() {
    let (origin, provider, folder) = (ok(), Provider::start(), Folder::new());
    // By its public name, which leads nowhere; the upstream does.
    let auth = provider.auth(&folder, "").replace(&provider.issuer(), "http://id.test");
    let auth = auth.replace("client_id", "provider_url: 'http://idp', client_id");
    let proxy = Front::Http1.start(&format!(
        "listeners: ['{{listen}}']\nupstreams: {{ idp: {{ servers: ['{}'] }} }}\nroutes:\n- {{ {auth}, upstream: '{}' }}\n",
        provider.origin.address, origin.address
    ));
    await_provider(&proxy);
    let sent = Browser::new(&proxy).open("/");
    assert!(sent.header("location").unwrap().starts_with("http://id.test/authorize?"), "{sent:?}");
    assert_eq!(provider.origin.last().header("host"), Some("id.test"));
}

#[test]
fn explain_says_where_a_browser_would_be_sent() {
    let Running { proxy, provider, folder: _folder, .. } = start("");
    let explain = |arguments: &[&str]| support::call_for(&proxy.folder, &[&["explain"], arguments].concat()).1;
    let browser = explain(&["GET", "http://app.test/x", "-H", "accept: text/html"]);
    assert!(browser.contains(&format!("302 Found, to the login of {}", provider.issuer())), "{browser}");
    let script = explain(&["GET", "http://app.test/x"]);
    assert!(script.contains("is refused: the proxy answers 401"), "{script}");
    let session = sealed_session(&provider, json!({ "s": "ann", "i": now(-30), "c": [] }));
    let let_in = explain(&["GET", "http://app.test/x", "-H", &format!("cookie: oidc_session={session}")]);
    assert!(let_in.contains("upstream:") && let_in.contains("a session of a login at"), "{let_in}");
    let all = support::call_for(&proxy.folder, &["-T"]).1;
    assert!(all.contains("cookie_secret_file:") && !all.contains(COOKIE_SECRET) && !all.contains("pass word"), "{all}");
}

#[test]
fn a_configuration_by_which_nobody_could_log_in_is_refused() {
    let folder = Folder::new();
    folder.write("secret", COOKIE_SECRET);
    folder.write("two-lines", "a\nb\n");
    folder.write("weak", &"ab".repeat(32));
    folder.write(
        "public.pem",
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----\n",
    );
    let check = |issuer: &str, keys: &str, route: &str| {
        let oidc = format!("{{ issuer: '{issuer}', client_id: a{keys} }}");
        folder.write(
            "p.yaml",
            &format!(
                "listeners: ['127.0.0.1:80']\nupstreams: {{ idp: {{ servers: ['127.0.0.1:1'] }} }}\nroutes:\n\
                 - {{ {route} auth: {{ oidc: {oidc} }}, upstream: idp }}\n"
            ),
        );
        let (code, _, stderr) = support::call(&["-t", "-c", "p.yaml"], &folder.0);
        (code, stderr)
    };
    const GOOD: &str = "https://id.example.com";
    let secret = ", cookie_secret_file: secret";
    for (issuer, keys, why) in [
        ("http://id.example.com", "", "the scheme of an issuer is `https`"),
        ("http://127.0.0.1.example.com", "", "the scheme of an issuer is `https`"),
        (GOOD, ", scopes: [email]", "`scopes` has no `openid`"),
        (GOOD, ", callback_path: /b, logout_path: /b", "`logout_path` is the same as `callback_path`"),
        (GOOD, ", cookie_name: __host-a", "`cookie_name` begins with a prefix that browsers know"),
        (GOOD, ", provider_url: 'http://idp/x'", "`provider_url` has a scheme and a host only"),
        (GOOD, ", provider_url: 'https://idp'", "the upstream `idp` has no `tls`"),
        (GOOD, ", provider_url: 'http://id.example.com'", "the scheme of `provider_url` is `https`"),
        (
            "http://id.example.com",
            ", provider_url: 'http://203.0.113.7:8080'",
            "the scheme of `provider_url` is `https`",
        ),
        ("https://ann:hunter3@id.example.com", "", "is no issuer"),
        (GOOD, ", claims_to_headers: { sub: host }", "`host` is no field for a claim"),
        (GOOD, ", claims_to_headers: { sub: cookie }", "`cookie` is no field for a claim"),
        (GOOD, ", client_secret_file: two-lines", "a client's secret is one line"),
    ] {
        let (code, stderr) = check(issuer, &format!("{secret}{keys}"), "");
        assert!(code == 1 && stderr.contains(why) && stderr.contains("p.yaml:4:"), "{keys}: {stderr}");
    }
    for (file, why) in [
        ("two-lines", "a secret has at least 32 bytes; the one of line 1 has 1"),
        ("weak", "the secret of line 1 can be guessed"),
        ("public.pem", "this file holds a key"),
    ] {
        let (code, stderr) = check(GOOD, &format!(", cookie_secret_file: {file}"), "");
        assert!(code == 1 && stderr.contains(why), "{file}: {stderr}");
    }
    let (code, stderr) = check(GOOD, secret, "rate_limit: { rate: 1/s, key: 'claim:email' },");
    assert!(code == 1 && stderr.contains("a session of `auth.oidc` does not have this claim"), "{stderr}");
    // What a route cannot take is warned of.
    for (route, why) in [
        ("match: { path: /app },", "the route does not take `/oauth2/callback`, which is `callback_path`"),
        ("match: { path: /app },", "the route does not take `/oauth2/logout`, which is `logout_path`"),
        ("match: { method: POST },", "nobody can log in to this route: `match.method` has no GET"),
    ] {
        let (code, stderr) = check(GOOD, secret, route);
        assert!(code == 0 && stderr.contains(why), "{route}: {stderr}");
    }
    for (issuer, keys, route) in [
        (GOOD, ", session_lifetime: 720h, timeout: 1s", "rate_limit: { rate: 1/s, key: 'claim:sub' },"),
        (GOOD, ", required: [email]", "rate_limit: { rate: 1/s, key: 'claim:email' },"),
        ("http://localhost:8080/realms/staff", "", ""),
        ("http://idp", "", ""),
        ("http://id.internal", ", provider_url: 'http://idp'", ""),
        (GOOD, ", callback_path: /app/back, logout_path: /app/out", "match: { path: /app },"),
    ] {
        assert_eq!(check(issuer, &format!("{secret}{keys}"), route), (0, String::new()), "{issuer} {keys} {route}");
    }
}
