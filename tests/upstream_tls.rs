//! TLS to the upstream: what is verified, what is refused and with which words, and
//! that two upstreams share no connection they should not.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use support::dns::Dns;
use support::{Folder, Proxy, await_until};

struct Authority(CertifiedIssuer<'static, KeyPair>);

struct Identity {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, name: &str) -> Identity {
        self.issue_as(name, IsCa::NoCa)
    }

    /// What `openssl req -x509` makes, too.
    fn issue_to_ca(&self, name: &str) -> Identity {
        self.issue_as(name, IsCa::Ca(BasicConstraints::Unconstrained))
    }

    fn issue_as(&self, name: &str, is_ca: IsCa) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = is_ca;
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity { certificate: certificate.der().clone(), certificate_pem: certificate.pem(), key }
    }
}

/// Answers each request with the SNI it was asked for and whether the client showed
/// a certificate. Its threads end with the connections.
struct TlsOrigin {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    /// Handshakes that resumed no session.
    full_handshakes: Arc<AtomicUsize>,
}

impl TlsOrigin {
    fn start(identity: &Identity, clients: Option<&Authority>) -> Self {
        Self::start_with(identity, clients, "127.0.0.1:0", rustls::DEFAULT_VERSIONS)
    }

    fn start_with(
        identity: &Identity,
        clients: Option<&Authority>,
        at: &str,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.0.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.serialize_der()));
        let config = Arc::new(builder.with_single_cert(vec![identity.certificate.clone()], key).unwrap());
        let listener = TcpListener::bind(at).unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, full_handshakes): (Arc<AtomicUsize>, Arc<AtomicUsize>) = Default::default();
        let (counter, full) = (Arc::clone(&connections), Arc::clone(&full_handshakes));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counter.fetch_add(1, Ordering::SeqCst);
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let full = Arc::clone(&full);
                std::thread::spawn(move || {
                    let mut stream = StreamOwned::new(connection, stream);
                    stream.sock.set_read_timeout(Some(support::DEADLINE)).unwrap();
                    if stream.conn.complete_io(&mut stream.sock).is_ok() {
                        full.fetch_add(
                            usize::from(stream.conn.handshake_kind() != Some(HandshakeKind::Resumed)),
                            Ordering::SeqCst,
                        );
                        answer(stream);
                    }
                });
            }
        });
        Self { address, connections, full_handshakes }
    }
}

/// A server that lets an upload wait, reads it to its end and then answers with its length.
fn late_reader(identity: &Identity) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.serialize_der()));
    let certificate = vec![identity.certificate.clone()];
    let config = Arc::new(builder.with_no_client_auth().with_single_cert(certificate, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            std::thread::spawn(move || {
                let mut stream = StreamOwned::new(connection, stream);
                stream.sock.set_read_timeout(Some(support::DEADLINE)).unwrap();
                let (mut seen, mut piece) = (Vec::new(), [0; 65_536]);
                while !seen.ends_with(b"the end") {
                    let Ok(read @ 1..) = stream.read(&mut piece) else { return };
                    seen.extend_from_slice(&piece[..read]);
                    if seen.len() == read {
                        std::thread::park_timeout(std::time::Duration::from_millis(700));
                    }
                }
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
            });
        }
    });
    address
}

/// What TLS still held was sent by nobody once the rest was: the server waited for the end of the
/// upload, and was blamed for it.
#[test]
fn an_upload_is_sent_to_its_end_when_the_server_reads_late() {
    let (authority, folder) = (Authority::new(), Folder::new());
    folder.write("ca.pem", &authority.0.pem());
    let address = late_reader(&authority.issue("a.test"));
    let tls = format!("servers: ['{address}'], tls: {{ sni: a.test, ca: {}/ca.pem }}", folder.0.display());
    let proxy = proxy(&[("a", tls)], &folder);
    std::thread::scope(|all| {
        for size in 0..32 {
            let proxy = &proxy;
            all.spawn(move || {
                let body = [&vec![b'x'; 2_000_000 + size * 70_001][..], b"the end"].concat();
                let head = format!("PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
                let answer = proxy.ask([head.as_bytes(), &body].concat());
                assert_eq!(answer.status, 200, "{}", answer.text());
            });
        }
    });
}

fn answer(mut stream: StreamOwned<ServerConnection, TcpStream>) {
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut piece) {
        seen.extend_from_slice(&piece[..read]);
        if seen.ends_with(b"\r\n\r\n") {
            seen.clear();
            let name = stream.conn.server_name().unwrap_or("-").to_owned();
            let body =
                format!("{name} {}", if stream.conn.peer_certificates().is_some() { "known" } else { "unknown" });
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        }
    }
}

