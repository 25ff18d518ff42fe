//! HTTP/2 towards clients: what its streams carry, what they have of one another, and how
//! they and their connection end.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use h2::Reason;
use support::faults::BlackHole;
use support::frames::{DATA, END_STREAM, Frame, Frames, Outcome};
use support::front::{Ask, Front, Fronted, Length, http2_fronts};
use support::http2_client::{Http2, Stream};
use support::{DEADLINE, Origin, await_until};

http2_fronts! {
    a_refused_head_request_gets_no_body
    streams_of_a_client_that_is_gone_wait_for_no_connection
    cookies_of_several_fields_are_one
    uploads_leave_the_pooled_connection_in_step
    interim_responses_reach_the_client
    a_late_refusal_reaches_a_client_that_still_sends
    a_cancelled_stream_frees_its_upstream_and_no_other
    streams_beyond_the_limit_wait
    a_stalled_stream_stops_no_other_and_is_ended
    slow_uploads_are_ended_alone
    an_idle_connection_is_told_to_go
    a_client_that_says_nothing_is_let_go
    a_drain_finishes_what_is_under_way
    an_upgrade_takes_new_requests_to_the_next_process
    a_websocket_goes_both_ways_and_closes_both_ways
    a_websocket_ends_with_the_drain
    an_upgrade_that_the_origin_refuses_is_no_tunnel
    the_access_log_says_http_2
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn connect(proxy: &Fronted) -> Http2 {
    Http2::connect(proxy)
}

/// Echoes the body of each request.
fn echo() -> Origin {
    Origin::start(|request, wire| {
        let body = wire.body(&request.headers, false);
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
        wire.send(body);
        true
    })
}

/// One worker, hence one pool of connections.
fn one_thread(front: Front, origin: &Origin, rest: &str) -> Fronted {
    front.start(&format!(
        "server: {{ threads: 1 }}\nlisteners: ['{{listen}}']\n{rest}routes: [{{ upstream: '{}' }}]\n",
        origin.address
    ))
}

/// RFC 9113 section 8.2.3.
fn cookies_of_several_fields_are_one(front: Front) {
    let origin = Origin::fixed(OK);
    let proxy = front.before(origin.address);
    let ask = Ask::get("/").field("cookie", "a=1").field("x", "1").field("cookie", "b=\"2; c\"").field("cookie", "d=4");
    assert_eq!(proxy.ask(&ask).status, 200);
    let seen = origin.last();
    let cookies: Vec<&str> =
        seen.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case("cookie")).map(|(_, v)| &v[..]).collect();
    assert_eq!(cookies, ["a=1; b=\"2; c\"; d=4"]);
}

/// Pingora's issue 935: behind an empty DATA frame that ends the body, the last chunk was sent
/// twice, and the second one was read as the next request.
fn uploads_leave_the_pooled_connection_in_step(front: Front) {
    let origin = echo();
    let proxy = one_thread(front, &origin, "");
    let mut client = connect(&proxy);
    let large = vec![b'l'; 300_000];
    for length in [Length::Unsaid, Length::Said(6)] {
        for (pieces, last) in [(&["body", "  "][..], ""), (&["body"], "  "), (&[], "body  ")] {
            let mut stream = client.begin(&Ask::post("/", "").length(length));
            assert!(pieces.iter().all(|piece| stream.send(piece.as_bytes())));
            stream.end_with(last.as_bytes());
            let answer = support::front::Exchange::Http2(stream).answer();
            assert_eq!((answer.status, answer.text().as_str()), (200, "body  "), "{length:?} {pieces:?} {last:?}");
        }
    }
    for ask in [Ask::post("/", &large), Ask::post("/", &large).length(Length::Unsaid), Ask::post("/", "")] {
        assert!(support::front::Link::Http2(connect(&proxy)).ask(&ask).body == ask.body);
    }
    // Without a word of its length, a body that is none is none.
    let mut stream = client.begin(&Ask::post("/", "").length(Length::Unsaid));
    stream.end();
    assert_eq!(stream.head().status, 200);
    assert_eq!(origin.connections.load(Ordering::SeqCst), 1, "a connection to the origin fell out of step");
    assert_eq!(origin.count(), 10);
}

