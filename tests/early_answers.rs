//! A client that has its whole answer and does not send the rest of its body: it holds neither
//! its request nor its server, and nobody waits for it.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::time::{Duration, Instant};

use support::{Client, Origin, Proxy, await_until};

const BODYLESS: &str = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
const SIZED: &str = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\nnope";
const CHUNKED: &str = "HTTP/1.1 413 Content Too Large\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbig\r\n0\r\n\r\n";
const TO_END: &str = "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\nno";

/// Answers a request with a body at once, as its target says, and does not read the body.
fn origin() -> Origin {
    Origin::start(|request, wire| {
        let (answer, goes_on) = match request.target() {
            "/bodyless" => (BODYLESS, true),
            "/sized" => (SIZED, true),
            "/chunked" => (CHUNKED, true),
            "/to-end" => (TO_END, false),
            _ => {
                wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                return true;
            }
        };
        wire.send(answer);
        // Until the proxy gives the connection up: a server that waits for the body.
        if goes_on {
            wire.until_end();
        }
        false
    })
}

/// One connection at a time to the origin; the next request waits.
fn before(origin: &Origin) -> Proxy {
    Proxy::start(&format!(
        "listeners: ['{{listen}}']\nupstreams:\n  a:\n    servers: ['{}']\n    pool: {{ max_connections: 1, queue: 5, queue_timeout: 30s }}\nroutes:\n  - upstream: a\n  - match: {{ path: /ours }}\n    respond: {{ status: 403, body: no }}\n",
        origin.address
    ))
}

/// A client that has its answer and sends nothing more.
fn answered(proxy: &Proxy, target: &str, fields: &str, body: &str) -> Client {
    let mut client = proxy.connect();
    client.send(format!("PUT {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n{fields}\r\n{body}"));
    assert!((400..500).contains(&client.response().status));
    client
}

/// How long another request waits for the only connection.
fn wait_for_room(proxy: &Proxy) -> Duration {
    let began = Instant::now();
    let next = proxy.get("/next");
    assert_eq!((next.status, next.text().as_str()), (200, "ok"));
    began.elapsed()
}

/// How long the connection lasts.
fn lasts(client: &mut Client) -> Duration {
    let began = Instant::now();
    client.wire.until_end();
    began.elapsed()
}

#[test]
fn a_client_that_got_an_answer_in_place_of_100_holds_neither_its_server_nor_its_request() {
    let origin = origin();
    let proxy = before(&origin);
    for target in ["/bodyless", "/sized", "/chunked", "/to-end"] {
        for connection in ["", "Connection: close\r\n"] {
            let fields = format!("Expect: 100-continue\r\n{connection}");
            let mut client = answered(&proxy, target, &fields, "");
            let waited = wait_for_room(&proxy);
            assert!(waited < Duration::from_secs(1), "{target} {connection}: {waited:?}");
            // The client sees the end at once.
            let lasted = lasts(&mut client);
            assert!(lasted < Duration::from_secs(1), "{target} {connection}: {lasted:?}");
            await_until("the request is over", || proxy.order("status").1.contains(" 0 requests"));
        }
    }
    for line in proxy.access_log(16).iter().filter(|line| line["path"] != "/next") {
        assert!(line["error"].is_null(), "the client did nothing wrong: {line}");
    }
}

#[test]
fn a_client_that_stops_in_the_middle_of_a_body_after_its_answer_is_given_up_soon() {
    let origin = origin();
    let proxy = before(&origin);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _client = answered(&proxy, "/sized", "", "some");
            let waited = wait_for_room(&proxy);
            assert!(waited < Duration::from_secs(10), "{waited:?}");
        });
    });
    await_until("the request is over", || proxy.order("status").1.contains(" 0 requests"));
    let log = proxy.access_log(2);
    let cut = log.iter().find(|line| line["path"] == "/sized").unwrap();
    assert_eq!(cut["error"], "the client had its response and did not send the rest of the request body", "{cut}");
    assert_eq!((&cut["status"], &cut["error_source"]), (&401.into(), &"client".into()));
}

/// Our own answers and an upstream's alike.
#[test]
fn a_client_that_has_its_answer_keeps_no_process_that_is_told_to_end() {
    let origin = origin();
    let cases =
        [("/sized", "Expect: 100-continue\r\n"), ("/sized", ""), ("/ours", "Expect: 100-continue\r\n"), ("/ours", "")];
    std::thread::scope(|scope| {
        for (target, fields) in cases {
            let origin = &origin;
            scope.spawn(move || {
                let mut proxy = before(origin);
                let _client = answered(&proxy, target, fields, "");
                let began = Instant::now();
                proxy.signal("TERM");
                let status = proxy.process.0.wait().unwrap();
                assert!(began.elapsed() < Duration::from_secs(9), "{target} {fields}: {:?}", began.elapsed());
                assert_eq!(status.code(), Some(0), "{target} {fields}");
            });
        }
    });
}

/// An upload that goes on after the answer is forwarded to its end, and the connection
/// goes on with the next request.
#[test]
fn a_client_that_goes_on_sending_after_its_answer_is_not_cut() {
    let origin = Origin::start(|request, wire| {
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly");
        wire.body(&request.headers, false);
        true
    });
    let proxy = Proxy::before(origin.address);
    let mut client = proxy.connect();
    for _ in 0..2 {
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n");
        assert_eq!(client.response().text(), "early");
        for byte in ["1", "2", "3", "4", "5", "6", "7", "8"] {
            std::thread::park_timeout(Duration::from_millis(200));
            client.send(byte);
        }
    }
    assert_eq!(proxy.access_log(2)[1]["bytes_in"], 8);
}
