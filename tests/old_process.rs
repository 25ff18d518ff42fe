//! An old process after an upgrade: it is gone after a time that the configuration states,
//! whatever its clients do.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, park_timeout, spawn};
use std::time::{Duration, Instant};

use support::{Origin, Proxy};

/// More than the sockets between an origin and a client that does not read can hold.
const LARGE: usize = 64 * 1024 * 1024;

/// `/large` is a download; anything else is answered once its body is there.
fn origin() -> Origin {
    Origin::start(|request, wire| {
        if request.target() != "/large" {
            wire.body(&request.headers, false);
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            return true;
        }
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"));
        wire.stream.write_all(&vec![b'x'; LARGE]).is_ok()
    })
}

fn start(origin: &Origin, drain: &str) -> Proxy {
    Proxy::start(&format!(
        "server: {{ drain: {drain} }}\nlisteners: ['{{listen}}']\ntimeouts: {{ keepalive: 1h }}\nroutes: [{{ upstream: '{}' }}]\n",
        origin.address
    ))
}

/// Sends a request and then does the same again and again, until that fails or `stop` is set.
fn busy(
    proxy: &Proxy,
    stop: &Arc<AtomicBool>,
    request: String,
    again: fn(&mut TcpStream) -> std::io::Result<()>,
) -> JoinHandle<()> {
    let (mut client, stop) = (proxy.connect(), Arc::clone(stop));
    client.send(request);
    spawn(move || {
        while !stop.load(Ordering::SeqCst) && again(&mut client.wire.stream).is_ok() {
            park_timeout(Duration::from_millis(50));
        }
    })
}

/// How long it took to end, if it did within five seconds, and its exit code.
fn ended(proxy: &mut Proxy) -> (Duration, Option<i32>) {
    let began = Instant::now();
    loop {
        if let Some(status) = proxy.process.0.try_wait().unwrap() {
            return (began.elapsed(), status.code());
        }
        assert!(began.elapsed() < Duration::from_secs(5), "the old process lives on: {}", proxy.read("stderr"));
        park_timeout(Duration::from_millis(10));
    }
}

#[test]
fn an_old_process_is_gone_after_its_time_whatever_its_clients_do() {
    let origin = origin();
    let mut proxy = start(&origin, "{ timeout: 500ms, tunnels: 1s }");
    let stop = Arc::new(AtomicBool::new(false));
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    let clients = [
        // Reads nothing; reads a byte now and then; sends its body, and its head, byte by byte.
        busy(&proxy, &stop, get("/large"), |_| Ok(())),
        busy(&proxy, &stop, get("/large"), |stream| stream.read_exact(&mut [0])),
        busy(&proxy, &stop, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n".to_owned(), |stream| {
            stream.write_all(b"x")
        }),
        busy(&proxy, &stop, "GET / HTTP/1.1\r\nHost: a\r\nX: ".to_owned(), |stream| stream.write_all(b"x")),
    ];
    let mut idle = proxy.connect();
    idle.send(get("/"));
    assert_eq!(idle.response().text(), "ok");
    support::await_until("all are at work", || proxy.order("status").1.contains("4 requests, 0 tunnels, 1 idle"));
    assert_eq!(proxy.order("upgrade").0, 0);
    let (took, code) = ended(&mut proxy);
    stop.store(true, Ordering::SeqCst);
    assert!(took < Duration::from_millis(2500), "{took:?}");
    assert_eq!(code, Some(3));
    let log = proxy.read("stderr");
    assert!(log.contains("ended; cut: 4 requests, 0 tunnels"), "{log}");
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert_eq!(proxy.order("stop").0, 0);
}

