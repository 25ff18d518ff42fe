//! Signed tokens: what lets pass, each way in which one is forged, and the keys of their issuers.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use support::front::{Ask, Front, every_front};
use support::tokens::{Signer, now, set};
use support::{Folder, Origin, Proxy, Response, await_until, call};

fn ok() -> Origin {
    Origin::fixed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
}

fn claims() -> Value {
    json!({ "iss": "https://us.example", "aud": ["shop", "cart"], "sub": "ann", "exp": now(600), "iat": now(0) })
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

/// A proxy that takes tokens by `keys`, and the origin behind it.
fn start(keys: &str, more: &str) -> (Proxy, Origin) {
    let origin = ok();
    let proxy = Proxy::start(&yaml(&origin, keys, more));
    (proxy, origin)
}

fn yaml(origin: &Origin, keys: &str, more: &str) -> String {
    format!(
        "listeners: ['{{listen}}']\nroutes:\n- auth: {{ jwt: {{ {keys}, issuer: 'https://us.example', audience: shop{more} }} }}\n  upstream: '{}'\n",
        origin.address
    )
}

fn file(folder: &Folder, keys: &[Value]) -> String {
    format!("jwks_file: '{}'", folder.write("keys.json", &set(keys)).display())
}

fn ask(proxy: &Proxy, token: &str) -> Response {
    proxy.ask(format!("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n"))
}

/// The proxy's reason for a refusal.
fn reason(response: &Response) -> String {
    let challenge = response.header("www-authenticate").unwrap_or_default();
    let description = challenge.split("error_description=\"").nth(1).and_then(|rest| rest.split('"').next());
    assert_eq!(response.status, 401, "{}", response.text());
    assert!(response.text().contains(description.unwrap_or("a token is asked for")), "{challenge}");
    description.unwrap_or(challenge).to_owned()
}

#[test]
fn every_algorithm_verifies_what_its_key_has_signed_and_nothing_else() {
    let folder = Folder::new();
    let signers = [
        (Signer::rsa(), &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"][..]),
        (Signer::p256(), &["ES256"]),
        (Signer::p384(), &["ES384"]),
        (Signer::ed25519(), &["EdDSA"]),
    ];
    let keys: Vec<Value> =
        signers.iter().enumerate().map(|(index, (signer, _))| signer.jwk(Some(&index.to_string()))).collect();
    let (proxy, origin) = start(&file(&folder, &keys), "");
    for (index, (signer, algorithms)) in signers.iter().enumerate() {
        for alg in *algorithms {
            let token = signer.token(json!({ "alg": alg, "kid": index.to_string() }), claims());
            assert_eq!(ask(&proxy, &token).status, 200, "{alg}");
            // One without the name of its key is tried with those that are for its algorithm.
            assert_eq!(ask(&proxy, &signer.token(json!({ "alg": alg }), claims())).status, 200, "{alg}");
            let (message, signature) = token.rsplit_once('.').unwrap();
            let other = if signature.starts_with('A') { "B" } else { "A" };
            for bad in [format!("{message}.{other}{}", &signature[1..]), format!("{message}."), message.to_owned()] {
                assert_eq!(ask(&proxy, &bad).status, 401, "{alg}: {bad}");
            }
        }
    }
    // The algorithm of one key, signed by another.
    let forged = signers[1].0.token(json!({ "alg": "ES256", "kid": "0" }), claims());
    let wrong = "the token is signed by an algorithm that `auth.jwt.algorithms` or the key does not allow";
    assert_eq!(reason(&ask(&proxy, &forged)), wrong);
    for alg in ["RS512", "PS256", "ES384", "EdDSA"] {
        assert_eq!(ask(&proxy, &signers[1].0.token(json!({ "alg": alg }), claims())).status, 401, "{alg}");
    }
    // Both kinds of RSA's padding are kept apart.
    let crossed = signers[0].0.raw_token("PS256", &json!({ "alg": "RS256" }).to_string(), &claims().to_string());
    assert_eq!(reason(&ask(&proxy, &crossed)), "the signature of the token is wrong");
    assert_eq!(origin.count(), 2 * 9);
}

#[test]
fn a_public_key_is_no_secret_and_none_is_no_algorithm() {
    let folder = Folder::new();
    let rsa = Signer::rsa();
    let (proxy, origin) = start(&file(&folder, &[rsa.jwk(Some("k"))]), "");
    let wrong_algorithm = "the token is signed by an algorithm that `auth.jwt.algorithms` or the key does not allow";
    for secret in rsa.public_bytes() {
        let signer = Signer::Secret(secret);
        for alg in ["HS256", "HS384", "HS512"] {
            let token = signer.token(json!({ "alg": alg, "kid": "k" }), claims());
            assert_eq!(reason(&ask(&proxy, &token)), wrong_algorithm);
        }
    }
    let good = rsa.token(json!({ "alg": "RS256" }), claims());
    let payload = good.split('.').nth(1).unwrap();
    for alg in ["none", "None", "NONE", "nOnE", "rs256", "RS256 ", "Rs256", ""] {
        let header = data_encoding::BASE64URL_NOPAD.encode(json!({ "alg": alg }).to_string().as_bytes());
        assert_eq!(reason(&ask(&proxy, &format!("{header}.{payload}."))), wrong_algorithm, "{alg}");
        let signed = rsa.raw_token("RS256", &json!({ "alg": alg }).to_string(), &claims().to_string());
        assert_eq!(reason(&ask(&proxy, &signed)), wrong_algorithm, "{alg}");
    }
    let malformed = "the token is no JSON Web Token in compact form";
    for header in ["{}", "[]", "{\"alg\":5}", "{\"alg\":\"RS256\",\"alg\":\"none\"}", "{\"alg\":[\"RS256\"]}", ""] {
        assert_eq!(reason(&ask(&proxy, &rsa.raw_token("RS256", header, &claims().to_string()))), malformed, "{header}");
    }
    for bad in ["a", "a.b", "..", "a.b.c.d", &format!("{good}="), &format!("{good}.x"), &good.replace('.', ". ")] {
        assert_eq!(ask(&proxy, bad).status, 401, "{bad}");
    }
    assert_eq!(origin.count(), 0);
    assert_eq!(ask(&proxy, &good).status, 200);
}

#[test]
fn a_token_brings_no_key_and_names_no_file() {
    let folder = Folder::new();
    let (ours, theirs) = (Signer::rsa(), Signer::rsa());
    let (proxy, origin) = start(&file(&folder, &[ours.jwk(Some("k"))]), "");
    for kid in ["../../../../dev/null", "k\u{0}", "K", "' OR 1=1 --", "http://127.0.0.1/keys.json", ""] {
        let header = json!({ "alg": "RS256", "kid": kid, "jwk": theirs.jwk(Some(kid)), "jku": "http://127.0.0.1:1/" });
        let refused = reason(&ask(&proxy, &theirs.token(header, claims())));
        assert_eq!(refused, "the token names a key that the issuer does not have", "{kid:?}");
    }
    for extra in [json!({ "jwk": theirs.jwk(Some("k")) }), json!({ "x5u": "http://127.0.0.1:1/" }), json!({})] {
        let mut header = json!({ "alg": "RS256", "kid": "k" });
        header.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        assert_eq!(reason(&ask(&proxy, &theirs.token(header, claims()))), "the signature of the token is wrong");
    }
    let critical = ours.token(json!({ "alg": "RS256", "kid": "k", "crit": ["b64"], "b64": false }), claims());
    assert_eq!(reason(&ask(&proxy, &critical)), "the token wants something understood that is not known (`crit`)");
    assert_eq!(origin.count(), 0);
    assert_eq!(ask(&proxy, &ours.token(json!({ "alg": "RS256", "kid": "k" }), claims())).status, 200);
}

#[test]
fn each_claim_that_does_not_fit_refuses_and_says_so() {
    let folder = Folder::new();
    let signer = Signer::ed25519();
    let (proxy, origin) = start(&file(&folder, &[signer.jwk(None)]), ", leeway: 10s, required: [exp, sub]");
    let audience = "the token is for another audience than `auth.jwt.audience`";
    for (claims, expected) in [
        (with("exp", json!(now(-11))), "the token has expired"),
        (with("nbf", json!(now(60))), "the token is not valid yet"),
        (with("iat", json!(now(60))), "the token is not valid yet"),
        (with("exp", json!("never")), "the claims of the token are not valid"),
        (without("exp"), "the token lacks a claim of `auth.jwt.required`"),
        (without("sub"), "the token lacks a claim of `auth.jwt.required`"),
        (with("iss", json!("https://us.example/")), "the token is of another issuer than `auth.jwt.issuer`"),
        (without("iss"), "the token is of another issuer than `auth.jwt.issuer`"),
        (with("aud", json!("shopping")), audience),
        (with("aud", json!(["other"])), audience),
        (without("aud"), audience),
        (json!([1]), "the claims of the token are not valid"),
    ] {
        let token = signer.token(json!({ "alg": "EdDSA" }), claims.clone());
        assert_eq!(reason(&ask(&proxy, &token)), expected, "{claims}");
    }
    let long = with("pad", json!("x".repeat(13_000)));
    let token = signer.token(json!({ "alg": "EdDSA" }), long);
    assert_eq!(reason(&ask(&proxy, &token)), "the token is longer than 16 KiB");
    assert_eq!(origin.count(), 0);
    let good = signer.token(json!({ "alg": "EdDSA" }), with("exp", json!(now(-5))));
    assert_eq!(ask(&proxy, &good).status, 200);
    // The log says why, and nothing of the token.
    let log = proxy.access_log(14);
    assert_eq!((&log[0]["error"], &log[0]["error_source"]), (&json!("the token has expired"), &json!("client")));
    assert!(!proxy.read("stdout").contains(good.rsplit('.').next().unwrap()));
}

every_front! { claims_are_told_and_cannot_be_forged }

fn claims_are_told_and_cannot_be_forged(front: Front) {
    let (folder, origin) = (Folder::new(), ok());
    let signer = Signer::p256();
    let more = ", claims_to_headers: { sub: x-user, roles: X-Roles, mail: x-mail }, forward_credentials: false";
    let keys = file(&folder, &[signer.jwk(Some("a"))]);
    let proxy = front.start(&format!("{}headers: {{ underscores: keep }}\n", yaml(&origin, &keys, more)));
    let forging = |ask: Ask| {
        let fields = ["X-User", "x_user", "X-Roles", "x_roles", "x-mail", "X_Mail"];
        fields.into_iter().fold(ask, |ask, name| ask.field(name, "root"))
    };
    let signed = |claims: Value| format!("Bearer {}", signer.token(json!({ "alg": "ES256", "kid": "a" }), claims));
    let told = |name: &str| {
        let seen = origin.last();
        let is_it = |field: &&(String, String)| field.0.to_lowercase().replace('_', "-") == name;
        seen.headers.iter().filter(is_it).map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    let good = signed(with("roles", json!(["a", "b"])));
    assert_eq!(proxy.ask(&forging(Ask::get("/").field("Authorization", &good))).status, 200);
    assert_eq!((told("x-user"), told("x-roles")), (vec!["ann".to_owned()], vec!["a,b".to_owned()]));
    assert!(told("x-mail").is_empty() && told("authorization").is_empty());
    // A value that would break out of its field is not told.
    let broken = signed(with("sub", json!("ann\r\nX-Roles: admin")));
    assert_eq!(proxy.ask(&forging(Ask::get("/").field("Authorization", &broken))).status, 200);
    assert!(told("x-user").is_empty() && told("x-roles").is_empty());
    // Beyond ASCII it is UTF-8.
    assert_eq!(proxy.ask(&Ask::get("/").field("Authorization", &signed(with("sub", json!("zoë"))))).status, 200);
    assert_eq!(told("x-user"), ["zoë"]);
    let count = origin.count();
    let twice = Ask::get("/").field("Authorization", &good).field("Authorization", &good);
    let answer = proxy.ask(&twice);
    assert_eq!((answer.status, answer.header("www-authenticate")), (400, Some("Bearer error=\"invalid_request\"")));
    for ask in [
        forging(Ask::get("/")),
        Ask::new("OPTIONS", "/").field("Access-Control-Request-Method", "GET"),
        Ask::post("/", "body"),
        Ask::websocket("/"),
        Ask::get("/").field("Authorization", "Basic YTpi"),
        Ask::get("/?access_token=x"),
    ] {
        let answer = proxy.ask(&ask);
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{ask:?}");
    }
    assert_eq!(origin.count(), count);
}

/// Anybody may send a token that names no key, and each try costs.
#[test]
fn a_token_that_names_no_key_is_tried_with_four() {
    let folder = Folder::new();
    let signers: Vec<_> = (0..5).map(|_| Signer::p384()).collect();
    let keys: Vec<Value> = signers.iter().enumerate().map(|(at, signer)| signer.jwk(Some(&at.to_string()))).collect();
    // Keys of another kind do not count.
    let others = (0..5).map(|_| Signer::p256().jwk(None));
    let (proxy, _origin) = start(&file(&folder, &others.chain(keys).collect::<Vec<_>>()), "");
    let unnamed = |at: usize| ask(&proxy, &signers[at].token(json!({ "alg": "ES384" }), claims())).status;
    assert_eq!((unnamed(0), unnamed(3), unnamed(4)), (200, 200, 401));
    assert_eq!(ask(&proxy, &signers[4].token(json!({ "alg": "ES384", "kid": "4" }), claims())).status, 200);
}

/// Two of them would be told alike.
#[test]
fn a_claim_that_cannot_be_told_exactly_lets_nobody_pass() {
    let folder = Folder::new();
    let signer = Signer::p256();
    let (proxy, origin) = start(&file(&folder, &[signer.jwk(None)]), ", claims_to_headers: { sub: x-user }");
    let ask = |sub: &str| {
        let claims = with("sub", json!("SUB")).to_string().replace("\"SUB\"", sub);
        ask(&proxy, &signer.raw_token("ES256", "{\"alg\":\"ES256\"}", &claims))
    };
    assert_eq!(ask("18446744073709551615").status, 200);
    assert_eq!(origin.last().header("x-user"), Some("18446744073709551615"));
    assert_eq!(reason(&ask("12000000000000000000001")), "the claims of the token are not valid");
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_secret_signs_and_a_token_may_stand_elsewhere() {
    let folder = Folder::new();
    let path = folder.write("secret", &format!("{}\n", "s".repeat(48)));
    let signer = Signer::Secret("s".repeat(48).into_bytes());
    let keys = format!("secret_file: '{}'", path.display());
    let token = |alg: &str| signer.token(json!({ "alg": alg }), claims());
    let (proxy, origin) = start(&keys, ", from: { cookie: session }, forward_credentials: false");
    let cookie = |token: &str| {
        proxy.ask(format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1; session={token}\r\nCookie: b=2\r\n\r\n"))
    };
    assert_eq!((cookie(&token("HS256")).status, cookie(&token("HS384")).status), (200, 200));
    // Too short for it.
    assert_eq!(cookie(&token("HS512")).status, 401);
    let seen = origin.last();
    let cookies: Vec<_> = seen.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("cookie")).collect();
    assert!(!cookies.is_empty() && cookies.iter().all(|(_, value)| !value.contains("session")), "{cookies:?}");
    // Another secret takes its place.
    folder.write("secret", &"t".repeat(64));
    let renewed = Signer::Secret("t".repeat(64).into_bytes()).token(json!({ "alg": "HS256" }), claims());
    await_until("the new secret", || cookie(&renewed).status == 200);
    assert_eq!(cookie(&token("HS256")).status, 401);
    let (proxy, origin) = start(&keys, ", from: { query: t }, algorithms: [HS256], forward_credentials: false");
    assert_eq!(proxy.get(&format!("/x?a=1&t={renewed}")).status, 200);
    assert_eq!(origin.last().target(), "/x?a=1");
    assert_eq!(proxy.get(&format!("/?t={renewed}&t=x")).status, 400);
    assert!(proxy.access_log(2)[0]["query"].as_str().unwrap_or_default().is_empty());
    assert!(!proxy.read("stdout").contains(&renewed));
}

#[test]
fn a_changed_file_of_keys_is_in_force_and_a_bad_one_is_not() {
    let folder = Folder::new();
    let (old, new) = (Signer::p256(), Signer::ed25519());
    let (proxy, _origin) = start(&file(&folder, &[old.jwk(Some("1"))]), "");
    let of_old = old.token(json!({ "alg": "ES256", "kid": "1" }), claims());
    let of_new = new.token(json!({ "alg": "EdDSA", "kid": "2" }), claims());
    assert_eq!((ask(&proxy, &of_old).status, ask(&proxy, &of_new).status), (200, 401));
    file(&folder, &[old.jwk(Some("1")), new.jwk(Some("2"))]);
    await_until("the new key", || ask(&proxy, &of_new).status == 200);
    assert_eq!(ask(&proxy, &of_old).status, 200);
    folder.write("keys.json", "{\"keys\":[]}");
    await_until("the refusal", || {
        proxy.read("stderr").contains("the set has no key; the keys of before stay in force")
    });
    assert_eq!(ask(&proxy, &of_new).status, 200);
    file(&folder, &[new.jwk(Some("2"))]);
    await_until("the end of the old key", || ask(&proxy, &of_old).status == 401);
}

#[test]
fn a_token_that_was_let_in_is_asked_for_its_key_its_clock_and_its_rule_each_time() {
    let folder = Folder::new();
    let (signer, other) = (Signer::p256(), Signer::p256());
    let keys = file(&folder, &[signer.jwk(Some("1")), other.jwk(Some("2"))]);
    let (proxy, origin) = start(&keys, ", leeway: 0s, claims_to_headers: { sub: x-user }");
    let header = |kid: &str| json!({ "alg": "ES256", "kid": kid });
    let short = signer.token(header("1"), with("exp", json!(now(3))));
    let (token, of_other) = (signer.token(header("1"), claims()), other.token(header("2"), with("sub", json!("bob"))));
    for _ in 0..3 {
        for (token, user) in [(&token, "ann"), (&of_other, "bob"), (&short, "ann")] {
            let answer = ask(&proxy, token);
            // A machine that is slow may be past its end already.
            if answer.status == 401 && token == &short {
                continue;
            }
            assert_eq!((answer.status, origin.last().header("x-user")), (200, Some(user)));
        }
    }
    for at in [0, token.len() / 2, token.len() - 1] {
        let mut bytes = token.clone().into_bytes();
        bytes[at] ^= 1;
        assert_eq!(ask(&proxy, &String::from_utf8(bytes).unwrap()).status, 401, "{at}");
    }
    await_until("its end", || ask(&proxy, &short).status == 401);
    assert_eq!(reason(&ask(&proxy, &short)), "the token has expired");
    assert_eq!((ask(&proxy, &token).status, ask(&proxy, &of_other).status), (200, 200));
    file(&folder, &[other.jwk(Some("2"))]);
    await_until("the end of its key", || ask(&proxy, &token).status == 401);
    assert_eq!(ask(&proxy, &of_other).status, 200);
    for (more, status) in [(", required: [mail]", 401), ("", 200)] {
        proxy.rewrite(&yaml(&origin, &keys, more));
        assert_eq!(proxy.order("reload").0, 0);
        assert_eq!(ask(&proxy, &of_other).status, status, "{more}");
    }
    proxy.rewrite(&yaml(&origin, &keys, "").replace("audience: shop", "audience: warehouse"));
    assert_eq!(proxy.order("reload").0, 0);
    assert_eq!(ask(&proxy, &of_other).status, 401);
}

#[test]
fn keys_are_fetched_kept_and_fetched_again_for_a_token_that_names_another() {
    let (old, new) = (Signer::rsa(), Signer::p384());
    let served = Arc::new(Mutex::new((503, String::new())));
    let issuer = {
        let served = Arc::clone(&served);
        Origin::start(move |_, wire| {
            let (status, body) = served.lock().unwrap().clone();
            wire.send(format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
            true
        })
    };
    let url = format!("jwks_url: 'http://{}/keys?v=1'", issuer.address);
    let (proxy, origin) = start(&url, "");
    let of_old = old.token(json!({ "alg": "RS256", "kid": "1" }), claims());
    let of_new = new.token(json!({ "alg": "ES384", "kid": "2" }), claims());
    let early = ask(&proxy, &of_old);
    assert_eq!((early.status, early.header("retry-after")), (503, Some("1")));
    assert!(early.text().contains("auth.jwt.jwks_url") && origin.count() == 0, "{}", early.text());
    let serve = |status: u16, body: String| *served.lock().unwrap() = (status, body);
    serve(200, set(&[old.jwk(Some("1"))]));
    await_until("the keys", || ask(&proxy, &of_old).status == 200);
    let request = issuer.last();
    assert_eq!((request.target(), request.header("host")), ("/keys?v=1", Some(issuer.address.to_string().as_str())));
    // A new key: the tokens that name it have it fetched, and not once for each of them.
    let before = issuer.count();
    serve(200, set(&[old.jwk(Some("1")), new.jwk(Some("2"))]));
    await_until("the new key", || ask(&proxy, &of_new).status == 200);
    assert!(issuer.count() - before <= 4, "{}", issuer.count() - before);
    // What is no set, and an issuer that is away, take no key away; nor does a reload.
    serve(200, "<html>".to_owned());
    let unknown = new.token(json!({ "alg": "ES384", "kid": "3" }), claims());
    await_until("the bad set", || {
        assert_eq!(ask(&proxy, &unknown).status, 401);
        proxy.read("stderr").contains("it is no JSON Web Key Set")
    });
    assert_eq!((ask(&proxy, &of_old).status, ask(&proxy, &of_new).status), (200, 200));
    drop(issuer);
    assert_eq!(proxy.order("reload").0, 0);
    assert_eq!((ask(&proxy, &of_old).status, ask(&proxy, &of_new).status), (200, 200));
}

#[test]
fn a_configuration_that_would_confuse_keys_is_refused() {
    let folder = Folder::new();
    folder.write("keys.json", &set(&[Signer::rsa().jwk(Some("k"))]));
    folder.write("secret", &"s".repeat(40));
    folder.write("short", "secret");
    folder.write(
        "public.pem",
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA\n-----END PUBLIC KEY-----\n",
    );
    folder.write(
        "behind.pem",
        &format!("\u{feff}Bag Attributes\n{}", std::fs::read_to_string(folder.0.join("public.pem")).unwrap()),
    );
    folder.write("ssh.pub", &format!("ssh-rsa AAAAB3NzaC1yc2E{} me@here\n", "A".repeat(40)));
    let mut forgeable = Signer::rsa().jwk(Some("e"));
    forgeable["e"] = json!("AQ");
    folder.write("forgeable.json", &set(&[forgeable]));
    let check = |jwt: &str| {
        let text =
            format!("listeners: ['127.0.0.1:80']\nroutes: [{{ auth: {{ jwt: {{ {jwt} }} }}, respond: {{}} }}]\n");
        folder.write("p.yaml", &text);
        call(&["-t", "-c", "p.yaml"], &folder.0)
    };
    for (jwt, why) in [
        ("jwks_file: keys.json, algorithms: [RS256, HS256], audience: a", "`HS256` is not for public keys"),
        ("secret_file: secret, algorithms: RS256", "`RS256` is not for a secret"),
        ("secret_file: secret, algorithms: HS512", "`HS512` needs a secret of at least 64 bytes"),
        ("secret_file: secret, jwks_file: keys.json", "`secret_file` is a second source of keys"),
        ("issuer: a", "`jwt` has no source of keys"),
        ("secret_file: short", "a secret has at least 32 bytes (RFC 7518); this file has 6"),
        ("secret_file: public.pem", "who knows it could sign tokens with it"),
        ("secret_file: behind.pem", "who knows it could sign tokens with it"),
        ("secret_file: ssh.pub", "who knows it could sign tokens with it"),
        (
            "jwks_file: forgeable.json, audience: a",
            "no key of the set can be used: the key `e` is no valid key: its exponent is 1",
        ),
        ("jwks_file: secret, audience: a", "it is no JSON Web Key Set"),
        ("jwks_file: keys.json, algorithms: none, audience: a", "expected `RS256`"),
        ("jwks_file: keys.json, claims_to_headers: { sub: content-length }", "cannot be edited"),
        ("jwks_url: 'http://u:p@127.0.0.1/'", "a user and a password in it are not sent"),
        ("jwks_url: 'ftp://127.0.0.1/'", "its scheme is `http` or `https`"),
    ] {
        let (code, _, stderr) = check(jwt);
        assert!(code == 1 && stderr.contains(why), "{jwt}\n{stderr}");
    }
    let (code, _, stderr) = check("jwks_file: keys.json");
    assert!(code == 0 && stderr.contains("tokens that the issuer made for other services pass, too"), "{stderr}");
    let (code, _, stderr) = check("secret_file: secret");
    assert_eq!((code, stderr.as_str()), (0, ""));
}
