//! Clients that do not take what they asked for. Nothing else is looked at while a response
//! is written to one, so that it would escape every deadline that is kept elsewhere.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use support::{Client, Origin, Proxy, Wire};

/// More than the sockets between an origin and a client that does not read can hold.
const LARGE: usize = 64 * 1024 * 1024;

/// `/large` is a download, `/tunnel` and `/events` have no end, and anything else is small.
fn origin() -> Origin {
    Origin::start(|request, wire| {
        let (head, endless) = match request.target() {
            "/large" => (format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"), false),
            "/tunnel" => {
                let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
                (head.to_owned(), true)
            }
            "/events" => ("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n".to_owned(), true),
            _ => {
                wire.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsmall");
                return true;
            }
        };
        wire.send(head);
        pour(wire, endless)
    })
}

/// Writes until all is sent or the other end has gone.
fn pour(wire: &mut Wire, endless: bool) -> bool {
    let piece = vec![b'x'; 1024 * 1024];
    let mut left = LARGE / piece.len();
    while endless || left > 0 {
        if wire.stream.write_all(&piece).is_err() {
            return false;
        }
        left = left.saturating_sub(1);
    }
    true
}

/// A client that has seen the head and reads no further.
fn stall(proxy: &Proxy, target: &str, fields: &str) -> Client {
    let mut client = proxy.connect();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    assert!(matches!(client.head().status, 101 | 200));
    client
}

/// How long others wait for the only connection that there may be to the origin. The first of
/// them has a deadline of its own, which may pass just before there is room.
fn wait_for_room(proxy: &Proxy) -> Duration {
    let began = Instant::now();
    support::await_until("there is room", || match proxy.get("/small") {
        served if served.status == 200 => served.text() == "small",
        refused => {
            assert_eq!(refused.status, 504, "{refused:?}");
            false
        }
    });
    began.elapsed()
}

fn start(origin: &Origin, timeouts: &str, of_upstream: &str) -> Proxy {
    Proxy::start(&format!(
        "listeners: ['{{listen}}']\ntimeouts: {{ {timeouts} }}\nupstreams:\n  a:\n    servers: ['{}']\n    \
         timeouts: {{ {of_upstream} }}\n    pool: {{ max_connections: 1, queue: 5, queue_timeout: 15s }}\n\
         routes: [{{ upstream: a }}]\n",
        origin.address
    ))
}

/// The connection ends before all of the response came, which the log says of the client.
fn assert_cut(proxy: &Proxy, mut client: Client, error: &str) {
    assert!(client.wire.until_end().len() < LARGE);
    let mut logged = None;
    support::await_until("the cut is logged", || {
        logged = proxy.access_log(2).into_iter().find(|line| line["path"] != "/small");
        logged.is_some()
    });
    let cut = logged.unwrap();
    assert_eq!((cut["error"].as_str(), cut["error_source"].as_str()), (Some(error), Some("client")), "{cut}");
}

#[test]
fn a_stalled_reader_of_a_large_download_does_not_outlive_its_request_nor_keep_its_place() {
    let origin = origin();
    let proxy = start(&origin, "", "request: 1s");
    let client = stall(&proxy, "/large", "");
    let waited = wait_for_room(&proxy);
    assert!((Duration::from_millis(300)..Duration::from_millis(2500)).contains(&waited), "{waited:?}");
    assert_cut(&proxy, client, "the client did not take the whole response within the upstream's `timeouts.request`");
}

/// Bytes that the kernel of the proxy holds for a client, from /proc/net/tcp.
fn bytes_held_for(proxy: &Proxy, client: &Client) -> usize {
    let hex = |port: u16| format!(":{port:04X}");
    let (own, other) = (hex(proxy.address.port()), hex(client.wire.stream.local_addr().unwrap().port()));
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let row = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).find(|fields| {
        fields.get(1).is_some_and(|at| at.ends_with(&own)) && fields.get(2).is_some_and(|at| at.ends_with(&other))
    });
    let row = row.expect("the proxy's end of the connection");
    usize::from_str_radix(row[4].split(':').next().unwrap(), 16).unwrap()
}

/// The kernel says that a client took something once half of what it holds unsent is gone: with
/// megabytes of it, a client that reads kilobytes in a minute would look like one that stopped.
#[test]
fn a_slow_reader_is_not_taken_for_one_that_stopped() {
    let origin = origin();
    let proxy = start(&origin, "", "");
    let client = stall(&proxy, "/large", "");
    let mut held = 0;
    support::await_until("the sockets are full", || {
        let before = std::mem::replace(&mut held, bytes_held_for(&proxy, &client));
        std::thread::park_timeout(Duration::from_millis(200));
        held > 0 && held == before
    });
    assert!(held <= 256 * 1024, "{held} bytes are held for one stalled reader");
}

