//! Servers that are told of the client by the PROXY protocol.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use support::{Proxy, await_until};

/// A server that notes what each connection begins with, and answers with it.
struct Told {
    address: SocketAddr,
    headers: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Told {
    fn start(read_header: fn(&mut BufReader<TcpStream>) -> Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let headers: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let seen = Arc::clone(&headers);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || {
                    stream.set_read_timeout(Some(support::DEADLINE)).unwrap();
                    let mut reader = BufReader::new(stream);
                    let header = read_header(&mut reader);
                    seen.lock().unwrap().push(header);
                    let mut line = String::new();
                    while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
                        if line == "\r\n" {
                            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                            reader.get_mut().write_all(answer.as_bytes()).unwrap();
                        }
                        line.clear();
                    }
                });
            }
        });
        Self { address, headers }
    }

    fn seen(&self) -> Vec<Vec<u8>> {
        self.headers.lock().unwrap().clone()
    }

    fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|line| String::from_utf8(line).unwrap()).collect()
    }
}

fn line(reader: &mut BufReader<TcpStream>) -> Vec<u8> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).unwrap();
    line
}

fn binary(reader: &mut BufReader<TcpStream>) -> Vec<u8> {
    let mut header = vec![0; 16];
    reader.read_exact(&mut header).unwrap();
    let length = usize::from(u16::from_be_bytes([header[14], header[15]]));
    header.resize(16 + length, 0);
    reader.read_exact(&mut header[16..]).unwrap();
    header
}

fn proxy(told: &Told, rest: &str) -> Proxy {
    Proxy::start(&format!(
        "server: {{ threads: 1 }}\nlisteners: ['{{listen}}']\ntrusted_proxies: [127.0.0.3]\nupstreams:\n  \
         api: {{ servers: ['{}'], {rest} }}\nroutes: [{{ upstream: api }}]\n",
        told.address
    ))
}

#[test]
fn each_client_has_connections_of_its_own_that_name_it() {
    let told = Told::start(line);
    let proxy = proxy(&told, "proxy_protocol: v1");
    let mut clients = [proxy.connect(), proxy.connect()];
    let ends: Vec<SocketAddr> = clients.iter().map(|client| client.wire.stream.local_addr().unwrap()).collect();
    for _ in 0..3 {
        for client in &mut clients {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(client.response().status, 200);
        }
    }
    let name = |end: &SocketAddr| format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n", end.port(), proxy.address.port());
    assert_eq!(told.lines(), ends.iter().map(name).collect::<Vec<_>>());
}

#[test]
fn the_binary_header_names_the_client_that_a_trusted_proxy_tells_of() {
    let told = Told::start(binary);
    let proxy = proxy(&told, "proxy_protocol: v2");
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 3], 0)).into()).unwrap();
    socket.connect(&proxy.address.into()).unwrap();
    let mut client = support::Client::over(socket.into());
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n");
    assert_eq!(client.response().status, 200);
    let port = proxy.address.port().to_be_bytes();
    let expected =
        [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\x7f\x00\x00\x01\x00\x00", &port[..]].concat();
    assert_eq!(told.seen(), [expected]);
}

#[test]
fn a_health_check_is_the_proxys_own() {
    let told = Told::start(line);
    let _first = proxy(&told, "proxy_protocol: v1, health: { active: { path: /ok, interval: 100ms } }");
    await_until("a check", || told.lines().contains(&"PROXY UNKNOWN\r\n".to_owned()));
    let told = Told::start(binary);
    let _second = proxy(&told, "proxy_protocol: v2, health: { active: { tcp: true, interval: 100ms } }");
    await_until("a check", || !told.seen().is_empty());
    assert_eq!(told.seen()[0], b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00");
}

#[test]
fn the_header_comes_before_tls() {
    let told = Told::start(|reader| {
        let mut seen = line(reader);
        let mut record = [0];
        reader.read_exact(&mut record).unwrap();
        seen.push(record[0]);
        seen
    });
    let proxy = proxy(&told, "proxy_protocol: v1, tls: { sni: a.test, verify: false }");
    assert_eq!(proxy.get("/").status, 502);
    let seen = told.seen().remove(0);
    // A record of a TLS handshake.
    assert!(seen.starts_with(b"PROXY TCP4 127.0.0.1 ") && seen.ends_with(b"\r\n\x16"), "{seen:?}");
}
