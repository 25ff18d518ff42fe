//! Everything of service A, through proxy B: real sockets, bytes compared.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::io::Write;
use std::time::Duration;

use support::{Origin, Proxy, await_until};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn a_request_arrives_as_it_was_sent() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::before(origin.address);
    let response = proxy.ask(
        "PATCH /a%2Fb//c;v=1/%7Euser?x=%7e&&y=a+b&x=2 HTTP/1.1\r\nHOST: A.test:81\r\nConnection: keep-alive\r\n\
         X-one: 1\r\nCookie: a=1; b=\"x y\"\r\nx-TWO: 2\r\nX-one: 3\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    let seen = origin.last();
    assert_eq!(seen.line, "PATCH /a%2Fb//c;v=1/%7Euser?x=%7e&&y=a+b&x=2 HTTP/1.1");
    let own = ["CDN-Loop", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded"];
    let sent: Vec<&str> = seen.names().into_iter().filter(|n| !own.contains(n)).collect();
    assert_eq!(sent, ["HOST", "X-one", "X-one", "Cookie", "x-TWO", "Content-Length"]);
    assert_eq!(seen.header("host"), Some("A.test:81"));
    assert_eq!(seen.header("cookie"), Some("a=1; b=\"x y\""));
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-host"), Some("A.test:81"));
    assert_eq!(seen.header("forwarded"), Some("for=127.0.0.1;host=\"A.test:81\";proto=http"));
}

#[test]
fn a_response_comes_back_as_it_was_sent() {
    let origin = Origin::fixed(
        "HTTP/1.1 299 All Fine\r\nX-b: 1\r\nset-cookie: a=1; Path=/\r\nX-A: 2\r\nSet-Cookie: b=2\r\n\
         Keep-Alive: timeout=5\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
    );
    let response = Proxy::before(origin.address).get("/");
    assert_eq!(response.line, "HTTP/1.1 299 All Fine");
    assert_eq!(response.all("set-cookie"), ["a=1; Path=/", "b=2"]);
    assert_eq!(response.header("server"), None);
    assert_eq!(response.header("keep-alive"), None);
    assert_eq!(response.header("x-hop"), None);
    assert_eq!(response.all("date").len(), 1);
    let names: Vec<&str> = response.headers.iter().map(|(n, _)| n.as_str()).collect();
    let position = |name: &str| names.iter().position(|n| *n == name).unwrap();
    assert!(position("X-b") < position("X-A"), "{names:?}");
}

/// The regression set of proxies that parse bodies on the way.
#[test]
fn bodies_of_every_kind_arrive_whole() {
    let origin = Origin::start(|request, wire| {
        let body = wire.body(&request.headers, false);
        let kind = request.header("content-type").unwrap_or("-");
        let encoding = request.header("content-encoding").unwrap_or("-");
        let head = format!("HTTP/1.1 200 OK\r\nX-Kind: {kind}|{encoding}\r\nContent-Length: {}\r\n\r\n", body.len());
        wire.send(head);
        wire.send(body);
        true
    });
    let proxy = Proxy::before(origin.address);
    let binary: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let cases: [(&str, &str, &[u8]); 7] = [
        ("application/json", "-", br#"{"a":[1,"\u00e9"]}"#),
        ("application/json", "-", b"{}"),
        ("application/x-www-form-urlencoded", "-", b"a=1&b=%20+"),
        (
            "multipart/form-data; boundary=x",
            "-",
            b"--x\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n\x00\xff\r\n--x--\r\n",
        ),
        ("application/json", "gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00"),
        ("application/octet-stream", "-", &binary),
        ("text/plain", "-", b""),
    ];
    let mut client = proxy.connect();
    for (kind, encoding, body) in cases {
        let encoding_field = if encoding == "-" { String::new() } else { format!("Content-Encoding: {encoding}\r\n") };
        client.send(format!(
            "POST /u HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\n{encoding_field}Content-Length: {}\r\n\r\n",
            body.len()
        ));
        client.wire.send(body);
        let response = client.response();
        assert_eq!(response.header("x-kind"), Some(format!("{kind}|{encoding}").as_str()));
        assert!(response.body == body, "{kind}: {} bytes came back of {}", response.body.len(), body.len());
    }
    client
        .send("POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\n5\r\npedia\r\n0\r\n\r\n");
    assert_eq!(client.response().text(), "wikipedia");
}

#[test]
fn expect_100_continue_is_asked_of_the_origin() {
    let origin = Origin::start(|request, wire| {
        if request.target() == "/no" {
            wire.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return false;
        }
        wire.send("HTTP/1.1 100 Continue\r\n\r\n");
        let body = wire.body(&request.headers, false);
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
        wire.send(body);
        true
    });
    let proxy = Proxy::before(origin.address);
    let mut client = proxy.connect();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.head().status, 100);
    client.send("hello");
    assert_eq!(client.response().text(), "hello");
    let refused = proxy.ask("PUT /no HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(refused.status, 417);
}

#[test]
fn an_early_answer_in_mid_upload_reaches_the_client() {
    let origin = Origin::start(|_, wire| {
        wire.exactly(1000);
        wire.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large");
        // Leaves the connection open until the client side is done with it.
        wire.until_end();
        false
    });
    let proxy = Proxy::before(origin.address);
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n");
    client.wire.stream.write_all(&[b'x'; 2000]).unwrap();
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (413, "too large"));
}

#[test]
fn responses_without_a_body_end_with_their_head() {
    let origin = Origin::start(|request, wire| {
        wire.send(match request.target() {
            "/204" => "HTTP/1.1 204 No Content\r\n\r\n",
            "/304" => "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 99\r\n\r\n",
            "/range" => "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1-2/5\r\nContent-Length: 2\r\n\r\nbc",
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nX-H: 1\r\n\r\n",
        });
        true
    });
    let proxy = Proxy::before(origin.address);
    let mut client = proxy.connect();
    for (target, status) in [("/204", 204), ("/304", 304)] {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(client.response().status, status);
    }
    client.send("HEAD /h HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.response();
    assert_eq!((head.status, head.header("content-length")), (200, Some("1234")));
    client.send("GET /range HTTP/1.1\r\nHost: a\r\nRange: bytes=1-2\r\n\r\n");
    let range = client.response();
    assert_eq!((range.status, range.header("content-range"), range.text().as_str()), (206, Some("bytes 1-2/5"), "bc"));
    assert_eq!(origin.last().header("range"), Some("bytes=1-2"));
}

#[test]
fn events_are_not_held_back() {
    // The origin sends the next event once the client has the one before: no clock is needed.
    let (taken, next) = std::sync::mpsc::channel();
    let next = std::sync::Mutex::new(next);
    let origin = Origin::start(move |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        let next = next.lock().unwrap();
        for _ in 0..20 {
            wire.send("8\r\ndata: x\n\r\n");
            if next.recv_timeout(support::DEADLINE).is_err() {
                return false;
            }
        }
        wire.send("0\r\n\r\n");
        true
    });
    let proxy = Proxy::before(origin.address);
    let mut client = proxy.connect();
    client.send("GET /events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n");
    assert_eq!(client.head().status, 200);
    for _ in 0..20 {
        assert_eq!(client.wire.line(), "8");
        assert_eq!(client.wire.exactly(10), b"data: x\n\r\n");
        taken.send(()).unwrap();
    }
    assert_eq!(client.wire.line(), "0");
}

fn websocket_origin() -> Origin {
    Origin::start(|request, wire| {
        assert_eq!(request.header("upgrade"), Some("websocket"));
        wire.send(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: k\r\n\r\nhi",
        );
        loop {
            let mut byte = [0];
            match std::io::Read::read(&mut wire.stream, &mut byte) {
                Ok(1) => wire.send(byte),
                _ => return false,
            }
        }
    })
}

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n";

#[test]
fn a_websocket_echoes_and_may_be_silent() {
    let origin = websocket_origin();
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\ntimeouts: {{ tunnel_idle: 1h, request_body_idle: 1s }}\nupstreams:\n  a:\n    servers: ['{}']\n    timeouts: {{ read_idle: 1s, write_idle: 1s }}\nroutes: [{{ upstream: a }}]\n",
        origin.address
    ));
    let mut client = proxy.connect();
    client.send(UPGRADE);
    let head = client.head();
    assert_eq!(head.status, 101);
    assert_eq!(head.header("upgrade"), Some("websocket"));
    assert_eq!(client.wire.exactly(2), b"hi");
    for round in 0..2 {
        client.wire.send(b"ping");
        assert_eq!(client.wire.exactly(4), b"ping", "round {round}");
        // Longer than both idle deadlines for silent servers and clients.
        std::thread::park_timeout(Duration::from_millis(1600));
    }
}

