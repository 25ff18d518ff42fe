//! Deadlines: no header of a client's removes one, and those of tunnels and streams follow
//! from the response or from the route.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::io::{Read, Write};
use std::thread::park_timeout;
use std::time::{Duration, Instant};

use support::{Origin, Proxy, Wire};

/// Headers that tell of tunnels and streams.
const CLAIMS: [&str; 7] = [
    "GET {} HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n",
    "GET {} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "GET {} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
    "GET {} HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "POST {} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nhi",
    "POST {} HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nContent-Length: 2\r\n\r\nhi",
    "POST {} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
];

/// `/silent` answers nothing, `/stops` in the middle of its response, `/drips` goes on for ever.
fn origin() -> Origin {
    Origin::start(|request, wire| {
        match request.target() {
            "/stops" => wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nsome"),
            "/drips" => {
                wire.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
                while wire.stream.write_all(b"x").is_ok() {
                    park_timeout(Duration::from_millis(20));
                }
            }
            _ => {}
        }
        wire.until_end();
        false
    })
}

fn start(origin: &Origin, timeouts: &str, rest: &str) -> Proxy {
    Proxy::start(&format!(
        "listeners: ['{{listen}}']\n{rest}upstreams:\n  a:\n    servers: ['{}']\n    timeouts: {{ {timeouts} }}\n\
         routes:\n  - {{ upstream: a }}\n  - {{ match: {{ path: /stream }}, stream: true, upstream: a }}\n",
        origin.address
    ))
}

#[test]
fn no_header_of_a_client_switches_a_deadline_off() {
    let origin = origin();
    for (target, timeouts, expected) in [
        ("/silent", "response_header: 500ms", "HTTP/1.1 504 "),
        ("/silent", "request: 500ms, response_header: none", "HTTP/1.1 504 "),
        ("/stops", "read_idle: 500ms", "HTTP/1.1 200 "),
        ("/drips", "request: 500ms", "HTTP/1.1 200 "),
    ] {
        let proxy = start(&origin, &format!("{timeouts}, connect: 3s"), "");
        for claim in CLAIMS {
            let mut client = proxy.connect();
            client.send(claim.replace("{}", target));
            let began = Instant::now();
            let mut answer = Vec::new();
            client.wire.stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let ended = client.wire.stream.read_to_end(&mut answer);
            assert!(ended.is_ok() && began.elapsed() < Duration::from_secs(4), "{timeouts} did not end {claim:?}");
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.starts_with(expected), "{claim:?} of {target}: {answer}");
        }
    }
}

/// `/stream/late` answers after a second, and each piece comes as late.
#[test]
fn a_route_may_say_that_its_requests_are_quiet_for_long() {
    let origin = Origin::start(|request, wire| {
        wire.body(&request.headers, false);
        park_timeout(Duration::from_secs(1));
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
        for half in ["la", "te"] {
            park_timeout(Duration::from_secs(1));
            if wire.stream.write_all(half.as_bytes()).is_err() {
                return false;
            }
        }
        true
    });
    let proxy = start(
        &origin,
        "response_header: 500ms, read_idle: 500ms, request: 500ms",
        "timeouts: { request_body_idle: 500ms }\n",
    );
    assert_eq!(proxy.get("/late").status, 504);
    let mut client = proxy.connect();
    client.send("POST /stream/late HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
    for half in ["bo", "dy"] {
        park_timeout(Duration::from_secs(1));
        client.send(half);
    }
    assert_eq!(client.response().text(), "late");
    // `tunnel_idle` holds there.
    let proxy = start(&origin, "response_header: 1h", "timeouts: { tunnel_idle: 300ms }\n");
    assert_eq!(proxy.get("/stream/late").status, 504);
}

/// Switches protocols, takes nothing for as long as it is told, and then everything.
fn tunnel(pause: Duration) -> Origin {
    Origin::start(move |_, wire: &mut Wire| {
        wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        park_timeout(pause);
        let mut taken = 0;
        let mut piece = vec![0; 1024 * 1024];
        while let Ok(read @ 1..) = wire.stream.read(&mut piece) {
            taken += read;
            if taken == SENT {
                wire.send("all of it");
            }
        }
        false
    })
}

/// More than the sockets between a client and an origin that does not read can hold.
const SENT: usize = 32 * 1024 * 1024;

#[test]
fn a_tunnel_outlives_the_deadlines_that_its_upstream_has_for_requests() {
    let origin = tunnel(Duration::from_millis(2500));
    let proxy = start(&origin, "write_idle: 500ms, read_idle: 500ms, response_header: 500ms, request: 500ms", "");
    let mut client = proxy.connect();
    client.send(CLAIMS[1].replace("{}", "/"));
    assert_eq!(client.head().status, 101);
    client.wire.stream.write_all(&vec![b'x'; SENT]).unwrap();
    assert_eq!(client.wire.exactly(9), b"all of it");
}

/// Pingora does not look at the client while its pipe to the upstream is full.
#[test]
fn a_tunnel_whose_server_takes_nothing_ends_when_it_was_idle_for_too_long() {
    let origin = tunnel(Duration::from_secs(60));
    let proxy = start(&origin, "read_idle: 1h", "timeouts: { tunnel_idle: 1s }\n");
    let mut client = proxy.connect();
    client.send(CLAIMS[1].replace("{}", "/"));
    assert_eq!(client.head().status, 101);
    let began = Instant::now();
    client.wire.stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    assert!(client.wire.stream.write_all(&vec![b'x'; SENT]).is_err());
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
}
