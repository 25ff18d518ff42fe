//! What is thrown at the code that reads bytes of strangers, and what has to hold whatever they
//! are: one function a [`Target`]. `fuzz/` runs each under libFuzzer, and `tests/fuzz_corpus.rs`
//! a while in every test run. A function that returns has found nothing; one that panics has.
//!
//! Another one is a function here, its name in `targets!`, in `runs!` of the test and in
//! `fuzz/Cargo.toml`, three lines in `fuzz/fuzz_targets/`, and seeds in `fuzz/corpus/NAME/`.
//!
//! Nothing of the proxy uses this.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker, ready};
use std::time::SystemTime;

use http::HeaderMap;
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::io::{AsyncRead, ReadBuf};

use crate::auth::Jwt;
use crate::config::{self, Config, Limits};
use crate::downstream::Remote;
use crate::downstream::http1::Head;
use crate::downstream::http2::FrameWatch;
use crate::http1::{IncomingBody, Input};
use crate::http2::{Event, FrameReader};
use crate::listener::parse_proxy_header;
use crate::message::cookie::{self, SetCookieRewrite};
use crate::message::path::has_prefix;
use crate::message::path_escapes::normal;
use crate::message::readings::{Readings, SentPath, resolved};
use crate::message::{destination::Destination, forwarded, host, query};
use crate::proxy::{Outcome, explain};
use crate::runtime::Snapshot;
use crate::upstream::http1::ResponseHead;

/// A reader of strangers' bytes.
#[derive(Debug)]
pub struct Target {
    /// Also the folder of its corpus, in `fuzz/corpus/`.
    pub name: &'static str,
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        /// All of them.
        pub const TARGETS: &[Target] = &[$(Target { name: stringify!($name), run: $name }),*];
    };
}

targets! {
    front_door,
    http1_request,
    http1_response,
    chunked,
    proxy_header,
    http2_frames,
    config_file,
    config_values,
    cookies,
    paths,
    queries_and_hosts,
    tokens,
    key_sets,
}

/// Some places at which the bytes may have been cut on their way.
fn cuts(bytes: &[u8]) -> impl Iterator<Item = usize> + use<> {
    let length = bytes.len();
    (0..length).step_by((length / 8).max(1)).chain(length.checked_sub(1))
}

fn is_line_safe(bytes: &[u8]) -> bool {
    !bytes.iter().any(|b| matches!(b, b'\r' | b'\n' | 0))
}

/// As by default.
fn limits() -> Limits {
    Limits {
        request_line: 8 << 10,
        request_headers: 32 << 10,
        request_header_count: 100,
        request_body: None,
        response_headers: 64 << 10,
        connections: None,
        connections_per_ip: None,
        h2_streams: 100,
    }
}

/// A file in which `/admin` is nobody's.
const GUARDED: &str = "listeners: [':80']
trusted_proxies: [10.0.0.1]
routes:
  - { match: { path: /admin }, respond: { status: 403 } }
  - { match: { path: /strip }, request: { path: { strip_prefix: /strip } }, upstream: '127.0.0.1:1' }
  - { match: { path: /moved, header: { x-a: { present: true } } }, redirect: 'https://{host}{path}{query}' }
  - match: { path: { regex: '^/v[0-9]+/' }, query: { a: '1' }, cookie: { b: c } }
    cors: { origins: ['https://*.a.test'], headers: '*' }
    request: { header: { set: { x-a: b }, remove: [x-c] }, query: { set: { k: v }, remove: [a] }, cookie: { remove: [b] } }
    upstream: '127.0.0.1:1'
  - { upstream: '127.0.0.1:1' }
";

fn snapshot_of(text: &str) -> Option<Arc<Snapshot>> {
    let (config, _) = config::parse("fuzz.yaml", text, &|_| None).ok()?;
    Snapshot::compile_unserved(&config, None).ok().map(Arc::new)
}

/// A head goes the way of a live one, up to the request that would be sent.
pub fn front_door(bytes: &[u8]) {
    static SNAPSHOT: LazyLock<Option<Arc<Snapshot>>> = LazyLock::new(|| snapshot_of(GUARDED));
    let Some(snapshot) = SNAPSHOT.as_ref() else { panic!("the file of this target is refused") };
    // Half of them come from a proxy that is believed.
    let client = if bytes.len().is_multiple_of(2) { [10, 0, 0, 1] } else { [192, 0, 2, 1] };
    let explanation = explain(bytes, Remote::plain(Some(client.into())), snapshot);
    match explanation.outcome {
        Outcome::Forwarded { sent, .. } => assert_forwardable(&sent, explanation.winner.map(|(_, route)| route)),
        Outcome::Redirected { location, .. } => assert!(is_line_safe(location.as_bytes()), "{location:?}"),
        Outcome::Refused(_) | Outcome::Answered { .. } => {}
    }
}