fn interim_responses_reach_the_client(front: Front) {
    let origin = Origin::start(|request, wire| {
        wire.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\n\r\n");
        wire.send("HTTP/1.1 102 Processing\r\n\r\n");
        if request.header("expect").is_some() {
            wire.send("HTTP/1.1 100 Continue\r\n\r\n");
        }
        let body = wire.body(&request.headers, false);
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
        wire.send(body);
        true
    });
    let proxy = front.before(origin.address);
    let mut client = connect(&proxy);
    let mut stream = client.begin(&Ask::post("/", "").length(Length::Unsaid).field("expect", "100-continue"));
    let hints = stream.head();
    assert_eq!((hints.status, hints.header("link"), hints.header("connection")), (103, Some("</a>"), None));
    assert_eq!(stream.head().status, 102);
    assert_eq!(stream.head().status, 100);
    assert!(stream.send(b"now"));
    stream.end();
    assert_eq!((stream.head().status, stream.rest()), (200, (b"now".to_vec(), true)));
}

/// RFC 9113 section 8.1: the response is whole, and the rest of the request is not wanted.
fn a_late_refusal_reaches_a_client_that_still_sends(front: Front) {
    let origin = Origin::start(|_, wire| {
        wire.exactly(1000);
        wire.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large");
        wire.until_end();
        false
    });
    let proxy = front.before(origin.address);
    let mut frames = Frames::connect(&proxy);
    frames.head(1, &[(":method", b"POST"), (":scheme", b"http"), (":authority", b"a"), (":path", b"/")], 0);
    frames.send(&Frame::new(DATA, 0, 1, [b'x'; 2000]));
    assert_eq!(frames.outcome(1), Outcome::Answered(413, b"too large".to_vec()));
    let mut rest = Some(frames);
    let reset = std::iter::from_fn(|| rest.as_mut().unwrap().read()).find(|frame| frame.kind == 3).unwrap();
    assert_eq!((reset.stream, reset.payload), (1, 0u32.to_be_bytes().to_vec()), "RST_STREAM(NO_ERROR)");
}

/// Answers `/open` without end, and tells when a connection of its ends.
fn endless() -> (Origin, mpsc::Receiver<()>) {
    let (ended, when_ended) = mpsc::channel();
    let ended = Mutex::new(ended);
    let origin = Origin::start(move |request, wire| {
        if request.target() != "/open" {
            wire.send(OK);
            return true;
        }
        wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nopen\r\n");
        wire.until_end();
        ended.lock().unwrap().send(()).ok();
        false
    });
    (origin, when_ended)
}

fn a_cancelled_stream_frees_its_upstream_and_no_other(front: Front) {
    let (origin, when_ended) = endless();
    let proxy = front.before(origin.address);
    let mut client = connect(&proxy);
    let open = |client: &mut Http2| {
        let mut stream = client.begin(&Ask::get("/open").length(Length::Unsaid));
        stream.end_with(b"");
        assert_eq!((stream.head().status, stream.exactly(4)), (200, b"open".to_vec()));
        stream
    };
    let (kept, cancelled) = (open(&mut client), open(&mut client));
    let began = Instant::now();
    drop(cancelled);
    when_ended.recv_timeout(DEADLINE).unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let mut stream = client.begin(&Ask::get("/"));
    assert_eq!((stream.head().status, stream.rest()), (200, (b"ok".to_vec(), true)));
    assert!(when_ended.try_recv().is_err(), "the other stream's connection was closed, too");
    drop(kept);
    when_ended.recv_timeout(DEADLINE).unwrap();
}

/// RFC 9113 section 5.1.2.
fn streams_beyond_the_limit_wait(front: Front) {
    let (go, when) = mpsc::channel::<()>();
    let when = Arc::new(Mutex::new(when));
    let origin = Origin::start(move |_, wire| {
        let going = when.lock().unwrap().recv_timeout(DEADLINE);
        wire.send(OK);
        going.is_ok()
    });
    let proxy = front.before(origin.address);
    let mut client = connect(&proxy);
    assert_eq!(client.most_streams(), 100);
    let mut streams: Vec<Stream> = (0..100).map(|_| client.begin(&Ask::get("/"))).collect();
    await_until("100 requests at the origin", || origin.count() == 100);
    let next = client.begin(&Ask::get("/"));
    streams.push(next);
    assert_eq!(origin.count(), 100, "the 101st did not wait");
    (0..101).for_each(|_| go.send(()).unwrap());
    for stream in &mut streams {
        assert_eq!((stream.head().status, stream.rest()), (200, (b"ok".to_vec(), true)));
    }
    // A client that does not wait is refused, and its connection serves on.
    let mut frames = Frames::connect(&proxy);
    let get: [(&str, &[u8]); 4] = [(":method", b"GET"), (":scheme", b"http"), (":authority", b"a"), (":path", b"/")];
    (0..101).for_each(|turn| frames.head(1 + 2 * turn, &get, END_STREAM));
    assert_eq!(frames.outcome(201), Outcome::Reset(u32::from(Reason::REFUSED_STREAM)));
    (0..100).for_each(|_| go.send(()).unwrap());
    await_until("the other 100", || origin.count() == 201);
}