/// One route for each upstream of the text, under its name.
fn proxy(upstreams: &[(&str, String)], files: &Folder) -> Proxy {
    let mut text = String::from("listeners: ['{listen}']\nupstreams:\n");
    for (name, rest) in upstreams {
        text.push_str(&format!("  {name}: {{ {rest} }}\n"));
    }
    text.push_str("routes:\n");
    for (name, _) in upstreams {
        text.push_str(&format!("  - {{ match: {{ path: /{name} }}, upstream: {name} }}\n"));
    }
    Proxy::start(&text.replace("FILES", files.0.to_str().unwrap()))
}

#[test]
fn certificates_are_verified_and_refusals_say_so() {
    let files = Folder::new();
    let authority = Authority::new();
    files.write("ca.pem", &authority.0.pem());
    files.write("other.pem", &Authority::new().0.pem());
    let origin = TlsOrigin::start(&authority.issue("app.test"), None);
    let of_ca = TlsOrigin::start(&authority.issue_to_ca("app.test"), None);
    let at = |tls: &str| format!("servers: ['{}'], tls: {{ {tls} }}", origin.address);
    let proxy = proxy(
        &[
            ("ca", format!("servers: ['{}'], tls: {{ sni: app.test, ca: FILES/ca.pem }}", of_ca.address)),
            ("right", at("sni: app.test, ca: FILES/ca.pem")),
            ("wrong-name", at("sni: other.test, ca: FILES/ca.pem")),
            ("wrong-ca", at("sni: app.test, ca: FILES/other.pem")),
            ("no-ca", at("sni: app.test")),
            ("unverified", at("sni: other.test, verify: false")),
        ],
        &files,
    );
    // Twice each: what was refused once must not pass on a pooled connection.
    for round in 0..2 {
        let right = proxy.get("/right");
        assert_eq!((right.status, right.text().as_str()), (200, "app.test unknown"), "round {round}");
        assert_eq!(proxy.get("/unverified").text(), "other.test unknown");
        for (name, reason) in [
            ("wrong-name", "NotValidForName"),
            // Of the same name as the right one, so that its key is what differs.
            ("wrong-ca", "BadSignature"),
            ("no-ca", "UnknownIssuer"),
            ("ca", "CaUsedAsEndEntity"),
        ] {
            let response = proxy.get(&format!("/{name}"));
            assert_eq!(response.status, 502, "{name}: {}", response.text());
            let status = response.header("proxy-status").unwrap();
            assert!(status.contains("error=tls_certificate_error") && status.contains(reason), "{name}: {status}");
            let said = format!("({reason})");
            assert!(response.text().contains(&said), "{name}: {}", response.text());
        }
    }
}

