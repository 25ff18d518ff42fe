//! `limits.request_body` and `limits.response_headers`, for all routes and for one, and the deadlines
//! of one route.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::sync::mpsc::{Receiver, channel};

use support::front::{Ask, Front, Fronted, Length, every_front, http2_fronts};
use support::http2::{Http2Origin, Rules};
use support::http2_client::Http2;
use support::{Origin, Proxy, Wire, await_until};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const BODY_KEY: &str = "`limits.request_body`";
const HEAD_KEY: &str = "`limits.response_headers`";

every_front!(
    a_body_that_says_it_is_too_large_goes_nowhere
    a_client_that_sends_its_whole_body_first_gets_its_answer
    a_body_that_turns_out_to_be_too_large_is_cut_for_everybody
    a_body_of_just_the_size_passes
    a_tunnel_is_not_counted
    a_head_that_is_too_large_becomes_a_502
);

http2_fronts!(a_call_of_grpc_is_told_in_its_terms);

/// Tells what came of a body, as bytes, once its connection has ended.
fn recording() -> (Origin, Receiver<Vec<u8>>) {
    let (sender, bodies) = channel();
    let origin = Origin::start(move |request, wire: &mut Wire| {
        if request.header("upgrade").is_some() {
            wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
            sender.send(wire.exactly(100_000)).unwrap();
            return false;
        }
        if request.header("x-whole").is_some() || request.line.starts_with("GET") {
            wire.body(&request.headers, false);
            wire.send(OK);
            return true;
        }
        sender.send(wire.until_end()).unwrap();
        false
    });
    (origin, bodies)
}

fn limited(front: Front, origin: &Origin, more: &str) -> Fronted {
    front.start(&format!(
        "listeners: ['{{listen}}']\nlimits: {{ request_body: 64KiB }}\nroutes:\n  - upstream: '{}'\n{more}",
        origin.address
    ))
}

fn a_body_that_says_it_is_too_large_goes_nowhere(front: Front) {
    let (origin, _bodies) = recording();
    let own = format!(
        "  - {{ match: {{ path: /small }}, limits: {{ request_body: 10B }}, upstream: '{}' }}\n",
        origin.address
    );
    let proxy = limited(front, &origin, &own);
    for (target, length, expects) in [("/", 64 * 1024 + 1, false), ("/", 1 << 50, true), ("/small", 11, false)] {
        let mut ask = Ask::post(target, "").length(Length::Said(length));
        if expects {
            ask = ask.field("Expect", "100-continue");
        }
        let mut link = proxy.link();
        let answer = link.begin(&ask).answer();
        assert_eq!(answer.status, 413, "{target}");
        assert!(answer.text().contains(BODY_KEY), "{}", answer.text());
        assert!(front.is_http2() || (answer.header("connection") == Some("close") && link.is_closed()));
    }
    assert_eq!(origin.count(), 0);
    for line in proxy.access_log(3) {
        assert!(line["error"].as_str().unwrap().contains(BODY_KEY) && line["error_source"] == "client", "{line}");
    }
}

/// Many clients look for a response only then.
fn a_client_that_sends_its_whole_body_first_gets_its_answer(front: Front) {
    let (origin, _bodies) = recording();
    let proxy = limited(front, &origin, "");
    let (mut link, piece) = (proxy.link(), [b'x'; 64 * 1024]);
    let mut exchange = link.begin(&Ask::post("/", "").length(Length::Said(80 * 64 * 1024)));
    for count in 0..80 {
        assert!(exchange.send(piece), "{count}");
    }
    exchange.end();
    let answer = exchange.answer();
    assert!(answer.status == 413 && answer.is_whole && answer.text().contains(BODY_KEY), "{}", answer.text());
}

fn a_body_that_turns_out_to_be_too_large_is_cut_for_everybody(front: Front) {
    let ((origin, bodies), (shadow, copies)) = (recording(), recording());
    let proxy = limited(front, &origin, &format!("    mirror: {{ upstream: '{}' }}\n", shadow.address));
    let mut link = proxy.link();
    let mut upload = link.begin(&Ask::new("PUT", "/").length(Length::Unsaid));
    assert!(upload.send(vec![b'x'; 60_000]));
    await_until("the upload has begun", || origin.count() == 1 && shadow.count() == 1);
    upload.keep_sending();
    let answer = upload.answer();
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert!(answer.text().contains(BODY_KEY) && answer.is_whole, "{}", answer.text());
    for (who, body) in [("the origin", bodies.recv().unwrap()), ("the shadow", copies.recv().unwrap())] {
        let text = String::from_utf8(body).unwrap();
        let count = text.bytes().filter(|byte| *byte == b'x').count();
        assert!((1..=64 * 1024).contains(&count), "{who}: {count}");
        assert!(!text.ends_with("0\r\n\r\n"), "{who} takes the body for whole");
    }
    // Nothing was retried, and the connection is not used again.
    assert_eq!(origin.count(), 1);
    assert_eq!(proxy.get("/").text(), "ok");
    assert_eq!(origin.connections.load(std::sync::atomic::Ordering::SeqCst), 2);
    let log = proxy.access_log(2);
    let cut = log.iter().find(|line| line["method"] == "PUT").unwrap();
    assert_eq!((&cut["status"], &cut["retries"], &cut["error_source"]), (&413.into(), &0.into(), &"client".into()));
}

