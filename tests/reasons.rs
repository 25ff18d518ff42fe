//! Whatever goes wrong has one reason, and everything that tells of it says the same word: the reply, its
//! Proxy-Status, the access log, the metrics and the trace.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use support::collector::{Collector, attribute};
use support::faults::{BlackHole, Server, answering, refusing, resetting, silent};
use support::front::Front;
use support::http2_client::Http2;
use support::{Client, Origin, Proxy, free_port};

/// What a client sees of a fault.
#[derive(Clone, Copy, PartialEq)]
enum Seen {
    /// A reply of the proxy's own.
    Reply(u16),
    /// A response that is cut short.
    Cut,
    /// Nothing, for the client is gone.
    Nothing,
}
use Seen::{Cut, Nothing, Reply};

/// Behind this head half of a body comes, and `then`.
fn half(then: impl Fn(&mut support::Wire) + Send + Sync + 'static) -> Origin {
    Origin::start(move |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha");
        then(wire);
        false
    })
}

fn saying(text: &'static str) -> Origin {
    Origin::start(move |request, wire| {
        wire.body(&request.headers, false);
        wire.send(text);
        wire.until_end();
        false
    })
}

/// A proxy, and what it tells of its requests.
struct Running {
    proxy: Proxy,
    admin: SocketAddr,
    collector: Collector,
}

/// A proxy whose routes and limits are `text`; `SERVER` stands for the upstream's server.
fn start(server: SocketAddr, text: &str) -> Running {
    let collector = Collector::start(&[]);
    let admin: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let text = text.replace("SERVER", &server.to_string());
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nadmin: {{ address: '{admin}' }}\n\
         traces: {{ endpoint: '{}', service: shop, sample: 100% }}\n{text}",
        collector.url()
    ));
    Running { proxy, admin, collector }
}

const GET: &str = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
const PLAIN: &str = "routes: [{ upstream: 'SERVER' }]\n";

fn upstream(settings: &str) -> String {
    format!("upstreams: {{ a: {{ servers: ['SERVER'], {settings} }} }}\nroutes: [{{ upstream: a }}]\n")
}

/// Whether the request had a trace: what is no request has none.
fn check(what: &str, server: SocketAddr, text: &str, request: &str, reason: &str, seen: Seen) -> bool {
    let running = start(server, text);
    let mut client = running.proxy.connect();
    client.send(request);
    match seen {
        Reply(status) => {
            let reply = client.response();
            assert_eq!(reply.status, status, "{what}: {}", reply.text());
            assert_eq!(reply.text().lines().nth(1), Some(format!("reason: {reason}").as_str()), "{what}");
            let told = reply.header("proxy-status").unwrap();
            assert!(told.contains(&format!("; details=\"{reason}: ")), "{what}: {told}");
        }
        Cut => {
            let all = String::from_utf8(client.wire.until_end()).unwrap();
            assert!(!all.ends_with("half") && (all.is_empty() || all.starts_with("HTTP/1.1 200")), "{what}: {all}");
        }
        Nothing => {}
    }
    drop(client);
    told_of(what, &running, reason)
}

/// What the log, the metrics and the trace say, where there is one.
fn told_of(what: &str, running: &Running, reason: &str) -> bool {
    let log = running.proxy.access_log(1);
    assert_eq!((log.len(), &log[0]["reason"]), (1, &reason.into()), "{what}: {log:?}");
    assert!(log[0]["error"].is_string() && log[0]["error_source"].is_string(), "{what}: {log:?}");
    let mut client = Client::connect(running.admin);
    client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let metrics = client.response();
    let counted = metrics.text().lines().any(|line| {
        line.starts_with("pingora_proxy_failures_total{")
            && line.contains(&format!("reason=\"{reason}\""))
            && line.ends_with(" 1")
    });
    assert!(counted, "{what}: {}", metrics.text());
    let Some(trace) = log[0]["trace_id"].as_str() else { return false };
    let mut word = None;
    support::await_until("the span of the request", || {
        let spans = running.collector.spans.lock().unwrap();
        let server = spans.iter().find(|span| span["traceId"] == trace && span["kind"] == 2);
        word = server.map(|span| attribute(span, "error.type").map(str::to_owned));
        word.is_some()
    });
    assert_eq!(word, Some(Some(reason.to_owned())), "{what}");
    true
}

