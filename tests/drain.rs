//! The end of the process: what is in flight is finished, what is not wanted is not
//! waited for, and the exit code tells which it was.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::net::TcpStream;
use std::process::ExitStatus;
use std::thread::park_timeout;
use std::time::{Duration, Instant};

use support::front::{Ask, Front, every_front};
use support::{Origin, Proxy, await_until};

/// Its response takes as long as the path says, in milliseconds.
fn slow() -> Origin {
    Origin::start(|request, wire| {
        let millis: u64 = request.target().trim_start_matches('/').parse().unwrap();
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
        for _ in 0..10 {
            let end = Instant::now() + Duration::from_millis(millis / 10);
            while let Some(left) = end.checked_duration_since(Instant::now()) {
                park_timeout(left);
            }
            wire.send("x");
        }
        true
    })
}

fn before(origin: &Origin, drain: &str) -> Proxy {
    let port = support::free_port();
    Proxy::start(&format!(
        "server: {{ drain: {drain} }}\nadmin: {{ address: '127.0.0.1:{port}' }}\nlisteners: ['{{listen}}']\nroutes: [{{ upstream: '{}' }}]\n",
        origin.address
    ))
}

fn admin(proxy: &Proxy, path: &str) -> (u16, String) {
    let yaml = proxy.read("proxy.yaml");
    let address = yaml.lines().find_map(|l| l.strip_prefix("admin: { address: '")).unwrap().split('\'').next().unwrap();
    let mut client = support::Client::connect(address.parse().unwrap());
    client.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
    let answer = client.response();
    (answer.status, answer.text())
}

fn ended(proxy: &mut Proxy) -> (ExitStatus, Duration) {
    let began = Instant::now();
    (proxy.process.0.wait().unwrap(), began.elapsed())
}

#[test]
fn with_nothing_in_flight_it_ends_at_once() {
    let origin = slow();
    let mut proxy = before(&origin, "{}");
    // Two that are open and idle: one that never asked, one that has its answer.
    let mut silent = proxy.connect();
    let mut answered = proxy.connect();
    answered.send("GET /10 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answered.response().status, 200);
    proxy.signal("TERM");
    let (status, took) = ended(&mut proxy);
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_millis(200), "{took:?}");
    assert!(silent.wire.is_closed() && answered.wire.is_closed());
    assert!(!proxy.folder.0.join("upgrade.sock").exists() && !proxy.folder.0.join("pingora-proxy.pid").exists());
    assert_eq!(proxy.access_log(1).len(), 1);
}

#[test]
fn a_download_in_flight_is_finished_and_nothing_waits_longer() {
    let origin = slow();
    let mut proxy = before(&origin, "{}");
    let mut client = proxy.connect();
    client.send("GET /1500 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().status, 200);
    proxy.signal("TERM");
    await_until("closed listeners", || TcpStream::connect(proxy.address).is_err());
    assert_eq!(admin(&proxy, "/ready").0, 503);
    assert_eq!(admin(&proxy, "/health").0, 200);
    assert_eq!(client.wire.exactly(10), b"xxxxxxxxxx");
    let (status, took) = ended(&mut proxy);
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_millis(400), "{took:?}");
}

#[test]
fn during_the_delay_everything_is_served_and_readiness_fails() {
    let origin = slow();
    let mut proxy = before(&origin, "{ delay: 700ms }");
    assert_eq!(admin(&proxy, "/ready").0, 200);
    let mut idle = proxy.connect();
    proxy.signal("TERM");
    await_until("/ready", || admin(&proxy, "/ready").0 == 503);
    assert!(admin(&proxy, "/ready").1.contains("about to end"));
    // A new connection and an old one are answered, and told to go elsewhere.
    for answer in [proxy.get("/10"), {
        idle.send("GET /10 HTTP/1.1\r\nHost: a\r\n\r\n");
        idle.response()
    }] {
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    }
    let (status, took) = ended(&mut proxy);
    assert_eq!(status.code(), Some(0));
    assert!((Duration::from_millis(300)..Duration::from_millis(1200)).contains(&took), "{took:?}");
}

