//! Requests of HTTP/2 that are wrong in a frame or in a field, written frame by frame: each is
//! refused, nothing of it reaches the origin, and the connection serves on where it lives.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::time::Duration;

use support::Origin;
use support::frames::{CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, Frames, HEADERS, Outcome, block};
use support::front::{Front, http2_fronts};
use support::hostile_heads::{Fields, hostile_heads, usual_head as head, without};

http2_fronts! {
    heads_that_can_be_read_two_ways_are_refused
    limits_of_a_head_are_those_of_http_1
    bodies_that_belie_their_length_are_refused
    a_refused_body_stops_at_its_stream
    frames_out_of_order_end_the_connection
    what_h2_carries_reaches_the_origin_as_it_is
    a_preface_that_is_none_is_refused
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn honest(frames: &mut Frames, stream: u32) -> Outcome {
    let fields = head(&[(":path", b"/honest"), (":method", b"GET")]);
    frames.head(stream, &fields, END_STREAM);
    frames.outcome(stream)
}

fn answered() -> Outcome {
    Outcome::Answered(200, b"ok".to_vec())
}

/// No hostile request came, and every honest one came whole.
fn only_honest(origin: &Origin, count: usize) {
    let seen: Vec<String> = origin.seen.lock().unwrap().iter().map(|request| request.line.clone()).collect();
    assert_eq!(seen, vec!["GET /honest HTTP/1.1"; count]);
}

fn heads_that_can_be_read_two_ways_are_refused(front: Front) {
    let origin = Origin::fixed(OK);
    let proxy = front.before(origin.address);
    let cases = hostile_heads();
    let mut honests = 0;
    for (_, what, fields) in &cases {
        let mut frames = Frames::connect(&proxy);
        frames.head(1, fields, END_STREAM);
        let outcome = frames.outcome(1);
        assert!(outcome.is_refusal(), "{what}: {outcome:?}");
        if !matches!(outcome, Outcome::GoAway(_)) {
            assert_eq!(honest(&mut frames, 3), answered(), "{what}");
            honests += 1;
        }
    }
    // `h2` ends the connection for those 17 that no type of a name, value or method can hold.
    assert_eq!(cases.len() - honests, 17);
    only_honest(&origin, honests);
}

/// What a refused head costs is told as in HTTP/1.1: 414 and 431.
fn limits_of_a_head_are_those_of_http_1(front: Front) {
    let origin = Origin::fixed(OK);
    let proxy = front.before(origin.address);
    let path = [b"/", vec![b'p'; 9 << 10].as_slice()].concat();
    let value = vec![b'v'; 33 << 10];
    let many: Fields = head(&vec![("x", &b"1"[..]); 101]);
    for (what, fields, status) in [
        ("a long :path", head(&[(":path", &path)]), 414),
        ("a large field", head(&[("x", &value)]), 431),
        ("many fields", many, 431),
    ] {
        let mut frames = Frames::connect(&proxy);
        // More than a frame holds goes on in others.
        let all = block(&fields);
        let mut pieces = all.chunks(16_000).peekable();
        let (mut kind, mut end) = (HEADERS, END_STREAM);
        while let Some(piece) = pieces.next() {
            let last = if pieces.peek().is_none() { END_HEADERS } else { 0 };
            frames.send(&Frame::new(kind, end | last, 1, piece));
            (kind, end) = (CONTINUATION, 0);
        }
        match frames.outcome(1) {
            Outcome::Answered(answered, _) => assert_eq!(answered, status, "{what}"),
            other => panic!("{what}: {other:?}"),
        }
        assert_eq!(honest(&mut frames, 3), answered(), "{what}");
    }
    only_honest(&origin, 3);
    let log = proxy.access_log(6);
    let statuses: Vec<u64> = log.iter().map(|line| line["status"].as_u64().unwrap()).filter(|s| *s != 200).collect();
    assert_eq!(statuses, [414, 431, 431]);
}

/// RFC 9113 section 8.1.1. The head is on its way when the body turns out to be wrong; the origin
/// must not take what it has for the whole.
fn bodies_that_belie_their_length_are_refused(front: Front) {
    let whole = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = whole.clone();
    let origin = Origin::start(move |request, wire| {
        if request.header("content-length").is_some() {
            // Waits for all of it, and fails where the connection ends before.
            let body = wire.body(&request.headers, false);
            assert!(body.is_empty() || body.len() == 4);
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
        wire.send(OK);
        true
    });
    let proxy = front.before(origin.address);
    for (what, length, data) in [("too much", "4", &b"12345"[..]), ("too little", "6", b"12345"), ("none", "4", b"")] {
        let mut frames = Frames::connect(&proxy);
        frames.head(1, &head(&[("content-length", length.as_bytes())]), 0);
        frames.send(&Frame::new(DATA, END_STREAM, 1, data));
        let outcome = frames.outcome(1);
        assert!(outcome.is_refusal(), "{what}: {outcome:?}");
        assert_eq!(honest(&mut frames, 3), answered(), "{what}");
    }
    // And where the stream ends with its head.
    let mut frames = Frames::connect(&proxy);
    frames.head(1, &head(&[("content-length", b"4")]), END_STREAM);
    assert!(frames.outcome(1).is_refusal());
    assert_eq!(honest(&mut frames, 3), answered());
    assert_eq!(whole.load(std::sync::atomic::Ordering::SeqCst), 0, "a body that was wrong came whole");
}

/// Trailers are fields, too, and those that frame or route are never merged.
fn a_refused_body_stops_at_its_stream(front: Front) {
    let origin = Origin::start(|request, wire| {
        let body = wire.body(&request.headers, false);
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
        wire.send(body);
        true
    });
    let proxy = front.before(origin.address);
    let mut frames = Frames::connect(&proxy);
    frames.head(1, &head(&[]), 0);
    frames.send(&Frame::new(DATA, 0, 1, b"body"));
    let trailers = block(&[("transfer-encoding", b"chunked")]);
    frames.send(&Frame::new(HEADERS, END_STREAM | END_HEADERS, 1, trailers));
    let outcome = frames.outcome(1);
    assert!(outcome.is_refusal(), "{outcome:?}");
    frames.head(3, &head(&[(":method", b"GET")]), END_STREAM);
    assert_eq!(frames.outcome(3), Outcome::Answered(200, Vec::new()));
    // Others are dropped, whatever they are called; `h2` says nothing of a pseudo-header there.
    let mut frames = Frames::connect(&proxy);
    frames.head(1, &head(&[]), 0);
    frames.send(&Frame::new(DATA, 0, 1, b"body"));
    let trailers = block(&[(":path", b"/x"), ("host", b"b.test"), ("authorization", b"x"), ("x", b"1")]);
    frames.send(&Frame::new(HEADERS, END_STREAM | END_HEADERS, 1, trailers));
    assert_eq!(frames.outcome(1), Outcome::Answered(200, b"body".to_vec()));
    let seen = origin.last();
    assert_eq!((seen.header("host"), seen.header("authorization"), seen.header("x")), (Some("a.test"), None, None));
    assert_eq!(seen.target(), "/hostile");
}

/// Faults of the whole connection (RFC 9113 section 5.4.1).
fn frames_out_of_order_end_the_connection(front: Front) {
    let origin = Origin::fixed(OK);
    let proxy = front.before(origin.address);
    let fields = block(&head(&[]));
    let begun = Frame::new(HEADERS, END_STREAM, 1, &fields);
    let cases: Vec<(&str, Vec<Frame>)> = vec![
        ("DATA on no stream", vec![Frame::new(DATA, END_STREAM, 0, b"x")]),
        ("DATA on a stream that is idle", vec![Frame::new(DATA, END_STREAM, 1, b"x")]),
        ("an even stream", vec![Frame::new(HEADERS, END_STREAM | END_HEADERS, 2, &fields)]),
        ("a CONTINUATION of nothing", vec![Frame::new(CONTINUATION, END_HEADERS, 1, &fields)]),
        ("another frame inside a head", vec![begun.clone(), Frame::new(DATA, 0, 1, b"x")]),
        ("another stream inside a head", vec![begun, Frame::new(CONTINUATION, END_HEADERS, 3, b"")]),
        ("no HPACK", vec![Frame::new(HEADERS, END_STREAM | END_HEADERS, 1, [0xff; 20])]),
        ("an index of nothing", vec![Frame::new(HEADERS, END_STREAM | END_HEADERS, 1, [0xfe])]),
        ("a frame that is too large", vec![Frame::new(DATA, 0, 1, vec![0; 20_000])]),
        ("padding beyond the frame", vec![Frame::new(HEADERS, END_HEADERS | 8, 1, [200, 0])]),
        ("a SETTINGS of 5 bytes", vec![Frame::new(4, 0, 0, [0; 5])]),
        ("a PING of 7 bytes", vec![Frame::new(6, 0, 0, [0; 7])]),
        ("a window beyond 2^31", vec![Frame::new(8, 0, 0, 0x7fff_ffffu32.to_be_bytes()); 2]),
        ("PUSH_PROMISE", vec![Frame::new(5, END_HEADERS, 1, [0, 0, 0, 2])]),
    ];
    for (what, wrong) in cases {
        let mut frames = Frames::connect(&proxy);
        for frame in &wrong {
            if !frames.try_send(&frame.bytes()) {
                break;
            }
        }
        let reason = frames.goaway(Duration::from_secs(5));
        assert!(reason.is_some_and(|reason| reason != 0), "{what}: {reason:?}");
    }
    let mut frames = Frames::connect(&proxy);
    assert_eq!(honest(&mut frames, 1), answered());
    only_honest(&origin, 1);
}

fn what_h2_carries_reaches_the_origin_as_it_is(front: Front) {
    let origin = Origin::fixed(OK);
    let proxy = front.before(origin.address);
    let mut frames = Frames::connect(&proxy);
    let fields = head(&[
        (":method", b"GET"),
        (":path", b"/a%2Fb/%7Eu?x=%7e&&y=a+b"),
        ("host", b"A.test:80"),
        ("te", b"trailers"),
        ("x", b"caf\xe9"),
        ("cookie", b"a=1"),
        ("y", b""),
        ("cookie", b"b=2"),
    ]);
    frames.head(1, &fields, END_STREAM);
    assert_eq!(frames.outcome(1), answered());
    let seen = origin.last();
    assert_eq!(seen.line, "GET /a%2Fb/%7Eu?x=%7e&&y=a+b HTTP/1.1");
    assert_eq!((seen.header("cookie"), seen.header("y")), (Some("a=1; b=2"), Some("")));
    assert_eq!((seen.header("te"), seen.header("transfer-encoding")), (Some("trailers"), None));
    // `OPTIONS *` is a request (RFC 9113 section 8.3.1).
    frames.head(3, &head(&[(":method", b"OPTIONS"), (":path", b"*")]), END_STREAM);
    assert_eq!(frames.outcome(3), answered());
    assert_eq!(origin.last().line, "OPTIONS * HTTP/1.1");
    // Without :authority, Host is the host.
    frames.head(5, &[without(":authority"), vec![("host", &b"h.test"[..])]].concat(), END_STREAM);
    assert_eq!(frames.outcome(5), answered());
    assert_eq!(origin.last().header("host"), Some("h.test"));
    // `h2` drops a fragment, which is no part of a target, before anyone could mind.
    frames.head(7, &head(&[(":method", b"GET"), (":path", b"/a?b#c")]), END_STREAM);
    assert_eq!(frames.outcome(7), answered());
    assert_eq!(origin.last().target(), "/a?b");
}

fn a_preface_that_is_none_is_refused(front: Front) {
    let origin = Origin::fixed(OK);
    let proxy = front.before(origin.address);
    for (what, bytes) in [
        ("another version", &b"PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n"[..]),
        ("other letters", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"),
        ("HTTP/1.1 behind it", b"PRI * HTTP/2.0\r\n\r\nGET /hostile HTTP/1.1\r\nHost: a\r\n\r\n"),
    ] {
        let mut wire = proxy.wire();
        wire.send(bytes);
        let end = wire.until_end_or(Duration::from_secs(5));
        assert!(!String::from_utf8_lossy(&end).contains(" 200 "), "{what}: {end:?}");
    }
    assert_eq!(origin.count(), 0);
}
