//! Everything of service A, through proxy B: real sockets, bytes compared.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use support::front::{Ask, Front, Fronted, Length, byte_fronts, every_front};
use support::{Origin, Proxy, await_until};

every_front! {
    a_request_arrives_as_it_was_sent
    a_response_comes_back_as_it_was_sent
    bodies_of_every_kind_arrive_whole
    expect_100_continue_is_asked_of_the_origin
    an_early_answer_in_mid_upload_reaches_the_client
    responses_without_a_body_end_with_their_head
    events_are_not_held_back
    a_websocket_echoes_and_may_be_silent
    a_tunnel_gets_a_connection_of_its_own
    a_silent_tunnel_ends_at_its_own_deadline
    the_version_of_a_response_is_ours
    what_an_origin_says_of_itself_is_said_of_the_proxy
    forwarding_fields_are_believed_only_from_trusted_proxies
    cookies_redirects_and_host_are_rewritten
    local_answers_pass_the_same_response_edits
    failures_are_told_apart_and_say_why
    a_path_goes_up_as_it_came
    the_first_request_after_the_origin_is_back_succeeds
    a_refused_connection_goes_to_another_server_for_every_method
    servers_take_turns_by_weight
    connections_to_the_origin_are_reused
    large_bodies_stream_both_ways_in_fixed_memory
}