#[test]
fn a_name_is_verified_at_whichever_of_its_addresses_answers() {
    let files = Folder::new();
    let authority = Authority::new();
    files.write("ca.pem", &authority.0.pem());
    let origin = TlsOrigin::start(&authority.issue("app.test"), None);
    let dns = Dns::start();
    // Nobody listens at the IPv6 address, which is tried first.
    dns.set_a("app.test", &[std::net::Ipv4Addr::LOCALHOST]);
    dns.set_aaaa("app.test", &[std::net::Ipv6Addr::LOCALHOST]);
    let proxy = Proxy::start(&format!(
        "server: {{ threads: 1 }}\nlisteners: ['{{listen}}']\ndns: {{ nameservers: ['{}'] }}\nupstreams:\n  \
         api: {{ servers: ['app.test:{}'], tls: {{ ca: {}/ca.pem }} }}\nroutes: [{{ upstream: api }}]\n",
        dns.address(),
        origin.address.port(),
        files.0.display()
    ));
    let mut client = proxy.connect();
    for _ in 0..3 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().text(), "app.test unknown");
    }
    assert_eq!(origin.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn a_client_certificate_is_shown_where_one_is_configured() {
    let files = Folder::new();
    let (servers, clients) = (Authority::new(), Authority::new());
    let client = clients.issue("proxy.test");
    files.write("ca.pem", &servers.0.pem());
    files.write("cert.pem", &client.certificate_pem);
    files.write("key.pem", &client.key.serialize_pem());
    let origin = TlsOrigin::start(&servers.issue("app.test"), Some(&clients));
    let at = |tls: &str| format!("servers: ['{}'], tls: {{ sni: app.test, ca: FILES/ca.pem{tls} }}", origin.address);
    let proxy = proxy(&[("known", at(", cert: FILES/cert.pem, key: FILES/key.pem")), ("stranger", at(""))], &files);
    assert_eq!(proxy.get("/known").text(), "app.test known");
    // The connection that stands open belongs to the other upstream.
    assert_eq!(proxy.get("/stranger").status, 502);
    assert_eq!(proxy.get("/known").text(), "app.test known");
}

#[test]
fn connections_are_kept_and_not_shared_across_what_was_verified() {
    let files = Folder::new();
    let authority = Authority::new();
    files.write("ca.pem", &authority.0.pem());
    let origin = TlsOrigin::start(&authority.issue("app.test"), None);
    let at = |rest: &str| format!("servers: ['{}'], tls: {{ sni: app.test, {rest}", origin.address);
    let proxy = proxy(
        &[
            ("kept", at("ca: FILES/ca.pem }")),
            ("loose", at("verify: false }")),
            ("closed", at("ca: FILES/ca.pem }, pool: { max_idle: 0 }")),
        ],
        &files,
    );
    let opened = |name: &str| {
        let before = origin.connections.load(Ordering::SeqCst);
        assert_eq!(proxy.get(&format!("/{name}")).status, 200);
        origin.connections.load(Ordering::SeqCst) - before
    };
    // The client has its answer a moment before the connection is back in the pool.
    for name in ["kept", "loose"] {
        assert_eq!(opened(name), 1);
        await_until("a kept connection", || opened(name) == 0);
    }
    assert_eq!((opened("closed"), opened("closed")), (1, 1));
    // Pingora gives a pooled connection up when its watcher lets go of it a moment late.
    await_until("it is still kept", || opened("kept") == 0);
}

#[test]
fn checks_speak_tls_as_the_upstream_does_unless_they_are_told_otherwise() {
    let (authority, files) = (Authority::new(), Folder::new());
    files.write("ca.pem", &authority.0.pem());
    let origin = TlsOrigin::start(&authority.issue("app.internal"), None);
    let plain = support::Origin::fixed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let check = |rest: &str| {
        format!(
            "servers: ['{}'], tls: {{ sni: app.internal, ca: FILES/ca.pem }}, \
             health: {{ active: {{ path: /ok, interval: 100ms, unhealthy_after: 1{rest} }} }}",
            origin.address
        )
    };
    let port = plain.address.port();
    let proxy = proxy(
        &[
            ("same", check("")),
            ("beside", check(&format!(", tls: false, port: {port}"))),
            ("wrong", check(", tls: false")),
            ("untrusted", check("").replace(", ca: FILES/ca.pem", "")),
        ],
        &files,
    );
    await_until("checks", || plain.count() >= 2);
    let said = |name: &str| {
        let log = proxy.read("stderr");
        log.lines().find(|line| line.contains(&format!("upstream {name}:"))).map(str::to_owned)
    };
    await_until("the wrong ones are noticed", || said("wrong").is_some() && said("untrusted").is_some());
    assert!(
        said("untrusted").unwrap().contains("was not accepted: no trusted CA issued it"),
        "{:?}",
        said("untrusted")
    );
    assert_eq!((said("same"), said("beside")), (None, None));
    assert_eq!((proxy.get("/same").text(), proxy.get("/beside").status), ("app.internal unknown".into(), 200));
    assert_eq!((proxy.get("/wrong").status, proxy.get("/untrusted").status), (503, 503));
}

/// Also where the upstream has a CA or a client certificate of its own, and by requests of several workers.
#[test]
fn a_new_connection_resumes_a_session_of_its_server() {
    let (authority, clients, files) = (Authority::new(), Authority::new(), Folder::new());
    let client = clients.issue("proxy.test");
    for (name, pem) in [
        ("ca.pem", authority.0.pem()),
        ("cert.pem", client.certificate_pem.clone()),
        ("key.pem", client.key.serialize_pem()),
    ] {
        files.write(name, &pem);
    }
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let origin = |known: Option<&Authority>| {
            TlsOrigin::start_with(&authority.issue("app.test"), known, "127.0.0.1:0", &[version])
        };
        let origins = [origin(None), origin(None), origin(Some(&clients))];
        let upstream = |index: usize, tls: &str| {
            format!("servers: ['{}'], tls: {{ sni: app.test, {tls} }}, pool: {{ max_idle: 0 }}", origins[index].address)
        };
        let proxy = proxy(
            &[
                ("ca", upstream(0, "ca: FILES/ca.pem")),
                ("loose", upstream(1, "verify: false")),
                ("known", upstream(2, "ca: FILES/ca.pem, cert: FILES/cert.pem, key: FILES/key.pem")),
            ],
            &files,
        );
        for (name, origin) in ["ca", "loose", "known"].iter().zip(&origins) {
            for _ in 0..6 {
                assert_eq!(proxy.get(&format!("/{name}")).status, 200);
            }
            let counts = (&origin.connections, &origin.full_handshakes);
            assert_eq!(
                (counts.0.load(Ordering::SeqCst), counts.1.load(Ordering::SeqCst)),
                (6, 1),
                "{version:?} {name}"
            );
        }
    }
}

