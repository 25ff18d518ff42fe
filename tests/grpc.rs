//! gRPC through the proxy: calls, streams and trailers both ways, what the proxy itself says to
//! its clients, and gRPC-Web.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use data_encoding::BASE64;
use http::{HeaderMap, HeaderValue};
use support::Origin;
use support::faults::refusing;
use support::front::{Ask, Front, Fronted, Length, http2_fronts};
use support::http2::{Http2Origin, Rules};
use support::http2_client::Http2;

const KIND: &str = "application/grpc+proto";
/// A message of three bytes, behind its flag and its length.
const MESSAGE: &[u8] = b"\0\0\0\0\x03abc";

fn proxy(front: Front, origin: &Http2Origin) -> Fronted {
    let (address, down) = (origin.address, refusing());
    front.start(&format!(
        "listeners: ['{{listen}}']
upstreams:
  grpc: {{ servers: ['{address}'], protocol: h2c }}
  down: {{ servers: ['{down}'], protocol: h2c }}
routes:
  - {{ match: {{ host: a.test, path: /down.Service/ }}, upstream: down }}
  - {{ match: {{ host: web.test }}, upstream: grpc, grpc_web: true }}
  - {{ match: {{ host: a.test }}, upstream: grpc }}
"
    ))
}

fn call(target: &str) -> Ask {
    Ask::post(target, b"").host("a.test").field("content-type", KIND).field("te", "trailers").length(Length::Unsaid)
}

fn trailers_of_client() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("7"));
    trailers
}

http2_fronts!(
    messages_and_trailers_pass_both_ways
    trailers_forge_no_field_that_the_proxy_tells
    the_proxys_own_errors_are_a_status
);

/// `/chat` answers with the trailers that it got.
fn trailers_forge_no_field_that_the_proxy_tells(front: Front) {
    let origin = Http2Origin::start(Rules::default());
    let guard = Origin::fixed("HTTP/1.1 200 OK\r\nRemote-User: ann\r\nContent-Length: 0\r\n\r\n");
    let start = |underscores: &str| {
        front.start(&format!(
            "listeners: ['{{listen}}']
headers: {{ underscores: {underscores} }}
upstreams: {{ grpc: {{ servers: ['{}'], protocol: h2c }} }}
routes:
  - auth: {{ forward: {{ url: 'http://{}/', response_headers: [remote-user, remote-groups] }} }}
    request: {{ header: {{ set: {{ x-tenant: us }}, remove: [x-internal] }} }}
    upstream: grpc
",
            origin.address, guard.address
        ))
    };
    let forged = [
        "remote-user",
        "remote_user",
        "remote-groups",
        "remote_groups",
        "x-tenant",
        "x_tenant",
        "x-internal",
        "x-request-id",
        "client-cert",
        "client_cert_chain",
        "x-forwarded-for",
        "x_forwarded_for",
        "authorization",
        "x-original-url",
    ];
    for (underscores, kept) in [("keep", &["x-sum", "x_sum"][..]), ("drop", &["x-sum"])] {
        let proxy = start(underscores);
        let mut client = Http2::connect(&proxy);
        let mut chat = client.begin(&call("/chat"));
        assert_eq!(chat.head().status, 200);
        let mut trailers = HeaderMap::new();
        for name in forged.iter().chain(&["x-sum", "x_sum"]) {
            trailers.insert(*name, HeaderValue::from_static("7"));
        }
        chat.end_with_trailers(trailers);
        assert_eq!(chat.rest(), (Vec::new(), true));
        let mut seen: Vec<_> = chat.trailers().iter().map(|(name, _)| name.clone()).collect();
        seen.sort();
        assert_eq!(seen, kept, "{underscores}");
    }
}

/// Each message is there before the next one is sent.
fn messages_and_trailers_pass_both_ways(front: Front) {
    let origin = Http2Origin::start(Rules::default());
    let proxy = proxy(front, &origin);
    let mut client = Http2::connect(&proxy);
    let mut chat = client.begin(&call("/chat"));
    assert_eq!(chat.head().status, 200);
    for _ in 0..20 {
        assert!(chat.send(MESSAGE));
        assert_eq!(chat.exactly(MESSAGE.len()), MESSAGE);
    }
    chat.end_with_trailers(trailers_of_client());
    assert_eq!(chat.rest(), (Vec::new(), true));
    assert_eq!(chat.trailers(), [("x-sum".to_owned(), "7".to_owned())]);
    let seen = origin.seen.lock().unwrap();
    assert_eq!(
        (&seen[0].headers["te"], &seen[0].headers["content-type"]),
        (&"trailers".parse().unwrap(), &KIND.parse().unwrap())
    );
}