/// `route`: the index of the one that took it.
fn assert_forwardable(sent: &[String], route: Option<usize>) {
    assert!(sent.iter().all(|line| is_line_safe(line.as_bytes())), "{sent:?}");
    let fields = |name: &str| {
        let is_it = |line: &&String| line.split_once(": ").is_some_and(|(other, _)| other.eq_ignore_ascii_case(name));
        sent.iter().skip(1).filter(is_it).count()
    };
    assert_eq!(fields("host"), 1, "{sent:?}");
    assert!(fields("content-length") + fields("transfer-encoding") <= 1, "{sent:?}");
    let target = sent.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    // The route that strips makes another path of it.
    if route != Some(1) && path != "*" {
        let readings = normal(path).and_then(|path| Readings::of(&path));
        let texts = readings.map(|readings| readings.texts).unwrap_or_default();
        assert!(!texts.is_empty() && !texts.iter().any(|text| has_prefix(text, "/admin")), "{sent:?}: {texts:?}");
    }
}

pub fn http1_request(bytes: &[u8]) {
    let limits = limits();
    let whole = Head::read(bytes, (&limits).into());
    if let Ok(Some(head)) = &whole {
        assert_safe_request(&head.request);
    }
    for cut in cuts(bytes) {
        match (Head::read(&bytes[..cut], (&limits).into()), &whole) {
            (Ok(None), _) | (Err(_), Err(_)) => {}
            (Ok(Some(early)), Ok(Some(late))) => {
                assert_eq!(early.request.raw_path(), late.request.raw_path());
                assert_eq!(early.request.headers, late.request.headers);
            }
            (early, _) => panic!("cut at {cut}: {early:?}, whole: {whole:?}"),
        }
    }
}

fn assert_safe_request(request: &RequestHeader) {
    let path = request.raw_path();
    assert!(!path.is_empty() && is_line_safe(path) && !path.contains(&b' '), "{}", path.escape_ascii());
    assert!(request.headers.values().all(|value| is_line_safe(value.as_bytes())), "{request:?}");
}

pub fn http1_response(bytes: &[u8]) {
    let whole = ResponseHead::read(bytes, limits().response_headers);
    if let Ok(Some(head)) = &whole {
        assert!(head.length <= bytes.len());
        assert_safe_response(&head.response);
    }
    for cut in cuts(bytes) {
        if let Ok(Some(early)) = ResponseHead::read(&bytes[..cut], limits().response_headers) {
            let Ok(Some(late)) = &whole else { panic!("a head at {cut}, and none in the whole") };
            assert_eq!((early.length, early.response.status), (late.length, late.response.status));
            assert_eq!(early.response.headers, late.response.headers);
        }
    }
}

fn assert_safe_response(response: &ResponseHeader) {
    assert!(response.headers.values().all(|value| is_line_safe(value.as_bytes())), "{response:?}");
    assert!((100..1000).contains(&response.status.as_u16()), "{response:?}");
}

/// Bytes that come so many at a time.
struct Pieces<'b> {
    bytes: &'b [u8],
    size: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (piece, rest) = self.bytes.split_at(self.size.min(self.bytes.len()).min(into.remaining()));
        into.put_slice(piece);
        self.bytes = rest;
        Poll::Ready(Ok(()))
    }
}

/// The data of a chunked body, its trailers and what is left behind it.
fn unchunked(bytes: &[u8], size: usize) -> Option<(Vec<u8>, Option<HeaderMap>, Vec<u8>)> {
    let (mut body, mut input, mut from) = (IncomingBody::chunked(), Input::default(), Pieces { bytes, size });
    let (mut data, mut cx) = (Vec::new(), Context::from_waker(Waker::noop()));
    let mut read = || -> Poll<io::Result<()>> {
        while let Some(piece) = ready!(body.poll_read(&mut input, &mut from, &mut cx))? {
            assert!(!piece.is_empty(), "a piece of nothing");
            data.extend_from_slice(&piece);
        }
        Poll::Ready(Ok(()))
    };
    match read() {
        Poll::Ready(Ok(())) => Some((data, input.take_trailers(), [input.waiting(), from.bytes].concat())),
        Poll::Ready(Err(_)) => None,
        Poll::Pending => panic!("nothing is waited for"),
    }
}

