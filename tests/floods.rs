//! Clients of HTTP/2 that keep the proxy busy for nothing (RFC 9113 section 10.5): each flood ends
//! its connection, costs no memory, and disturbs nobody.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails
#![allow(clippy::print_stderr)] // the long form is read by a person

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::Origin;
use support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, Frames, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, block,
};
use support::front::{Ask, Front, Fronted, Link, http2_fronts};

http2_fronts! {
    floods_end_their_connection_and_disturb_nobody
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Within this the connection has to end.
const LIMIT: Duration = Duration::from_secs(8);

/// Connections that are flooded at once in the long form, and how long one attacker waits until its next.
const ATTACKERS: usize = 8;
const PAUSE: Duration = Duration::from_millis(20);

type Flood = (&'static str, Vec<u8>, Box<dyn Fn(u32) -> Vec<u8> + Send + Sync>);

fn request(method: &str) -> Vec<u8> {
    block(&[(":method", method.as_bytes()), (":scheme", b"http"), (":authority", b"a"), (":path", b"/")])
}

fn same(frame: Frame) -> Box<dyn Fn(u32) -> Vec<u8> + Send + Sync> {
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
    for flood in floods() {
        flood_once(&proxy, &flood);
        let what = flood.0;
        assert_eq!(honest.ask(&Ask::get("/honest")).text(), "ok", "{what}");
    }
    let grown = proxy.resident_memory().saturating_sub(before);
    assert!(grown < 64 << 20, "{} MiB", grown >> 20);
}

/// On a connection of its own, until the proxy ends it.
fn flood_once(proxy: &Fronted, (what, first, flood): &Flood) {
    let mut frames = Frames::connect(proxy);
    frames.wire.stream.set_write_timeout(Some(LIMIT)).unwrap();
    let began = Instant::now();
    frames.try_send(first);
    for batch in 0..100u32 {
        let bytes: Vec<u8> = (batch * 100..batch * 100 + 100).flat_map(flood).collect();
        if !frames.try_send(&bytes) {
            break;
        }
    }
    // A reset may overtake the GOAWAY; a silence is no end.
    let reason = frames.goaway(LIMIT);
    assert!(reason.is_none_or(|reason| reason != 0), "{what}: {reason:?}");
    assert!(began.elapsed() < LIMIT, "{what} did not end within {:?}", began.elapsed());
}

/// Of requests that an honest client asks one after the other, for a time.
fn p99(honest: &mut Link, time: Duration) -> Duration {
    let (began, mut took) = (Instant::now(), Vec::new());
    while began.elapsed() < time {
        let asked = Instant::now();
        assert_eq!(honest.ask(&Ask::get("/honest")).text(), "ok");
        took.push(asked.elapsed());
        thread::sleep(Duration::from_millis(2));
    }
    took.sort();
    took[took.len() * 99 / 100]
}

/// By `FLOOD_SECONDS`; `make floods` is a minute of each.
fn flood_time() -> Duration {
    Duration::from_secs(std::env::var("FLOOD_SECONDS").map_or(60, |seconds| seconds.parse().unwrap()))
}

#[test]
#[ignore = "the long form: ten minutes"]
fn a_minute_of_each_flood_costs_an_honest_client_nothing() {
    let origin = Origin::fixed(OK);
    let proxy = Front::H2c.before(origin.address);
    let mut honest = proxy.link();
    let alone = p99(&mut honest, Duration::from_secs(5));
    let before = proxy.resident_memory();
    for flood in &floods() {
        let (stop, count) = (AtomicBool::new(false), AtomicUsize::new(0));
        let beside = thread::scope(|scope| {
            let attack = || {
                while !stop.load(Ordering::Relaxed) {
                    flood_once(&proxy, flood);
                    count.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(PAUSE);
                }
            };
            (0..ATTACKERS).for_each(|_| drop(scope.spawn(attack)));
            let beside = p99(&mut honest, flood_time());
            stop.store(true, Ordering::Relaxed);
            beside
        });
        let grown = proxy.resident_memory().saturating_sub(before);
        let (what, count) = (flood.0, count.into_inner());
        eprintln!("{what}: {count} floods, {} MiB more, p99 {beside:?} against {alone:?}", grown >> 20);
        assert!(grown < 64 << 20, "{what}: {} MiB", grown >> 20);
    }
}