byte_fronts! {
    an_upgrade_that_is_refused_leaves_the_connection_in_use
    an_http_1_0_client_gets_what_it_can_parse
    an_http_1_0_origin_is_answered_for_in_1_1
    names_keep_the_spelling_of_the_origin
    requests_that_could_be_read_two_ways_are_refused
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// One worker, hence one pool of connections and one turn of the servers.
fn with_one_thread(front: Front, rest: &str) -> Fronted {
    front.start(&format!("server: {{ threads: 1 }}\nlisteners: ['{{listen}}']\n{rest}"))
}

fn a_request_arrives_as_it_was_sent(front: Front) {
    let origin = Origin::fixed(OK);
    let proxy = front.before(origin.address);
    let target = "/a%2Fb//c;v=1/%7Euser?x=%7e&&y=a+b&x=2";
    let response = if front.is_http2() {
        let ask = Ask::new("PATCH", target).host("A.test:81").length(Length::Said(0)).field("X-one", "1");
        proxy.ask(&ask.field("Cookie", "a=1; b=\"x y\"").field("x-TWO", "2").field("X-one", "3")).response
    } else {
        proxy.ask_bytes(format!(
            "PATCH {target} HTTP/1.1\r\nHOST: A.test:81\r\nConnection: keep-alive\r\n\
             X-one: 1\r\nCookie: a=1; b=\"x y\"\r\nx-TWO: 2\r\nX-one: 3\r\nContent-Length: 0\r\n\r\n"
        ))
    };
    assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    let seen = origin.last();
    assert_eq!(seen.line, "PATCH /a%2Fb//c;v=1/%7Euser?x=%7e&&y=a+b&x=2 HTTP/1.1");
    let own = ["CDN-Loop", "X-Request-Id", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded"];
    let is_own = |name: &str| own.iter().any(|own| own.eq_ignore_ascii_case(name));
    let sent: Vec<&str> = seen.names().into_iter().filter(|n| !is_own(n)).collect();
    if front.is_http2() {
        // Names have no spelling to keep, and Host was none of the fields.
        let names = sent.iter().map(|name| name.to_ascii_lowercase()).collect::<Vec<_>>();
        assert_eq!(names, ["x-one", "x-one", "cookie", "x-two", "content-length", "host"]);
    } else {
        assert_eq!(sent, ["HOST", "X-one", "X-one", "Cookie", "x-TWO", "Content-Length"]);
    }
    let ones: Vec<&str> =
        seen.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case("x-one")).map(|(_, v)| &v[..]).collect();
    assert_eq!(ones, ["1", "3"]);
    assert_eq!(seen.header("host"), Some("A.test:81"));
    assert_eq!(seen.header("cookie"), Some("a=1; b=\"x y\""));
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-host"), Some("A.test:81"));
    let forwarded = format!("for=127.0.0.1;host=\"A.test:81\";proto={}", front.scheme());
    assert_eq!(seen.header("forwarded"), Some(forwarded.as_str()));
}

fn a_response_comes_back_as_it_was_sent(front: Front) {
    let origin = Origin::fixed(
        "HTTP/1.1 299 All Fine\r\nX-b: 1\r\nset-cookie: a=1; Path=/\r\nX-A: 2\r\nSet-Cookie: b=2\r\n\
         Keep-Alive: timeout=5\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
    );
    let response = front.before(origin.address).get("/");
    assert_eq!(response.line, if front.is_http2() { "HTTP/2 299" } else { "HTTP/1.1 299 All Fine" });
    assert_eq!(response.all("set-cookie"), ["a=1; Path=/", "b=2"]);
    assert_eq!(response.header("server"), None);
    assert_eq!(response.header("keep-alive"), None);
    assert_eq!(response.header("x-hop"), None);
    assert_eq!(response.all("date"), ["Mon, 01 Jan 2024 00:00:00 GMT"]);
    let names: Vec<&str> = response.headers.iter().map(|(n, _)| n.as_str()).collect();
    let [b, a] = if front.is_http2() { ["x-b", "x-a"] } else { ["X-b", "X-A"] };
    let position = |name: &str| names.iter().position(|n| *n == name).unwrap();
    assert!(position(b) < position(a), "{names:?}");
}

/// The regression set of proxies that parse bodies on the way.
fn bodies_of_every_kind_arrive_whole(front: Front) {
    let origin = Origin::start(|request, wire| {
        let body = wire.body(&request.headers, false);
        let kind = request.header("content-type").unwrap_or("-");
        let encoding = request.header("content-encoding").unwrap_or("-");
        let head = format!("HTTP/1.1 200 OK\r\nX-Kind: {kind}|{encoding}\r\nContent-Length: {}\r\n\r\n", body.len());
        wire.send(head);
        wire.send(body);
        true
    });
    let proxy = front.before(origin.address);
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
    let mut link = proxy.link();
    for (kind, encoding, body) in cases {
        let mut ask = Ask::post("/u", body).field("Content-Type", kind);
        if encoding != "-" {
            ask = ask.field("Content-Encoding", encoding);
        }
        for ask in [ask.clone(), ask.length(Length::Unsaid)] {
            let response = link.ask(&ask);
            assert_eq!(response.header("x-kind"), Some(format!("{kind}|{encoding}").as_str()));
            assert!(response.body == body, "{kind}: {} bytes came back of {}", response.body.len(), body.len());
        }
    }
    let mut exchange = link.begin(&Ask::post("/c", "").length(Length::Unsaid));
    assert!(exchange.send("wiki") && exchange.send("pedia"));
    exchange.end();
    assert_eq!(exchange.answer().text(), "wikipedia");
}

fn expect_100_continue_is_asked_of_the_origin(front: Front) {
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
    let proxy = front.before(origin.address);
    let ask = |target| Ask::new("PUT", target).field("Expect", "100-continue").length(Length::Said(5));
    let mut link = proxy.link();
    let mut exchange = link.begin(&ask("/"));
    assert_eq!(exchange.head().status, 100);
    assert!(exchange.send("hello"));
    exchange.end();
    assert_eq!(exchange.answer().text(), "hello");
    let mut link = proxy.link();
    assert_eq!(link.begin(&ask("/no")).head().status, 417);
}

fn an_early_answer_in_mid_upload_reaches_the_client(front: Front) {
    let origin = Origin::start(|_, wire| {
        wire.exactly(1000);
        wire.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large");
        // Leaves the connection open until the client side is done with it.
        wire.until_end();
        false
    });
    let proxy = front.before(origin.address);
    let mut link = proxy.link();
    let mut exchange = link.begin(&Ask::post("/", "").length(Length::Said(10_000_000)));
    assert!(exchange.send([b'x'; 2000]));
    let response = exchange.answer();
    assert_eq!((response.status, response.text().as_str()), (413, "too large"));
}

fn responses_without_a_body_end_with_their_head(front: Front) {
    let origin = Origin::start(|request, wire| {
        wire.send(match request.target() {
            "/204" => "HTTP/1.1 204 No Content\r\n\r\n",
            "/304" => "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 99\r\n\r\n",
            "/range" => "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1-2/5\r\nContent-Length: 2\r\n\r\nbc",
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nX-H: 1\r\n\r\n",
        });
        true
    });
    let proxy = front.before(origin.address);
    let mut link = proxy.link();
    for (target, status) in [("/204", 204), ("/304", 304)] {
        let response = link.ask(&Ask::get(target));
        assert_eq!((response.status, response.is_whole, response.body.len()), (status, true, 0));
    }
    let head = link.ask(&Ask::new("HEAD", "/h"));
    assert_eq!((head.status, head.header("content-length"), head.is_whole), (200, Some("1234"), true));
    let range = link.ask(&Ask::get("/range").field("Range", "bytes=1-2"));
    assert_eq!((range.status, range.header("content-range"), range.text().as_str()), (206, Some("bytes 1-2/5"), "bc"));
    assert_eq!(origin.last().header("range"), Some("bytes=1-2"));
}

fn events_are_not_held_back(front: Front) {
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
    let proxy = front.before(origin.address);
    let mut link = proxy.link();
    let mut exchange = link.begin(&Ask::get("/events").field("Accept", "text/event-stream"));
    assert_eq!(exchange.head().status, 200);
    for _ in 0..20 {
        assert_eq!(exchange.exactly(8), b"data: x\n");
        taken.send(()).unwrap();
    }
    assert_eq!(exchange.rest(), (Vec::new(), true));
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

fn a_websocket_echoes_and_may_be_silent(front: Front) {
    let origin = websocket_origin();
    let proxy = front.start(&format!(
        "listeners: ['{{listen}}']\ntimeouts: {{ tunnel_idle: 1h, request_body_idle: 1s }}\nupstreams:\n  a:\n    servers: ['{}']\n    timeouts: {{ read_idle: 1s, write_idle: 1s }}\nroutes: [{{ upstream: a }}]\n",
        origin.address
    ));
    let mut link = proxy.link();
    let mut tunnel = link.begin(&Ask::websocket("/ws"));
    let head = tunnel.head();
    if front.is_http2() {
        assert_eq!((head.status, head.header("upgrade"), head.header("sec-websocket-accept")), (200, None, None));
    } else {
        assert_eq!((head.status, head.header("upgrade")), (101, Some("websocket")));
    }
    assert_eq!(tunnel.exactly(2), b"hi");
    for round in 0..2 {
        assert!(tunnel.send("ping"));
        assert_eq!(tunnel.exactly(4), b"ping", "round {round}");
        // Longer than both idle deadlines for silent servers and clients.
        std::thread::park_timeout(Duration::from_millis(1600));
    }
}

/// Pingora's issue 946: on a pooled connection, whose reactor is another thread's, a
/// quick 101 made the end of the request the end of the tunnel.
fn a_tunnel_gets_a_connection_of_its_own(front: Front) {
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
    let proxy = front.before(origin.address);
    let connections = || origin.connections.load(Ordering::SeqCst);
    // The pool has one to give.
    await_until("a kept connection", || {
        let before = connections();
        assert_eq!(proxy.get("/").status, 200);
        connections() == before
    });
    for round in 1..=50 {
        let before = connections();
        let mut link = proxy.link();
        let mut tunnel = link.begin(&Ask::websocket("/"));
        assert!(tunnel.opens_tunnel());
        let word = format!("{round}\r\n");
        assert!(tunnel.send(&word));
        assert_eq!(tunnel.exactly(word.len()), word.as_bytes());
        assert_eq!(connections(), before + 1);
    }
}

fn an_upgrade_that_is_refused_leaves_the_connection_in_use(front: Front) {
    let origin = Origin::fixed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let proxy = front.before(origin.address);
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
            "X-Request-Id",
            "X-Forwarded-For",
            "X-Forwarded-Proto",
            "X-Forwarded-Host",
            "Forwarded"
        ]
    );
    let local = front.start("listeners: ['{listen}']\nroutes: [{ match: { path: /x }, respond: { body: x } }]\n");
    let mut client = local.connect();
    client.send(ask);
    assert_eq!(client.response().status, 404);
    client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "x");
}

