//! What RFC 9110 and RFC 9112 want of a gateway, in the rarer cases.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use support::{Origin, Proxy};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Answers with the body that it got.
fn echo() -> Origin {
    Origin::start(|request, wire| {
        let body = wire.body(&request.headers, false);
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
        wire.send(body);
        true
    })
}

/// Answers with what `of` says for the target.
fn answering(of: fn(&str) -> Vec<u8>) -> Origin {
    Origin::start(move |request, wire| {
        wire.send(of(request.target()));
        true
    })
}

#[test]
fn a_client_cannot_have_connection_take_what_the_next_hop_relies_on() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::before(origin.address);
    for name in [
        "x-forwarded-for",
        "close, X-Forwarded-Proto",
        "X-Forwarded-Anything",
        "x-real-ip",
        "forwarded",
        "via",
        "cdn-loop",
        "Proxy-Authorization",
        "close\r\nConnection: x-forwarded-host",
    ] {
        let refused = proxy.ask(format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {name}\r\n\r\n"));
        assert_eq!(refused.status, 400, "{name}");
        assert!(refused.text().contains("Connection field names a field that belongs"), "{}", refused.text());
    }
    assert_eq!(origin.count(), 0);
    for name in [", close", "keep-alive,, x-own", "TE", ""] {
        let taken = proxy.ask(format!("GET / HTTP/1.1\r\nHost: a\r\nx-own: 1\r\nConnection: {name}\r\n\r\n"));
        assert_eq!(taken.status, 200, "{name}");
    }
}

/// RFC 9112 section 7.1.1.
#[test]
fn extensions_of_a_chunk_are_extensions_or_refused() {
    let origin = echo();
    let proxy = Proxy::before(origin.address);
    let post = |size: &str| {
        proxy.ask(format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{size}\r\nhello\r\n0\r\n\r\n"
        ))
    };
    for good in ["5", "5;a", "5 ; a = b", "5\t;a=\"x;y\\\"\"", "5;a=1;b"] {
        let response = post(good);
        assert_eq!((response.status, response.text().as_str()), (200, "hello"), "{good}");
    }
    for bad in ["5;", "5;bad[=x", "5; ", "5 ", "5;a=", "5;a=\"x", "5;a b", "5;=b"] {
        let response = post(bad);
        assert_eq!(response.status, 400, "{bad}: {}", response.text());
        assert!(response.text().contains("not chunked as it says"), "{bad}: {}", response.text());
    }
}

#[test]
fn a_trailer_that_is_no_field_is_refused() {
    let origin = echo();
    let proxy = Proxy::before(origin.address);
    let post = |trailer: &str| {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
        proxy.ask(format!("{head}5\r\nhello\r\n0\r\n{trailer}\r\n\r\n")).status
    };
    assert_eq!(post("X-Sum: 1"), 200);
    for bad in ["GET / HTTP/1.1", " X: 1", "X : 1", "X"] {
        assert_eq!(post(bad), 400, "{bad}");
    }
}

/// RFC 9112 section 6.1 and RFC 9110 section 8.6.
#[test]
fn a_response_without_a_body_says_nothing_of_its_length() {
    let origin = answering(|target| {
        match target {
            "/length" => "HTTP/1.1 204 No Content\r\nA: 1\r\nContent-Length: 0\r\nB: 2\r\n\r\n",
            "/chunked" => "HTTP/1.1 204 No Content\r\nA: 1\r\nTransfer-Encoding: chunked\r\nB: 2\r\n\r\n",
            "/interim" => {
                "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\nA: 1\r\n\r\nHTTP/1.1 204 No Content\r\nA: 1\r\nB: 2\r\n\r\n"
            }
            _ => "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nA: 1\r\nB: 2\r\n\r\n",
        }
        .into()
    });
    let proxy = Proxy::before(origin.address);
    let mut client = proxy.connect();
    for _ in 0..2 {
        for target in ["/length", "/chunked", "/interim", "/304"] {
            client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
            let mut response = client.response();
            if response.status == 103 {
                assert_eq!(response.header("content-length"), None);
                response = client.response();
            }
            assert_eq!((response.header("a"), response.header("b")), (Some("1"), Some("2")), "{target}");
            assert_eq!(response.header("transfer-encoding"), None, "{target}");
            // That of the response to which the client is referred (RFC 9110 section 8.6).
            assert_eq!(response.header("content-length"), (target == "/304").then_some("5"), "{target}");
        }
    }
}

#[test]
fn credentials_for_a_proxy_behind_this_one_pass_both_ways() {
    let origin = answering(|_| {
        let answer = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"a\"\r\n\
                      Proxy-Authentication-Info: x=y\r\nContent-Length: 0\r\n\r\n";
        answer.into()
    });
    let proxy = Proxy::before(origin.address);
    let response = proxy.ask("GET / HTTP/1.1\r\nHost: a\r\nProxy-Authorization: Basic eDp5\r\n\r\n");
    assert_eq!((response.status, response.header("proxy-authenticate")), (407, Some("Basic realm=\"a\"")));
    assert_eq!(response.header("proxy-authentication-info"), Some("x=y"));
    assert_eq!(origin.last().header("proxy-authorization"), Some("Basic eDp5"));
}

/// RFC 9112 section 3.2.2.
#[test]
fn a_target_that_names_the_same_host_in_other_letters_is_taken() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nroutes: [{{ match: {{ host: a.test }}, upstream: '{}' }}]\n",
        origin.address
    ));
    for (target, host) in [
        ("http://A.Test/x", "a.test"),
        ("http://a.test:80/x", "a.test"),
        ("http://a.test/x", "A.TEST:80"),
        ("https://a.test/x", "a.test:443"),
        ("HTTP://a.test:/x", "a.test"),
    ] {
        let response = proxy.ask(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(response.status, 200, "{target} {host}: {}", response.text());
        assert_eq!(origin.last().target(), "/x");
    }
    for (target, host) in
        [("http://b.test/x", "a.test"), ("http://a.test:81/x", "a.test"), ("https://a.test/x", "a.test:80")]
    {
        assert_eq!(proxy.ask(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).status, 400, "{target} {host}");
    }
}

