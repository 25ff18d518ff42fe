//! Clients of HTTP/2 that keep the proxy busy for nothing (RFC 9113 section 10.5): each flood ends
//! its connection, costs no memory, and disturbs nobody.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::time::{Duration, Instant};

use support::Origin;
use support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, Frames, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, block,
};
use support::front::{Ask, Front, http2_fronts};

http2_fronts! {
    floods_end_their_connection_and_disturb_nobody
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Within this the connection has to end.
const LIMIT: Duration = Duration::from_secs(8);

type Flood = (&'static str, Vec<u8>, Box<dyn Fn(u32) -> Vec<u8>>);

fn request(method: &str) -> Vec<u8> {
    block(&[(":method", method.as_bytes()), (":scheme", b"http"), (":authority", b"a"), (":path", b"/")])
}

fn same(frame: Frame) -> Box<dyn Fn(u32) -> Vec<u8>> {
    let bytes = frame.bytes();
    Box::new(move |_| bytes.clone())
}

/// What comes first, and then without end; the number counts up.
fn floods() -> Vec<Flood> {
    let open = Frame::new(HEADERS, END_HEADERS, 1, request("POST")).bytes();
    let begun = Frame::new(HEADERS, END_STREAM, 1, request("GET")).bytes();
    let rapid_reset = |turn: u32| {
        let stream = 1 + 2 * turn;
        let head = Frame::new(HEADERS, END_STREAM | END_HEADERS, stream, request("GET")).bytes();
        [head, Frame::new(RST_STREAM, 0, stream, 8u32.to_be_bytes()).bytes()].concat()
    };
    // One field of 3,000 bytes is kept in the table, and named 10,000 times by a byte each.
    let kept = [&[0x40, 1, b'x', 127, 0xb9, 0x16][..], &[b'v'; 3000]].concat();
    let bomb = move |turn: u32| {
        let stream = 1 + 2 * turn;
        let first = Frame::new(HEADERS, END_STREAM, stream, [request("GET"), kept.clone()].concat()).bytes();
        [first, Frame::new(CONTINUATION, END_HEADERS, stream, vec![0xbe; 10_000]).bytes()].concat()
    };
    vec![
        ("rapid reset", Vec::new(), Box::new(rapid_reset)),
        ("PING", Vec::new(), same(Frame::new(PING, 0, 0, [0; 8]))),
        ("SETTINGS", Vec::new(), same(Frame::new(SETTINGS, 0, 0, []))),
        ("PRIORITY", Vec::new(), same(Frame::new(PRIORITY, 0, 1, [0, 0, 0, 3, 1]))),
        ("WINDOW_UPDATE", open.clone(), same(Frame::new(WINDOW_UPDATE, 0, 1, 1u32.to_be_bytes()))),
        ("empty DATA", open, same(Frame::new(DATA, 0, 1, []))),
        ("CONTINUATION", begun.clone(), same(Frame::new(CONTINUATION, 0, 1, []))),
        ("large CONTINUATION", begun, same(Frame::new(CONTINUATION, 0, 1, block(&[("x", &[b'y'; 16_000])])))),
        ("an HPACK bomb", Vec::new(), Box::new(bomb)),
    ]
}

fn floods_end_their_connection_and_disturb_nobody(front: Front) {
    let origin = Origin::fixed(OK);
    let proxy = front.before(origin.address);
    let mut honest = proxy.link();
    assert_eq!(honest.ask(&Ask::get("/honest")).text(), "ok");
    let before = proxy.resident_memory();
    for (what, first, flood) in floods() {
        let mut frames = Frames::connect(&proxy);
        frames.wire.stream.set_write_timeout(Some(LIMIT)).unwrap();
        let began = Instant::now();
        frames.try_send(&first);
        for batch in 0..100u32 {
            let bytes: Vec<u8> = (batch * 100..batch * 100 + 100).flat_map(&flood).collect();
            if !frames.try_send(&bytes) {
                break;
            }
        }
        // A reset may overtake the GOAWAY; a silence is no end.
        let reason = frames.goaway(LIMIT);
        assert!(reason.is_none_or(|reason| reason != 0), "{what}: {reason:?}");
        assert!(began.elapsed() < LIMIT, "{what} did not end within {:?}", began.elapsed());
        assert_eq!(honest.ask(&Ask::get("/honest")).text(), "ok", "{what}");
    }
    let grown = proxy.resident_memory().saturating_sub(before);
    assert!(grown < 64 << 20, "{} MiB", grown >> 20);
}
