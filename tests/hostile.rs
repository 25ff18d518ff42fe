//! What a client or an origin sends to be read two ways, or to be believed.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use support::{DEADLINE, Folder, Origin, Proxy, call};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn forwarding_fields_of_strangers_never_pass() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::before(origin.address);
    proxy.ask("GET / HTTP/1.0\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Prefix: /p\r\nX_Forwarded_For: 1.1.1.1\r\n\r\n");
    let seen = origin.last();
    for name in ["x-forwarded-host", "x-forwarded-prefix", "x_forwarded_for"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    // HTTP/1.1 must have a Host (RFC 9112 section 3.2), though the client sent none.
    assert_eq!(seen.header("host"), Some(origin.address.to_string().as_str()));
}

#[test]
fn an_edit_sees_the_path_that_was_matched() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nroutes: [{{ match: {{ path: /api }}, request: {{ path: {{ strip_prefix: /api }} }}, upstream: '{}' }}]\n",
        origin.address
    ));
    assert_eq!(proxy.get("/%61pi/x").status, 200);
    assert_eq!(origin.last().target(), "/x");
}

#[test]
fn a_101_that_nobody_asked_for_opens_no_tunnel() {
    let origin = Origin::fixed(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    );
    let response = Proxy::before(origin.address).get("/");
    assert_eq!(response.status, 502, "{}", response.text());
}

#[test]
fn framing_that_can_be_read_two_ways_is_refused() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::before(origin.address);
    for fields in [
        "Content-Length: 3, 3",
        "Content-Length: 03",
        "Content-Length: 3\r\nContent-Length: 3",
        "Transfer-Encoding: x",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Content-Length: 3\r\nConnection: content-length",
    ] {
        let mut client = proxy.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\nabc"));
        assert_eq!(client.response().status, 400, "{fields}");
    }
    assert_eq!(proxy.ask("GET / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n").status, 417);
    assert_eq!(origin.count(), 0);
}

#[test]
fn a_trusted_peers_scheme_is_ours() {
    let origin = Origin::start(|request, wire| {
        let host = request.header("host").unwrap();
        wire.send(format!(
            "HTTP/1.1 302 Found\r\nlocation: https://{host}/login\r\nset-cookie: s=1; Secure\r\nContent-Length: 0\r\n\r\n"
        ));
        true
    });
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\ntrusted_proxies: [127.0.0.1]\nroutes: [{{ match: {{ path: /api }}, request: {{ path: {{ strip_prefix: /api }} }}, upstream: '{}' }}]\n",
        origin.address
    ));
    let response = proxy.ask("GET /api/ HTTP/1.1\r\nHost: h\r\nX-Forwarded-Proto: https\r\n\r\n");
    assert_eq!(response.header("location"), Some("https://h/api/login"));
    assert_eq!(response.header("set-cookie"), Some("s=1; Secure"));
    // Nothing was configured for it, so its spelling stays.
    assert!(response.headers.iter().any(|(name, _)| name == "set-cookie"));
    assert_eq!(origin.last().header("x-forwarded-proto"), Some("https"));
    // RFC 7239 section 5.4: the element of this hop tells how the request reached this hop.
    assert_eq!(origin.last().header("forwarded"), Some("for=127.0.0.1;host=h;proto=http"));
}

#[test]
fn what_a_trusted_peer_says_in_other_words_is_ours_too() {
    let origin = Origin::start(|_, wire| {
        wire.send("HTTP/1.1 302 Found\r\nLocation: http://app.internal/login\r\nContent-Length: 0\r\n\r\n");
        true
    });
    let port = origin.address.port();
    let config = |trusted: &str| {
        Proxy::start(&format!("listeners: ['{{listen}}']\n{trusted}routes: [{{ upstream: 'localhost:{port}' }}]\n"))
    };
    let location = |proxy: &Proxy, fields: &str| {
        let request = format!("GET / HTTP/1.1\r\nHost: app.internal\r\n{fields}\r\n\r\n");
        proxy.ask(request).header("location").unwrap().to_owned()
    };
    let trusting = config("trusted_proxies: [127.0.0.1]\n");
    for (fields, expected) in [
        ("X-Forwarded-Host: pub.example, inner", "http://pub.example/login"),
        ("Forwarded: for=9.9.9.9;host=pub.example", "http://pub.example/login"),
        ("X-Forwarded-Host: not a host", "http://app.internal/login"),
    ] {
        assert_eq!(location(&trusting, fields), expected, "{fields}");
    }
    assert_eq!(trusting.access_log(3)[0]["scheme"], "http");
    for fields in ["X-Forwarded-Proto: HTTPS, http", "Forwarded: for=9.9.9.9;proto=https;host=app.internal"] {
        trusting.ask(format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n"));
    }
    assert!(trusting.access_log(5)[3..].iter().all(|line| line["scheme"] == "https"));
    let other = config("");
    assert_eq!(location(&other, "X-Forwarded-Host: pub.example"), "http://app.internal/login");
}

/// RFC 9112 section 3.2.2.
#[test]
fn an_http_1_0_request_in_absolute_form_has_a_host() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nroutes: [{{ match: {{ host: h.test }}, upstream: '{}' }}]\n",
        origin.address
    ));
    assert_eq!(proxy.ask("GET http://h.test/x HTTP/1.0\r\n\r\n").status, 200);
    let seen = origin.last();
    assert_eq!((seen.target(), seen.header("host")), ("/x", Some("h.test")));
    assert_eq!(seen.header("x-forwarded-host"), Some("h.test"));
    assert_eq!(proxy.ask("GET /x HTTP/1.0\r\n\r\n").status, 404);
    assert_eq!(proxy.ask("GET http://a,b/x HTTP/1.0\r\n\r\n").status, 400);
    assert_eq!(proxy.ask("GET http://h.test/x HTTP/1.1\r\n\r\n").status, 400);
}