/// However the bytes are cut, the body is the same, and so is what follows it.
pub fn chunked(bytes: &[u8]) {
    let whole = unchunked(bytes, usize::MAX);
    if let Some((data, _, rest)) = &whole {
        assert!(data.len() + rest.len() + b"0\r\n\r\n".len() <= bytes.len());
        assert!(bytes.ends_with(rest));
    }
    for size in [1, 2, 3, 7, 64] {
        assert_eq!(unchunked(bytes, size), whole, "{size} at a time");
    }
}

pub fn proxy_header(bytes: &[u8]) {
    let whole = parse_proxy_header(bytes);
    if let Ok(Some((length, origin))) = whole {
        assert!(length <= bytes.len());
        assert_eq!(parse_proxy_header(&bytes[..length]), Ok(Some((length, origin))));
    }
    for cut in cuts(bytes) {
        match (parse_proxy_header(&bytes[..cut]), whole) {
            (Ok(None), _) | (Err(_), Err(_)) => {}
            (Ok(Some(early)), Ok(Some(late))) => assert_eq!(early, late),
            (early, late) => panic!("cut at {cut}: {early:?}, whole: {late:?}"),
        }
    }
}

pub fn http2_frames(bytes: &[u8]) {
    let read = |size: usize| {
        let (mut reader, mut watch, mut events) =
            (FrameReader::of_client(), FrameWatch::default(), Vec::<Event>::new());
        for piece in bytes.chunks(size) {
            reader.read(piece, |event| events.push(event));
            watch.note_read(piece);
        }
        (events, reader.unfinished(), watch.verdict())
    };
    let whole = read(usize::MAX);
    for size in [1, 5, 9, 64] {
        assert_eq!(read(size), whole, "{size} at a time");
    }
}

/// A file that is taken is printed as one that is taken, and means the same.
fn assert_stands(config: &Config) {
    let printed = config::to_yaml(config);
    match config::parse("fuzz.yaml", &printed, &|_| None) {
        Ok((again, _)) => assert_eq!(config::to_yaml(&again), printed),
        Err(rejected) => panic!("{rejected}\n{printed}"),
    }
}

pub fn config_file(bytes: &[u8]) {
    if let Ok((config, _)) = config::parse("fuzz.yaml", &String::from_utf8_lossy(bytes), &|_| None) {
        assert_stands(&config);
    }
}

/// The small languages inside values: patterns, templates, durations, addresses.
pub fn config_values(bytes: &[u8]) {
    const PLACES: [&str; 14] = [
        "routes: [{ redirect: VALUE }]",
        "routes: [{ match: { path: VALUE }, respond: {} }]",
        "routes: [{ match: { path: { regex: VALUE } }, respond: {} }]",
        "routes: [{ match: { host: VALUE }, respond: {} }]",
        "routes: [{ match: { cookie: { a: VALUE }, header: { b: VALUE }, query: { c: VALUE } }, respond: {} }]",
        "routes: [{ request: { path: { regex: '^/(.*)', with: VALUE } }, upstream: 'a.b:1' }]",
        "routes: [{ cors: { origins: [VALUE] }, respond: {} }]",
        "routes: [{ match: { client_ip: VALUE }, respond: {} }]",
        "routes: [{ respond: { body: VALUE, header: { a: VALUE } } }]",
        "routes: [{ upstream: VALUE }]",
        "routes: [{ response: { cookie: { domain: { a: VALUE }, path: { /: VALUE } } }, upstream: 'a.b:1' }]",
        "routes: [{ respond: {} }]\ntimeouts: { keepalive: VALUE }",
        "routes: [{ respond: {} }]\nlimits: { request_line: VALUE }",
        "routes: [{ respond: {} }]\ntrusted_proxies: [VALUE]",
    ];
    let Some((place, text)) = bytes.split_first() else { return };
    let Ok(quoted) = serde_json::to_string(&String::from_utf8_lossy(text)) else { return };
    let place = PLACES[usize::from(*place) % PLACES.len()];
    let file = format!("listeners: [':80']\n{}\n", place.replace("VALUE", &quoted));
    if let Ok((config, _)) = config::parse("fuzz.yaml", &file, &|_| None) {
        assert_stands(&config);
    }
}

