//! A provider of OpenID Connect, a byte-level one, and a browser that goes between it and the proxy.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::{Value, json};

use super::front::{Answer, Ask, Fronted};
use super::tokens::{Signer, now, set};
use super::{Folder, Origin};

pub const CLIENT: &str = "shop";
pub const CLIENT_SECRET: &str = "pass word:%";
pub const COOKIE_SECRET: &str = "0123456789abcdefghijklmnopqrstuvwxyz-ABCDEFG";

type Change = Box<dyn Fn(&mut Value) + Send>;

/// What the provider does at the next questions.
pub struct Behaviour {
    pub signer: Signer,
    /// The algorithm and the key that its tokens name.
    pub header: Value,
    /// The keys that it shows.
    pub keys: Vec<Value>,
    /// Of its configuration.
    pub configuration: Change,
    /// Of the claims of its ID tokens.
    pub claims: Change,
    /// Of the token endpoint's answer.
    pub answer: Change,
    /// Instead of any answer of the token endpoint.
    pub instead: Option<Vec<u8>>,
    pub user_info: Value,
}

impl Behaviour {
    pub fn good() -> Self {
        let signer = Signer::p256();
        let keys = vec![signer.jwk(Some("1"))];
        Self {
            signer,
            header: json!({ "alg": "ES256", "kid": "1" }),
            keys,
            configuration: Box::new(|_| {}),
            claims: Box::new(|_| {}),
            answer: Box::new(|_| {}),
            instead: None,
            user_info: json!({ "sub": "ann" }),
        }
    }
}

/// A code that was given out, and what it is good for.
#[derive(Clone, Debug)]
struct Code {
    nonce: String,
    challenge: String,
    redirect_uri: String,
}

pub struct Provider {
    pub origin: Origin,
    pub behaviour: Arc<Mutex<Behaviour>>,
    codes: Arc<Mutex<HashMap<String, Code>>>,
}

impl Provider {
    pub fn start() -> Self {
        let behaviour = Arc::new(Mutex::new(Behaviour::good()));
        let codes: Arc<Mutex<HashMap<String, Code>>> = Arc::default();
        let origin = {
            let (behaviour, codes) = (Arc::clone(&behaviour), Arc::clone(&codes));
            Origin::start(move |request, wire| {
                let body = wire.body(&request.headers, false);
                let host = request.header("host").unwrap().to_owned();
                let behaviour = behaviour.lock().unwrap();
                let instead = behaviour.instead.clone();
                let (status, text) = match request.target().split('?').next().unwrap() {
                    "/.well-known/openid-configuration" => (200, configuration(&host, &behaviour).to_string()),
                    "/keys" => (200, set(&behaviour.keys)),
                    "/user" => (200, behaviour.user_info.to_string()),
                    "/token" => match instead {
                        Some(bytes) if bytes.is_empty() => {
                            drop(behaviour);
                            wire.until_end();
                            return false;
                        }
                        Some(bytes) => {
                            wire.send(bytes);
                            return false;
                        }
                        None => {
                            let fields = fields(&String::from_utf8(body).unwrap());
                            let code = codes.lock().unwrap().remove(fields.get("code").unwrap());
                            match checked(code, &fields, request.header("authorization")) {
                                Ok(code) => (200, answer(&host, &behaviour, &code).to_string()),
                                Err(error) => (400, json!({ "error": error }).to_string()),
                            }
                        }
                    },
                    _ => (404, String::new()),
                };
                wire.send(format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
                    text.len()
                ));
                true
            })
        };
        Self { origin, behaviour, codes }
    }

    pub fn issuer(&self) -> String {
        format!("http://{}", self.origin.address)
    }

    /// Has it do something else from now on.
    pub fn change(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.behaviour.lock().unwrap());
    }

    /// `auth` of a route, with more of its keys; the secrets are files of the folder.
    pub fn auth(&self, folder: &Folder, more: &str) -> String {
        let secret = folder.write("cookie-secret", COOKIE_SECRET);
        let client = folder.write("client-secret", CLIENT_SECRET);
        format!(
            "auth: {{ oidc: {{ issuer: '{}', client_id: {CLIENT}, client_secret_file: '{}', cookie_secret_file: '{}'{more} }} }}",
            self.issuer(),
            client.display(),
            secret.display()
        )
    }

    /// Somebody logs in where the redirect leads; the target of the way back.
    pub fn log_in(&self, location: &str) -> String {
        let (url, query) = location.split_once('?').unwrap();
        assert_eq!(url, format!("{}/authorize", self.issuer()));
        let asked = fields(query);
        let is = |name: &str, value: &str| assert_eq!(asked.get(name).map(String::as_str), Some(value), "{location}");
        is("response_type", "code");
        is("client_id", CLIENT);
        is("code_challenge_method", "S256");
        assert!(asked["scope"].split(' ').any(|scope| scope == "openid"));
        let code = format!("code-{}", next());
        let given = Code {
            nonce: asked["nonce"].clone(),
            challenge: asked["code_challenge"].clone(),
            redirect_uri: asked["redirect_uri"].clone(),
        };
        let path = target_of(&given.redirect_uri);
        self.codes.lock().unwrap().insert(code.clone(), given);
        format!("{path}?code={code}&state={}", asked["state"])
    }
}

