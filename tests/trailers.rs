//! Trailers: fields behind a body, which go through the proxy in both directions, but for those that a
//! head alone may say (RFC 9110 section 6.5).

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use support::front::{Answer, Ask, Front, Fronted, Length, byte_fronts, every_front};
use support::http2::{Http2Origin, Rules};
use support::{Origin, Wire};

every_front! {
    those_of_a_response_reach_the_client
    those_of_a_request_reach_the_server
    nobody_forges_a_field_by_them
    a_request_that_is_sent_again_has_them
    they_follow_an_early_answer
    a_response_without_chunks_has_none
    a_response_with_bad_ones_is_cut_off
    te_is_said_where_the_client_says_it
}

byte_fronts! {
    a_request_with_bad_ones_is_refused
    a_request_with_good_ones_in_any_pieces_is_not
    an_old_client_gets_none
    those_that_connection_names_end_at_this_hop
    a_call_of_grpc_web_may_have_some
}

type Fields = Vec<(String, String)>;

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n";

/// What no trailer may say, to a server or to a client.
const FORGED: [&str; 18] = [
    "x-forwarded-for",
    "x_forwarded_for",
    "forwarded",
    "x-real-ip",
    "client-cert",
    "content-length",
    "transfer-encoding",
    "authorization",
    "host",
    "cookie",
    "set-cookie",
    "content-type",
    "te",
    "trailer",
    "x-request-id",
    "if-match",
    "keep-alive",
    "x-original-url",
];

fn as_http2_has_it(fields: &Fields) -> Fields {
    fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect()
}