fn a_stalled_stream_stops_no_other_and_is_ended(front: Front) {
    let (ended, when_ended) = mpsc::channel();
    let ended = Mutex::new(ended);
    let origin = Origin::start(move |request, wire| {
        if request.target() != "/large" {
            wire.send(OK);
            return true;
        }
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        let piece = [b'x'; 0x10000];
        while wire.try_send(piece).is_ok() {}
        ended.lock().unwrap().send(()).ok();
        false
    });
    let rest = "timeouts: { write_idle: 1s }\n";
    let proxy = one_thread(front, &origin, rest);
    // The window of the connection has room for the others.
    let mut builder = h2::client::Builder::new();
    builder.initial_connection_window_size(1 << 20);
    let mut client = Http2::connect_with(&proxy, &builder);
    let began = Instant::now();
    // Its window is never opened, for nothing of the body is read.
    let mut stalled = client.begin(&Ask::get("/large"));
    assert_eq!(stalled.head().status, 200);
    while when_ended.try_recv().is_err() {
        let mut stream = client.begin(&Ask::get("/"));
        assert_eq!((stream.head().status, stream.rest()), (200, (b"ok".to_vec(), true)));
        assert!(began.elapsed() < Duration::from_secs(8), "the stalled stream was not ended");
    }
    assert!(began.elapsed() > Duration::from_millis(900), "{:?}", began.elapsed());
    assert!(!stalled.rest().1);
    let mut stream = client.begin(&Ask::get("/"));
    assert_eq!(stream.head().status, 200);
    assert!(proxy.resident_memory() < 128 << 20);
}

fn slow_uploads_are_ended_alone(front: Front) {
    let origin = echo();
    let proxy = one_thread(front, &origin, "timeouts: { request_body_idle: 500ms }\n");
    let mut client = connect(&proxy);
    let began = Instant::now();
    let mut slow = client.begin(&Ask::post("/", "").length(Length::Said(10)));
    assert!(slow.send(b"half"));
    let mut other = client.begin(&Ask::post("/", "").length(Length::Unsaid));
    assert_eq!(slow.head().status, 408);
    let took = began.elapsed();
    assert!(took > Duration::from_millis(450) && took < Duration::from_secs(3), "{took:?}");
    // It sent nothing either, and fares alike.
    assert_eq!(other.head().status, 408);
    let mut next = client.begin(&Ask::get("/"));
    assert_eq!(next.head().status, 200);
}

fn an_idle_connection_is_told_to_go(front: Front) {
    let origin = Origin::fixed(OK);
    let proxy = one_thread(front, &origin, "timeouts: { h2_idle: 500ms }\n");
    let mut frames = Frames::connect(&proxy);
    let get: [(&str, &[u8]); 4] = [(":method", b"GET"), (":scheme", b"http"), (":authority", b"a"), (":path", b"/")];
    frames.head(1, &get, END_STREAM);
    assert_eq!(frames.outcome(1), Outcome::Answered(200, b"ok".to_vec()));
    let began = Instant::now();
    assert_eq!(frames.goaway(Duration::from_secs(5)), Some(0));
    assert!(began.elapsed() > Duration::from_millis(400), "{:?}", began.elapsed());
    frames.wire.until_end_or(Duration::from_secs(5));
    assert!(frames.wire.is_closed());
}

fn a_client_that_says_nothing_is_let_go(front: Front) {
    let origin = Origin::fixed(OK);
    let proxy = one_thread(front, &origin, "timeouts: { request_header: 500ms }\n");
    // The preface and SETTINGS only; less than that; a head that does not end.
    let mut frames = Frames::connect(&proxy);
    assert_eq!(frames.goaway(Duration::from_secs(5)), Some(0));
    let mut wire = proxy.wire();
    wire.send("PRI * HTTP/2.0\r\n\r\n");
    wire.until_end_or(Duration::from_secs(5));
    assert!(wire.is_closed());
    let mut frames = Frames::connect(&proxy);
    frames.send(&Frame::new(support::frames::HEADERS, 0, 1, []));
    assert_eq!(frames.goaway(Duration::from_secs(5)), Some(support::frames::ENHANCE_YOUR_CALM));
    assert_eq!(origin.count(), 0);
}