#[test]
fn what_connection_may_not_name_is_told() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::before(origin.address);
    for name in ["Cookie", "Host", "authorization", "close, Forwarded"] {
        let refused = proxy.ask(format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {name}\r\n\r\n"));
        assert_eq!(refused.status, 400, "{name}");
        assert!(refused.text().contains("Connection field names a field that belongs"), "{}", refused.text());
    }
    assert_eq!(origin.count(), 0);
}

/// Pingora flushes a response with a Content-Length at its end only.
#[test]
fn a_slow_response_with_a_length_is_not_held_back() {
    let origin = Origin::start(|_, wire| {
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
        for _ in 0..2 {
            std::thread::park_timeout(Duration::from_millis(600));
            wire.send("12345");
        }
        true
    });
    let proxy = Proxy::before(origin.address);
    let mut client = proxy.connect();
    let asked = Instant::now();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().status, 200);
    assert!(asked.elapsed() < Duration::from_millis(400), "the head took {:?}", asked.elapsed());
    client.wire.exactly(5);
    assert!(asked.elapsed() < Duration::from_millis(1000), "the first piece took {:?}", asked.elapsed());
    client.wire.exactly(5);
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

#[test]
fn responses_that_can_be_read_two_ways_are_refused() {
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
    let proxy = Proxy::before(origin.address);
    for target in ["/lengths", "/sign", "/coding", "/no-status", "/not-http", "/name"] {
        let response = proxy.get(target);
        assert_eq!(response.status, 502, "{target}: {}", response.text());
        assert!(response.header("proxy-status").unwrap().contains("error=http_protocol_error"), "{target}");
    }
    // Pingora drops the length (RFC 9112 section 6.3) before anyone could see it.
    let both = proxy.get("/both");
    assert_eq!((both.status, both.header("content-length"), both.text().as_str()), (200, None, ""));
    // What stands behind a 204 is no response to the next request.
    let mut client = proxy.connect();
    for _ in 0..3 {
        client.send("GET /204 HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().status, 204);
    }
}

/// What we do not refuse, nobody behind us shall read two ways.
#[test]
fn equal_lengths_of_a_response_become_one() {
    let origin = Origin::start(|request, wire| {
        wire.send(match request.target() {
            "/twice" => "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nA: 1\r\nContent-Length: 3\r\n\r\nabc",
            "/list" => "HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\nA: 1\r\n\r\nabc",
            "/zeros" => "HTTP/1.1 200 OK\r\nContent-Length: 003\r\nA: 1\r\n\r\nabc",
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 3, 4\r\n\r\nabcd",
        });
        true
    });
    let proxy = Proxy::before(origin.address);
    let mut client = proxy.connect();
    for target in ["/twice", "/list", "/zeros"] {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let response = client.response();
        assert_eq!((response.all("content-length"), response.text().as_str()), (vec!["3"], "abc"), "{target}");
    }
    assert_eq!(proxy.get("/differ").status, 502);
}

#[test]
fn interim_responses_without_end_are_cut() {
    let origin = Origin::start(|request, wire| {
        let count = if request.target() == "/few" { 16 } else { 17 };
        wire.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(count));
        wire.send(OK);
        true
    });
    let proxy = Proxy::before(origin.address);
    for (target, status) in [("/few", 200), ("/many", 502)] {
        let mut client = proxy.connect();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        for _ in 0..16 {
            assert_eq!(client.head().status, 103);
        }
        assert_eq!(client.response().status, status);
    }
}

