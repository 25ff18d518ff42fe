//! A request and its response on a client's connection that ends, stalls or sends more than
//! was asked for meanwhile.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use support::{Origin, Proxy};

/// A FIN ends one direction only.
#[test]
fn a_client_that_closed_its_direction_gets_its_answers() {
    let origin = Origin::start(|request, wire| {
        let body = wire.body(&request.headers, false);
        for piece in ["", "te", "xt"] {
            std::thread::park_timeout(Duration::from_millis(200));
            wire.send(match piece {
                "" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
                piece => format!("2\r\n{piece}\r\n"),
            });
        }
        wire.send(format!("{:x}\r\n{}\r\n0\r\n\r\n", body.len(), String::from_utf8(body).unwrap()));
        true
    });
    let proxy = Proxy::before(origin.address);
    let mut client = proxy.connect();
    client.send("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none");
    client.send("POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\ntwo");
    client.wire.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.response().text(), "textone");
    assert_eq!(client.response().text(), "texttwo");
    assert!(client.wire.is_closed());
    for line in proxy.access_log(2) {
        assert_eq!((&line["status"], &line["error"]), (&200.into(), &serde_json::Value::Null), "{line}");
    }
}

/// Closing a connection on which something has arrived destroys what is on its way back.
#[test]
fn an_answer_is_not_destroyed_by_what_the_client_still_sends() {
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nroutes: [{{ match: {{ path: / }}, respond: {{ status: 403, body: '{}' }} }}]\n",
        "x".repeat(50_000)
    ));
    for _ in 0..20 {
        let mut client = proxy.connect();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 200000\r\n\r\n");
        client.wire.stream.write_all(&[b'y'; 200_000]).unwrap();
        client.send("GET /more HTTP/1.1\r\nHost: a\r\n\r\n");
        let response = client.response();
        assert_eq!((response.status, response.body.len()), (403, 50_000));
        assert!(client.wire.is_closed());
    }
    let origin = Origin::start(|_, wire| {
        wire.until_end();
        false
    });
    let proxy = Proxy::before(origin.address);
    for _ in 0..20 {
        let mut client = proxy.connect();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n");
        client.wire.stream.write_all(&[b'y'; 200_000]).unwrap();
        assert_eq!(client.response().status, 400);
        assert!(client.wire.is_closed());
    }
}

/// Nor by what it had begun to send before it knew that the connection ends.
#[test]
fn an_answer_is_not_destroyed_by_a_request_that_comes_too_late() {
    let origin = Origin::start(|request, wire| {
        wire.body(&request.headers, false);
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n{}", "x".repeat(200_000)));
        true
    });
    let proxy = Proxy::before(origin.address);
    for _ in 0..5 {
        let mut client = proxy.connect();
        client.send(format!("POST / HTTP/1.0\r\nContent-Length: 20000\r\n\r\n{}GET /l", "y".repeat(20_000)));
        std::thread::park_timeout(Duration::from_millis(100));
        client.send("ate HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().body.len(), 200_000);
        assert!(client.wire.is_closed());
    }
}

/// The head of a response and what is there of its body leave together.
#[test]
fn a_small_response_arrives_in_one_piece() {
    let origin = Origin::fixed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    let proxy = Proxy::before(origin.address);
    let mut stream = TcpStream::connect(proxy.address).unwrap();
    let mut whole = 0;
    for _ in 0..20 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut read = [0; 4096];
        let mut length = stream.read(&mut read).unwrap();
        whole += u32::from(read[..length].ends_with(b"hello"));
        while !read[..length].ends_with(b"hello") {
            length += stream.read(&mut read[length..]).unwrap();
        }
    }
    // The origin's may come in two, of which the first is handed on at once.
    assert!(whole >= 15, "{whole} of 20");
}