fn fields(of: &[(&str, &str)]) -> Fields {
    of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Answers each request, its body read, with the trailers that it had, each of which it tells of in its head.
fn echo() -> Origin {
    Origin::start(|request, wire| {
        wire.trailers.clear();
        let body = wire.body(&request.headers, false);
        let lines: String = wire.trailers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let names: Vec<_> = wire.trailers.iter().map(|(name, _)| name.as_str()).collect();
        wire.send(format!("{CHUNKED}Trailer: {}\r\n\r\n", names.join(", ")));
        if !body.is_empty() {
            wire.send([format!("{:x}\r\n", body.len()).as_bytes(), &body, b"\r\n"].concat());
        }
        wire.send(format!("0\r\n{lines}\r\n"));
        true
    })
}

/// Answers each request with this, whatever is behind the path.
fn answering(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Origin {
    Origin::start(move |request, wire| {
        wire.body(&request.headers, false);
        wire.send(answer(request.target()));
        true
    })
}

fn both(front: Front, old: &Origin, new: &Http2Origin, rest: &str) -> Fronted {
    front.start(&format!(
        "server: {{ threads: 1 }}
listeners: ['{{listen}}']
upstreams:
  old: {{ servers: ['{}'] }}
  new: {{ servers: ['{}'], protocol: h2c }}
routes:
  - {{ match: {{ host: old.test }}, upstream: old{rest} }}
  - {{ match: {{ host: new.test }}, upstream: new{rest} }}
",
        old.address, new.address
    ))
}

fn post(target: &str, host: &str) -> Ask {
    Ask::post(target, "").host(host).length(Length::Unsaid)
}

fn ask(proxy: &Fronted, ask: &Ask, pieces: &[&str], trailers: &[(&str, &str)]) -> Answer {
    let mut link = proxy.link();
    let mut exchange = link.begin(ask);
    for piece in pieces {
        assert!(exchange.send(piece));
    }
    exchange.end_with_trailers(trailers);
    exchange.answer()
}

/// Those of a server of HTTP/1.1 and those of one of HTTP/2, and both connections go on.
fn those_of_a_response_reach_the_client(front: Front) {
    let old = answering(|_| {
        format!(
            "{CHUNKED}Trailer: X-Sum, X-Hop\r\nConnection: X-Hop\r\n\r\n2\r\nhi\r\n0\r\n\
             X-SUM: 1\r\nServer-Timing: db;dur=5\r\nX-Hop: 1\r\nx-sum:2\r\n\r\n"
        )
    });
    let new = Http2Origin::start(Rules::default());
    let proxy = both(front, &old, &new, "");
    let mut link = proxy.link();
    for _ in 0..3 {
        let answer = link.ask(&Ask::get("/trailers").host("old.test"));
        assert_eq!((answer.text().as_str(), answer.is_whole), ("hi", true));
        assert_eq!(answer.header("trailer"), Some("X-Sum, X-Hop"));
        let expected = [("x-sum", "1"), ("x-sum", "2"), ("server-timing", "db;dur=5")];
        assert_eq!(as_http2_has_it(&answer.trailers), fields(&expected));
        let answer = link.ask(&Ask::get("/trailers").host("new.test"));
        assert_eq!((answer.text().as_str(), answer.is_whole), ("hi", true));
        assert_eq!(as_http2_has_it(&answer.trailers), fields(&[("x-sum", "1")]));
    }
    assert_eq!((old.connections.load(Ordering::SeqCst), new.connections()), (1, 1));
}

/// Behind a body, and behind one of no bytes. Both servers answer with what they got.
fn those_of_a_request_reach_the_server(front: Front) {
    let (old, new) = (echo(), Http2Origin::start(Rules::default()));
    let proxy = both(front, &old, &new, "");
    for host in ["old.test", "new.test"] {
        for pieces in [&["abc", "def"][..], &[]] {
            let ask_for = post("/echo", host).field("Trailer", "X-Sum, X-More");
            let answer = ask(&proxy, &ask_for, pieces, &[("x-sum", "7"), ("x-more", ""), ("x-sum", "8")]);
            assert_eq!((answer.text(), answer.is_whole), (pieces.concat(), true), "{host}");
            let expected = [("x-sum", "7"), ("x-sum", "8"), ("x-more", "")];
            assert_eq!(as_http2_has_it(&answer.trailers), fields(&expected), "{host}");
        }
    }
    assert_eq!(old.last().header("trailer"), Some("X-Sum, X-More"));
    assert_eq!(new.seen.lock().unwrap()[0].headers["trailer"], "X-Sum, X-More");
    // What says how long it is has no place for them in HTTP/1.1.
    if front.is_http2() {
        let answer = ask(&proxy, &Ask::post("/", "abc").host("old.test"), &["abc"], &[("x-sum", "7")]);
        assert_eq!((answer.text().as_str(), answer.trailers), ("abc", Vec::new()));
    }
}

/// Both ways, and among them what the route has the proxy say.
fn nobody_forges_a_field_by_them(front: Front) {
    let (old, new) = (echo(), Http2Origin::start(Rules::default()));
    let rest = ", request: { header: { set: { x-tenant: us }, remove: [x-internal] } }, rate_limit: { rate: 1000/s, key: 'header:x-key' }";
    let proxy = both(front, &old, &new, rest);
    let own = ["x-tenant", "x_tenant", "x-internal", "x-key", "x-own"];
    let sent = FORGED.iter().chain(&own).chain(&["x-sum"]);
    // Those are none of HTTP/2.
    let unsent = |name: &str| front.is_http2() && matches!(name, "te" | "transfer-encoding" | "keep-alive");
    let forged: Vec<_> = sent.filter(|name| !unsent(name)).map(|name| (*name, "6.6.6.6")).collect();
    for host in ["old.test", "new.test"] {
        let answer = ask(&proxy, &post("/echo", host).field("X-Own", "1"), &["abc"], &forged);
        assert_eq!((answer.text().as_str(), answer.is_whole), ("abc", true), "{host}");
        assert_eq!(as_http2_has_it(&answer.trailers), fields(&[("x-sum", "6.6.6.6")]), "{host}");
        assert!(!answer.headers.iter().any(|(_, value)| value == "6.6.6.6"), "{answer:?}");
    }
    let seen = old.last();
    assert!(!seen.headers.iter().any(|(_, value)| value == "6.6.6.6"), "{seen:?}");
    let lines: String = FORGED.iter().map(|name| format!("{name}: 6.6.6.6\r\n")).collect();
    let old = answering(move |_| format!("{CHUNKED}\r\n2\r\nhi\r\n0\r\n{lines}X-Sum: 1\r\n\r\n"));
    let answer = front.before(old.address).get("/");
    assert_eq!((answer.text().as_str(), answer.is_whole), ("hi", true));
    assert_eq!(as_http2_has_it(&answer.trailers), fields(&[("x-sum", "1")]));
    assert!(!answer.headers.iter().any(|(_, value)| value == "6.6.6.6"), "{answer:?}");
}

/// A PUT, which the first server leaves without an answer once it has read all of it.
fn a_request_that_is_sent_again_has_them(front: Front) {
    let (count, seen): (AtomicUsize, Arc<Mutex<Vec<Fields>>>) = Default::default();
    let told = Arc::clone(&seen);
    let old = Origin::start(move |request, wire| {
        wire.body(&request.headers, false);
        seen.lock().unwrap().push(wire.trailers.clone());
        if count.fetch_add(1, Ordering::SeqCst) % 2 == 0 {
            return false;
        }
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        true
    });
    let new = Http2Origin::start(Rules::default());
    let proxy = both(front, &old, &new, "");
    for pieces in [&["abc"][..], &[]] {
        let put = Ask { method: "PUT".to_owned(), ..post("/", "old.test") };
        assert_eq!(ask(&proxy, &put, pieces, &[("x-sum", "7")]).text(), "ok");
        // The first attempt of HTTP/2 is reset, and the path is one that is asked for once.
        let target = format!("/reset-once?{}", pieces.len());
        let put = Ask { method: "PUT".to_owned(), ..post(&target, "new.test") };
        let answer = ask(&proxy, &put, pieces, &[("x-sum", "7")]);
        assert_eq!(answer.text(), format!("{} bytes", pieces.concat().len()));
        assert_eq!(as_http2_has_it(&answer.trailers), fields(&[("x-sum", "7")]));
    }
    assert_eq!(*told.lock().unwrap(), vec![fields(&[("X-Sum", "7")]); 4]);
}

/// The client still sends, and gets the whole answer.
fn they_follow_an_early_answer(front: Front) {
    let old = Origin::start(|_, wire| {
        wire.exactly(1000);
        wire.send(format!("{CHUNKED}\r\n9\r\ntoo large\r\n0\r\nX-Sum: 1\r\n\r\n"));
        // Leaves the connection open until the proxy is done with it.
        wire.until_end();
        false
    });
    let proxy = front.before(old.address);
    for ask in [post("/", "a"), Ask::post("/", "").length(Length::Said(10_000_000))] {
        let mut link = proxy.link();
        let mut exchange = link.begin(&ask);
        assert!(exchange.send([b'x'; 2000]));
        let answer = exchange.answer();
        assert_eq!((answer.text().as_str(), answer.is_whole), ("too large", true));
        assert_eq!(as_http2_has_it(&answer.trailers), fields(&[("x-sum", "1")]));
    }
}

fn a_response_without_chunks_has_none(front: Front) {
    let old = answering(|target| match target {
        "/not-modified" => {
            "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n".to_owned()
        }
        "/head" => format!("{CHUNKED}Trailer: X-Sum\r\n\r\n"),
        _ => "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nContent-Length: 2\r\n\r\nhi".to_owned(),
    });
    let proxy = front.before(old.address);
    let mut link = proxy.link();
    for (method, target, body) in [("GET", "/not-modified", ""), ("HEAD", "/head", ""), ("GET", "/", "hi")] {
        let answer = link.ask(&Ask::new(method, target));
        assert_eq!((answer.text().as_str(), answer.is_whole, answer.trailers), (body, true, Vec::new()), "{target}");
    }
    assert_eq!(old.connections.load(Ordering::SeqCst), 1);
}

fn a_response_with_bad_ones_is_cut_off(front: Front) {
    let bad = [
        format!("X-Sum: {}\r\n", "x".repeat(9 << 10)),
        "X: 1\r\n".repeat(101),
        "X-Sum: 1\nX: 2\r\n".to_owned(),
        "X-Sum: 1\r\n folded\r\n".to_owned(),
        "X-Sum : 1\r\n".to_owned(),
        "X-Sum\r\n".to_owned(),
        "X-Sum: \0\r\n".to_owned(),
    ];
    let count = bad.len();
    let old = answering(move |target| {
        let bad = &bad[target[1..].parse::<usize>().unwrap()];
        format!("{CHUNKED}\r\n2\r\nhi\r\n0\r\nX-First: 1\r\n{bad}\r\n")
    });
    let proxy = front.before(old.address);
    for index in 0..count {
        let answer = proxy.get(&format!("/{index}"));
        assert_eq!((answer.text().as_str(), answer.is_whole, answer.trailers), ("hi", false, Vec::new()), "{index}");
    }
}

/// RFC 9110 section 10.1.4: `TE` is of one hop, and the proxy says it where what it gets goes on.
fn te_is_said_where_the_client_says_it(front: Front) {
    let (old, new) = (echo(), Http2Origin::start(Rules::default()));
    let proxy = both(front, &old, &new, "");
    let cases =
        [(Some("trailers"), true), (None, false), (Some("gzip, Trailers;q=1"), false), (Some("gzip, Trailers"), true)];
    for (te, is_said) in cases {
        // HTTP/2 has no other value.
        if front.is_http2() && te.is_some_and(|te| te != "trailers") {
            continue;
        }
        for host in ["old.test", "new.test"] {
            let ask = Ask::get("/echo").host(host);
            let answer = proxy.ask(&te.map_or(ask.clone(), |te| ask.field("TE", te)));
            assert_eq!(answer.status, 200, "{host} {te:?}");
        }
        let seen = old.last();
        let expected = is_said.then_some(("trailers", "TE"));
        assert_eq!(seen.header("te").zip(seen.header("connection")), expected, "{te:?}");
        let seen = new.seen.lock().unwrap().last().unwrap().clone();
        assert_eq!(seen.headers.get("te").map(|te| te.to_str().unwrap()), is_said.then_some("trailers"), "{te:?}");
    }
}

const HEAD: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n";

/// With 400, and the server never has the request whole.
fn a_request_with_bad_ones_is_refused(front: Front) {
    let whole: Arc<AtomicUsize> = Arc::default();
    let counter = Arc::clone(&whole);
    let old = Origin::start(move |_, wire: &mut Wire| {
        let ends = wire.until_end().windows(5).any(|end| end == b"\r\n0\r\n");
        counter.fetch_add(usize::from(ends), Ordering::SeqCst);
        false
    });
    let proxy = front.before(old.address);
    for bad in [
        format!("X-Sum: {}\r\n", "x".repeat(9 << 10)),
        "X: 1\r\n".repeat(101),
        "X-Sum: 1\nX: 2\r\n".to_owned(),
        "X-Sum: 1\r\n folded\r\n".to_owned(),
        " X-Sum: 1\r\n".to_owned(),
        "X-Sum : 1\r\n".to_owned(),
        "X-Sum\r\n".to_owned(),
        ": 1\r\n".to_owned(),
        "X-Sum: 1\rX: 2\r\n".to_owned(),
        "X-Sum: \0\r\n".to_owned(),
    ] {
        let response = proxy.ask_bytes(format!("{HEAD}X-First: 1\r\n{bad}\r\n"));
        let shown = &bad[..bad.len().min(30)];
        assert_eq!(response.status, 400, "{shown:?}");
        assert!(response.text().contains("not chunked as it says"), "{shown:?}: {}", response.text());
    }
    drop(proxy);
    drop(old);
    assert_eq!(whole.load(Ordering::SeqCst), 0);
}

fn a_request_with_good_ones_in_any_pieces_is_not(front: Front) {
    let old = echo();
    let proxy = front.before(old.address);
    let many = "X: 1\r\n".repeat(100);
    let large = format!("X-Sum: {}\r\n", "x".repeat(8000));
    let mut client = proxy.connect();
    for (trailers, pause) in [("x-SUM:7\r\nY: \t z \t\r\n", true), (&many, false), (&large, false)] {
        let request = format!("{HEAD}{trailers}\r\n");
        for piece in request.as_bytes().chunks(if pause { 1 } else { 4096 }) {
            client.send(piece);
        }
        assert_eq!(client.response().text(), "abc");
        let got = client.wire.trailers.len();
        assert_eq!(got, trailers.matches("\r\n").count());
        if pause {
            assert_eq!(client.wire.trailers, fields(&[("X-Sum", "7"), ("Y", "z")]));
        }
    }
    assert_eq!(old.connections.load(Ordering::SeqCst), 1);
}

fn an_old_client_gets_none(front: Front) {
    let old = answering(|_| format!("{CHUNKED}Trailer: X-Sum\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n"));
    let new = Http2Origin::start(Rules::default());
    let proxy = both(front, &old, &new, "");
    for host in ["old.test", "new.test"] {
        let mut client = proxy.connect();
        client.send(format!("GET /trailers HTTP/1.0\r\nHost: {host}\r\nTE: trailers\r\n\r\n"));
        assert_eq!(client.head().header("transfer-encoding"), None);
        assert_eq!(client.wire.until_end(), b"hi");
    }
    assert_eq!(old.last().header("te"), None);
}

fn those_that_connection_names_end_at_this_hop(front: Front) {
    let (old, new) = (echo(), Http2Origin::start(Rules::default()));
    let proxy = both(front, &old, &new, "");
    for host in ["old.test", "new.test"] {
        let ask_for = post("/echo", host).field("Connection", "X-Hop");
        let answer = ask(&proxy, &ask_for, &["abc"], &[("X-Hop", "1"), ("X-Sum", "7")]);
        assert_eq!(answer.trailers, fields(&[("X-Sum", "7")]), "{host}");
    }
}

/// Its server's trailers are the end of its body, and there are no others.
fn a_call_of_grpc_web_may_have_some(front: Front) {
    let new = Http2Origin::start(Rules::default());
    let proxy = front.start(&format!(
        "listeners: ['{{listen}}']
upstreams: {{ grpc: {{ servers: ['{}'], protocol: h2c }} }}
routes: [{{ upstream: grpc, grpc_web: true }}]
",
        new.address
    ));
    let call = post("/echo", "a").field("Content-Type", "application/grpc-web+proto");
    let answer = ask(&proxy, &call, &["abc"], &[("x-sum", "7")]);
    assert_eq!(answer.body, b"abc\x80\0\0\0\x0ax-sum: 7\r\n");
    assert_eq!((answer.is_whole, answer.trailers), (true, Vec::new()));
}