/// Pingora's issue 946: on a pooled connection, whose reactor is another thread's, a
/// quick 101 made the end of the request the end of the tunnel.
#[test]
fn a_tunnel_gets_a_connection_of_its_own() {
    let origin = Origin::start(|request, wire| {
        if request.header("upgrade").is_none() {
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            return true;
        }
        wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        let word = wire.line();
        wire.send(format!("{word}\r\n"));
        false
    });
    let proxy = Proxy::before(origin.address);
    let connections = || origin.connections.load(std::sync::atomic::Ordering::SeqCst);
    // The pool has one to give.
    await_until("a kept connection", || {
        let before = connections();
        assert_eq!(proxy.get("/").status, 200);
        connections() == before
    });
    for round in 1..=50 {
        let before = connections();
        let mut client = proxy.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        assert_eq!(client.head().status, 101);
        client.send(format!("{round}\r\n"));
        assert_eq!(client.wire.line(), round.to_string());
        assert_eq!(connections(), before + 1);
    }
}

#[test]
fn an_upgrade_that_is_refused_leaves_the_connection_in_use() {
    let origin = Origin::fixed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let proxy = Proxy::before(origin.address);
    let mut client = proxy.connect();
    let ask = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    // The second is there before the first is answered.
    client.send([ask, ask].concat());
    for _ in 0..2 {
        let answer = client.response();
        assert_eq!((answer.text().as_str(), answer.header("connection")), ("ok", Some("keep-alive")));
    }
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "ok");
    assert_eq!(
        origin.seen.lock().unwrap()[0].names(),
        [
            "Host",
            "Connection",
            "Upgrade",
            "CDN-Loop",
            "X-Forwarded-For",
            "X-Forwarded-Proto",
            "X-Forwarded-Host",
            "Forwarded"
        ]
    );
    let local = Proxy::start("listeners: ['{listen}']\nroutes: [{ match: { path: /x }, respond: { body: x } }]\n");
    let mut client = local.connect();
    client.send(ask);
    assert_eq!(client.response().status, 404);
    client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "x");
}