#[test]
fn at_the_deadline_what_is_left_is_cut_and_counted() {
    let origin = slow();
    let mut proxy = before(&origin, "{ timeout: 300ms }");
    let mut client = proxy.connect();
    client.send("GET /20000 HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head();
    proxy.signal("TERM");
    let (status, took) = ended(&mut proxy);
    assert_eq!(status.code(), Some(3));
    assert!((Duration::from_millis(250)..Duration::from_secs(2)).contains(&took), "{took:?}");
    assert!(proxy.read("stderr").contains("ended; cut: 1 requests, 0 tunnels"), "{}", proxy.read("stderr"));
    assert!(client.wire.until_end().len() < 10);
}

/// Answers nothing, a part, an event stream that goes on, or a WebSocket.
fn unfinished() -> Origin {
    Origin::start(|request, wire| {
        wire.send(match request.target() {
            "/partial" => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
            "/events" => "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata",
            "/socket" => {
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: k\r\n\r\ndata"
            }
            _ => "",
        });
        wire.until_end();
        false
    })
}

/// Asks for each of them, and has what is sent of it.
fn begin_all(proxy: &support::front::Fronted, links: &mut [support::front::Link]) {
    for (link, target) in links.iter_mut().zip(["/stalled", "/partial", "/events", "/socket"]) {
        let ask = if target == "/socket" { Ask::websocket(target) } else { Ask::get(target) };
        let mut exchange = link.begin(&ask);
        if target == "/stalled" {
            await_until("the request is there", || proxy.order("status").1.contains("1 requests"));
        } else {
            assert!(matches!(exchange.head().status, 101 | 200));
            exchange.exactly(4);
        }
        // A stream that is dropped is cancelled.
        std::mem::forget(exchange);
    }
}

every_front!(what_is_cut_has_a_line_each);

fn what_is_cut_has_a_line_each(front: Front) {
    let origin = unfinished();
    for end in ["TERM", "INT", "upgrade"] {
        let text = format!(
            "server: {{ drain: {{ timeout: 200ms, tunnels: 200ms }}, work_stealing: {} }}\nlisteners: ['{{listen}}']\nroutes: [{{ upstream: '{}' }}]\n",
            end == "INT",
            origin.address
        );
        let mut proxy = front.start(&text);
        let mut links = [proxy.link(), proxy.link(), proxy.link(), proxy.link()];
        begin_all(&proxy, &mut links);
        match end {
            "upgrade" => assert_eq!(proxy.order("upgrade").0, 0),
            signal => proxy.signal(signal),
        }
        assert_eq!(ended(&mut proxy.proxy).0.code(), Some(3));
        let mut lines: Vec<_> = proxy
            .access_log(4)
            .iter()
            .map(|line| {
                assert_eq!(
                    (&line["error_source"], &line["client_ip"]),
                    (&"proxy".into(), &"127.0.0.1".into()),
                    "{line}"
                );
                format!("{} {} {} {}", line["path"], line["status"], line["bytes_out"], line["reason"])
            })
            .collect();
        lines.sort();
        // A WebSocket over HTTP/2 begins with 200 for the client; the hooks see the 101 that it stands for.
        let expected = ["/events", "/partial", "/socket", "/stalled"].map(|target| {
            let (status, bytes) = match target {
                "/stalled" => (503, 0),
                "/socket" => (101, 4),
                _ => (200, 4),
            };
            format!("\"{target}\" {status} {bytes} \"proxy_shutdown\"")
        });
        assert_eq!(lines, expected, "{end} over {front:?}: {}", proxy.read("stderr"));
        if end == "upgrade" {
            assert_eq!(proxy.order("stop").0, 0);
        }
    }
}

#[test]
fn what_is_cut_is_logged_where_its_configuration_says() {
    let origin = unfinished();
    let text = |log: &str| {
        format!(
            "log: {{ access: {{ to: '{{folder}}/{log}', format: '{{path}} {{reason}}' }} }}\nlisteners: ['{{listen}}']\nroutes: [{{ upstream: '{}' }}]\n",
            origin.address
        )
    };
    let mut proxy = Proxy::start(&text("a.log"));
    let ask = |log: &str| {
        let mut client = proxy.connect();
        client.send(format!("GET /{log} HTTP/1.1\r\nHost: a\r\n\r\n"));
        await_until("the request is there", || origin.count() > 0 && origin.last().target() == format!("/{log}"));
        client
    };
    let _before = ask("a.log");
    proxy.rewrite(&text("b.log"));
    assert_eq!(proxy.order("reload").0, 0);
    let _after = ask("b.log");
    proxy.signal("INT");
    assert_eq!(ended(&mut proxy).0.code(), Some(3));
    for log in ["a.log", "b.log"] {
        assert_eq!(proxy.read(log), format!("/{log} proxy_shutdown\n"));
    }
}

#[test]
fn a_second_term_or_an_int_ends_now() {
    let origin = slow();
    for second in ["TERM", "INT"] {
        let mut proxy = before(&origin, "{}");
        let mut client = proxy.connect();
        client.send("GET /20000 HTTP/1.1\r\nHost: a\r\n\r\n");
        client.head();
        proxy.signal("TERM");
        await_until("the drain", || proxy.read("stderr").contains("draining: 1 requests"));
        proxy.signal(second);
        let (status, took) = ended(&mut proxy);
        assert_eq!(status.code(), Some(3), "{second}");
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}

#[test]
fn quit_waits_and_reports_and_stop_does_not() {
    let origin = slow();
    let mut proxy = before(&origin, "{}");
    let mut client = proxy.connect();
    client.send("GET /800 HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head();
    let began = Instant::now();
    let (code, text) = proxy.order("quit");
    assert_eq!((code, text.as_str()), (0, "ended; nothing was cut\n"));
    assert!(began.elapsed() > Duration::from_millis(300));
    assert_eq!(client.wire.exactly(10), b"xxxxxxxxxx");
    assert_eq!(ended(&mut proxy).0.code(), Some(0));

    let mut proxy = before(&origin, "{}");
    let mut client = proxy.connect();
    client.send("GET /20000 HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head();
    let (code, text) = proxy.order("stop");
    assert_eq!(code, 1);
    assert!(text.contains("cut: 1 requests"), "{text}");
    assert_eq!(ended(&mut proxy).0.code(), Some(3));
}

#[test]
fn a_half_sent_request_and_an_upload_are_in_flight_too() {
    let origin = Origin::start(|request, wire| {
        let body = wire.body(&request.headers, false);
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}", body.len()));
        true
    });
    let mut proxy = before(&origin, "{}");
    let mut half = proxy.connect();
    half.send("GET / HTTP/1.1\r\nHo");
    let mut upload = proxy.connect();
    upload.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
    await_until("the upload", || origin.count() == 1);
    await_until("both", || proxy.order("status").1.contains("2 requests"));
    proxy.signal("TERM");
    await_until("closed listeners", || TcpStream::connect(proxy.address).is_err());
    upload.send("cd");
    assert_eq!(upload.response().text(), "4");
    half.send("st: a\r\n\r\n");
    assert_eq!(half.response().text(), "0");
    assert_eq!(ended(&mut proxy).0.code(), Some(0));
}
