//! A client's connection: where requests begin and end on it, what is refused
//! before it is one, and what of a response leaves when.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::io::Write;
use std::time::{Duration, Instant};

use support::front::{Front, every_front};
use support::{Client, Origin, Proxy, await_until};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Answers with the target and the body.
fn echo() -> Origin {
    Origin::start(|request, wire| {
        let body = wire.body(&request.headers, false);
        let text = format!("{}:{}", request.target(), String::from_utf8_lossy(&body));
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()));
        true
    })
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = echo();
    let proxy = Proxy::before(origin.address);
    let mut client = proxy.connect();
    let text = "\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n\
                POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\ntwo\
                POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nthree\r\n0\r\nX-T: 1\r\n\r\n\
                GET /4 HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(text);
    for answer in ["/1:", "/2:two", "/3:three", "/4:"] {
        assert_eq!(client.response().text(), answer);
    }
    // Byte by byte the same comes out.
    for byte in text.bytes() {
        client.wire.stream.write_all(&[byte]).unwrap();
    }
    for answer in ["/1:", "/2:two", "/3:three", "/4:"] {
        assert_eq!(client.response().text(), answer);
    }
    let many = 500;
    let padding = "x".repeat(1000);
    let sender = {
        let mut stream = client.wire.stream.try_clone().unwrap();
        std::thread::spawn(move || {
            for i in 0..many {
                write!(stream, "GET /n{i} HTTP/1.1\r\nHost: a\r\nX-P: {padding}\r\n\r\n").unwrap();
            }
        })
    };
    for i in 0..many {
        assert_eq!(client.response().text(), format!("/n{i}:"));
    }
    sender.join().unwrap();
    assert!(proxy.peak_memory() < 64 << 20, "{} bytes", proxy.peak_memory());
}

#[test]
fn the_date_of_a_response_is_the_origins() {
    let origin = Origin::start(|request, wire| {
        wire.send(match request.target() {
            "/old" => {
                "HTTP/1.1 200 OK\r\nA: 1\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nZ: 2\r\nContent-Length: 2\r\n\r\nok"
            }
            "/odd" => "HTTP/1.1 200 OK\r\ndate: yesterday\r\nContent-Length: 2\r\n\r\nok",
            _ => OK,
        });
        true
    });
    let proxy = Proxy::before(origin.address);
    let mut client = proxy.connect();
    let mut date = |target: &str| {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let response = client.response();
        assert_eq!(response.text(), "ok");
        let all: Vec<String> = response.all("date").iter().map(|&date| date.to_owned()).collect();
        assert_eq!(all.len(), 1);
        all[0].clone()
    };
    assert_eq!(date("/old"), "Mon, 01 Jan 2024 00:00:00 GMT");
    assert_eq!(date("/odd"), "yesterday");
    // RFC 9110 section 6.6.1: who receives a response without one adds it.
    assert!(date("/none").ends_with(" GMT"));
}

#[test]
fn what_is_no_request_is_told_why_and_logged() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::before(origin.address);
    let cases = [
        ("GET / HTTP/1.1\nHost: a\n\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\n\r\n", 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        ("\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\r\n\r\n", 400),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
    ];
    for (request, status) in cases {
        let mut client = proxy.connect();
        client.send(request);
        let response = client.response();
        assert_eq!(response.status, status, "{request:?}");
        assert_eq!(response.header("server"), None);
        let proxy_status = response.header("proxy-status").unwrap();
        assert!(proxy_status.contains("http_request_error"), "{request:?}");
        let reason = response.text().lines().find_map(|line| Some(line.strip_prefix("reason: ")?.to_owned())).unwrap();
        assert!(proxy_status.contains(&format!("details=\"{reason}: ")), "{request:?}: {proxy_status}");
        assert_eq!(response.header("connection"), Some("close"));
        assert!(response.header("date").is_some_and(|date| date.ends_with(" GMT")));
        assert!(client.wire.is_closed(), "{request:?}");
    }
    let json = proxy.ask("GET /a#b HTTP/1.1\r\nHost: a\r\nACCEPT: application/json\r\n\r\n");
    let json: serde_json::Value = serde_json::from_str(&json.text()).unwrap();
    let log = proxy.access_log(cases.len() + 1);
    // Each is logged when its connection has ended, which takes longer for some.
    let last = log.iter().find(|line| line["request_id"] == json["request_id"]).expect("the request is not logged");
    assert_eq!((&last["path"], &last["host"], &last["status"]), (&"/a#b".into(), &"a".into(), &400.into()));
    assert_eq!((&last["error"], &last["reason"]), (&json["message"], &json["reason"]));
    assert!(log.iter().all(|line| line["error_source"] == "client"));
    assert_eq!(origin.count(), 0);
}