/// An origin that ends its response to `/slow` when it is told to.
fn waiting() -> (Origin, mpsc::Sender<()>) {
    let (go, when) = mpsc::channel();
    let when = Mutex::new(when);
    let origin = Origin::start(move |request, wire| {
        if request.target() != "/slow" {
            wire.send(OK);
            return true;
        }
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nslow");
        let told = when.lock().unwrap().recv_timeout(DEADLINE);
        wire.send("done");
        told.is_ok()
    });
    (origin, go)
}

fn a_drain_finishes_what_is_under_way(front: Front) {
    let (origin, go) = waiting();
    let mut proxy = one_thread(front, &origin, "");
    let mut client = connect(&proxy);
    let mut slow = client.begin(&Ask::get("/slow"));
    assert_eq!((slow.head().status, slow.exactly(4)), (200, b"slow".to_vec()));
    proxy.signal("TERM");
    // No request begins any more once GOAWAY is there, and none is lost before.
    await_until("GOAWAY", || match client.try_begin(&Ask::get("/")) {
        Ok(mut stream) => {
            if let Ok(head) = stream.try_head() {
                assert_eq!((head.status, stream.rest()), (200, (b"ok".to_vec(), true)));
            }
            false
        }
        Err(_) => true,
    });
    go.send(()).unwrap();
    assert_eq!(slow.rest(), (b"done".to_vec(), true));
    let ended = client.ended();
    assert!(ended.is_ok(), "{ended:?}");
    let code = proxy.proxy.process.0.wait().unwrap();
    assert_eq!(code.code(), Some(0));
}

fn an_upgrade_takes_new_requests_to_the_next_process(front: Front) {
    let (origin, go) = waiting();
    let mut proxy = one_thread(front, &origin, "");
    let mut client = connect(&proxy);
    let mut slow = client.begin(&Ask::get("/slow"));
    assert_eq!((slow.head().status, slow.exactly(4)), (200, b"slow".to_vec()));
    let (code, text) = proxy.order("upgrade");
    assert_eq!(code, 0, "{text}");
    await_until("GOAWAY", || match client.try_begin(&Ask::get("/")) {
        Ok(mut stream) => {
            if let Ok(head) = stream.try_head() {
                assert_eq!(head.status, 200);
            }
            false
        }
        Err(_) => true,
    });
    assert_eq!(proxy.get("/").text(), "ok");
    go.send(()).unwrap();
    assert_eq!(slow.rest(), (b"done".to_vec(), true));
    let ended = client.ended();
    assert!(ended.is_ok(), "{ended:?}");
    proxy.proxy.process.0.wait().unwrap();
    assert_eq!(proxy.order("stop").0, 0);
}

/// Switches protocols, says what it hears, and tells how its connection ended.
fn websocket() -> Origin {
    Origin::start(|request, wire| {
        assert_eq!(request.header("upgrade"), Some("websocket"));
        assert_eq!(request.header("connection").map(str::to_ascii_lowercase).as_deref(), Some("upgrade"));
        assert_eq!(request.header("sec-websocket-version"), Some("13"));
        // RFC 6455 section 4.1: sixteen bytes in base64.
        assert_eq!(request.header("sec-websocket-key").unwrap().len(), 24);
        assert!(request.line.starts_with("GET "));
        wire.send(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: k\r\nSec-WebSocket-Protocol: chat\r\n\r\n",
        );
        loop {
            match wire.piece() {
                piece if piece.is_empty() => {
                    wire.try_send("the client is done").ok();
                    return false;
                }
                piece if piece == b"bye" => return false,
                piece => wire.send(piece),
            }
        }
    })
}

fn a_websocket_goes_both_ways_and_closes_both_ways(front: Front) {
    let origin = websocket();
    let proxy = front.before(origin.address);
    let mut client = connect(&proxy);
    let open = |client: &mut Http2| {
        let mut tunnel = client.begin(&Ask::websocket("/ws?x").field("sec-websocket-protocol", "chat"));
        let head = tunnel.head();
        assert_eq!((head.status, head.header("sec-websocket-protocol")), (200, Some("chat")));
        tunnel
    };
    // More than any window holds, both ways.
    let mut tunnel = open(&mut client);
    assert_eq!(origin.last().target(), "/ws?x");
    for round in 0..40 {
        let piece = vec![round; 50_000];
        assert!(tunnel.send(&piece));
        assert!(tunnel.exactly(50_000) == piece);
    }
    tunnel.end();
    assert_eq!(tunnel.rest(), (b"the client is done".to_vec(), true));
    let mut tunnel = open(&mut client);
    assert!(tunnel.send(b"bye"));
    assert_eq!(tunnel.rest(), (Vec::new(), true));
    // A request beside them, on the same connection.
    let mut tunnel = open(&mut client);
    assert!(tunnel.send(b"ping"));
    assert_eq!(tunnel.exactly(4), b"ping");
    let log = proxy.access_log(1);
    assert_eq!((&log[0]["proto"], &log[0]["status"]), (&"HTTP/2.0".into(), &101.into()), "{}", log[0]);
}