#[test]
fn a_reader_that_is_fast_enough_gets_all_of_a_large_download() {
    let origin = origin();
    let proxy = start(&origin, "", "request: 15s");
    assert_eq!(proxy.get("/large").body.len(), LARGE);
    assert!(wait_for_room(&proxy) < Duration::from_secs(1));
}

#[test]
fn a_tunnel_whose_client_does_not_read_ends_when_it_was_idle_for_too_long() {
    let origin = origin();
    let proxy = start(&origin, "tunnel_idle: 1s", "");
    let client = stall(&proxy, "/tunnel", "Connection: Upgrade\r\nUpgrade: websocket\r\n");
    let waited = wait_for_room(&proxy);
    assert!((Duration::from_millis(500)..Duration::from_secs(4)).contains(&waited), "{waited:?}");
    assert_cut(&proxy, client, "the client took nothing of the response for `timeouts.write_idle`");
}

#[test]
fn an_event_stream_whose_client_does_not_read_ends_when_it_was_idle_for_too_long() {
    let origin = origin();
    let proxy = start(&origin, "tunnel_idle: 1s", "request: 1h");
    let client = stall(&proxy, "/events", "Accept: text/event-stream\r\n");
    let waited = wait_for_room(&proxy);
    assert!((Duration::from_millis(500)..Duration::from_secs(4)).contains(&waited), "{waited:?}");
    assert_cut(&proxy, client, "the client took nothing of the response for `timeouts.write_idle`");
}

#[test]
fn a_process_that_ends_does_not_wait_for_a_client_that_does_not_read() {
    let origin = origin();
    let mut proxy = Proxy::start(&format!(
        "server: {{ drain: {{ timeout: 300ms }} }}\nlisteners: ['{{listen}}']\nroutes: [{{ upstream: '{}' }}]\n",
        origin.address
    ));
    let _download = stall(&proxy, "/large", "");
    let began = Instant::now();
    proxy.signal("TERM");
    assert_eq!(proxy.process.0.wait().unwrap().code(), Some(3));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

/// Each stood in a write when its time was up, which only reads looked at.
#[test]
fn tunnels_and_event_streams_whose_clients_do_not_read_end_after_an_upgrade_too() {
    let origin = origin();
    let mut proxy = Proxy::start(&format!(
        "server: {{ drain: {{ tunnels: 300ms }} }}\nlisteners: ['{{listen}}']\nroutes: [{{ upstream: '{}' }}]\n",
        origin.address
    ));
    let mut tunnel = stall(&proxy, "/tunnel", "Connection: Upgrade\r\nUpgrade: websocket\r\n");
    let mut events = stall(&proxy, "/events", "Accept: text/event-stream\r\n");
    // Until the sockets are full.
    std::thread::park_timeout(Duration::from_millis(500));
    assert_eq!(proxy.order("upgrade").0, 0);
    let began = Instant::now();
    assert_eq!(proxy.process.0.wait().unwrap().code(), Some(3));
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert!(proxy.read("stderr").contains("cut: 0 requests, 2 tunnels"), "{}", proxy.read("stderr"));
    tunnel.wire.until_end();
    events.wire.until_end();
    assert_eq!(proxy.order("stop").0, 0);
}

/// A client whose own buffers hold little.
fn connect_small(proxy: &Proxy) -> Client {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&proxy.address.into()).unwrap();
    Client::over(socket.into())
}

/// One that is larger than what the sockets hold, and many that are together.
#[test]
fn a_stalled_reader_of_our_own_reply_is_cut_as_one_of_an_upstreams() {
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\ntimeouts: {{ write_idle: 1s }}\nroutes:\n  - respond: {{ status: 200, body: '{}' }}\n  - {{ match: {{ path: /to }}, redirect: /x }}\n",
        "x".repeat(900_000)
    ));
    // Pipelining only adds to what is not taken.
    for (round, request) in
        ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.0\r\nHost: a\r\n\r\n"].iter().enumerate()
    {
        let mut client = connect_small(&proxy);
        client.send(request.repeat(if round == 0 { 20 } else { 1 }));
        let began = Instant::now();
        support::await_until("the end", || proxy.order("status").1.contains(" 0 requests, 0 tunnels, 0 idle"));
        assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
        let log = proxy.access_log(round + 1);
        assert_eq!(log.last().unwrap()["error"], "the client took nothing of the response for `timeouts.write_idle`");
        assert!(client.wire.until_end().len() < 900_000);
    }
    // Thousands of small ones that nobody reads stop the connection, too.
    let mut client = connect_small(&proxy);
    let requests = "GET /to HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20_000);
    client.wire.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    // The proxy takes no more requests while their answers are not taken.
    client.wire.stream.write_all(requests.as_bytes()).ok();
    support::await_until("the end", || proxy.order("status").1.contains(" 0 requests, 0 tunnels, 0 idle"));
}