#[test]
fn each_fault_of_an_upstream_has_its_reason() {
    let hole = BlackHole::open();
    let short = |text: &str| upstream(&format!("timeouts: {{ {text} }}, retry: {{ attempts: 1 }}"));
    let name = "upstreams: { a: { servers: [{ dns: 'nothing.invalid:80' }] } }\nroutes: [{ upstream: a }]\n\
                dns: { nameservers: ['127.0.0.1:1'], timeout: 100ms }\n";
    let down = upstream("health: { active: { tcp: true, interval: 100ms, unhealthy_after: 1 } }");
    let (reset, quiet, queued, stalled) = (resetting(), silent(), silent(), half(|wire| drop(wire.until_end())));
    let (cut, bad) = (half(|_| ()), saying("nonsense\r\n\r\n"));
    let conflict = saying("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx");
    let gzip = saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\nx");
    let switch = saying("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
    let plain = Server::start("plain");
    let large = Origin::start(|_, wire| {
        wire.send(format!("HTTP/1.1 200 OK\r\nX-Large: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(70_000)));
        true
    });
    let cases = [
        ("refused", refusing(), PLAIN, "upstream_refused", Reply(502)),
        ("black hole", hole.address, &short("connect: 200ms"), "upstream_timeout_connect", Reply(504)),
        ("closed without a word", reset.address, &short(""), "upstream_closed", Reply(502)),
        ("no head", quiet.address, &short("response_header: 200ms"), "upstream_timeout_header", Reply(504)),
        ("whole request", quiet.address, &short("request: 200ms"), "upstream_timeout_request", Reply(504)),
        ("stalled body", stalled.address, &short("read_idle: 200ms"), "upstream_timeout_read", Cut),
        ("short body", cut.address, PLAIN, "upstream_truncated", Cut),
        ("not HTTP", bad.address, PLAIN, "upstream_invalid", Reply(502)),
        ("two lengths", conflict.address, PLAIN, "upstream_invalid", Reply(502)),
        ("a coding", gzip.address, PLAIN, "upstream_transfer_coding", Reply(502)),
        ("an unsolicited 101", switch.address, PLAIN, "upstream_invalid", Reply(502)),
        ("a large head", large.address, PLAIN, "limit_response_headers", Reply(502)),
        (
            "TLS where there is none",
            plain.address,
            &upstream("tls: { verify: false }"),
            "upstream_tls_failed",
            Reply(502),
        ),
        ("no address", refusing(), name, "upstream_no_address", Reply(503)),
        ("in a queue", queued.address, &upstream("pool: { max_connections: 1 }"), "", Nothing),
        ("all down", refusing(), &down, "upstream_all_down", Reply(503)),
    ];
    support::four_at_a_time(cases, |(what, server, text, reason, seen)| match reason {
        "" => a_full_queue(&queued, text),
        "upstream_all_down" => all_down(server, text),
        _ => assert!(check(what, server, text, GET, reason, seen), "{what} has no trace"),
    });
}

fn a_full_queue(quiet: &Origin, text: &str) {
    let Running { proxy, .. } = &start(quiet.address, text);
    let before = quiet.count();
    let mut first = proxy.connect();
    first.send(GET);
    support::await_until("the connection to be taken", || quiet.count() > before);
    support::await_until("the queue to be full", || proxy.get("/").status == 503);
    let reasons: Vec<_> = proxy.access_log(1).into_iter().map(|line| line["reason"].clone()).collect();
    assert!(reasons.iter().all(|reason| reason == "upstream_queue_full"), "{reasons:?}");
}

fn all_down(server: SocketAddr, text: &str) {
    let Running { proxy, .. } = &start(server, text);
    support::await_until("the server to be down", || proxy.get("/").text().contains("reason: upstream_all_down"));
    support::await_until("its line", || proxy.read("stdout").contains("\"reason\":\"upstream_all_down\""));
}

#[test]
fn each_limit_and_each_fault_of_a_client_has_its_reason() {
    let origin = answering(200);
    let route = |settings: &str| format!("routes: [{{ upstream: 'SERVER', {settings} }}]\n");
    let headers = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    let count = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(120));
    let line = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(10_000));
    let slow_head = "timeouts: { request_header: 200ms }\nroutes: [{ upstream: 'SERVER' }]\n";
    let slow_body = route("timeouts: { request_body_idle: 200ms }");
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n";
    let cases = [
        ("request_body", route("limits: { request_body: 8B }"), post, "limit_request_body", 413),
        ("request_headers", PLAIN.to_owned(), headers.as_str(), "limit_request_headers", 431),
        ("request_header_count", PLAIN.to_owned(), &count, "limit_request_header_count", 431),
        ("request_line", PLAIN.to_owned(), &line, "limit_request_line", 414),
        ("slow head", slow_head.to_owned(), "GET / HTTP/1.1\r\nHo", "client_timeout_header", 408),
        ("slow body", slow_body, post, "client_timeout_body", 408),
        ("no host", PLAIN.to_owned(), "GET / HTTP/1.1\r\n\r\n", "host_missing", 400),
        (
            "framing",
            PLAIN.to_owned(),
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "framing_ambiguous",
            400,
        ),
        (
            "a chunk",
            PLAIN.to_owned(),
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            "chunk_invalid",
            400,
        ),
        ("no route", "routes: [{ match: { path: /other }, upstream: 'SERVER' }]\n".to_owned(), GET, "no_route", 404),
        ("CONNECT", PLAIN.to_owned(), "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "method_refused", 405),
        ("access", route("access: { deny: ['127.0.0.0/8'] }"), GET, "access_denied", 403),
    ];
    support::four_at_a_time(cases, |(what, text, request, reason, status)| {
        let is_request = matches!(what, "request_body" | "slow body" | "a chunk" | "no host" | "no route" | "access");
        assert_eq!(check(what, origin.address, &text, request, reason, Reply(status)), is_request, "{what}");
    });
    let Running { proxy: limited, .. } = &start(origin.address, &route("rate_limit: { rate: 1/h, burst: 1 }"));
    assert_eq!((limited.get("/").status, limited.get("/").status), (200, 429));
    assert!(limited.access_log(2).iter().any(|line| line["reason"] == "rate_limited"));
}

#[test]
fn a_client_that_left_is_the_reason_over_both_protocols() {
    let quiet = silent();
    let running = start(quiet.address, PLAIN);
    let first = &running.proxy;
    let mut client = first.connect();
    client.send(GET);
    support::await_until("the request is there", || quiet.count() == 1);
    drop(client);
    assert!(told_of("HTTP/1", &running, "client_gone"));
    assert_eq!(first.access_log(1)[0]["status"], 499);
}

/// A stream of HTTP/2 whose client is gone while its upstream is connected to was given up without a line.
#[test]
fn a_stream_that_is_given_up_is_logged_once() {
    let hole = BlackHole::open();
    let proxy = Front::H2c.start(&format!(
        "listeners: ['{{listen}}']\nupstreams: {{ a: {{ servers: ['{}'], timeouts: {{ connect: 10s }} }} }}\nroutes: [{{ upstream: a }}]\n",
        hole.address
    ));
    let mut client = Http2::connect(&proxy);
    let stream = client.begin(&support::front::Ask::get("/given-up").field("User-Agent", "left"));
    support::await_until("the request is there", || proxy.order("status").1.contains("1 request"));
    drop((stream, client));
    let log = proxy.access_log(1);
    std::thread::park_timeout(Duration::from_millis(300));
    assert_eq!(proxy.read("stdout").lines().count(), 1, "{log:?}");
    assert_eq!(
        (&log[0]["path"], &log[0]["status"], &log[0]["reason"]),
        (&"/given-up".into(), &499.into(), &"client_gone".into())
    );
    assert_eq!((&log[0]["user_agent"], &log[0]["route"]), (&"left".into(), &"routes[0]".into()));
}