#[test]
fn heads_are_bounded_in_size_and_time() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nlimits: {{ request_line: 300B, request_headers: 2KiB, request_header_count: 5 }}\n\
         timeouts: {{ request_header: 400ms, keepalive: 300ms }}\nroutes: [{{ upstream: '{}' }}]\n",
        origin.address
    ));
    let long = |n: usize| "x".repeat(n);
    assert_eq!(proxy.get(&format!("/{}", long(200))).status, 200);
    assert_eq!(proxy.get(&format!("/{}", long(400))).status, 414);
    let with = |fields: String| proxy.ask(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).status;
    assert_eq!(with(format!("X: {}\r\n", long(1000))), 200);
    assert_eq!(with(format!("X: {}\r\n", long(2100))), 431);
    assert_eq!(with("X: 1\r\n".repeat(4)), 200);
    assert_eq!(with("X: 1\r\n".repeat(5)), 431);

    // Byte by byte does not help: the deadline is a total.
    let mut slow = proxy.connect();
    let began = Instant::now();
    let mut head = "GET / HTTP/1.1\r\nHost: a\r\n".bytes().cycle();
    slow.wire.stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let answer = loop {
        assert!(began.elapsed() < Duration::from_secs(5), "no deadline");
        if slow.wire.stream.write_all(&[head.next().unwrap()]).is_err() {
            break String::new();
        }
        let mut bytes = [0; 1024];
        if let Ok(read) = std::io::Read::read(&mut slow.wire.stream, &mut bytes) {
            break String::from_utf8_lossy(&bytes[..read]).into_owned();
        }
    };
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(began.elapsed() > Duration::from_millis(350));

    // One that never speaks, and one that has nothing more to say, end without a word.
    assert!(proxy.connect().wire.is_closed());
    let mut idle = proxy.connect();
    idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(idle.response().status, 200);
    assert!(idle.wire.is_closed());
}

#[test]
fn a_body_that_is_not_chunked_as_it_says_is_refused() {
    let origin = Origin::start(|request, wire| {
        if request.target() == "/ok" {
            let body = wire.body(&request.headers, false);
            wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
            wire.send(body);
            return true;
        }
        // Never a whole body.
        assert!(!String::from_utf8_lossy(&wire.until_end()).ends_with("\r\n0\r\n\r\n"));
        false
    });
    let proxy = Proxy::before(origin.address);
    for body in ["3\nabc", "+3\r\nabc\r\n", "3 \r\nabc\r\n", "3\r\nabcd\r\n", "3\r\nabc\r\n0\r\nA\nB\r\n\r\n", "\r\n"] {
        let mut client = proxy.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n{body}"));
        let response = client.response();
        assert_eq!(response.status, 400, "{body:?}");
        assert!(response.text().contains("not chunked as it says"), "{}", response.text());
        assert!(client.wire.is_closed());
    }
    let fine = "3;a=\"b\"\r\nabc\r\n0\r\nContent-Length: 9\r\nHost: evil\r\n\r\n";
    let response = proxy.ask(format!("POST /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{fine}"));
    assert_eq!(response.text(), "abc");
    assert_eq!(origin.last().header("host"), Some("a"));
}

/// Pingora's parser refuses these bytes, and curl sends them as they are typed.
#[test]
fn bytes_that_pingora_cannot_carry_are_escaped() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::before(origin.address);
    assert_eq!(proxy.get("/s<1>^`?q={\"a\":\"<b>\"}|^").status, 200);
    assert_eq!(origin.last().target(), "/s%3C1%3E^%60?q={%22a%22:%22%3Cb%3E%22}|^");
}

every_front!(what_there_was_of_a_broken_response_arrives);