/// The two deadlines of a response are apart, and neither runs while the client sends.
#[test]
fn deadlines_of_a_response_are_its_own() {
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
        Proxy::start(&format!(
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
    let mut client = body.connect();
    client.send("GET /slow-body HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().status, 200);
    assert_eq!(client.wire.until_end(), b"o");

    let both = proxy("response_header: 300ms, read_idle: 300ms");
    let mut client = both.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
    for byte in ["s", "l", "o", "w"] {
        std::thread::park_timeout(Duration::from_millis(200));
        client.wire.send(byte);
    }
    assert_eq!(client.response().text(), "ok");
}

/// What a client sends while nobody answers: until it is told to stop, or closed out.
fn keep_sending(stream: &TcpStream, chunked: bool) {
    let mut stream = stream.try_clone().unwrap();
    std::thread::spawn(move || {
        let piece = [b'x'; 0x10000];
        while (!chunked || stream.write_all(b"10000\r\n").is_ok())
            && stream.write_all(&piece).is_ok()
            && (!chunked || stream.write_all(b"\r\n").is_ok())
        {}
    });
}

/// An upload through a proxy with these timeouts to an origin that does as it is told.
fn upload(origin: &Origin, timeouts: &str) -> Proxy {
    Proxy::start(&format!(
        "listeners: ['{{listen}}']\ntimeouts: {{ request_body_idle: 400ms }}\nupstreams: {{ a: {{ servers: ['{}'], timeouts: {{ {timeouts} }} }} }}\nroutes: [{{ upstream: a }}]\n",
        origin.address
    ))
}

#[test]
fn an_upstream_that_takes_no_more_of_a_body_is_not_waited_for() {
    let origin = Origin::start(|request, wire| {
        if request.target() == "/refused" {
            wire.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig");
        }
        std::thread::park_timeout(DEADLINE);
        false
    });
    let proxy = upload(&origin, "write_idle: 1s");
    for framing in ["Content-Length: 5000000000", "Transfer-Encoding: chunked"] {
        let mut client = proxy.connect();
        let began = Instant::now();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"));
        keep_sending(&client.wire.stream, framing.ends_with("chunked"));
        let response = client.response();
        assert_eq!(response.status, 504, "{framing}: {}", response.text());
        assert!(response.header("proxy-status").unwrap().contains("connection_write_timeout"));
        let took = began.elapsed();
        assert!(took > Duration::from_millis(950) && took < Duration::from_secs(4), "{framing}: {took:?}");
        client.wire.stream.shutdown(std::net::Shutdown::Both).unwrap();
    }
    let log = proxy.access_log(2);
    assert_eq!((&log[0]["error_source"], &log[0]["status"]), (&"upstream".into(), &504.into()));
    // Pingora looks for an answer only when it cannot send: there may be one.
    let mut client = proxy.connect();
    client.send("POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000000\r\n\r\n");
    keep_sending(&client.wire.stream, false);
    assert_eq!(client.response().text(), "big");
}

#[test]
fn a_slow_upload_that_goes_on_is_not_cut() {
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
    let proxy = upload(&origin, "write_idle: 1s");
    let mut client = proxy.connect();
    let began = Instant::now();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n"));
    (0..SIZE >> 20).for_each(|_| client.wire.send(vec![b'x'; 1 << 20]));
    assert_eq!(client.response().status, 200);
    assert!(began.elapsed() > Duration::from_millis(1500), "{:?}", began.elapsed());
}

/// The client that does not send, and the upstream that does not take, are told apart.
#[test]
fn only_the_client_is_held_to_the_deadline_of_its_body() {
    let origin = Origin::start(|request, wire| {
        std::thread::park_timeout(Duration::from_millis(1200));
        let body = wire.body(&request.headers, false);
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Length: {}\r\n\r\n", body.len()));
        true
    });
    let proxy = upload(&origin, "write_idle: 10s");
    const SIZE: usize = 24 << 20;
    let mut client = proxy.connect();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n"));
    (0..SIZE >> 20).for_each(|_| client.wire.send(vec![b'x'; 1 << 20]));
    assert_eq!(client.response().header("x-length"), Some(SIZE.to_string().as_str()));
    for request in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nha",
    ] {
        let mut client = proxy.connect();
        let began = Instant::now();
        client.send(request);
        let response = client.response();
        assert_eq!(response.status, 408, "{}", response.text());
        let took = began.elapsed();
        assert!(took > Duration::from_millis(350) && took < Duration::from_millis(1500), "{took:?}");
        assert!(client.wire.is_closed());
    }
}
