//! Both directions of an exchange at once: what blocks one never stops the other.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::{park_timeout, scope};
use std::time::{Duration, Instant};

use support::{Client, Origin, Proxy, Wire};

const ECHOED: usize = 60_000_000;
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
/// Much longer than anything here takes on an idle machine.
const LATE: Duration = Duration::from_secs(5);

/// Answers as the target says: an echo writes what it has read before it reads on.
fn origin() -> Origin {
    Origin::start(|request, wire| {
        match request.target() {
            "/echo" => {
                wire.send(SWITCHING);
                copy(wire, usize::MAX, |piece| piece.to_vec());
            }
            "/echo-body" => {
                wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                copy(wire, ECHOED, |piece| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
                wire.send("0\r\n\r\n");
                return true;
            }
            "/ticks" => {
                wire.send(SWITCHING);
                tick(&mut wire.stream);
            }
            "/flood" => {
                wire.send(SWITCHING);
                let mut reader = wire.stream.try_clone().unwrap();
                scope(|both| {
                    both.spawn(|| flood(&mut wire.stream));
                    let lateness = lateness(&mut reader);
                    assert!(lateness < LATE, "a tick was {lateness:?} late");
                    reader.shutdown(Shutdown::Both).unwrap();
                });
            }
            "/late" => {
                park_timeout(Duration::from_secs(1));
                wire.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nmuch");
                // It does not read until the proxy gives up.
                park_timeout(Duration::from_secs(20));
            }
            "/count" => {
                wire.send(SWITCHING);
                let sent = wire.until_end();
                park_timeout(Duration::from_millis(300));
                wire.send(format!("{} bytes", sent.len()));
            }
            "/first-to-close" => {
                wire.send(SWITCHING);
                wire.send("that is all");
                wire.stream.shutdown(Shutdown::Write).unwrap();
                assert_eq!(wire.until_end(), b"and this");
            }
            other => unreachable!("{other}"),
        }
        false
    })
}

/// Writes back so many bytes, each piece before the next is read.
fn copy(wire: &mut Wire, most: usize, framed: impl Fn(&[u8]) -> Vec<u8>) {
    let mut left = most;
    while left > 0 {
        let piece = wire.piece();
        left = left.saturating_sub(piece.len());
        if piece.is_empty() || wire.stream.write_all(&framed(&piece)).is_err() {
            break;
        }
    }
}

/// A byte each 100 ms, ten times.
fn tick(to: &mut TcpStream) {
    let began = Instant::now();
    for number in 1..=10 {
        park_timeout((began + Duration::from_millis(100 * number)).saturating_duration_since(Instant::now()));
        to.write_all(b".").unwrap();
    }
}

/// How late the latest of ten ticks is.
fn lateness(from: &mut TcpStream) -> Duration {
    let (began, mut latest) = (Instant::now(), Duration::ZERO);
    for number in 1..=10 {
        from.read_exact(&mut [0]).unwrap();
        latest = latest.max(began.elapsed().saturating_sub(Duration::from_millis(100 * number)));
    }
    latest
}

/// Writes until the other end is gone.
fn flood(to: &mut TcpStream) {
    let piece = vec![b'f'; 65_536];
    while to.write_all(&piece).is_ok() {}
}

fn upgrade(proxy: &Proxy, target: &str) -> Client {
    let mut client = proxy.connect();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"));
    assert_eq!(client.head().status, 101);
    client
}

/// Bytes of which none is like its neighbours.
fn data() -> Vec<u8> {
    (0..ECHOED).map(|at| (at % 251) as u8).collect()
}

#[test]
fn sixty_megabytes_are_echoed_while_they_are_sent() {
    let origin = origin();
    let proxy = Proxy::before(origin.address);
    let data = data();
    for round in 0..3 {
        let mut client = upgrade(&proxy, "/echo");
        let mut writer = client.wire.stream.try_clone().unwrap();
        scope(|both| {
            both.spawn(|| writer.write_all(&data).unwrap());
            assert!(client.wire.exactly(ECHOED) == data, "round {round}");
        });
    }
}

#[test]
fn a_response_streams_while_the_body_that_it_is_made_of_still_comes() {
    let origin = origin();
    let proxy = Proxy::before(origin.address);
    let data = data();
    let mut client = proxy.connect();
    let mut writer = client.wire.stream.try_clone().unwrap();
    for round in 0..2 {
        scope(|both| {
            both.spawn(|| {
                write!(writer, "POST /echo-body HTTP/1.1\r\nHost: a\r\nContent-Length: {ECHOED}\r\n\r\n").unwrap();
                writer.write_all(&data).unwrap();
            });
            assert_eq!(client.head().status, 200);
            assert!(client.wire.chunked() == data, "round {round}");
        });
    }
}

#[test]
fn ticks_pass_while_the_other_direction_is_blocked() {
    let origin = origin();
    let proxy = Proxy::before(origin.address);
    let client = upgrade(&proxy, "/ticks");
    let (mut writer, mut reader) = (client.wire.stream.try_clone().unwrap(), client.wire.stream);
    scope(|both| {
        both.spawn(|| flood(&mut writer));
        let lateness = lateness(&mut reader);
        assert!(lateness < LATE, "a tick was {lateness:?} late");
        reader.shutdown(Shutdown::Both).unwrap();
    });
    // The origin counts those of the client, who reads nothing.
    let mut client = upgrade(&proxy, "/flood");
    tick(&mut client.wire.stream);
    drop(client);
}

#[test]
fn an_answer_reaches_a_client_whose_body_is_not_taken() {
    let origin = origin();
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nlimits: {{ request_body: unlimited }}\nroutes: [{{ upstream: '{}' }}]\n",
        origin.address
    ));
    let mut client = proxy.connect();
    client.send(format!("PUT /late HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 1_u64 << 40));
    let mut writer = client.wire.stream.try_clone().unwrap();
    scope(|both| {
        both.spawn(|| flood(&mut writer));
        let began = Instant::now();
        let answer = client.response();
        assert_eq!((answer.status, answer.text().as_str()), (413, "much"));
        assert!(began.elapsed() < LATE, "{:?}", began.elapsed());
        // What is left of the body keeps the connection for no longer than that.
        assert_eq!(client.wire.until_end(), b"");
        assert!(began.elapsed() < 3 * LATE, "{:?}", began.elapsed());
    });
    let line = &proxy.access_log(1)[0];
    assert_eq!((&line["status"], &line["error"]), (&413.into(), &serde_json::Value::Null), "{line}");
}

#[test]
fn the_end_of_one_direction_of_a_tunnel_is_not_that_of_the_other() {
    let origin = origin();
    let proxy = Proxy::before(origin.address);
    let mut client = upgrade(&proxy, "/count");
    client.send(vec![b'x'; 300_000]);
    client.wire.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.wire.until_end(), b"300000 bytes");
    let mut client = upgrade(&proxy, "/first-to-close");
    assert_eq!(client.wire.until_end(), b"that is all");
    // Longer than a client may keep back the rest of a body that has its answer.
    park_timeout(Duration::from_millis(5500));
    client.send("and this");
    client.wire.stream.shutdown(Shutdown::Write).unwrap();
    let line = &proxy.access_log(2)[1];
    assert_eq!((&line["bytes_in"], &line["error"]), (&8.into(), &serde_json::Value::Null), "{line}");
}

