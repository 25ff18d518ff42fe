//! The PROXY protocol in front: who is believed, and what is refused.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use support::tls::{Authority, TlsClient};
use support::{Folder, Origin, Proxy, await_until};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
const V1: &str = "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";

fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, addresses].concat()
}

/// Answers with the client that it was told of.
fn told() -> Origin {
    Origin::start(|request, wire| {
        let client = request.header("x-forwarded-for").unwrap_or("nobody").to_owned();
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{client}", client.len()));
        true
    })
}

/// `listener`: what stands beside the address.
fn start(origin: &Origin, listener: &str, more: &str) -> Proxy {
    Proxy::start(&format!(
        "listeners: [{{ address: '{{listen}}', {listener} }}]\nroutes: [{{ upstream: '{}' }}]\n{more}",
        origin.address
    ))
}

/// What comes back for these bytes, sent in pieces; nothing where the connection is closed.
fn exchange(address: SocketAddr, pieces: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(support::DEADLINE)).unwrap();
    for piece in pieces {
        if stream.write_all(piece).is_err() {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap_or_default();
    String::from_utf8_lossy(&answer).into_owned()
}

fn client_of(answer: &str) -> &str {
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    answer.split("\r\n\r\n").nth(1).unwrap()
}

#[test]
fn a_load_balancer_that_is_listed_says_who_the_client_is() {
    let origin = told();
    let proxy = start(&origin, "proxy_protocol: { from: [127.0.0.0/8] }", "");
    let ipv4 = [192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb];
    let ipv6 = [&[0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[7], &[0; 16], &[0, 80, 1, 0xbb]].concat();
    // A certificate's name and the like stand in extensions.
    let extended = [&ipv4[..], &[0x02, 0, 4], b"name", &[0x04, 0, 1, 0]].concat();
    for (header, client) in [
        (V1.as_bytes().to_vec(), "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n".to_vec(), "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (v2(0x21, 0x11, &ipv4), "192.0.2.7"),
        (v2(0x21, 0x21, &ipv6), "2001:db8::7"),
        (v2(0x21, 0x11, &extended), "192.0.2.7"),
        (v2(0x21, 0x31, &[0; 216]), "127.0.0.1"),
        (v2(0x20, 0x00, &[]), "127.0.0.1"),
    ] {
        let request = [&header[..], REQUEST.as_bytes()].concat();
        assert_eq!(client_of(&exchange(proxy.address, &[&request])), client, "{header:?}");
        let bytes: Vec<&[u8]> = request.chunks(1).collect();
        assert_eq!(client_of(&exchange(proxy.address, &bytes)), client, "byte by byte: {header:?}");
    }
    let logged = proxy.access_log(16);
    assert_eq!((&logged[0]["client_ip"], &logged[0]["remote_ip"]), (&"192.0.2.7".into(), &"192.0.2.7".into()));
}

#[test]
fn a_connection_of_a_load_balancer_without_a_header_is_closed() {
    let origin = told();
    let proxy = start(&origin, "proxy_protocol: { from: [127.0.0.0/8] }", "timeouts: { request_header: 1s }\n");
    let long = [&b"PROXY UNKNOWN "[..], &[b'x'; 200], b"\r\n"].concat();
    for header in [
        &b""[..],
        b"PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\n",
        b"PROXY TCP6 192.0.2.7 198.51.100.1 56324 443\r\n",
        b" PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n",
        &long,
        &v2(0x31, 0x11, &[0; 12]),
        &v2(0x21, 0x11, &[0; 11]),
        &v2(0x21, 0x11, &[0; 4097]),
    ] {
        let request = [header, REQUEST.as_bytes()].concat();
        assert_eq!(exchange(proxy.address, &[&request]), "", "{header:?}");
    }
    assert_eq!(origin.count(), 0, "nothing went up");
    let said = proxy.read("stderr");
    assert!(said.contains("WARN") && said.contains("was not let in: there is no PROXY header in front"), "{said}");
    assert_eq!(said.matches("was not let in").count(), 1, "a flood is one line: {said}");
    // A header that does not come to its end.
    let began = Instant::now();
    assert_eq!(exchange(proxy.address, &[b"PROXY TCP4 "]), "");
    let took = began.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(8)).contains(&took), "{took:?}");
}

#[test]
fn who_is_not_listed_is_a_client_like_any_other() {
    let origin = told();
    let proxy = start(&origin, "proxy_protocol: { from: [192.0.2.0/24] }", "");
    assert_eq!(client_of(&exchange(proxy.address, &[REQUEST.as_bytes()])), "127.0.0.1");
    let forged = exchange(proxy.address, &[format!("{V1}{REQUEST}").as_bytes()]);
    assert!(forged.starts_with("HTTP/1.1 400 "), "{forged}");
    let forged = exchange(proxy.address, &[&[&v2(0x21, 0x11, &[0; 12])[..], REQUEST.as_bytes()].concat()]);
    assert!(forged.starts_with("HTTP/1.1 400 "), "{forged}");
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_header_stands_in_front_of_tls() {
    let (authority, files, origin) = (Authority::default(), Folder::new(), told());
    authority.issue(&["a.test"]).write(&files, "a");
    let tls = format!("tls: {{ certificates: [{{ cert: '{0}/a.pem', key: '{0}/a.key' }}] }}", files.0.display());
    let proxy = start(&origin, &format!("{tls}, proxy_protocol: {{ from: ['127.0.0.1'] }}"), "");
    let client = TlsClient::new(&authority);
    for _ in 0..2 {
        let mut stream = TcpStream::connect(proxy.address).unwrap();
        stream.write_all(V1.as_bytes()).unwrap();
        let answer = client.ask_over(stream, "a.test").unwrap();
        assert_eq!(answer.body, "192.0.2.7", "{answer:?}");
    }
    assert!(client.ask(proxy.address, "a.test").is_err(), "TLS without a header");
    // What comes in one piece with the header is read once, and whole.
    assert!(exchange(proxy.address, &[format!("{V1}{REQUEST}").as_bytes()]).contains("this port speaks HTTPS"));
}

#[test]
fn a_unix_socket_takes_a_header_from_every_peer() {
    let origin = told();
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}', {{ address: 'unix:{{folder}}/in.sock', proxy_protocol: {{}} }}]\n\
         routes: [{{ upstream: '{}' }}]\n",
        origin.address
    ));
    let ask = |request: &str| {
        let mut stream = UnixStream::connect(proxy.folder.0.join("in.sock")).unwrap();
        stream.set_read_timeout(Some(support::DEADLINE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap_or_default();
        answer
    };
    assert_eq!(client_of(&ask(&format!("{V1}{REQUEST}"))), "192.0.2.7");
    assert_eq!(ask(REQUEST), "");
    assert_eq!(client_of(&ask(&format!("PROXY UNKNOWN\r\n{REQUEST}"))), "unknown");
}

/// A connection that has begun to speak is served before the process ends.
#[test]
fn a_draining_process_waits_for_what_comes_before_a_request() {
    let origin = told();
    let mut proxy = start(&origin, "proxy_protocol: { from: [127.0.0.0/8] }", "");
    let silent = TcpStream::connect(proxy.address).unwrap();
    let mut half = TcpStream::connect(proxy.address).unwrap();
    half.write_all(&V1.as_bytes()[..9]).unwrap();
    await_until("the connection", || proxy.order("status").1.contains("1 requests, 0 tunnels, 1 idle"));
    proxy.signal("TERM");
    await_until("the end of the listener", || TcpStream::connect(proxy.address).is_err());
    std::thread::park_timeout(Duration::from_millis(300));
    half.write_all(format!("{}{REQUEST}", &V1[9..]).as_bytes()).unwrap();
    half.set_read_timeout(Some(support::DEADLINE)).unwrap();
    let mut answer = String::new();
    half.read_to_string(&mut answer).unwrap();
    assert_eq!(client_of(&answer), "192.0.2.7");
    await_until("the end", || proxy.process.0.try_wait().unwrap().is_some());
    drop(silent);
}
