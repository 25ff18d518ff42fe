//! What follows for requests from TLS in front: what services are told, and what clients are.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use data_encoding::BASE64;
use support::front::{Ask, Front, every_front};
use support::tls::{Authority, BOTH, TlsClient};
use support::{Folder, Origin, Proxy, free_port};

/// Answers with the fields of the request, one a line.
fn mirror() -> Origin {
    Origin::start(|request, wire| {
        let fields = request.headers.iter().map(|(name, value)| format!("{}: {value}\n", name.to_lowercase()));
        let text: String = fields.collect();
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()));
        true
    })
}

fn start(files: &Folder, tls: &str, origin: &Origin) -> Proxy {
    let certificate = "certificates: [{ cert: '{files}/a.pem', key: '{files}/a.key' }]";
    let text = format!(
        "listeners: [{{ address: '{{listen}}', tls: {{ {certificate}, {tls} }} }}]\nroutes: [{{ upstream: '{}' }}]\n",
        origin.address
    );
    Proxy::start(&text.replace("{files}", files.0.to_str().unwrap()))
}

fn files(authority: &Authority) -> Folder {
    let files = Folder::new();
    authority.issue(&["a.test", "*.a.test"]).write(&files, "a");
    files
}

#[test]
fn a_service_is_told_of_the_clients_certificate_and_of_none_that_is_forged() {
    let (authority, clients, origin) = (Authority::default(), Authority::new("clients"), mirror());
    let files = files(&authority);
    files.write("clients.pem", &clients.0.pem());
    let proxy = start(&files, "client_auth: { ca: '{files}/clients.pem', mode: optional }", &origin);
    let forged = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nClient-Cert: :Zm9yZ2Vk:\r\n\
                  Client-Cert-Chain: :Zm9yZ2Vk:\r\n\r\n";
    let identity = clients.issue_to_client("client");
    let told = |answer: &support::tls::Answer| {
        let lines = answer.body.lines().filter(|line| line.starts_with("client-cert")).map(str::to_owned);
        lines.collect::<Vec<_>>()
    };
    let known = TlsClient::with(&authority, BOTH, Some(&identity));
    for again in [false, true] {
        let answer = known.send(proxy.address, "a.test", forged).unwrap();
        let cert = format!("client-cert: :{}:", BASE64.encode(&identity.certificate));
        assert_eq!((told(&answer), answer.resumed), (vec![cert], again), "{answer:?}");
        assert!(answer.body.contains("x-forwarded-proto: https\n"), "{answer:?}");
    }
    let nobody = TlsClient::new(&authority).send(proxy.address, "a.test", forged).unwrap();
    assert!(nobody.head.starts_with("HTTP/1.1 200 ") && told(&nobody).is_empty(), "{nobody:?}");
}

/// RFC 9110 section 15.5.20: a connection that was let in for one host opens no other.
#[test]
fn a_request_for_a_host_with_another_rule_is_misdirected() {
    let (authority, admins, origin) = (Authority::default(), Authority::new("admins"), mirror());
    let files = files(&authority);
    files.write("admins.pem", &admins.0.pem());
    let proxy = start(
        &files,
        "hosts: [{ host: [admin.a.test, '*.admin.a.test'], client_auth: { ca: '{files}/admins.pem' } }]",
        &origin,
    );
    let client = TlsClient::with(&authority, BOTH, Some(&admins.issue_to_client("admin"))).of_any_name(&authority);
    let status = |name: &str, host: &str| {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = client.send(proxy.address, name, &request).unwrap();
        answer.head.split(' ').nth(1).unwrap().to_owned()
    };
    for (name, host, expected) in [
        ("a.test", "a.test", "200"),
        ("a.test", "www.a.test", "200"),
        ("admin.a.test", "admin.a.test", "200"),
        ("admin.a.test", "x.admin.a.test", "200"),
        ("a.test", "admin.a.test", "421"),
        ("a.test", "ADMIN.a.test:443", "421"),
        ("a.test", "admin.a.test.", "421"),
        ("a.test", "x.y.admin.a.test", "421"),
        ("127.0.0.1", "admin.a.test", "421"),
        // Nor the other way round.
        ("admin.a.test", "a.test", "421"),
    ] {
        let before = origin.count();
        assert_eq!(status(name, host), expected, "{name} {host}");
        assert_eq!(origin.count() - before, usize::from(expected == "200"), "{name} {host}");
    }
}

#[test]
fn browsers_are_told_to_come_by_https() {
    let (authority, origin) = (Authority::default(), mirror());
    let (files, cleartext) = (files(&authority), std::net::SocketAddr::from(([127, 0, 0, 1], free_port())));
    let text = format!(
        "listeners:\n  - {{ address: '{cleartext}', redirect_https: true }}\n  - address: '{{listen}}'\n    tls: {{ \
         certificates: [{{ cert: '{0}/a.pem', key: '{0}/a.key' }}], hsts: 8760h }}\nroutes: [{{ upstream: '{1}' }}]\n",
        files.0.display(),
        origin.address
    );
    let proxy = Proxy::start(&text);
    let answer = TlsClient::new(&authority).ask(proxy.address, "a.test").unwrap();
    assert!(answer.head.to_lowercase().contains("\r\nstrict-transport-security: max-age=31536000"), "{answer:?}");
    let mut client = support::Client::connect(cleartext);
    client.send("POST /a/b?c HTTP/1.1\r\nHost: a.test:80\r\nContent-Length: 0\r\n\r\n");
    let redirect = client.response();
    assert_eq!((redirect.status, redirect.header("location")), (308, Some("https://a.test/a/b?c")));
    // RFC 6797 section 7.2: never without TLS.
    assert_eq!(redirect.header("strict-transport-security"), None);
    assert_eq!(origin.count(), 1, "the redirected request went nowhere");
}

every_front!(a_destination_names_the_upstream_as_that_knows_itself);

/// WebDAV (RFC 4918 section 10.3): a server takes a `Destination` for another's that does not have
/// its own scheme and host.
fn a_destination_names_the_upstream_as_that_knows_itself(front: Front) {
    let origin = Origin::fixed("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    let address = origin.address;
    let proxy = front.start(&format!(
        "listeners: ['{{listen}}']\nroutes:\n  - match: {{ path: /dav }}\n    request: {{ path: {{ strip_prefix: /dav }}, \
         host: upstream }}\n    upstream: '{address}'\n"
    ));
    let scheme = front.scheme();
    let moved = Ask::new("MOVE", "/dav/a%20b").host("files.test").field("Overwrite", "F");
    let answer = proxy.ask(&moved.field("Destination", &format!("{scheme}://files.test/dav/c%20d")));
    assert_eq!(answer.status, 201);
    let seen = origin.last();
    let expected = format!("http://{address}/c%20d");
    assert_eq!((seen.target(), seen.header("destination")), ("/a%20b", Some(expected.as_str())));
}
