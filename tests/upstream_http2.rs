//! HTTP/2 towards servers: what they are sent, what becomes of their answers, and how few
//! connections they get.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::http2::{Http2Origin, Rules, tls};
use support::{Client, Origin, Proxy, Response, await_until};

fn proxy_to(origin: &Http2Origin, rest: &str) -> Proxy {
    Proxy::start(&format!(
        "server: {{ threads: 1 }}\nlisteners: ['{{listen}}']\nupstreams:\n  \
         api: {{ servers: ['{}'], protocol: h2c{rest} }}\nroutes: [{{ upstream: api }}]\n",
        origin.address
    ))
}

fn start(rules: Rules) -> (Http2Origin, Proxy) {
    let origin = Http2Origin::start(rules);
    let proxy = proxy_to(&origin, "");
    (origin, proxy)
}

fn post(proxy: &Proxy, target: &str, body: &str) -> Response {
    proxy.ask(format!("POST {target} HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

fn error_of(response: &Response) -> String {
    let status = response.header("proxy-status").unwrap_or("none").to_owned();
    status.split("error=").nth(1).unwrap_or(&status).split(';').next().unwrap().to_owned()
}

#[test]
fn a_request_is_sent_as_http_2_has_it() {
    let (origin, proxy) = start(Rules::default());
    let answer = proxy.ask(
        "POST /a?b=c HTTP/1.1\r\nHost: a.test:8080\r\nConnection: TE, x-hop, keep-alive\r\nTE: trailers\r\nX-Hop: 1\r\n\
         Cookie: a=1; b=2\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    );
    assert_eq!((answer.status, answer.text().as_str()), (200, "3 bytes"));
    let seen = origin.seen.lock().unwrap()[0].clone();
    assert_eq!((seen.method.as_str(), seen.uri.as_str()), ("POST", "http://a.test:8080/a?b=c"));
    let value = |name: &str| seen.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!((value("te"), value("cookie")), (Some("trailers".into()), Some("a=1; b=2".into())));
    for gone in ["host", "connection", "x-hop", "transfer-encoding", "keep-alive"] {
        assert_eq!(value(gone), None, "{gone}");
    }
}

#[test]
fn requests_share_a_connection() {
    let (origin, proxy) = start(Rules::default());
    let mut clients: Vec<Client> = (0..20).map(|_| proxy.connect()).collect();
    clients.iter_mut().for_each(|client| client.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"));
    await_until("the requests", || origin.paths().len() == 20);
    assert_eq!(origin.connections(), 1);
    origin.release.send_replace(true);
    clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
    assert_eq!((proxy.get("/x").status, origin.connections()), (200, 1));
    let log = proxy.access_log(21);
    assert_eq!(log.iter().filter(|line| line["reused"] == false).count(), 1, "{log:?}");
}

#[test]
fn no_connection_gets_more_requests_than_its_server_allows() {
    let (origin, proxy) = start(Rules { max_streams: Some(2), ..Rules::default() });
    let mut clients: Vec<Client> = (0..6).map(|_| proxy.connect()).collect();
    clients.iter_mut().for_each(|client| client.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"));
    await_until("the requests", || origin.paths().len() == 6);
    assert_eq!(origin.connections(), 3);
    origin.release.send_replace(true);
    clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
}

#[test]
fn bodies_go_both_ways_at_once() {
    let (_origin, proxy) = start(Rules::default());
    let mut client = proxy.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(client.head().status, 200);
    for text in ["one", "two", "three"] {
        client.send(format!("{:x}\r\n{text}\r\n", text.len()));
        assert_eq!(client.wire.line(), format!("{:x}", text.len()));
        assert_eq!(client.wire.exactly(text.len() + 2), format!("{text}\r\n").as_bytes());
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.wire.line(), "0");
    // One that is larger than every window on its way.
    let large = vec![b'x'; 8 << 20];
    let mut client = proxy.connect();
    client.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", large.len()));
    let mut writer = support::Wire::new(client.wire.stream.try_clone().unwrap());
    let body = large.clone();
    let sending = std::thread::spawn(move || writer.send(body));
    assert!(client.response().body == large);
    sending.join().unwrap();
}

#[test]
fn what_a_server_has_not_looked_at_is_sent_again_whatever_it_is() {
    let (origin, proxy) = start(Rules { turned_away: 1, ..Rules::default() });
    // By GOAWAY, then by REFUSED_STREAM.
    assert_eq!(post(&proxy, "/a", "abc").text(), "3 bytes");
    assert_eq!((origin.paths(), origin.connections()), (vec!["http://a.test/a".to_owned()], 2));
    assert_eq!(post(&proxy, "/refused-once", "abc").text(), "3 bytes");
    assert_eq!((origin.paths().len(), origin.connections()), (3, 2));
    let once = proxy_to(&origin, ", retry: { attempts: 1 }");
    let refused = post(&once, "/refused-once?other", "abc");
    assert_eq!((refused.status, error_of(&refused).as_str()), (503, "connection_limit_reached"));
}

#[test]
fn what_a_server_gave_up_is_sent_again_only_where_that_does_no_harm() {
    let (origin, proxy) = start(Rules::default());
    assert_eq!(proxy.get("/reset-once").text(), "0 bytes");
    let reset = post(&proxy, "/reset-once?post", "abc");
    assert_eq!((reset.status, error_of(&reset).as_str()), (502, "connection_terminated"));
    assert!(reset.text().contains("reset the request"), "{}", reset.text());
    // The stream was reset, not the connection.
    assert_eq!((origin.paths().len(), origin.connections()), (3, 1));
}

#[test]
fn a_response_that_breaks_off_is_seen_to() {
    let (_origin, proxy) = start(Rules::default());
    for path in ["/reset-in-body", "/short"] {
        let mut client = proxy.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(client.head().header("content-length"), Some("10"));
        assert!(client.wire.until_end().len() < 10, "{path}");
    }
    // A server that wants no more of a request has not said by that that its response is whole.
    let mut client = proxy.connect();
    client.send("GET /reset-unknown-length HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().header("transfer-encoding"), Some("chunked"));
    assert_eq!(client.wire.until_end(), b"4\r\npart\r\n");
    // The connection goes on.
    assert_eq!(proxy.get("/x").status, 200);
}

#[test]
fn interim_responses_trailers_and_early_answers_arrive() {
    let (origin, proxy) = start(Rules::default());
    let mut client = proxy.connect();
    client.send("GET /interim HTTP/1.1\r\nHost: a\r\n\r\n");
    let hint = client.head();
    assert_eq!((hint.status, hint.header("link")), (103, Some("</a>")));
    assert_eq!(client.response().status, 204);
    client.send("GET /trailers HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "hi");
    assert_eq!(client.wire.trailers, [("X-Sum".to_owned(), "1".to_owned())]);
    client.send("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
    let early = client.response();
    assert_eq!((early.status, early.text().as_str()), (413, "too much"));
    // The server's last frame and its reset come together, and nothing says how long the answer is.
    for _ in 0..20 {
        let mut client = proxy.connect();
        client.send("POST /early-unknown-length HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
        assert_eq!(client.head().status, 413);
        assert_eq!(client.wire.chunked(), b"too much");
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_hostile_answer_is_refused_with_its_reason() {
    let (origin, proxy) = start(Rules::default());
    for (path, error) in [
        ("/interim-flood", "http_protocol_error"),
        ("/large-head", "http_response_header_section_size"),
        ("/lengths", "http_protocol_error"),
    ] {
        let mut client = proxy.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let mut answer = client.response();
        while answer.status == 103 {
            answer = client.response();
        }
        assert_eq!((answer.status, error_of(&answer).as_str()), (502, error), "{path}");
    }
    assert_eq!((proxy.get("/x").status, origin.connections()), (200, 1));
}

const WEBSOCKET: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[test]
fn a_websocket_is_a_stream_of_a_server_that_takes_some() {
    let (origin, proxy) = start(Rules { extended_connect: true, ..Rules::default() });
    let mut client = proxy.connect();
    client.send(WEBSOCKET);
    let switched = client.head();
    assert_eq!((switched.status, switched.header("upgrade")), (101, Some("websocket")));
    assert_eq!(switched.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    for text in ["ping", "pong"] {
        client.send(text);
        assert_eq!(client.wire.exactly(4), text.as_bytes());
    }
    assert_eq!(proxy.get("/x").status, 200);
    client.wire.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(client.wire.is_closed());
    assert_eq!(origin.connections(), 1);
    let seen = origin.seen.lock().unwrap()[0].clone();
    assert_eq!((seen.method.as_str(), seen.uri.as_str()), ("CONNECT", "http://a/chat"));
    assert!(!seen.headers.contains_key("sec-websocket-key") && !seen.headers.contains_key("upgrade"));

    let (_origin, proxy) = start(Rules::default());
    let refused = proxy.ask(WEBSOCKET);
    assert_eq!((refused.status, error_of(&refused).as_str()), (502, "http_upgrade_failed"));
    assert_eq!(proxy.get("/x").status, 200);
}

/// A server that answers HTTP/1 over TLS with the line and the fields that it saw.
fn http1_over_tls(config: Arc<rustls::ServerConfig>) -> (std::net::SocketAddr, Arc<Mutex<String>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen: Arc<Mutex<String>> = Arc::default();
    let log = Arc::clone(&seen);
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for stream in listener.incoming().flatten() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream);
            stream.sock.set_read_timeout(Some(support::DEADLINE)).unwrap();
            let mut piece = [0; 4096];
            if let Ok(read @ 1..) = stream.read(&mut piece) {
                *log.lock().unwrap() = String::from_utf8_lossy(&piece[..read]).into_owned();
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nold\n").unwrap();
            }
        }
    });
    (address, seen)
}

#[test]
fn tls_selects_the_protocol() {
    let new = Http2Origin::start(Rules { tls: Some(tls(&[b"h2", b"http/1.1"])), ..Rules::default() });
    let (old, seen) = http1_over_tls(tls(&[b"http/1.1"]));
    let (silent, _) = http1_over_tls(tls(&[]));
    let upstream = |name: &str, address: std::net::SocketAddr, protocol: &str| {
        format!(
            "  {name}: {{ servers: ['{address}'], protocol: {protocol}, tls: {{ sni: app.test, verify: false }}, \
             health: {{ passive: 'off' }} }}\n"
        )
    };
    let upstreams = [
        ("new", new.address, "http2"),
        ("either", new.address, "auto"),
        ("old", old, "auto"),
        ("wrong", old, "http2"),
        ("silent", silent, "http2"),
    ];
    let text: String = upstreams.iter().map(|(name, address, protocol)| upstream(name, *address, protocol)).collect();
    let routes: String = upstreams
        .iter()
        .map(|(name, ..)| format!("  - {{ match: {{ path: /{name} }}, upstream: {name} }}\n"))
        .collect();
    let proxy = Proxy::start(&format!(
        "server: {{ threads: 1 }}\nlisteners: ['{{listen}}']\nupstreams:\n{text}routes:\n{routes}"
    ));
    for name in ["new", "either", "either", "new"] {
        assert_eq!(proxy.get(&format!("/{name}")).text(), "0 bytes");
    }
    assert_eq!(new.connections(), 2);
    assert!(new.paths().iter().all(|uri| uri.starts_with("https://a.test/")), "{:?}", new.paths());
    let answer = proxy.ask("GET /old HTTP/1.1\r\nHost: a\r\nConnection: TE\r\nTE: trailers\r\n\r\n");
    assert_eq!(answer.text(), "old\n");
    let head = seen.lock().unwrap().to_lowercase();
    assert!(
        head.starts_with("get /old http/1.1\r\n") && head.contains("\r\nte: trailers\r\nconnection: te\r\n"),
        "{head}"
    );
    for name in ["wrong", "silent"] {
        let refused = proxy.get(&format!("/{name}"));
        assert_eq!((refused.status, error_of(&refused).as_str()), (502, "tls_protocol_error"), "{name}");
        assert!(refused.text().contains("did not select `h2`"), "{name}: {}", refused.text());
    }
    // A server that may choose is asked for HTTP/1 where a tunnel is wanted.
    let mut client = proxy.connect();
    client.send(WEBSOCKET.replace("/chat", "/old"));
    assert_eq!(client.response().status, 200);
    assert!(seen.lock().unwrap().to_lowercase().contains("\r\nupgrade: websocket\r\n"));
}

#[test]
fn a_connection_that_nobody_needs_is_closed() {
    let origin = Http2Origin::start(Rules::default());
    let proxy = proxy_to(&origin, ", timeouts: { pool_idle: 300ms }");
    assert_eq!(proxy.get("/x").status, 200);
    await_until("the end of the connection", || origin.open.load(Ordering::SeqCst) == 0);
    assert_eq!((proxy.get("/x").status, origin.connections()), (200, 2));
    // One for each request.
    let single = proxy_to(&origin, ", pool: { max_idle: 0 }");
    assert_eq!((single.get("/x").status, single.get("/x").status, origin.connections()), (200, 200, 4));
    await_until("the end of the connections", || origin.open.load(Ordering::SeqCst) == 0);
}

#[test]
fn a_silent_server_costs_its_own_requests_only() {
    let origin = Http2Origin::start(Rules::default());
    let proxy = proxy_to(&origin, ", timeouts: { response_header: 500ms }");
    let mut waiting = proxy.connect();
    let began = Instant::now();
    waiting.send("GET /silent HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(proxy.get("/x").text(), "0 bytes");
    let late = waiting.response();
    assert_eq!((late.status, error_of(&late).as_str()), (504, "http_response_timeout"));
    assert!(began.elapsed() >= Duration::from_millis(500));
    assert_eq!((proxy.get("/x").status, origin.connections()), (200, 1));
}

/// The connection carries the requests of one client only.
#[test]
fn connections_that_name_a_client_are_not_shared() {
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let lines = Arc::clone(&told);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((mut stream, _)) = listener.accept().await {
                use tokio::io::AsyncReadExt;
                let mut line = Vec::new();
                while !line.ends_with(b"\r\n") {
                    line.push(stream.read_u8().await.unwrap());
                }
                lines.lock().unwrap().push(String::from_utf8(line).unwrap());
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake(stream).await.unwrap();
                    while let Some(Ok((_, mut respond))) = connection.accept().await {
                        respond.send_response(http::Response::new(()), true).unwrap();
                    }
                });
            }
        });
    });
    let proxy = Proxy::start(&format!(
        "server: {{ threads: 1 }}\nlisteners: ['{{listen}}']\nupstreams:\n  \
         api: {{ servers: ['{address}'], protocol: h2c, proxy_protocol: v1 }}\nroutes: [{{ upstream: api }}]\n"
    ));
    let mut clients = [proxy.connect(), proxy.connect()];
    for _ in 0..3 {
        for client in &mut clients {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(client.response().status, 200);
        }
    }
    let ports = clients.map(|client| client.wire.stream.local_addr().unwrap().port().to_string());
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 2);
    assert!(told.iter().zip(&ports).all(|(line, port)| line.split(' ').nth(4) == Some(port)), "{told:?} {ports:?}");
}

#[test]
fn checks_and_copies_speak_it_too() {
    let (origin, plain) =
        (Http2Origin::start(Rules::default()), Origin::fixed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    let proxy = Proxy::start(&format!(
        "server: {{ threads: 1 }}\nlisteners: ['{{listen}}']\nupstreams:\n  \
         shadow: {{ servers: ['{}'], protocol: h2c, health: {{ active: {{ path: /ok, interval: 100ms }} }} }}\n  \
         main: {{ servers: ['{}'] }}\nroutes: [{{ upstream: main, mirror: {{ upstream: shadow, share: 100% }} }}]\n",
        origin.address, plain.address
    ));
    await_until("checks", || origin.paths().iter().filter(|uri| uri.ends_with("/ok")).count() >= 2);
    assert!(!proxy.read("stderr").contains("is down"), "{}", proxy.read("stderr"));
    assert_eq!(post(&proxy, "/copied", "abc").status, 200);
    await_until("the copy", || origin.paths().iter().any(|uri| uri.ends_with("/copied")));
}

#[test]
fn grpc_says_itself_how_it_is() {
    let rules = Rules::default();
    let status = Arc::clone(&rules.grpc_status);
    status.store(1, Ordering::SeqCst);
    let origin = Http2Origin::start(rules);
    let proxy = proxy_to(
        &origin,
        ", health: { active: { grpc: shop.Orders, interval: 100ms, unhealthy_after: 1, healthy_after: 1 } }",
    );
    await_until("a check", || !origin.paths().is_empty());
    assert_eq!(proxy.get("/x").status, 200);
    for (said, reason) in [(2, "NOT_SERVING"), (0, "UNKNOWN"), (100, "has no health checks")] {
        status.store(said, Ordering::SeqCst);
        await_until("the bad check", || proxy.get("/x").status == 503 && proxy.read("stderr").contains(reason));
        status.store(1, Ordering::SeqCst);
        await_until("the good check", || proxy.get("/x").status == 200);
    }
    let seen = origin.seen.lock().unwrap()[0].clone();
    assert_eq!((seen.method.as_str(), seen.headers["content-type"].as_bytes()), ("POST", &b"application/grpc"[..]));
    assert_eq!(seen.headers["te"], "trailers");
}
