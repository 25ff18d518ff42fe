//! Where the time of a request went, told apart: in the log, and in `Server-Timing` where a route wants it.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::time::Duration;

use support::front::Front;
use support::{Origin, Proxy};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn slow(before_head: u64, in_body: u64) -> Origin {
    Origin::start(move |_, wire| {
        std::thread::park_timeout(Duration::from_millis(before_head));
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
        std::thread::park_timeout(Duration::from_millis(in_body));
        wire.send("k");
        true
    })
}

fn millis(line: &serde_json::Value, key: &str) -> f64 {
    line[key].as_f64().unwrap_or_else(|| panic!("no {key}: {line}"))
}

#[test]
fn the_parts_of_a_request_are_told_apart() {
    let origin = slow(200, 300);
    let proxy = Proxy::before(origin.address);
    let mut client = proxy.connect();
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().text(), "ok");
    }
    let log = proxy.access_log(2);
    let (first, second) = (&log[0], &log[1]);
    for line in [first, second] {
        assert!(millis(line, "ttfb_ms") >= 200.0 && millis(line, "transfer_ms") >= 200.0, "{line}");
        let parts = millis(line, "ttfb_ms") + millis(line, "transfer_ms");
        assert!((parts - millis(line, "duration_ms")).abs() < 0.01, "{line}");
        assert!(line["queue_ms"].is_null() && line["tls_ms"].is_null(), "{line}");
    }
    assert!(millis(first, "connect_ms") < 200.0 && second["connect_ms"].is_null(), "{first} {second}");
}

#[test]
fn waiting_for_a_place_is_told_apart_from_the_upstream() {
    let origin = slow(300, 0);
    for how in ["pool: { max_connections: 1, queue: 5 }", "health: { passive: off }"] {
        let concurrency = if how.starts_with("pool") { "" } else { ", concurrency: { max: 1, queue: 5 }" };
        let proxy = Proxy::start(&format!(
            "listeners: ['{{listen}}']\nupstreams:\n  a: {{ servers: ['{}'], {how} }}\nroutes:\n  - {{ upstream: a{concurrency} }}\n",
            origin.address
        ));
        let [mut one, mut two] = [proxy.connect(), proxy.connect()];
        one.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        support::await_until("the first is there", || origin.count() % 2 == 1);
        two.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!((one.response().status, two.response().status), (200, 200));
        let log = proxy.access_log(2);
        assert!(log[0]["queue_ms"].is_null(), "{}", log[0]);
        let waited = millis(&log[1], "queue_ms");
        assert!(waited > 50.0 && waited < millis(&log[1], "ttfb_ms") - 250.0, "{}", log[1]);
    }
}

#[test]
fn a_handshake_with_the_upstream_is_told_apart_from_connecting() {
    let server = Front::Http1Tls.start("listeners: ['{listen}']\nroutes: [{ respond: { body: ok } }]\n");
    for protocol in ["http1", "auto"] {
        let proxy = Proxy::start(&format!(
            "listeners: ['{{listen}}']\nupstreams:\n  a: {{ servers: ['{}'], tls: {{ verify: false }}, protocol: {protocol} }}\n\
             routes:\n  - {{ upstream: a, response: {{ server_timing: true }} }}\n",
            server.address
        ));
        let answer = proxy.get("/");
        assert_eq!(answer.text(), "ok");
        let line = &proxy.access_log(1)[0];
        assert!(millis(line, "tls_ms") > 0.0 && millis(line, "connect_ms") >= 0.0, "{line}");
        let told = answer.header("server-timing").unwrap();
        let names: Vec<_> = told.split(", ").map(|part| part.split(";dur=").next().unwrap()).collect();
        assert_eq!(names, ["connect", "tls", "ttfb"], "{told}");
    }
}

#[test]
fn timing_is_told_to_clients_only_where_it_is_asked_for() {
    let origin = Origin::fixed("HTTP/1.1 200 OK\r\nServer-Timing: db;dur=5\r\nContent-Length: 2\r\n\r\nok");
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nroutes:\n  - {{ match: {{ path: /told }}, upstream: '{0}', response: {{ server_timing: true }} }}\n  \
         - {{ match: {{ path: /local }}, respond: {{}}, response: {{ server_timing: true }} }}\n  - upstream: '{0}'\n",
        origin.address
    ));
    let timing = |target: &str| proxy.get(target).all("server-timing").join(" | ");
    let told = timing("/told");
    assert!(told.starts_with("db;dur=5 | connect;dur=") && told.contains(", ttfb;dur="), "{told}");
    assert!(timing("/local").starts_with("ttfb;dur="));
    assert_eq!(timing("/"), "db;dur=5");
    assert!(Proxy::before(Origin::fixed(OK).address).get("/").header("server-timing").is_none());
}