/// Both take longer than the 30 s that every client has to begin with.
#[test]
fn a_client_below_the_least_rate_is_cut_and_one_above_it_is_not() {
    let origin = Origin::start(|request, wire| {
        if request.target() == "/large" {
            wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"));
            return pour(wire, false);
        }
        let body = wire.body(&request.headers, false);
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n{:06}", body.len()));
        true
    });
    let proxy = start_unbounded(&origin, "timeouts: { min_rate: 16KiB/s }");
    let below = "arrived more slowly than `timeouts.min_rate`";
    std::thread::scope(|scope| {
        let upload = |piece: usize, wait: u64| {
            let mut client = proxy.connect();
            client.send("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 700000\r\n\r\n");
            let began = Instant::now();
            let mut left = 700_000;
            while left > 0 {
                let bytes = vec![b'x'; piece.min(left)];
                if client.wire.stream.write_all(&bytes).is_err() || ended_early(&client) {
                    break;
                }
                left -= bytes.len();
                std::thread::park_timeout(Duration::from_millis(wait));
            }
            (client.response(), began.elapsed())
        };
        // 18 KiB in a second, and a tenth of a KiB.
        let fast = scope.spawn(move || upload(4608, 250));
        let slow = scope.spawn(move || upload(25, 250));
        let reader = scope.spawn(|| {
            let mut client = connect_small(&proxy);
            client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
            let began = Instant::now();
            while client.wire.stream.read_exact(&mut [0; 512]).is_ok() {
                std::thread::park_timeout(Duration::from_millis(250));
            }
            began.elapsed()
        });
        let (response, took) = slow.join().unwrap();
        assert_eq!(response.status, 408);
        assert!(response.text().contains(below), "{}", response.text());
        assert!((29..40).contains(&took.as_secs()), "{took:?}");
        let took = reader.join().unwrap();
        assert!((29..60).contains(&took.as_secs()), "{took:?}");
        let (response, took) = fast.join().unwrap();
        assert_eq!((response.status, response.text().as_str()), (200, "700000"));
        assert!(took.as_secs() > 35, "{took:?}");
    });
    let cut = proxy.access_log(3).into_iter().find(|line| line["path"] == "/large").unwrap();
    assert_eq!(cut["error"], "the client took the response more slowly than `timeouts.min_rate`");
}

/// Whether something has come before the client is done.
fn ended_early(client: &Client) -> bool {
    client.wire.stream.set_nonblocking(true).unwrap();
    let come = client.wire.stream.peek(&mut [0]).is_ok();
    client.wire.stream.set_nonblocking(false).unwrap();
    come
}

fn start_unbounded(origin: &Origin, rest: &str) -> Proxy {
    Proxy::start(&format!("listeners: ['{{listen}}']\n{rest}\nroutes: [{{ upstream: '{}' }}]\n", origin.address))
}

/// What a client asks for and does not read waits in the kernel and at the upstream, not here. The
/// first readers are not counted: they fill what the allocator keeps for others.
#[test]
fn a_stalled_reader_holds_less_than_a_quarter_of_a_megabyte() {
    const FIRST: usize = 40;
    const MORE: usize = 120;
    let origin = origin();
    let proxy = Proxy::before(origin.address);
    let mut readers = Vec::new();
    let mut held_with = |count: usize| {
        readers.extend((0..count).map(|_| stall(&proxy, "/large", "")));
        // Until everything that can fill has filled, on a machine that may pause for a while.
        let (mut last, mut same) = (0, 0);
        support::await_until("the memory stays as it is", || {
            std::thread::park_timeout(Duration::from_millis(500));
            let now = proxy.resident_memory();
            same = if now == std::mem::replace(&mut last, now) { same + 1 } else { 0 };
            same == 4
        });
        last
    };
    let (few, many) = (held_with(FIRST), held_with(MORE));
    let each = many.saturating_sub(few) / MORE;
    assert!(each < 256 * 1024, "{} KiB each", each / 1024);
}