#[test]
fn a_silent_tunnel_ends_at_its_own_deadline() {
    let origin = websocket_origin();
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\ntimeouts: {{ tunnel_idle: 1s }}\nroutes: [{{ upstream: '{}' }}]\n",
        origin.address
    ));
    let mut client = proxy.connect();
    client.send(UPGRADE);
    assert_eq!(client.head().status, 101);
    assert_eq!(client.wire.exactly(2), b"hi");
    assert!(client.wire.is_closed());
}

#[test]
fn an_http_1_0_client_gets_what_it_can_parse() {
    let origin = Origin::fixed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    let response = Proxy::before(origin.address).ask("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(response.header("transfer-encoding"), None);
    assert_eq!(response.text(), "abc");
}

/// RFC 9110 section 2.5: each hop sends its own version.
#[test]
fn the_version_of_a_response_is_ours() {
    let origin = Origin::start(|request, wire| {
        let (fields, goes_on) = match request.target() {
            "/length" => ("Content-Length: 3\r\n", false),
            "/keep-alive" => ("Content-Length: 3\r\nConnection: keep-alive\r\n", true),
            _ => ("", false),
        };
        wire.send(format!("HTTP/1.0 200 Fine\r\n{fields}\r\nabc"));
        goes_on
    });
    let proxy = Proxy::before(origin.address);
    let mut client = proxy.connect();
    for target in ["/length", "/keep-alive", "/close", "/length"] {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let response = client.response();
        assert_eq!((response.line.as_str(), response.text().as_str()), ("HTTP/1.1 200 Fine", "abc"), "{target}");
        let old = proxy.ask(format!("GET {target} HTTP/1.0\r\nHost: a\r\n\r\n"));
        assert_eq!((old.line.as_str(), old.text().as_str()), ("HTTP/1.1 200 Fine", "abc"), "{target}");
        assert_eq!(old.header("transfer-encoding"), None);
    }
}

#[test]
fn names_keep_the_spelling_of_the_origin() {
    let origin = Origin::start(|request, wire| {
        let host = request.header("host").unwrap();
        wire.send(format!(
            "HTTP/1.1 302 Found\r\nlocation: http://{host}/x\r\ndate: Mon, 01 Jan 2024 00:00:00 GMT\r\n\
             CONTENT-location: //{host}/y\r\nset-cookie: a=1; Secure\r\nSET-COOKIE: b=1\r\ncontent-length: 0\r\n\r\n"
        ));
        true
    });
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nroutes: [{{ request: {{ host: upstream }}, upstream: '{}' }}]\n",
        origin.address
    ));
    let response = proxy.ask("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
    let fields: Vec<String> = response.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    assert_eq!(
        fields[..6],
        [
            "location: http://example.com/x",
            "date: Mon, 01 Jan 2024 00:00:00 GMT",
            "CONTENT-location: //example.com/y",
            "set-cookie: a=1",
            "SET-COOKIE: b=1",
            "content-length: 0"
        ]
    );
}