/// However soon the server closes behind it.
fn what_there_was_of_a_broken_response_arrives(front: Front) {
    let origin = Origin::start(|request, wire| {
        wire.send(match request.target() {
            "/sized" => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
            _ => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        });
        false
    });
    let proxy = front.before(origin.address);
    for target in ["/sized", "/chunked"] {
        for round in 0..50 {
            let answer = proxy.get(target);
            assert_eq!((answer.status, answer.body.as_slice(), answer.is_whole), (200, &b"half"[..], false), "{round}");
        }
    }
}

#[test]
fn a_client_that_leaves_while_it_waits_is_noticed() {
    let origin = Origin::start(|_, wire| {
        // Ends when the proxy gives up the request.
        wire.until_end();
        false
    });
    let proxy = Proxy::before(origin.address);
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    await_until("the request", || origin.count() == 1);
    drop(client);
    assert_eq!(proxy.access_log(1)[0]["status"], 499);
    assert_eq!(origin.count(), 1);
}

/// A connection goes on after interim responses, however early they come.
#[test]
fn interim_responses_do_not_end_a_connection() {
    let origin = Origin::start(|request, wire| {
        wire.send(match request.header("expect") {
            Some(_) => "HTTP/1.1 100 Continue\r\n\r\n",
            None => "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        });
        let body = wire.body(&request.headers, false);
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
        wire.send(body);
        true
    });
    let proxy = Proxy::before(origin.address);
    let mut client = proxy.connect();
    for (expect, interim) in [("Expect: 100-continue\r\n", 100), ("", 103)] {
        for body in ["hello", "again"] {
            client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\n{expect}Content-Length: 5\r\n\r\n"));
            assert_eq!(client.head().status, interim);
            client.send(body);
            let response = client.response();
            assert_eq!((response.text().as_str(), response.header("connection")), (body, Some("keep-alive")));
        }
    }
}

/// Whether the connection goes on or ends: a body that nobody read is no request.
#[test]
fn what_is_left_of_a_body_after_an_early_answer_is_no_request() {
    let origin = Origin::start(|request, wire| {
        if request.line.starts_with("GET") {
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext");
            return true;
        }
        wire.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig");
        false
    });
    let proxy = Proxy::before(origin.address);
    let inner = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for (expect, ends) in [("", false), ("Expect: 100-continue\r\n", true)] {
        let mut client = proxy.connect();
        client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\n{expect}Content-Length: {}\r\n\r\n", inner.len()));
        let early = client.response();
        assert_eq!((early.status, early.text().as_str()), (413, "big"));
        assert_eq!(early.header("connection"), Some(if ends { "close" } else { "keep-alive" }));
        if !ends {
            client.send(inner);
            client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(client.response().text(), "next");
        }
    }
    assert!(origin.seen.lock().unwrap().iter().all(|request| request.target() != "/smuggled"));
}

#[test]
fn an_idle_connection_costs_a_few_kilobytes() {
    let origin = Origin::fixed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let proxy = Proxy::before(origin.address);
    let connect = |count: usize| -> Vec<Client> {
        let one = || {
            let mut client = proxy.connect();
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(client.response().status, 200);
            client
        };
        (0..count).map(|_| one()).collect()
    };
    // The first ones fill what all share.
    let _first = connect(200);
    let before = proxy.resident_memory();
    // The allocator takes memory by megabytes, of which each has little part among so many.
    const COUNT: usize = 3_000;
    let _held = connect(COUNT);
    let each = proxy.resident_memory().saturating_sub(before) / COUNT;
    assert!(each < 5 * 1024, "{each} bytes each");
}

/// The proxy reads on for some seconds, so that the client sees its reply; the line does not wait for that.
#[test]
fn a_malformed_request_has_its_line_while_its_client_stays() {
    let origin = Origin::fixed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let proxy = Proxy::before(origin.address);
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX Y: 1\r\n\r\n");
    assert_eq!(client.response().status, 400);
    let line = proxy.access_log(1).remove(0);
    assert_eq!((&line["status"], &line["reason"]), (&400.into(), &"request_invalid".into()));
    assert!(line["duration_ms"].as_f64().unwrap() < 4000.0, "{line}");
    drop(client);
}