/// What verifies tokens by one key, whose private half nobody has.
fn verifier() -> Option<Jwt> {
    const FILE: &str = "listeners: [':80']\nroutes: [{ auth: { jwt: { jwks_url: 'http://127.0.0.1:1/', audience: a } }, respond: {} }]\n";
    const KEYS: &[u8] =
        br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let (config, _) = config::parse("fuzz.yaml", FILE, &|_| None).ok()?;
    let jwt = Jwt::new(config.routes.first()?.auth.as_ref()?.jwt.as_ref()?, None);
    jwt.replace_keys(KEYS).ok().map(|_| jwt)
}

pub fn tokens(bytes: &[u8]) {
    static VERIFIER: LazyLock<Option<Jwt>> = LazyLock::new(verifier);
    let Some(verifier) = VERIFIER.as_ref() else { panic!("the file of this target is refused") };
    assert!(verifier.verify(bytes, SystemTime::now()).is_err(), "{}", bytes.escape_ascii());
}

/// What a URL of keys may answer.
pub fn key_sets(bytes: &[u8]) {
    static VERIFIER: LazyLock<Option<Jwt>> = LazyLock::new(verifier);
    let Some(verifier) = VERIFIER.as_ref() else { panic!("the file of this target is refused") };
    match verifier.replace_keys(bytes) {
        Ok(_) => assert!(verifier.has_keys()),
        Err(reason) => assert!(!reason.is_empty()),
    }
}

pub fn cookies(bytes: &[u8]) {
    let Some((choice, field)) = bytes.split_first() else { return };
    assert!(cookie::all(field, "a").all(|value| !value.contains(&b';')));
    let kept = cookie::without(field, |name| name == b"a");
    assert!(kept.as_deref().is_none_or(|kept| cookie::all(kept, "a").next().is_none()));
    let flag = |bit: u8| (choice & bit != 0).then_some(choice & bit << 1 != 0);
    let (domains, paths) = ([("a.test".to_owned(), "b.test".to_owned())], [("/x".to_owned(), "/y".to_owned())]);
    let how = SetCookieRewrite {
        domains: &domains,
        paths: &paths,
        secure: flag(1),
        http_only: flag(4),
        same_site: (choice & 16 != 0).then_some(if choice & 32 != 0 { "None" } else { "Lax" }),
    };
    let Some(rewritten) = cookie::rewrite_set_cookie(field, &how) else { return };
    assert!(is_line_safe(&rewritten) || !is_line_safe(field), "{}", rewritten.escape_ascii());
    let twice = cookie::rewrite_set_cookie(&rewritten, &how).unwrap_or_else(|| rewritten.clone());
    assert_eq!(twice, rewritten, "{}", rewritten.escape_ascii());
}

pub fn paths(bytes: &[u8]) {
    let Ok(path) = std::str::from_utf8(bytes) else { return };
    let path = format!("/{path}");
    let Some(text) = normal(&path) else {
        assert_eq!(SentPath::of(&path), None);
        return;
    };
    assert_eq!(normal(&text).as_ref(), Some(&text), "the form is final");
    let sent = SentPath::of(&path);
    assert_eq!(sent.as_ref().map(|sent| &*sent.text), Some(&*text));
    let last = resolved(&text);
    assert_eq!(Readings::of(&last).map(|readings| readings.texts.len()), Some(1), "{last} is read further");
    let Some(readings) = Readings::of(&text) else { return };
    assert_eq!(readings.texts.first().map(String::as_str), Some(&*text));
    assert!(readings.texts.contains(&last), "{last} is no reading of {text}");
    assert!(sent.is_none_or(|sent| !sent.has_one_reading || readings.texts.len() == 1), "{:?}", readings.texts);
}

pub fn queries_and_hosts(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let set = [("b".to_owned(), query::encode(text))];
    let edited = query::edit(Some(text), &["a".to_owned()], &set, &[]);
    let get = |name: &str| edited.as_deref().and_then(|edited| query::get(edited, name));
    assert_eq!((get("a").as_deref(), get("b").as_deref()), (None, Some(text)), "{edited:?}");
    if let Some((name, _)) = host::split(text) {
        assert!(text.starts_with(name) && is_line_safe(text.as_bytes()));
        let normalized = host::normalize(name);
        assert!(host::split(&normalized).is_some() || normalized.is_empty(), "{normalized}");
    }
    for believed in [forwarded::believed_host(Some(bytes), None), forwarded::believed_host(None, Some(bytes))] {
        assert!(believed.is_none_or(|host| host::split(host).is_some()), "{believed:?}");
    }
    forwarded::believed_scheme(Some(bytes), Some(bytes));
    if let Some(destination) = Destination::of(text) {
        destination.leads_to("a.test");
    }
}