#[test]
fn forwarding_fields_are_believed_only_from_trusted_proxies() {
    let origin = Origin::fixed(OK);
    let route = format!("routes: [{{ upstream: '{}' }}]\n", origin.address);
    let request = "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\nForwarded: for=9.9.9.9\r\nX-Real-IP: 9.9.9.9\r\n\r\n";
    Proxy::start(&format!("listeners: ['{{listen}}']\n{route}")).ask(request);
    let seen = origin.last();
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.header("x-real-ip"), None);
    assert_eq!(seen.header("forwarded"), Some("for=127.0.0.1;host=h;proto=http"));
    let trusting = Proxy::start(&format!("listeners: ['{{listen}}']\ntrusted_proxies: [127.0.0.0/8]\n{route}"));
    trusting.ask(request);
    let seen = origin.last();
    assert_eq!(seen.header("x-forwarded-for"), Some("9.9.9.9, 127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert_eq!(trusting.access_log(1)[0]["client_ip"], "9.9.9.9");
}

#[test]
fn cookies_redirects_and_host_are_rewritten() {
    let origin = Origin::start(|request, wire| {
        let host = request.header("host").unwrap();
        wire.send(format!(
            "HTTP/1.1 302 Found\r\nLocation: http://{host}/login?x\r\nSet-Cookie: s=1; Domain=app.internal; Path=/; Secure\r\nContent-Length: 0\r\n\r\n"
        ));
        true
    });
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nroutes:\n  - match: {{ path: /api/ }}\n    request: {{ path: {{ strip_prefix: /api }}, host: upstream, query: {{ remove: [utm], set: {{ k: v }} }}, cookie: {{ remove: [t] }}, header: {{ set: {{ X-New: '1' }} }} }}\n    response: {{ cookie: {{ domain: {{ app.internal: example.com }}, path: {{ /: /api/ }} }}, header: {{ set: {{ X-By: b }} }} }}\n    upstream: '{}'\n",
        origin.address
    ));
    let response = proxy.ask("GET /api/x?utm=1&q=2 HTTP/1.1\r\nHost: example.com\r\nCookie: t=1; u=2\r\n\r\n");
    let seen = origin.last();
    assert_eq!(seen.line, "GET /x?q=2&k=v HTTP/1.1");
    assert_eq!(seen.header("host"), Some(origin.address.to_string().as_str()));
    assert_eq!(seen.header("cookie"), Some("u=2"));
    assert_eq!(seen.header("x-new"), Some("1"));
    assert_eq!(response.header("location"), Some("http://example.com/api/login?x"));
    assert_eq!(response.header("set-cookie"), Some("s=1; Domain=example.com; Path=/api/"));
    assert_eq!(response.header("x-by"), Some("b"));
}