fn a_silent_tunnel_ends_at_its_own_deadline(front: Front) {
    let origin = websocket_origin();
    let proxy = front.start(&format!(
        "listeners: ['{{listen}}']\ntimeouts: {{ tunnel_idle: 1s }}\nroutes: [{{ upstream: '{}' }}]\n",
        origin.address
    ));
    let mut link = proxy.link();
    let mut tunnel = link.begin(&Ask::websocket("/ws"));
    assert!(tunnel.opens_tunnel());
    assert_eq!(tunnel.exactly(2), b"hi");
    assert!(tunnel.rest().0.is_empty());
}

fn an_http_1_0_client_gets_what_it_can_parse(front: Front) {
    let origin = Origin::fixed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    let response = front.before(origin.address).ask_bytes("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(response.header("transfer-encoding"), None);
    assert_eq!(response.text(), "abc");
}

/// Of HTTP/1.0, which says in three ways where its body ends.
fn old_origin() -> Origin {
    Origin::start(|request, wire| {
        let (fields, goes_on) = match request.target() {
            "/length" => ("Content-Length: 3\r\n", false),
            "/keep-alive" => ("Content-Length: 3\r\nConnection: keep-alive\r\n", true),
            _ => ("", false),
        };
        wire.send(format!("HTTP/1.0 200 Fine\r\n{fields}\r\nabc"));
        goes_on
    })
}

const OLD_TARGETS: [&str; 4] = ["/length", "/keep-alive", "/close", "/length"];

/// RFC 9110 section 2.5: each hop sends its own version.
fn the_version_of_a_response_is_ours(front: Front) {
    let origin = old_origin();
    let proxy = front.before(origin.address);
    let mut link = proxy.link();
    let line = if front.is_http2() { "HTTP/2 200" } else { "HTTP/1.1 200 Fine" };
    for target in OLD_TARGETS {
        let response = link.ask(&Ask::get(target));
        assert_eq!((response.line.as_str(), response.text().as_str()), (line, "abc"), "{target}");
        assert!(response.is_whole);
    }
}

fn an_http_1_0_origin_is_answered_for_in_1_1(front: Front) {
    let origin = old_origin();
    let proxy = front.before(origin.address);
    for target in OLD_TARGETS {
        let old = proxy.ask_bytes(format!("GET {target} HTTP/1.0\r\nHost: a\r\n\r\n"));
        assert_eq!((old.line.as_str(), old.text().as_str()), ("HTTP/1.1 200 Fine", "abc"), "{target}");
        assert_eq!(old.header("transfer-encoding"), None);
    }
}

/// With names in many spellings.
fn naming_itself() -> Origin {
    Origin::start(|request, wire| {
        let host = request.header("host").unwrap();
        wire.send(format!(
            "HTTP/1.1 302 Found\r\nlocation: http://{host}/x\r\ndate: Mon, 01 Jan 2024 00:00:00 GMT\r\n\
             CONTENT-location: //{host}/y\r\nset-cookie: a=1; Secure\r\nSET-COOKIE: b=1\r\ncontent-length: 0\r\n\r\n"
        ));
        true
    })
}

/// A cookie is `Secure` where the client uses HTTPS, and a redirect leads where the client is.
fn fields_as_ours(front: Front) -> [String; 6] {
    let (scheme, secure) = (front.scheme(), if front.is_tls() { "; Secure" } else { "" });
    [
        format!("location: {scheme}://example.com/x"),
        "date: Mon, 01 Jan 2024 00:00:00 GMT".to_owned(),
        "CONTENT-location: //example.com/y".to_owned(),
        format!("set-cookie: a=1{secure}"),
        "SET-COOKIE: b=1".to_owned(),
        "content-length: 0".to_owned(),
    ]
}

fn before_naming_itself(front: Front, origin: &Origin) -> Fronted {
    let route = format!("routes: [{{ request: {{ host: upstream }}, upstream: '{}' }}]\n", origin.address);
    front.start(&format!("listeners: ['{{listen}}']\n{route}"))
}

fn names_keep_the_spelling_of_the_origin(front: Front) {
    let origin = naming_itself();
    let proxy = before_naming_itself(front, &origin);
    let response = proxy.ask_bytes("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
    let fields: Vec<String> = response.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    assert_eq!(fields[..6], fields_as_ours(front));
}

fn what_an_origin_says_of_itself_is_said_of_the_proxy(front: Front) {
    let origin = naming_itself();
    let response = before_naming_itself(front, &origin).ask(&Ask::get("/").host("example.com"));
    let fields: Vec<String> = response.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let named = |field: &String| {
        let (name, value) = field.split_once(": ").unwrap();
        let name = if front.is_http2() { name.to_ascii_lowercase() } else { name.to_owned() };
        format!("{name}: {value}")
    };
    assert_eq!(fields[..6], fields_as_ours(front).iter().map(named).collect::<Vec<_>>());
}

fn forwarding_fields_are_believed_only_from_trusted_proxies(front: Front) {
    let origin = Origin::fixed(OK);
    let route = format!("routes: [{{ upstream: '{}' }}]\n", origin.address);
    // The other scheme than the client's own.
    let (ours, theirs) = (front.scheme(), if front.is_tls() { "http" } else { "https" });
    let request = Ask::get("/")
        .host("h")
        .field("X-Forwarded-For", "9.9.9.9")
        .field("X-Forwarded-Proto", theirs)
        .field("Forwarded", "for=9.9.9.9")
        .field("X-Real-IP", "9.9.9.9");
    front.start(&format!("listeners: ['{{listen}}']\n{route}")).ask(&request);
    let seen = origin.last();
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some(ours));
    assert_eq!(seen.header("x-real-ip"), None);
    assert_eq!(seen.header("forwarded"), Some(format!("for=127.0.0.1;host=h;proto={ours}").as_str()));
    let trusting = front.start(&format!("listeners: ['{{listen}}']\ntrusted_proxies: [127.0.0.0/8]\n{route}"));
    trusting.ask(&request);
    let seen = origin.last();
    assert_eq!(seen.header("x-forwarded-for"), Some("9.9.9.9, 127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some(theirs));
    assert_eq!(trusting.access_log(1)[0]["client_ip"], "9.9.9.9");
}

fn cookies_redirects_and_host_are_rewritten(front: Front) {
    let origin = Origin::start(|request, wire| {
        let host = request.header("host").unwrap();
        wire.send(format!(
            "HTTP/1.1 302 Found\r\nLocation: http://{host}/login?x\r\nSet-Cookie: s=1; Domain=app.internal; Path=/; Secure\r\nContent-Length: 0\r\n\r\n"
        ));
        true
    });
    let proxy = front.start(&format!(
        "listeners: ['{{listen}}']\nroutes:\n  - match: {{ path: /api/ }}\n    request: {{ path: {{ strip_prefix: /api }}, host: upstream, query: {{ remove: [utm], set: {{ k: v }} }}, cookie: {{ remove: [t] }}, header: {{ set: {{ X-New: '1' }} }} }}\n    response: {{ cookie: {{ domain: {{ app.internal: example.com }}, path: {{ /: /api/ }} }}, header: {{ set: {{ X-By: b }} }} }}\n    upstream: '{}'\n",
        origin.address
    ));
    let response = proxy.ask(&Ask::get("/api/x?utm=1&q=2").host("example.com").field("Cookie", "t=1; u=2"));
    let seen = origin.last();
    assert_eq!(seen.line, "GET /x?q=2&k=v HTTP/1.1");
    assert_eq!(seen.header("host"), Some(origin.address.to_string().as_str()));
    assert_eq!(seen.header("cookie"), Some("u=2"));
    assert_eq!(seen.header("x-new"), Some("1"));
    let location = format!("{}://example.com/api/login?x", front.scheme());
    assert_eq!(response.header("location"), Some(location.as_str()));
    let cookie = format!("s=1; Domain=example.com; Path=/api/{}", if front.is_tls() { "; Secure" } else { "" });
    assert_eq!(response.header("set-cookie"), Some(cookie.as_str()));
    assert_eq!(response.header("x-by"), Some("b"));
}

fn local_answers_pass_the_same_response_edits(front: Front) {
    let proxy = front.start(
        "listeners: ['{listen}']\nroutes:\n  - match: { path: /old }\n    response: { header: { set: { X-By: b } } }\n    redirect: { to: 'https://{host}{path}{query}', status: 301 }\n  - match: { path: { exact: /health } }\n    respond: { status: 200, body: fine, header: { X-H: '1' } }\n",
    );
    let redirect = proxy.get("/old/x?y=1");
    assert_eq!(redirect.line, if front.is_http2() { "HTTP/2 301" } else { "HTTP/1.1 301 Moved Permanently" });
    assert_eq!(redirect.header("location"), Some("https://a.test/old/x?y=1"));
    assert_eq!(redirect.header("x-by"), Some("b"));
    let respond = proxy.get("/health");
    assert_eq!((respond.status, respond.text().as_str(), respond.header("x-h")), (200, "fine", Some("1")));
    let head = proxy.ask(&Ask::new("HEAD", "/health"));
    assert_eq!((head.header("content-length"), head.body.len(), head.is_whole), (Some("4"), 0, true));
}

fn failures_are_told_apart_and_say_why(front: Front) {
    let silent = Origin::start(|_, wire| {
        wire.until_end();
        false
    });
    let broken = Origin::start(|_, wire| {
        wire.send("HTTP/1.1 two hundred\r\n\r\n");
        false
    });
    let closing = Origin::start(|_, _| false);
    let proxy = front.start(&format!(
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
    let ask = |accept: &str| proxy.ask(&Ask::get("/none").field("Accept", accept));
    assert!(ask("text/html,*/*").text().starts_with("<!doctype html>"));
    let json: serde_json::Value = serde_json::from_slice(&ask("application/json").body).unwrap();
    assert_eq!((&json["status"], &json["reason"]), (&404.into(), &"no_route".into()));
    for line in proxy.access_log(8) {
        assert!(line["error"].is_string() && line["error_source"].is_string(), "{line}");
    }
}

fn requests_that_could_be_read_two_ways_are_refused(front: Front) {
    let origin = Origin::fixed(OK);
    let proxy = front.before(origin.address);
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
        "GET http://other/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        assert_eq!(proxy.ask_bytes(request).status, 400, "{request}");
    }
    for request in ["TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"] {
        let refused = proxy.ask_bytes(request);
        assert_eq!((refused.status, refused.header("server")), (405, None), "{request}");
        assert!(refused.text().contains("this method is not forwarded"), "{}", refused.text());
    }
    assert_eq!(origin.count(), 0);
    let absolute = proxy.ask_bytes("GET http://a/x?y HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(absolute.status, 200);
    assert_eq!(origin.last().target(), "/x?y");
}

fn a_path_goes_up_as_it_came(front: Front) {
    let origin = Origin::fixed(OK);
    let proxy = front.before(origin.address);
    for target in ["/a/%2e%2e/b?q", "/", "/?", "//a//", "/a;b/%2F?/?=&"] {
        assert_eq!(proxy.get(target).status, 200);
        assert_eq!(origin.last().target(), target);
    }
}

fn the_first_request_after_the_origin_is_back_succeeds(front: Front) {
    let origin = Origin::fixed(OK);
    let address = origin.address;
    let proxy = front.before(address);
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

fn a_refused_connection_goes_to_another_server_for_every_method(front: Front) {
    let origin = Origin::fixed(OK);
    let proxy = front.start(&format!(
        "listeners: ['{{listen}}']\nupstreams:\n  a: {{ servers: ['127.0.0.1:{}', '{}'] }}\nroutes: [{{ upstream: a }}]\n",
        support::free_port(),
        origin.address
    ));
    for _ in 0..6 {
        assert_eq!(proxy.ask(&Ask::post("/", "hi")).status, 200);
    }
    assert_eq!(origin.count(), 6);
}

fn servers_take_turns_by_weight(front: Front) {
    let (a, b) = (Origin::fixed(OK), Origin::fixed(OK));
    let rest = format!(
        "upstreams:\n  a: {{ servers: [{{ address: '{}', weight: 3 }}, '{}'] }}\nroutes: [{{ upstream: a }}]\n",
        a.address, b.address
    );
    let proxy = with_one_thread(front, &rest);
    for _ in 0..8 {
        assert_eq!(proxy.get("/").status, 200);
    }
    assert_eq!((a.count(), b.count()), (6, 2));
}

fn connections_to_the_origin_are_reused(front: Front) {
    let origin = Origin::fixed(OK);
    let proxy = with_one_thread(front, &format!("routes: [{{ upstream: '{}' }}]\n", origin.address));
    let mut link = proxy.link();
    for _ in 0..10 {
        assert_eq!(link.ask(&Ask::get("/")).status, 200);
    }
    assert_eq!(origin.connections.load(Ordering::SeqCst), 1);
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
fn large_bodies_stream_both_ways_in_fixed_memory(front: Front) {
    // What is ciphered and framed takes its time in a build for tests.
    let size: usize = if front == Front::Http1 { 192 << 20 } else { 96 << 20 };
    let origin = Origin::start(move |request, wire| {
        let block = vec![7u8; 1 << 20];
        if request.line.starts_with("GET") {
            wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n"));
            (0..size / block.len()).for_each(|_| wire.send(&block));
        } else {
            for _ in 0..size / block.len() {
                wire.exactly(block.len());
            }
            wire.send(OK);
        }
        true
    });
    let proxy = front.start(&format!(
        "listeners: ['{{listen}}']\nlimits: {{ request_body: unlimited }}\nroutes: [{{ upstream: '{}' }}]\n",
        origin.address
    ));
    let mut link = proxy.link();
    let mut download = link.begin(&Ask::get("/"));
    assert_eq!(download.head().status, 200);
    let block = vec![7u8; 1 << 20];
    for _ in 0..size >> 20 {
        assert!(download.exactly(1 << 20) == block);
    }
    let mut upload = link.begin(&Ask::post("/", "").length(Length::Said(size as u64)));
    let block = vec![1u8; 1 << 20];
    for _ in 0..size >> 20 {
        assert!(upload.send(&block));
    }
    upload.end();
    assert_eq!(upload.answer().status, 200);
    let peak = proxy.peak_memory();
    assert!(peak < 64 << 20, "{} MiB", peak >> 20);
}