#[test]
fn a_transfer_coding_that_is_not_known_is_501() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::before(origin.address);
    let post = |fields: &str| proxy.ask(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n0\r\n\r\n"));
    let refused = post("Transfer-Encoding: gzip, chunked");
    assert_eq!(refused.status, 501);
    assert!(refused.text().contains("a transfer coding other than `chunked`"), "{}", refused.text());
    for fields in [
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: ,chunked",
        "Transfer-Encoding: gzip, chunked\r\nContent-Length: 5",
        "Transfer-Encoding: chunked, chunked",
    ] {
        assert_eq!(post(fields).status, 400, "{fields}");
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn an_answer_that_cannot_be_carried_is_refused_with_its_reason() {
    let origin = answering(|target| {
        match target {
            "/250" => format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{}\r\n", "X: 1\r\n".repeat(250)),
            "/1000" => format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{}\r\n", "X: 1\r\n".repeat(1000)),
            "/1100" => format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{}\r\n", "X: 1\r\n".repeat(1100)),
            "/large" => format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: {}\r\n\r\n", "x".repeat(2 << 20)),
            "/coding" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n".to_owned(),
            _ => "HTTP/1.1 200 OK\r\nTransfer-Encoding: , chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".to_owned(),
        }
        .into_bytes()
    });
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nupstreams: {{ a: {{ servers: ['{}'], health: {{ passive: off }} }} }}\nroutes: [{{ upstream: a }}]\n",
        origin.address
    ));
    assert_eq!(proxy.get("/250").status, 200);
    assert_eq!(proxy.get("/1000").all("x").len(), 1000);
    assert_eq!(proxy.get("/empty").text(), "ok");
    for (target, error, words) in [
        ("/1100", "http_response_header_section_size", "more than 1024 header fields"),
        ("/large", "http_response_header_section_size", "larger than `limits.response_headers`"),
        ("/coding", "http_response_transfer_coding", "a transfer coding other than `chunked`"),
    ] {
        let response = proxy.get(target);
        let status = response.header("proxy-status").unwrap_or_default();
        assert_eq!(response.status, 502, "{target}");
        assert!(status.contains(&format!("error={error}")) && status.contains(words), "{target}: {status}");
    }
}

/// RFC 9110 section 5.6.1.2.
#[test]
fn lists_may_have_empty_elements() {
    let origin = echo();
    let proxy = Proxy::before(origin.address);
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: , 100-continue\r\nContent-Length: 2\r\n\r\nok");
    let mut response = client.response();
    while response.status == 100 {
        response = client.response();
    }
    assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    for expect in [", magic", "100-continue\r\nExpect: magic"] {
        let refused = proxy.ask(format!("GET / HTTP/1.1\r\nHost: a\r\nExpect: {expect}\r\n\r\n"));
        assert_eq!(refused.status, 417, "{expect}");
    }
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: , close ,\r\n\r\n");
    assert_eq!(client.response().status, 200);
    assert!(client.wire.is_closed());
}

#[test]
fn bytes_outside_ascii_pass_in_fields_of_either_side_and_harm_no_status_line() {
    let origin = answering(|_| {
        b"HTTP/1.1 200 Gr\xfc\xdfe\r\nX-Name: \xe9\xff\r\nSet-Cookie: a=\xe9; Path=/; Secure\r\nContent-Length: 2\r\n\r\nok".to_vec()
    });
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nroutes: [{{ request: {{ cookie: {{ remove: [t] }} }}, upstream: '{}' }}]\n",
        origin.address
    ));
    let mut client = proxy.connect();
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Name: \xe9\xff\r\nCookie: t=1; u=\xe9\r\nConnection: close\r\n\r\n");
    let bytes = client.wire.until_end();
    let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(bytes.starts_with(b"HTTP/1.1 200 "), "{}", bytes.escape_ascii());
    assert!(has(b"X-Name: \xe9\xff\r\n") && has(b"a=\xe9;") && has(b"\r\n\r\nok"), "{}", bytes.escape_ascii());
    let seen = origin.last();
    assert_eq!(seen.header("x-name"), Some("\u{fffd}\u{fffd}"));
    assert_eq!(seen.header("cookie"), Some("u=\u{fffd}"));
}

/// RFC 9112 section 4: a reason may have bytes outside ASCII.
#[test]
fn a_reason_outside_ascii_goes_on_as_it_is() {
    for reason in [&b"gef\xfcnden"[..], "gefünden".as_bytes(), b"\xff"] {
        let line = [b"HTTP/1.1 404 ", reason, b"\r\n"].concat();
        let answer = [&line[..], b"Content-Length: 0\r\n\r\n"].concat();
        let origin = Origin::start(move |_, wire| {
            wire.send(&answer);
            true
        });
        let proxy = Proxy::before(origin.address);
        let mut client = proxy.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let got = client.wire.until_end();
        assert!(got.starts_with(&line), "{}", got.escape_ascii());
    }
}

/// Also those that come together with a head that is refused.
#[test]
fn interim_responses_go_on_whatever_follows_them() {
    let origin = Origin::fixed(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nno field\r\n\r\n",
    );
    let proxy = Proxy::before(origin.address);
    for _ in 0..50 {
        let mut client = proxy.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let heads: Vec<u16> = (0..3).map(|_| client.head().status).collect();
        assert_eq!(heads, [103, 102, 502]);
    }
}