#[test]
fn local_answers_pass_the_same_response_edits() {
    let proxy = Proxy::start(
        "listeners: ['{listen}']\nroutes:\n  - match: { path: /old }\n    response: { header: { set: { X-By: b } } }\n    redirect: { to: 'https://{host}{path}{query}', status: 301 }\n  - match: { path: { exact: /health } }\n    respond: { status: 200, body: fine, header: { X-H: '1' } }\n",
    );
    let redirect = proxy.get("/old/x?y=1");
    assert_eq!(redirect.line, "HTTP/1.1 301 Moved Permanently");
    assert_eq!(redirect.header("location"), Some("https://a.test/old/x?y=1"));
    assert_eq!(redirect.header("x-by"), Some("b"));
    let respond = proxy.get("/health");
    assert_eq!((respond.status, respond.text().as_str(), respond.header("x-h")), (200, "fine", Some("1")));
    let head = proxy.ask("HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((head.header("content-length"), head.body.len()), (Some("4"), 0));
}

#[test]
fn failures_are_told_apart_and_say_why() {
    let silent = Origin::start(|_, wire| {
        wire.until_end();
        false
    });
    let broken = Origin::start(|_, wire| {
        wire.send("HTTP/1.1 two hundred\r\n\r\n");
        false
    });
    let closing = Origin::start(|_, _| false);
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nupstreams:\n  slow: {{ servers: ['{}'], timeouts: {{ response_header: 300ms }} }}\nroutes:\n  - {{ match: {{ path: /slow }}, upstream: slow }}\n  - {{ match: {{ path: /broken }}, upstream: '{}' }}\n  - {{ match: {{ path: /closing }}, upstream: '{}' }}\n  - {{ match: {{ path: /refused }}, upstream: '127.0.0.1:{}' }}\n",
        silent.address,
        broken.address,
        closing.address,
        support::free_port()
    ));
    for (target, status, reason) in [
        ("/refused", 502, "connection_refused"),
        ("/closing", 502, "connection_terminated"),
        ("/broken", 502, "http_protocol_error"),
        ("/slow", 504, "http_response_timeout"),
        ("/none", 404, "destination_not_found"),
        ("/%zz", 400, "http_request_error"),
    ] {
        let response = proxy.get(target);
        assert_eq!(response.status, status, "{target}: {}", response.text());
        let proxy_status = response.header("proxy-status").unwrap();
        assert!(proxy_status.starts_with(&format!("pingora-proxy; error={reason}; details=")), "{proxy_status}");
        assert_eq!(response.header("server"), None);
        let id = response.header("x-request-id").unwrap();
        assert!(response.text().contains(id), "{}", response.text());
    }
    let ask = |accept: &str| proxy.ask(format!("GET /none HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n"));
    assert!(ask("text/html,*/*").text().starts_with("<!doctype html>"));
    let json: serde_json::Value = serde_json::from_slice(&ask("application/json").body).unwrap();
    assert_eq!((&json["status"], &json["reason"]), (&404.into(), &"destination_not_found".into()));
    for line in proxy.access_log(8) {
        assert!(line["error"].is_string() && line["error_source"].is_string(), "{line}");
    }
}

#[test]
fn requests_that_could_be_read_two_ways_are_refused() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::before(origin.address);
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
        "GET http://other/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        assert_eq!(proxy.ask(request).status, 400, "{request}");
    }
    for request in ["TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"] {
        let refused = proxy.ask(request);
        assert_eq!((refused.status, refused.header("server")), (405, None), "{request}");
        assert!(refused.text().contains("this method is not forwarded"), "{}", refused.text());
    }
    assert_eq!(origin.count(), 0);
    let absolute = proxy.ask("GET http://a/x?y HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(absolute.status, 200);
    assert_eq!(origin.last().target(), "/x?y");
    proxy.get("/a/%2e%2e/b?q");
    assert_eq!(origin.last().target(), "/a/%2e%2e/b?q");
}