fn a_body_of_just_the_size_passes(front: Front) {
    let (origin, _bodies) = recording();
    let own = format!(
        "  - {{ match: {{ path: /large }}, limits: {{ request_body: unlimited }}, upstream: '{}' }}\n",
        origin.address
    );
    let proxy = limited(front, &origin, &own);
    for (target, size) in [("/", 64 * 1024), ("/large", 1_000_000)] {
        for length in [Length::Said(size), Length::Unsaid] {
            let ask = Ask::post(target, vec![b'x'; usize::try_from(size).unwrap()]).field("x-whole", "1");
            assert_eq!(proxy.ask(&ask.length(length)).status, 200, "{target} {length:?}");
        }
    }
}

fn a_tunnel_is_not_counted(front: Front) {
    let (origin, bodies) = recording();
    let proxy = limited(front, &origin, "");
    let mut link = proxy.link();
    let mut tunnel = link.begin(&Ask::websocket("/").host("a.test"));
    assert!(tunnel.opens_tunnel());
    assert!(tunnel.send(vec![b'x'; 100_000]));
    assert_eq!(bodies.recv().unwrap().len(), 100_000);
}

fn a_call_of_grpc_is_told_in_its_terms(front: Front) {
    let origin = Http2Origin::start(Rules::default());
    let proxy = front.start(&format!(
        "listeners: ['{{listen}}']\nlimits: {{ request_body: 1KiB }}\nupstreams: {{ g: {{ servers: ['{}'], protocol: h2c }} }}\nroutes: [{{ upstream: g }}]\n",
        origin.address
    ));
    let mut client = Http2::connect(&proxy);
    let ask = Ask::post("/silent", b"").host("a.test").field("content-type", "application/grpc").length(Length::Unsaid);
    let mut call = client.begin(&ask);
    call.keep_sending();
    let head = call.head();
    assert_eq!((head.status, head.header("grpc-status")), (200, Some("8")));
    assert!(head.header("grpc-message").unwrap().contains(BODY_KEY));
}

fn a_head_that_is_too_large_becomes_a_502(front: Front) {
    let origin = Origin::start(|request, wire| {
        let field = format!("X-Large: {}\r\n", "x".repeat(10_000));
        let head = match request.target() {
            "/interim" => format!("HTTP/1.1 103 Early Hints\r\n{field}\r\n"),
            _ => format!("HTTP/1.1 200 OK\r\n{field}Content-Length: 0\r\n\r\n"),
        };
        wire.send(head);
        true
    });
    let large = Http2Origin::start(Rules::default());
    let proxy = front.start(&format!(
        "listeners: ['{{listen}}']
limits: {{ response_headers: 8KiB }}
upstreams:
  one: {{ servers: ['{0}'] }}
  two: {{ servers: ['{1}'], protocol: h2c }}
routes:
  - upstream: one
  - {{ match: {{ path: /large-head }}, upstream: two }}
  - {{ match: {{ path: /own }}, limits: {{ response_headers: 16KiB }}, upstream: one }}
",
        origin.address, large.address
    ));
    for target in ["/", "/interim", "/large-head"] {
        let answer = proxy.get(target);
        assert_eq!(answer.status, 502, "{target}");
        assert!(answer.text().contains(HEAD_KEY), "{target}: {}", answer.text());
    }
    assert_eq!(proxy.get("/own").status, 200);
    assert_eq!(origin.connections.load(std::sync::atomic::Ordering::SeqCst), 3, "no connection goes on");
    assert!(proxy.access_log(4)[0]["error"].as_str().unwrap().contains(HEAD_KEY));
}

#[test]
fn a_route_has_its_own_deadlines() {
    let origin = Origin::start(|request, wire| {
        if request.header("upgrade").is_some() {
            wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        } else if request.line.starts_with("GET") {
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
            while wire.try_send([0; 10_000]).is_ok() {}
        }
        wire.until_end();
        false
    });
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nroutes:\n  - timeouts: {{ request_body_idle: 300ms, write_idle: 300ms, tunnel_idle: 300ms }}\n    upstream: '{}'\n",
        origin.address
    ));
    let mut upload = proxy.connect();
    upload.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx");
    assert_eq!(upload.response().status, 408);
    let mut tunnel = proxy.connect();
    tunnel.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(tunnel.head().status, 101);
    assert!(tunnel.wire.is_closed());
    let mut stalled = proxy.connect();
    stalled.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let errors = |line: &serde_json::Value| line["error"].as_str().unwrap_or_default().to_owned();
    let log = proxy.access_log(3);
    assert!(
        log.iter().any(|line| errors(line) == "the client took nothing of the response for `timeouts.write_idle`"),
        "{log:?}"
    );
}