/// In TLS 1.3 that is known only once the server has said it, in place of a response.
#[test]
fn a_server_that_wants_a_certificate_is_told_from_one_that_speaks_no_http() {
    let (authority, clients, files) = (Authority::new(), Authority::new(), Folder::new());
    files.write("ca.pem", &authority.0.pem());
    let origin = TlsOrigin::start(&authority.issue("app.test"), Some(&clients));
    let upstream = format!("servers: ['{}'], tls: {{ sni: app.test, ca: FILES/ca.pem }}", origin.address);
    let response = proxy(&[("a", upstream)], &files).get("/a");
    let status = response.header("proxy-status").unwrap();
    assert_eq!(response.status, 502);
    assert!(status.contains("error=tls_protocol_error"), "{status}");
}

#[test]
fn an_address_at_which_tls_fails_is_left_for_the_next_one() {
    let (authority, files) = (Authority::new(), Folder::new());
    files.write("ca.pem", &authority.0.pem());
    let origin = TlsOrigin::start_with(&authority.issue("app.test"), None, "127.0.0.2:0", rustls::DEFAULT_VERSIONS);
    // Something else has the port at the address that is tried first.
    let stranger = TcpListener::bind(("127.0.0.1", origin.address.port())).unwrap();
    let visits: Arc<AtomicUsize> = Arc::default();
    let counter = Arc::clone(&visits);
    std::thread::spawn(move || {
        for mut stream in stranger.incoming().flatten() {
            counter.fetch_add(1, Ordering::SeqCst);
            stream.write_all(b"220 mail.test ESMTP\r\n").ok();
        }
    });
    let dns = Dns::start();
    dns.set_a("app.test", &[[127, 0, 0, 1].into(), [127, 0, 0, 2].into()]);
    let proxy = Proxy::start(&format!(
        "server: {{ threads: 1 }}\nlisteners: ['{{listen}}']\ndns: {{ nameservers: ['{}'] }}\nupstreams:\n  \
         api: {{ servers: ['app.test:{}'], tls: {{ ca: {}/ca.pem }} }}\nroutes: [{{ upstream: api }}]\n",
        dns.address(),
        origin.address.port(),
        files.0.display()
    ));
    let mut client = proxy.connect();
    for _ in 0..3 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().text(), "app.test unknown");
    }
    assert_eq!((visits.load(Ordering::SeqCst), origin.connections.load(Ordering::SeqCst)), (1, 1));
}