/// The upstream answers in the middle of the body and is gone: the copy must not look whole.
#[test]
fn a_body_that_is_given_up_does_not_look_whole_to_a_mirror() {
    let origin = Origin::start(|_, wire| {
        wire.piece();
        wire.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
        rustix::net::sockopt::set_socket_linger(&wire.stream, Some(Duration::ZERO)).unwrap();
        false
    });
    let (told, ended) = std::sync::mpsc::channel();
    let shadow = Origin::start(move |_, wire| {
        let copied = wire.until_end();
        told.send(copied).unwrap();
        false
    });
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nupstreams: {{ a: {{ servers: ['{}'] }}, b: {{ servers: ['{}'] }} }}\n\
         routes: [{{ upstream: a, mirror: {{ upstream: b }} }}]\n",
        origin.address, shadow.address
    ));
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    assert_eq!(client.response().status, 413);
    let chunk = [b"10000\r\n", &[b'x'; 65_536][..], b"\r\n"].concat();
    while client.wire.stream.write_all(&chunk).is_ok() {}
    let copied = ended.recv_timeout(4 * LATE).unwrap();
    assert!(copied.starts_with(b"5\r\nfirst\r\n") && !copied.ends_with(b"0\r\n\r\n"), "{}", copied.escape_ascii());
}