fn a_websocket_ends_with_the_drain(front: Front) {
    let origin = websocket();
    let mut proxy = front.start(&format!(
        "server: {{ threads: 1, drain: {{ tunnels: 1s }} }}\nlisteners: ['{{listen}}']\nroutes: [{{ upstream: '{}' }}]\n",
        origin.address
    ));
    let mut client = connect(&proxy);
    let mut tunnel = client.begin(&Ask::websocket("/ws"));
    assert_eq!(tunnel.head().status, 200);
    let began = Instant::now();
    assert_eq!(proxy.order("upgrade").0, 0);
    assert!(tunnel.send(b"ping"));
    assert_eq!(tunnel.exactly(4), b"ping");
    let (rest, _) = tunnel.rest();
    assert!(rest.is_empty() || rest == b"the client is done", "{rest:?}");
    assert!(began.elapsed() > Duration::from_millis(900), "{:?}", began.elapsed());
    proxy.proxy.process.0.wait().unwrap();
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(proxy.order("stop").0, 0);
}

/// RFC 8441 section 5: any 2xx would tell the client that its WebSocket is open.
fn an_upgrade_that_the_origin_refuses_is_no_tunnel(front: Front) {
    let origin = Origin::start(|request, wire| {
        wire.send(match request.target() {
            "/200" => OK,
            _ => "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
        });
        true
    });
    let address = origin.address;
    let proxy = front.start(&format!(
        "listeners: ['{{listen}}']\nroutes:\n  - {{ match: {{ path: /local }}, respond: {{ status: 200, body: ok }} }}\n  \
         - upstream: '{address}'\n"
    ));
    let mut client = connect(&proxy);
    let mut local = client.begin(&Ask::websocket("/local"));
    assert_eq!((local.head().status, local.rest()), (502, (Vec::new(), true)));
    let mut refused = client.begin(&Ask::websocket("/403"));
    assert_eq!((refused.head().status, refused.rest().0), (403, b"no".to_vec()));
    let mut ignored = client.begin(&Ask::websocket("/200"));
    let head = ignored.head();
    assert!(head.header("proxy-status").unwrap().contains("error=http_upgrade_failed"));
    let body = String::from_utf8(ignored.rest().0).unwrap();
    assert!(head.status == 502 && body.contains("instead of 101"), "{body}");
    let mut next = client.begin(&Ask::get("/200"));
    assert_eq!((next.head().status, next.rest()), (200, (b"ok".to_vec(), true)));
}

fn the_access_log_says_http_2(front: Front) {
    let origin = Origin::fixed(OK);
    let proxy = front.before(origin.address);
    assert_eq!(proxy.get("/x?y").status, 200);
    let line = &proxy.access_log(1)[0];
    assert_eq!((&line["proto"], &line["method"], &line["status"]), (&"HTTP/2.0".into(), &"GET".into(), &200.into()));
    assert_eq!((&line["scheme"], &line["path"]), (&front.scheme().into(), &"/x".into()));
}

fn a_refused_head_request_gets_no_body(front: Front) {
    let origin = Origin::fixed(OK);
    let proxy = front.before(origin.address);
    let answer = proxy.ask(&Ask::new("HEAD", &format!("/{}", "a".repeat(9000))));
    assert_eq!((answer.status, answer.body.len(), answer.is_whole), (414, 0, true));
    assert_ne!(answer.header("content-length"), Some("0"));
}

/// A server whose queue is full accepts no connection for as long as `connect` allows.
fn streams_of_a_client_that_is_gone_wait_for_no_connection(front: Front) {
    let hole = BlackHole::open();
    let proxy = front.start(&format!(
        "server: {{ drain: {{ timeout: 5s }} }}\nlisteners: ['{{listen}}']\nupstreams:\n  \
         hole: {{ servers: ['{}'], timeouts: {{ connect: 1h, response_header: 1h }} }}\n\
         routes: [{{ match: {{ path: /local }}, respond: {{ body: ok }} }}, {{ upstream: hole }}]\n",
        hole.address
    ));
    let mut client = connect(&proxy);
    let _streams: Vec<_> = (0..10).map(|_| client.begin(&Ask::get("/"))).collect();
    // The others have begun before it.
    assert_eq!(client.begin(&Ask::get("/local")).head().status, 200);
    client.shut_down();
    let (code, said) = proxy.order("quit");
    assert_eq!(code, 0, "{said}");
}
