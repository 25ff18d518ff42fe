//! What a client or an origin sends to be read two ways, or to be believed. What is wrong in the
//! frames of HTTP/2 is in `hostile_frames.rs`.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::time::{Duration, Instant};

use support::front::{Ask, Front, Fronted, Length, byte_fronts, every_front};
use support::{DEADLINE, Folder, Origin, call};

every_front! {
    forwarding_fields_that_a_stranger_sends_never_pass
    an_edit_sees_the_path_that_was_matched
    a_101_that_nobody_asked_for_opens_no_tunnel
    an_unknown_expectation_is_refused
    a_trusted_peers_scheme_is_ours
    what_a_trusted_peer_says_in_other_words_is_ours_too
    a_slow_response_with_a_length_is_not_held_back
    responses_that_can_be_read_two_ways_are_refused
    equal_lengths_of_a_response_become_one
    interim_responses_without_end_are_cut
    deadlines_of_a_response_are_its_own
    an_upstream_that_takes_no_more_of_a_body_is_not_waited_for
    a_slow_upload_that_goes_on_is_not_cut
    only_the_client_is_held_to_the_deadline_of_its_body
}

byte_fronts! {
    forwarding_fields_of_strangers_never_pass
    framing_that_can_be_read_two_ways_is_refused
    an_http_1_0_request_in_absolute_form_has_a_host
    what_connection_may_not_name_is_told
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn forwarding_fields_of_strangers_never_pass(front: Front) {
    let origin = Origin::fixed(OK);
    let proxy = front.before(origin.address);
    proxy.ask_bytes(
        "GET / HTTP/1.0\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Prefix: /p\r\nX_Forwarded_For: 1.1.1.1\r\n\r\n",
    );
    let seen = origin.last();
    for name in ["x-forwarded-host", "x-forwarded-prefix", "x_forwarded_for"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    // HTTP/1.1 must have a Host (RFC 9112 section 3.2), though the client sent none.
    assert_eq!(seen.header("host"), Some(origin.address.to_string().as_str()));
}

fn forwarding_fields_that_a_stranger_sends_never_pass(front: Front) {
    let origin = Origin::fixed(OK);
    let proxy = front.before(origin.address);
    let ask = Ask::get("/").field("X-Forwarded-Host", "evil").field("X-Forwarded-Prefix", "/p");
    assert_eq!(proxy.ask(&ask.field("X_Forwarded_For", "1.1.1.1").field("X-Forwarded-Port", "1")).status, 200);
    let seen = origin.last();
    for name in ["x-forwarded-prefix", "x_forwarded_for", "x-forwarded-port"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert_eq!((seen.header("host"), seen.header("x-forwarded-host")), (Some("a"), Some("a")));
}

fn an_edit_sees_the_path_that_was_matched(front: Front) {
    let origin = Origin::fixed(OK);
    let proxy = front.start(&format!(
        "listeners: ['{{listen}}']\nroutes: [{{ match: {{ path: /api }}, request: {{ path: {{ strip_prefix: /api }} }}, upstream: '{}' }}]\n",
        origin.address
    ));
    assert_eq!(proxy.get("/%61pi/x").status, 200);
    assert_eq!(origin.last().target(), "/x");
}

fn a_101_that_nobody_asked_for_opens_no_tunnel(front: Front) {
    let origin = Origin::fixed(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    );
    let response = front.before(origin.address).get("/");
    assert_eq!(response.status, 502, "{}", response.text());
}

fn framing_that_can_be_read_two_ways_is_refused(front: Front) {
    let origin = Origin::fixed(OK);
    let proxy = front.before(origin.address);
    for fields in [
        "Content-Length: 3, 3",
        "Content-Length: 03",
        "Content-Length: 3\r\nContent-Length: 3",
        "Transfer-Encoding: x",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Content-Length: 3\r\nConnection: content-length",
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\n",
        "X: 1\nY: 2",
        "X: \0",
        " X: 1",
    ] {
        let mut client = proxy.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\nabc"));
        assert_eq!(client.response().status, 400, "{fields}");
        // What Connection may not name frames nothing: the next request is found.
        assert!(fields.ends_with("content-length") || client.wire.is_closed(), "{fields}");
    }
    assert_eq!(origin.count(), 0);
}

fn an_unknown_expectation_is_refused(front: Front) {
    let origin = Origin::fixed(OK);
    let proxy = front.before(origin.address);
    assert_eq!(proxy.ask(&Ask::get("/").field("Expect", "magic")).status, 417);
    assert_eq!(origin.count(), 0);
}

fn a_trusted_peers_scheme_is_ours(front: Front) {
    let theirs = if front.is_tls() { "http" } else { "https" };
    let origin = Origin::start(move |request, wire| {
        let host = request.header("host").unwrap();
        wire.send(format!(
            "HTTP/1.1 302 Found\r\nlocation: {theirs}://{host}/login\r\nset-cookie: s=1; Secure\r\nContent-Length: 0\r\n\r\n"
        ));
        true
    });
    let proxy = front.start(&format!(
        "listeners: ['{{listen}}']\ntrusted_proxies: [127.0.0.1]\nroutes: [{{ match: {{ path: /api }}, request: {{ path: {{ strip_prefix: /api }} }}, upstream: '{}' }}]\n",
        origin.address
    ));
    let response = proxy.ask(&Ask::get("/api/").host("h").field("X-Forwarded-Proto", theirs));
    assert_eq!(response.header("location"), Some(format!("{theirs}://h/api/login").as_str()));
    assert_eq!(response.header("set-cookie"), Some(if front.is_tls() { "s=1" } else { "s=1; Secure" }));
    // Nothing was configured for it, so its spelling stays.
    assert!(response.headers.iter().any(|(name, _)| name == "set-cookie"));
    assert_eq!(origin.last().header("x-forwarded-proto"), Some(theirs));
    // RFC 7239 section 5.4: the element of this hop tells how the request reached this hop.
    let forwarded = format!("for=127.0.0.1;host=h;proto={}", front.scheme());
    assert_eq!(origin.last().header("forwarded"), Some(forwarded.as_str()));
}

fn what_a_trusted_peer_says_in_other_words_is_ours_too(front: Front) {
    let (ours, theirs) = (front.scheme(), if front.is_tls() { "http" } else { "https" });
    let origin = Origin::start(move |_, wire| {
        wire.send(format!("HTTP/1.1 302 Found\r\nLocation: {ours}://app.internal/login\r\nContent-Length: 0\r\n\r\n"));
        true
    });
    let port = origin.address.port();
    let config = |trusted: &str| {
        front.start(&format!("listeners: ['{{listen}}']\n{trusted}routes: [{{ upstream: 'localhost:{port}' }}]\n"))
    };
    let location = |proxy: &Fronted, (name, value): (&str, &str)| {
        let ask = Ask::get("/").host("app.internal").field(name, value);
        proxy.ask(&ask).header("location").unwrap().to_owned()
    };
    let trusting = config("trusted_proxies: [127.0.0.1]\n");
    let (public, internal) = (format!("{ours}://pub.example/login"), format!("{ours}://app.internal/login"));
    for (field, expected) in [
        (("X-Forwarded-Host", "pub.example, inner"), &public),
        (("Forwarded", "for=9.9.9.9;host=pub.example"), &public),
        (("X-Forwarded-Host", "not a host"), &internal),
    ] {
        assert_eq!(location(&trusting, field), *expected, "{field:?}");
    }
    assert_eq!(trusting.access_log(3)[0]["scheme"], ours);
    let shouted = format!("{}, {ours}", theirs.to_ascii_uppercase());
    let forwarded = format!("for=9.9.9.9;proto={theirs};host=app.internal");
    for (name, value) in [("X-Forwarded-Proto", &shouted), ("Forwarded", &forwarded)] {
        trusting.ask(&Ask::get("/").host("h").field(name, value));
    }
    assert!(trusting.access_log(5)[3..].iter().all(|line| line["scheme"] == theirs));
    let other = config("");
    assert_eq!(location(&other, ("X-Forwarded-Host", "pub.example")), internal);
}

/// RFC 9112 section 3.2.2.
fn an_http_1_0_request_in_absolute_form_has_a_host(front: Front) {
    let origin = Origin::fixed(OK);
    let proxy = front.start(&format!(
        "listeners: ['{{listen}}']\nroutes: [{{ match: {{ host: h.test }}, upstream: '{}' }}]\n",
        origin.address
    ));
    assert_eq!(proxy.ask_bytes("GET http://h.test/x HTTP/1.0\r\n\r\n").status, 200);
    let seen = origin.last();
    assert_eq!((seen.target(), seen.header("host")), ("/x", Some("h.test")));
    assert_eq!(seen.header("x-forwarded-host"), Some("h.test"));
    assert_eq!(proxy.ask_bytes("GET /x HTTP/1.0\r\n\r\n").status, 404);
    assert_eq!(proxy.ask_bytes("GET http://a,b/x HTTP/1.0\r\n\r\n").status, 400);
    assert_eq!(proxy.ask_bytes("GET http://h.test/x HTTP/1.1\r\n\r\n").status, 400);
}

fn what_connection_may_not_name_is_told(front: Front) {
    let origin = Origin::fixed(OK);
    let proxy = front.before(origin.address);
    for name in ["Cookie", "Host", "authorization", "close, Forwarded"] {
        let refused = proxy.ask_bytes(format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {name}\r\n\r\n"));
        assert_eq!(refused.status, 400, "{name}");
        assert!(refused.text().contains("Connection field names a field that belongs"), "{}", refused.text());
    }
    assert_eq!(origin.count(), 0);
}

/// Pingora flushes a response with a Content-Length at its end only.
fn a_slow_response_with_a_length_is_not_held_back(front: Front) {
    let origin = Origin::start(|_, wire| {
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
        for _ in 0..2 {
            std::thread::park_timeout(Duration::from_millis(600));
            wire.send("12345");
        }
        true
    });
    let proxy = front.before(origin.address);
    let mut link = proxy.link();
    let asked = Instant::now();
    let mut exchange = link.begin(&Ask::get("/"));
    assert_eq!(exchange.head().status, 200);
    assert!(asked.elapsed() < Duration::from_millis(400), "the head took {:?}", asked.elapsed());
    exchange.exactly(5);
    assert!(asked.elapsed() < Duration::from_millis(1000), "the first piece took {:?}", asked.elapsed());
    assert_eq!(exchange.exactly(5), b"12345");
}

#[test]
fn listeners_that_would_harm_are_refused_before_anything_starts() {
    let folder = Folder::new();
    let port = support::free_port();
    let victim = folder.write("victim.txt", "precious");
    for (listeners, upstream, words) in [
        (format!("'0.0.0.0:{port}', '127.0.0.1:{port}'"), "127.0.0.1:3000".to_owned(), "is part of `0.0.0.0:"),
        (format!("'unix:{}'", victim.display()), "127.0.0.1:3000".to_owned(), "a file that is no socket stands there"),
        (format!("'0.0.0.0:{port}'"), format!("127.0.0.1:{port}"), "is this proxy's own listener"),
    ] {
        folder.write("p.yaml", &format!("listeners: [{listeners}]\nroutes: [{{ upstream: '{upstream}' }}]\n"));
        let (code, _, stderr) = call(&["-c", "p.yaml"], &folder.0);
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
    }
    assert_eq!(std::fs::read_to_string(victim).unwrap(), "precious");
}

fn responses_that_can_be_read_two_ways_are_refused(front: Front) {
    let origin = Origin::start(|request, wire| {
        wire.send(match request.target() {
            "/lengths" => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
            "/sign" => "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab",
            "/both" => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "/coding" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n",
            "/no-status" => "HTTP/1.1 OK\r\n\r\n",
            "/not-http" => "SSH-2.0-OpenSSH_9.2\r\n",
            "/name" => "HTTP/1.1 200 OK\r\nA b: 1\r\nContent-Length: 2\r\n\r\nab",
            _ => "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
        });
        true
    });
    let proxy = front.before(origin.address);
    for target in ["/lengths", "/sign", "/both", "/coding", "/no-status", "/not-http", "/name"] {
        let response = proxy.get(target);
        assert_eq!(response.status, 502, "{target}: {}", response.text());
        assert!(response.header("proxy-status").unwrap().contains("error=http_protocol_error"), "{target}");
    }
    // What stands behind a 204 is no response to the next request.
    let mut link = proxy.link();
    for _ in 0..3 {
        let response = link.ask(&Ask::get("/204"));
        assert_eq!((response.status, response.is_whole, response.body.len()), (204, true, 0));
    }
}

/// What we do not refuse, nobody behind us shall read two ways.
fn equal_lengths_of_a_response_become_one(front: Front) {
    let origin = Origin::start(|request, wire| {
        wire.send(match request.target() {
            "/twice" => "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nA: 1\r\nContent-Length: 3\r\n\r\nabc",
            "/list" => "HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\nA: 1\r\n\r\nabc",
            "/zeros" => "HTTP/1.1 200 OK\r\nContent-Length: 003\r\nA: 1\r\n\r\nabc",
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 3, 4\r\n\r\nabcd",
        });
        true
    });
    let proxy = front.before(origin.address);
    let mut link = proxy.link();
    for target in ["/twice", "/list", "/zeros"] {
        let response = link.ask(&Ask::get(target));
        assert_eq!((response.all("content-length"), response.text().as_str()), (vec!["3"], "abc"), "{target}");
    }
    assert_eq!(proxy.get("/differ").status, 502);
}

/// However many of them arrive together.
fn interim_responses_without_end_are_cut(front: Front) {
    const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let origin = Origin::start(|request, wire| {
        let (count, first) = match request.target().strip_prefix("/many") {
            Some(first) => (17, first.parse().unwrap()),
            None => (16, 0),
        };
        wire.send(HINTS.repeat(first));
        std::thread::park_timeout(Duration::from_millis(10));
        wire.send(HINTS.repeat(count - first));
        wire.send(OK);
        true
    });
    let proxy = front.before(origin.address);
    let many = (0..8).map(|first| (format!("/many{first}"), 502));
    for (target, status) in many.chain([("/few".to_owned(), 200)]) {
        let mut link = proxy.link();
        let mut exchange = link.begin(&Ask::get(&target));
        for _ in 0..16 {
            let interim = exchange.head();
            assert_eq!((interim.status, interim.header("link")), (103, Some("</a>")), "{target}");
        }
        assert_eq!(exchange.answer().status, status, "{target}");
    }
}

/// The two deadlines of a response are apart, and neither runs while the client sends.
fn deadlines_of_a_response_are_its_own(front: Front) {
    let origin = Origin::start(|request, wire| {
        let pause = || std::thread::park_timeout(Duration::from_millis(700));
        match request.target() {
            "/slow-head" => pause(),
            "/slow-body" => {
                wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
                pause();
                wire.send("k");
                return true;
            }
            "/events" => {
                wire.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; x\r\nContent-Length: 2\r\n\r\no");
                pause();
                wire.send("k");
                return true;
            }
            _ => drop(wire.body(&request.headers, false)),
        }
        wire.send(OK);
        true
    });
    let proxy = |timeouts: &str| {
        front.start(&format!(
            "listeners: ['{{listen}}']\nupstreams: {{ a: {{ servers: ['{}'], timeouts: {{ {timeouts} }} }} }}\nroutes: [{{ upstream: a }}]\n",
            origin.address
        ))
    };
    let head = proxy("response_header: 300ms, read_idle: 5s");
    assert_eq!(head.get("/slow-body").text(), "ok");
    let late = head.get("/slow-head");
    assert_eq!((late.status, late.header("proxy-status").unwrap().contains("http_response_timeout")), (504, true));
    let log = head.access_log(2);
    assert_eq!((&log[1]["error_source"], &log[1]["status"]), (&"upstream".into(), &504.into()));

    let body = proxy("response_header: 5s, read_idle: 300ms");
    assert_eq!(body.get("/slow-head").text(), "ok");
    assert_eq!(body.get("/events").text(), "ok");
    let cut = body.get("/slow-body");
    assert_eq!((cut.status, cut.body.as_slice(), cut.is_whole), (200, &b"o"[..], false));

    let both = proxy("response_header: 300ms, read_idle: 300ms");
    let mut link = both.link();
    let mut exchange = link.begin(&Ask::post("/", "").length(Length::Said(4)));
    for byte in ["s", "l", "o", "w"] {
        std::thread::park_timeout(Duration::from_millis(200));
        assert!(exchange.send(byte));
    }
    exchange.end();
    assert_eq!(exchange.answer().text(), "ok");
}

/// An upload through a proxy with these timeouts to an origin that does as it is told.
fn upload(front: Front, origin: &Origin, timeouts: &str) -> Fronted {
    front.start(&format!(
        "listeners: ['{{listen}}']\ntimeouts: {{ request_body_idle: 400ms }}\nupstreams: {{ a: {{ servers: ['{}'], timeouts: {{ {timeouts} }} }} }}\nroutes: [{{ upstream: a }}]\n",
        origin.address
    ))
}

fn an_upstream_that_takes_no_more_of_a_body_is_not_waited_for(front: Front) {
    let origin = Origin::start(|request, wire| {
        if request.target() == "/refused" {
            wire.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig");
        }
        std::thread::park_timeout(DEADLINE);
        false
    });
    let proxy = upload(front, &origin, "write_idle: 1s");
    for length in [Length::Said(100_000_000), Length::Unsaid] {
        let mut link = proxy.link();
        let began = Instant::now();
        let mut exchange = link.begin(&Ask::post("/", "").length(length));
        exchange.keep_sending();
        let response = exchange.answer();
        assert_eq!(response.status, 504, "{length:?}: {}", response.text());
        assert!(response.header("proxy-status").unwrap().contains("connection_write_timeout"));
        let took = began.elapsed();
        assert!(took > Duration::from_millis(950) && took < Duration::from_secs(4), "{length:?}: {took:?}");
        link.shut_down();
    }
    let log = proxy.access_log(2);
    assert_eq!((&log[0]["error_source"], &log[0]["status"]), (&"upstream".into(), &504.into()));
    // Pingora looks for an answer only when it cannot send: there may be one.
    let mut link = proxy.link();
    let mut exchange = link.begin(&Ask::post("/refused", "").length(Length::Said(100_000_000)));
    exchange.keep_sending();
    assert_eq!(exchange.answer().text(), "big");
}

fn a_slow_upload_that_goes_on_is_not_cut(front: Front) {
    const SIZE: usize = 24 << 20;
    let origin = Origin::start(|_, wire| {
        for _ in 0..SIZE >> 20 {
            std::thread::park_timeout(Duration::from_millis(100));
            wire.exactly(1 << 20);
        }
        wire.send(OK);
        true
    });
    // Longer than every single pause, shorter than all of them.
    let proxy = upload(front, &origin, "write_idle: 1s");
    let mut link = proxy.link();
    let began = Instant::now();
    let mut exchange = link.begin(&Ask::post("/", "").length(Length::Said(SIZE as u64)));
    (0..SIZE >> 20).for_each(|_| assert!(exchange.send(vec![b'x'; 1 << 20])));
    exchange.end();
    assert_eq!(exchange.answer().status, 200);
    assert!(began.elapsed() > Duration::from_millis(1500), "{:?}", began.elapsed());
}

/// The client that does not send, and the upstream that does not take, are told apart.
fn only_the_client_is_held_to_the_deadline_of_its_body(front: Front) {
    let origin = Origin::start(|request, wire| {
        std::thread::park_timeout(Duration::from_millis(1200));
        let body = wire.body(&request.headers, false);
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Length: {}\r\n\r\n", body.len()));
        true
    });
    let proxy = upload(front, &origin, "write_idle: 10s");
    const SIZE: usize = 24 << 20;
    let mut link = proxy.link();
    let mut exchange = link.begin(&Ask::post("/", "").length(Length::Said(SIZE as u64)));
    (0..SIZE >> 20).for_each(|_| assert!(exchange.send(vec![b'x'; 1 << 20])));
    exchange.end();
    assert_eq!(exchange.answer().header("x-length"), Some(SIZE.to_string().as_str()));
    for (length, half) in [(Length::Said(10), "half"), (Length::Unsaid, "ha")] {
        let mut link = proxy.link();
        let began = Instant::now();
        let mut exchange = link.begin(&Ask::post("/", "").length(length));
        assert!(exchange.send(half));
        let response = exchange.answer();
        assert_eq!(response.status, 408, "{}", response.text());
        let took = began.elapsed();
        assert!(took > Duration::from_millis(350) && took < Duration::from_millis(1500), "{took:?}");
        drop(exchange);
        if front.is_http2() {
            // The stream is over, and its connection is not.
            let mut exchange = link.begin(&Ask::post("/", "").length(Length::Unsaid));
            exchange.end();
            assert_eq!(exchange.answer().header("x-length"), Some("0"));
        } else {
            assert!(link.is_closed(), "{length:?}");
        }
    }
}
