//! Which clients a route lets in, by the address that is believed to be theirs.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::os::unix::net::UnixStream;

use support::front::{Front, every_front};
use support::{Origin, Proxy, call_for};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn yaml(origin: &Origin, access: &str) -> String {
    format!(
        "listeners: ['{{listen}}', 'unix:{{folder}}/p.sock']\ntrusted_proxies: [127.0.0.1]\n\
         routes: [{{ name: a, access: {{ {access} }}, upstream: '{}' }}]\n",
        origin.address
    )
}

/// The status for a client that a trusted proxy names.
fn ask(proxy: &Proxy, client: &str) -> u16 {
    proxy.ask(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\n\r\n")).status
}

#[test]
fn the_believed_address_decides_and_nothing_of_a_refused_request_goes_up() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::start(&yaml(&origin, "allow: [10.0.0.0/8, '2001:db8::/32'], deny: [10.66.0.0/16]"));
    for (client, status) in [
        ("10.1.2.3", 200),
        ("10.66.0.1", 403),
        ("192.0.2.1", 403),
        ("2001:db8::7", 200),
        ("2001:db9::7", 403),
        // The same client, as it comes from a socket of IPv6.
        ("[::ffff:10.1.2.3]", 200),
        ("[::ffff:10.66.0.1]", 403),
        // What stands to the left of it anybody may have written.
        ("10.1.2.3, 192.0.2.1", 403),
    ] {
        let before = origin.count();
        assert_eq!(ask(&proxy, client), status, "{client}");
        assert_eq!(origin.count() - before, usize::from(status == 200), "{client}");
    }
    let refused = proxy.ask("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
    assert!(refused.text().contains("see `access` of the route"), "{}", refused.text());
    assert_eq!(refused.header("proxy-status").unwrap().split(';').nth(1), Some(" error=http_request_denied"));
    let log = proxy.access_log(9);
    let refused: Vec<_> = log.iter().filter(|line| line["status"] == 403).collect();
    assert!(refused.len() == 6 && refused.iter().all(|line| line["error"].as_str().unwrap().contains("`access`")));
    // A body that is refused with its request is no request of its own.
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\nContent-Length: 30\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status, 403);
    assert!(origin.seen.lock().unwrap().iter().all(|request| request.target() == "/"));
}

/// `Forwarded` (RFC 7239) says it where there is no `X-Forwarded-For`.
#[test]
fn the_address_in_forwarded_is_believed_as_well() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::start(&yaml(&origin, "deny: [192.0.2.0/24, '2001:db8::/32']"));
    for (fields, status) in [
        ("Forwarded: for=192.0.2.5", 403),
        ("Forwarded: for=10.0.0.1, FOR=\"192.0.2.5:80\";proto=http", 403),
        ("Forwarded: for=\"[2001:db8::1]\"", 403),
        ("Forwarded: for=192.0.2.5, for=10.0.0.1", 200),
        // A quote that the client left open hides nothing of what the trusted proxy wrote.
        ("Forwarded: for=\", for=192.0.2.5", 403),
        ("X-Forwarded-For: 10.0.0.1\r\nForwarded: for=192.0.2.5", 200),
    ] {
        let answer = proxy.ask(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n"));
        assert_eq!(answer.status, status, "{fields}");
    }
}

/// A trusted proxy that does not name the client by an address is not itself the client.
#[test]
fn whom_a_trusted_proxy_does_not_name_is_refused_where_there_are_lists() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::start(&yaml(&origin, "allow: [127.0.0.0/8, 10.0.0.0/8]"));
    for fields in [
        "X-Forwarded-For: unknown",
        "X-Forwarded-For: 10.0.0.1, _gazonk",
        "X-Forwarded-For: fe80::1%eth0",
        "Forwarded: for=unknown",
        "Forwarded: for=_gazonk",
        "Forwarded: proto=https",
    ] {
        let answer = proxy.ask(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n"));
        assert_eq!((answer.status, origin.count()), (403, 0), "{fields}");
    }
    assert_eq!((ask(&proxy, "10.0.0.1"), proxy.get("/").status), (200, 200));
    let log = proxy.access_log(8);
    assert!(log.iter().filter(|line| line["status"] == 403).all(|line| line["client_ip"].is_null()), "{log:?}");
}

/// Nothing is told to whoever is not let in.
#[test]
fn a_preflight_of_who_is_not_let_in_is_refused() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::start(&yaml(&origin, "deny: [192.0.2.0/24] }, cors: { origins: ['https://a.test']"));
    let preflight = |client: &str| {
        let fields = "Origin: https://a.test\r\nAccess-Control-Request-Method: GET";
        proxy.ask(format!("OPTIONS / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\n{fields}\r\n\r\n")).status
    };
    assert_eq!((preflight("192.0.2.5"), preflight("10.0.0.1")), (403, 204));
}

#[test]
fn a_client_without_an_address_is_refused_where_there_are_lists() {
    use std::io::{Read, Write};
    let origin = Origin::fixed(OK);
    let proxy = Proxy::start(&yaml(&origin, "deny: [192.0.2.0/24]"));
    let status = || {
        let mut stream = UnixStream::connect(proxy.folder.0.join("p.sock")).unwrap();
        stream.set_read_timeout(Some(support::DEADLINE)).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    assert_eq!((status(), origin.count()), (403, 0));
    proxy.rewrite(&yaml(&origin, ""));
    assert_eq!(proxy.order("reload").0, 0);
    assert_eq!((status(), origin.count()), (200, 1));
}

#[test]
fn explain_says_who_is_let_in() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::start(&yaml(&origin, "deny: [192.0.2.0/24]"));
    let explain = |ip: &str| call_for(&proxy.folder, &["explain", "GET", "http://a/", "--client-ip", ip]).1;
    let refused = explain("192.0.2.1");
    assert!(refused.contains("is refused: the proxy answers 403, the client's address is not let in"), "{refused}");
    assert!(explain("192.0.3.1").contains("is taken by\n  route:      a"));
}

fn an_address_that_is_kept_out_is_kept_out(front: Front) {
    let origin = Origin::fixed(OK);
    let route = format!("{{ access: {{ deny: [127.0.0.0/8] }}, upstream: '{}' }}", origin.address);
    let proxy = front.start(&format!("listeners: ['{{listen}}']\nroutes: [{route}]\n"));
    assert_eq!((proxy.get("/").status, origin.count()), (403, 0));
}

every_front! { an_address_that_is_kept_out_is_kept_out }