/// Another one each time.
fn next() -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

pub fn target_of(url: &str) -> String {
    let rest = url.split_once("://").unwrap().1;
    rest[rest.find('/').unwrap()..].to_owned()
}

/// Of a query, or of a form.
pub fn fields(text: &str) -> BTreeMap<String, String> {
    let decode = |text: &str| proxy_service::message::query::decode(text).into_owned();
    text.split('&').filter_map(|pair| pair.split_once('=')).map(|(n, v)| (decode(n), decode(v))).collect()
}

fn configuration(host: &str, behaviour: &Behaviour) -> Value {
    let url = |path: &str| format!("http://{host}{path}");
    let mut all = json!({
        "issuer": format!("http://{host}"), "authorization_endpoint": url("/authorize"),
        "token_endpoint": url("/token"), "jwks_uri": url("/keys"), "userinfo_endpoint": url("/user"),
        "end_session_endpoint": url("/out"), "code_challenge_methods_supported": ["S256"],
    });
    (behaviour.configuration)(&mut all);
    all
}

fn checked(
    code: Option<Code>,
    fields: &BTreeMap<String, String>,
    authorization: Option<&str>,
) -> Result<Code, &'static str> {
    let encoded = proxy_service::message::query::encode(CLIENT_SECRET);
    let basic = format!("Basic {}", BASE64.encode(format!("{CLIENT}:{encoded}").as_bytes()));
    let by_post = fields.get("client_secret").is_some_and(|secret| secret == CLIENT_SECRET);
    if authorization != Some(&basic) && !by_post {
        return Err("invalid_client");
    }
    let code = code.ok_or("invalid_grant")?;
    let challenge =
        BASE64URL_NOPAD.encode(digest::digest(&digest::SHA256, fields["code_verifier"].as_bytes()).as_ref());
    let is_good = fields["grant_type"] == "authorization_code"
        && fields["redirect_uri"] == code.redirect_uri
        && challenge == code.challenge;
    if is_good { Ok(code) } else { Err("invalid_grant") }
}

fn answer(host: &str, behaviour: &Behaviour, code: &Code) -> Value {
    let mut claims = json!({
        "iss": format!("http://{host}"), "aud": CLIENT, "sub": "ann", "nonce": code.nonce, "email": "ann@a.test",
        "roles": ["a", "b"], "iat": now(0), "exp": now(60),
    });
    (behaviour.claims)(&mut claims);
    let token = behaviour.signer.token(behaviour.header.clone(), claims);
    let mut all = json!({ "id_token": token, "access_token": "opaque", "token_type": "Bearer", "expires_in": 60 });
    (behaviour.answer)(&mut all);
    all
}

/// Keeps cookies, and opens pages.
pub struct Browser<'p> {
    proxy: &'p Fronted,
    pub host: String,
    pub cookies: BTreeMap<String, String>,
}

impl<'p> Browser<'p> {
    pub fn new(proxy: &'p Fronted) -> Self {
        Self { proxy, host: "app.test".to_owned(), cookies: BTreeMap::new() }
    }

    pub fn open(&mut self, target: &str) -> Answer {
        self.ask(Ask::get(target).field("Accept", "text/html,*/*;q=0.8").field("Sec-Fetch-Mode", "navigate"))
    }

    /// With its cookies, which HTTP/2 splits.
    pub fn ask(&mut self, ask: Ask) -> Answer {
        let mut ask = ask.host(&self.host);
        let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if self.proxy.front.is_http2() {
            ask = pairs.iter().fold(ask, |ask, pair| ask.field("cookie", pair));
        } else if !pairs.is_empty() {
            ask = ask.field("Cookie", &pairs.join("; "));
        }
        let answer = self.proxy.ask(&ask);
        for cookie in answer.all("set-cookie") {
            let (pair, attributes) = cookie.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let is_host = name.starts_with("__Host-");
            assert_eq!(is_host, self.proxy.front.is_tls(), "{cookie}");
            assert_eq!(attributes.contains("; Secure"), is_host, "{cookie}");
            assert!(attributes.contains(" Path=/;") && attributes.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
            assert!(!attributes.contains("Domain") && cookie.len() <= 4096, "{cookie}");
            match attributes.contains("Max-Age=0") {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        answer
    }

    /// The name of the session's cookie here.
    pub fn session(&self) -> &'static str {
        if self.proxy.front.is_tls() { "__Host-oidc_session" } else { "oidc_session" }
    }

    /// Opens a page, logs in, and comes back; the last answer is that to the callback.
    pub fn log_in(&mut self, provider: &Provider, target: &str) -> Answer {
        let sent = self.open(target);
        assert_eq!(sent.status, 302, "{}", sent.text());
        let back = provider.log_in(sent.header("location").unwrap());
        self.open(&back)
    }
}