fn the_proxys_own_errors_are_a_status(front: Front) {
    let origin = Http2Origin::start(Rules::default());
    let proxy = proxy(front, &origin);
    for (host, target, status, message) in [
        ("a.test", "/down.Service/Call", "14", "the upstream refused the connection"),
        ("other.test", "/any.Service/Call", "12", "no route matches this request"),
    ] {
        let answer = proxy.ask(&call(target).host(host));
        assert_eq!((answer.status, answer.header("grpc-status")), (200, Some(status)), "{target}: {answer:?}");
        assert_eq!((answer.header("grpc-message"), answer.header("content-type")), (Some(message), Some(KIND)));
        assert!(answer.body.is_empty() && answer.is_whole);
    }
    let page = proxy.ask(&Ask::get("/down.Service/Call").host("a.test"));
    assert_eq!((page.status, page.header("grpc-status")), (502, None));
}

/// A client that cancels has its call cancelled at the server.
#[test]
fn a_call_that_is_cancelled_ends_at_the_server_too() {
    let origin = Http2Origin::start(Rules::default());
    let proxy = proxy(Front::H2c, &origin);
    let mut client = Http2::connect(&proxy);
    let mut cancelled = client.begin(&call("/echo"));
    assert_eq!(cancelled.head().status, 200);
    assert!(cancelled.send(MESSAGE));
    assert_eq!(cancelled.exactly(MESSAGE.len()), MESSAGE);
    cancelled.reset(h2::Reason::CANCEL);
    // The next call on both connections goes on.
    let mut next = client.begin(&call("/chat"));
    assert_eq!(next.head().status, 200);
    assert!(next.send(MESSAGE));
    assert_eq!(next.exactly(MESSAGE.len()), MESSAGE);
    next.end();
    assert_eq!(next.rest(), (Vec::new(), true));
    assert_eq!(origin.connections(), 1);
}

/// In its binary and in its text form, over HTTP/1.1.
#[test]
fn a_call_of_grpc_web_becomes_one_of_grpc() {
    let origin = Http2Origin::start(Rules::default());
    let proxy = proxy(Front::Http1, &origin);
    let trailers = b"\x80\0\0\0\x0ax-sum: 1\r\n";
    for (kind, is_text) in [("application/grpc-web+proto", false), ("application/grpc-web-text+proto", true)] {
        let encoded = |bytes: &[u8]| if is_text { BASE64.encode(bytes).into_bytes() } else { bytes.to_vec() };
        let ask = |target: &str| Ask::post(target, encoded(MESSAGE)).host("web.test").field("content-type", kind);
        let echoed = proxy.ask(&ask("/echo"));
        assert_eq!((echoed.status, echoed.body.as_slice()), (200, &encoded(MESSAGE)[..]), "{kind}");
        let answer = proxy.ask(&ask("/trailers"));
        assert_eq!(answer.body, [encoded(b"hi"), encoded(trailers)].concat(), "{kind}");
        assert!(answer.is_whole);
    }
    let seen = origin.seen.lock().unwrap();
    assert!(seen.iter().all(|one| one.headers["content-type"] == KIND && one.headers["te"] == "trailers"));
    drop(seen);
    let wrong = Ask::post("/echo", b"????").host("web.test").field("content-type", "application/grpc-web-text");
    let answer = proxy.ask(&wrong);
    assert_eq!(answer.header("grpc-status"), Some("13"), "{answer:?}");
    // A route without the key leaves it to the server. The head of the call that failed may arrive later than this one.
    proxy.ask(&Ask::post("/other", b"x").host("a.test").field("content-type", "application/grpc-web"));
    let seen = origin.seen.lock().unwrap();
    let other = seen.iter().find(|one| one.uri.ends_with("/other")).expect("the server saw the call");
    assert_eq!(other.headers["content-type"], "application/grpc-web");
}