/// Each answer says `Connection: close`, so that the next request goes to the new process.
#[test]
fn a_client_that_sends_one_request_after_another_does_not_keep_an_old_process() {
    let origin = origin();
    let mut proxy = start(&origin, "{ timeout: 1s, tunnels: 1s }");
    let mut client = proxy.connect();
    let mut answers = Vec::new();
    for round in 0..3 {
        if round == 1 {
            assert_eq!(proxy.order("upgrade").0, 0);
        }
        if client.wire.stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").is_err() {
            break;
        }
        let Some((line, fields)) = client.wire.head() else { break };
        assert_eq!(client.wire.body(&fields, false), b"ok");
        assert!(line.contains("200"));
        answers.push(fields.iter().any(|(name, value)| name.eq_ignore_ascii_case("connection") && value == "close"));
    }
    assert_eq!(answers, [false, true]);
    let (took, code) = ended(&mut proxy);
    assert!(took < Duration::from_millis(2500), "{took:?}");
    assert_eq!(code, Some(0));
    assert_eq!(proxy.order("stop").0, 0);
}

#[test]
fn an_old_process_that_is_told_to_end_gives_its_clients_no_more_time_than_it_had() {
    let origin = origin();
    for drain in ["{ timeout: 300ms, tunnels: 1h }", "{ timeout: 1s, tunnels: 0s }"] {
        let mut proxy = start(&origin, drain);
        let stop = Arc::new(AtomicBool::new(false));
        let request = "GET /large HTTP/1.1\r\nHost: a\r\n\r\n".to_owned();
        let reader = busy(&proxy, &stop, request, |stream| stream.read_exact(&mut [0]));
        support::await_until("it is at work", || proxy.order("status").1.contains("1 requests"));
        assert_eq!(proxy.order("upgrade").0, 0);
        proxy.signal("TERM");
        let (took, code) = ended(&mut proxy);
        stop.store(true, Ordering::SeqCst);
        assert!(took < Duration::from_secs(2), "{drain}: {took:?}");
        assert_eq!(code, Some(3), "{drain}");
        assert!(proxy.read("stderr").contains("ended; cut: 1 requests"), "{}", proxy.read("stderr"));
        reader.join().unwrap();
        assert_eq!(proxy.order("stop").0, 0);
    }
}

#[test]
fn status_lists_the_old_processes_and_what_they_wait_for() {
    let origin = origin();
    let mut proxy = start(&origin, "{ timeout: 1m, tunnels: 1m }");
    let mut download = proxy.connect();
    download.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(download.head().status, 200);
    let old = proxy.pid();
    assert_eq!(proxy.order("upgrade").0, 0);
    let mut half = proxy.connect();
    half.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhal");
    support::await_until("it is at work", || proxy.order("status").1.contains("1 requests"));
    let pid_of = |line: &str| line.split([' ', ':']).nth(1).unwrap().parse::<u32>().unwrap();
    let second = pid_of(&proxy.order("status").1);
    assert_eq!(proxy.order("upgrade").0, 0);
    let lines = |proxy: &Proxy| {
        let (code, text) = proxy.order("status");
        assert_eq!(code, 0, "{text}");
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let told = lines(&proxy);
    assert_eq!(told.iter().map(|line| pid_of(line)).skip(1).collect::<Vec<_>>(), [old, second], "{told:#?}");
    assert!(told[0].contains("it is serving"), "{told:#?}");
    for line in &told[1..] {
        assert!(
            line.contains("it has handed over to a newer process") && line.contains("1 requests, 0 tunnels"),
            "{line}"
        );
        assert!(line.contains("; handed over ") && line.contains(" s at the latest"), "{line}");
    }
    // One that is done is not listed, nor is one that was killed, and nothing of them stays.
    half.send("f!");
    assert_eq!(half.response().text(), "ok");
    support::await_until("the second is gone", || lines(&proxy).len() == 2);
    proxy.process.0.kill().unwrap();
    proxy.process.0.wait().unwrap();
    assert_eq!(lines(&proxy).len(), 1);
    assert_eq!(proxy.order("upgrade").0, 0);
    support::await_until("the third is gone", || lines(&proxy).len() == 1);
    let left =
        || std::fs::read_dir(&proxy.folder.0).unwrap().flatten().map(|entry| entry.file_name()).collect::<Vec<_>>();
    let old_sockets = || left().iter().filter(|name| name.to_str().is_some_and(|name| name.contains(".old-"))).count();
    assert_eq!(old_sockets(), 0, "{:?}", left());
    assert_eq!(proxy.order("stop").0, 0);
}