#[test]
fn the_first_request_after_the_origin_is_back_succeeds() {
    let origin = Origin::fixed(OK);
    let address = origin.address;
    let proxy = Proxy::before(address);
    assert_eq!(proxy.get("/").status, 200);
    drop(origin);
    let down = proxy.get("/");
    assert_eq!(down.status, 502, "{}", down.text());
    let origin = Origin::start_at(address, |_, wire| {
        wire.send(OK);
        true
    });
    assert_eq!(proxy.get("/").status, 200);
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_refused_connection_goes_to_another_server_for_every_method() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nupstreams:\n  a: {{ servers: ['127.0.0.1:{}', '{}'] }}\nroutes: [{{ upstream: a }}]\n",
        support::free_port(),
        origin.address
    ));
    for _ in 0..6 {
        assert_eq!(proxy.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").status, 200);
    }
    assert_eq!(origin.count(), 6);
}

#[test]
fn servers_take_turns_by_weight() {
    let (a, b) = (Origin::fixed(OK), Origin::fixed(OK));
    let proxy = Proxy::start(&format!(
        "server: {{ threads: 1 }}\nlisteners: ['{{listen}}']\nupstreams:\n  a: {{ servers: [{{ address: '{}', weight: 3 }}, '{}'] }}\nroutes: [{{ upstream: a }}]\n",
        a.address, b.address
    ));
    for _ in 0..8 {
        assert_eq!(proxy.get("/").status, 200);
    }
    assert_eq!((a.count(), b.count()), (6, 2));
}

#[test]
fn connections_to_the_origin_are_reused() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::start(&format!(
        "server: {{ threads: 1 }}\nlisteners: ['{{listen}}']\nroutes: [{{ upstream: '{}' }}]\n",
        origin.address
    ));
    let mut client = proxy.connect();
    for _ in 0..10 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().status, 200);
    }
    assert_eq!(origin.connections.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[test]
fn unix_sockets_serve_on_both_sides() {
    use std::os::unix::net::{UnixListener, UnixStream};
    let origin = Origin::fixed(OK);
    let folder = support::Folder::new();
    let app = folder.0.join("app.sock");
    let listener = UnixListener::bind(&app).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4096];
        let n = std::io::Read::read(&mut stream, &mut buffer).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nunix").unwrap();
        String::from_utf8_lossy(&buffer[..n]).into_owned()
    });
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}', 'unix:{{folder}}/in.sock']\nroutes:\n  - {{ match: {{ path: /app }}, upstream: 'unix:{}' }}\n  - {{ upstream: '{}' }}\n",
        app.display(),
        origin.address
    ));
    assert_eq!(proxy.get("/app").text(), "unix");
    assert!(server.join().unwrap().starts_with("GET /app HTTP/1.1\r\n"));
    let socket = proxy.folder.0.join("in.sock");
    await_until("unix listener", || UnixStream::connect(&socket).is_ok());
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stream, &mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
    assert_eq!(origin.last().header("x-forwarded-for"), Some("unknown"));
}

/// A body costs no more memory than the buffers on its way.
#[test]
fn large_bodies_stream_both_ways_in_fixed_memory() {
    const SIZE: usize = 192 << 20;
    let origin = Origin::start(|request, wire| {
        let block = vec![7u8; 1 << 20];
        if request.line.starts_with("GET") {
            wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"));
            (0..SIZE / block.len()).for_each(|_| wire.send(&block));
        } else {
            for _ in 0..SIZE / block.len() {
                wire.exactly(block.len());
            }
            wire.send(OK);
        }
        true
    });
    let proxy = Proxy::before(origin.address);
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().status, 200);
    for _ in 0..SIZE >> 20 {
        assert!(client.wire.exactly(1 << 20).iter().all(|b| *b == 7));
    }
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n"));
    let block = vec![1u8; 1 << 20];
    for _ in 0..SIZE >> 20 {
        client.wire.send(&block);
    }
    assert_eq!(client.response().status, 200);
    let peak = proxy.peak_memory();
    assert!(peak < 64 << 20, "{} MiB", peak >> 20);
}
