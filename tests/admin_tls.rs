//! The admin endpoint with TLS: who is let in by a certificate, a token or both, what follows from files and
//! configurations that change, and what is told of it.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde_json::Value;
use support::tls::{Answer, Authority, BOTH, Identity, TlsClient};
use support::{Client, DEADLINE, Folder, Proxy, await_until, call_for, free_port};

const TOKEN: &str = "0123456789-abcdefghij";
/// What the endpoint is called, and its certificate names.
const NAME: &str = "proxy.example.com";

struct Running {
    proxy: Proxy,
    admin: SocketAddr,
    files: Folder,
    /// Of the endpoint's certificate.
    authority: Authority,
    /// Of the callers' certificates.
    callers: Authority,
}

impl Running {
    /// At an address that is not loopback. `tls` is what stands there beside the certificates, `keys` what stands
    /// beside `tls`; `{files}` is where files are.
    fn start(tls: &str, keys: &str) -> Self {
        let (authority, callers, files) = (Authority::default(), Authority::new("callers"), Folder::new());
        authority.issue(&[NAME]).write(&files, "admin");
        files.write("callers.pem", &callers.0.pem());
        files.write("token", &format!("{TOKEN}\n"));
        let port = free_port();
        let proxy = Proxy::start(&text(&files, &format!("0.0.0.0:{port}"), tls, keys));
        Self { proxy, admin: ([127, 0, 0, 1], port).into(), files, authority, callers }
    }

    /// Another configuration for the same endpoint.
    fn reload(&self, tls: &str, keys: &str) -> (i32, String) {
        self.reload_at(&format!("0.0.0.0:{}", self.admin.port()), tls, keys)
    }

    fn reload_at(&self, address: &str, tls: &str, keys: &str) -> (i32, String) {
        self.proxy.rewrite(&text(&self.files, address, tls, keys));
        self.proxy.order("reload")
    }

    fn caller(&self, identity: Option<&Identity>) -> TlsClient {
        TlsClient::with(&self.authority, BOTH, identity)
    }

    fn ann(&self) -> Identity {
        self.callers.issue_with(&["ann@example.com"], |params| {
            params.distinguished_name.push(rcgen::DnType::CommonName, "ann");
            params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        })
    }

    /// One that was let in is answered.
    fn get(&self, caller: &TlsClient, target: &str, fields: &str) -> std::io::Result<Answer> {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n{fields}\r\n");
        caller.send(self.admin, NAME, &request)
    }

    fn status(&self, caller: &TlsClient, target: &str, fields: &str) -> u16 {
        status(&self.get(caller, target, fields).unwrap().head)
    }

    fn json(&self, caller: &TlsClient, target: &str, fields: &str) -> Value {
        let answer = self.get(caller, target, fields).unwrap();
        assert_eq!(status(&answer.head), 200, "{answer:?}");
        serde_json::from_str(&answer.body).unwrap()
    }

    fn drain(&self, caller: &TlsClient, fields: &str) -> u16 {
        let body = r#"{"state":"draining"}"#;
        let request = format!(
            "PATCH /upstreams/api/servers/127.0.0.1:1 HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n{fields}\r\n{body}",
            body.len()
        );
        status(&caller.send(self.admin, NAME, &request).unwrap().head)
    }

    fn await_log(&self, text: &str) {
        await_until(text, || self.proxy.read("stderr").contains(text));
    }
}

fn text(files: &Folder, address: &str, tls: &str, keys: &str) -> String {
    let text = format!(
        "listeners: ['{{listen}}']\nadmin:\n  address: '{address}'\n  tls: {{ certificates: [{{ cert: \
         '{{files}}/admin.pem', key: '{{files}}/admin.key' }}], {tls} }}\n{keys}upstreams: {{ api: {{ servers: \
         ['127.0.0.1:1'] }} }}\nroutes: [{{ upstream: api }}]\n"
    );
    text.replace("{files}", files.0.to_str().unwrap())
}

const REQUIRE: &str = "client_auth: { ca: '{files}/callers.pem' }";
const OPTIONAL: &str = "client_auth: { ca: '{files}/callers.pem', mode: optional }";
const WITH_TOKEN: &str = "  token_file: '{files}/token'\n";

fn bearer() -> String {
    format!("Authorization: Bearer {TOKEN}\r\n")
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no status: {head}"))
}

/// A connection for several requests.
struct Kept(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl Kept {
    fn open(caller: &TlsClient, address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let name = ServerName::try_from(NAME).unwrap();
        let connection = ClientConnection::new(Arc::new(caller.0.clone()), name).unwrap();
        Self(BufReader::new(StreamOwned::new(connection, stream)))
    }

    /// The status of the answer, whose body is read.
    fn get(&mut self, target: &str) -> u16 {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {NAME}\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the connection ended without an answer");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        self.0.read_exact(&mut vec![0; length]).unwrap();
        status(&head)
    }

    /// With a word of TLS, so that nobody can have cut it.
    fn is_closed(&mut self) -> bool {
        self.0.fill_buf().unwrap().is_empty()
    }
}

#[test]
fn a_required_certificate_opens_everything_and_names_who_changed_something() {
    let running = Running::start(REQUIRE, "");
    let identity = running.ann();
    let ann = running.caller(Some(&identity));
    for target in ["/health", "/ready", "/", "/stats", "/metrics", "/config"] {
        assert_eq!(running.status(&ann, target, ""), 200, "{target}");
    }
    let strangers = Authority::new("strangers");
    let stranger = strangers.issue_to_client("ann");
    for unknown in [None, Some(&stranger)] {
        for target in ["/health", "/stats"] {
            let refused = running.get(&running.caller(unknown), target, "");
            assert!(refused.is_err(), "{refused:?}");
        }
    }
    running.await_log("was not let in: TLS: ");
    assert_eq!(running.drain(&ann, ""), 200);
    let audit = running.json(&ann, "/audit", "");
    let who = audit["entries"][0]["who"].as_str().unwrap();
    assert!(who.starts_with("admin certificate `ann`, SHA-256 ") && who.len() == 33 + 16, "{who}");
    assert_eq!(audit["entries"][0]["what"], "drain 127.0.0.1:1 of api");
    running.await_log("audit: admin certificate `ann`, SHA-256 ");
}

#[test]
fn with_a_token_a_caller_shows_both() {
    let running = Running::start(REQUIRE, WITH_TOKEN);
    let identity = running.ann();
    let (ann, nobody) = (running.caller(Some(&identity)), running.caller(None));
    assert_eq!((running.status(&ann, "/stats", ""), running.status(&ann, "/ready", "")), (401, 200));
    assert_eq!(running.status(&ann, "/stats", &bearer()), 200);
    assert!(running.get(&nobody, "/stats", &bearer()).is_err());
    assert_eq!((running.drain(&ann, ""), running.drain(&ann, &bearer())), (401, 200));
    let audit = running.json(&ann, "/audit", &bearer());
    assert!(audit["entries"][0]["who"].as_str().unwrap().starts_with("admin certificate `ann`"), "{audit}");
    assert_eq!(running.json(&ann, "/health", "")["needs_token"], true);
}

#[test]
fn an_optional_certificate_leaves_the_door_open_to_probes() {
    let running = Running::start(OPTIONAL, "");
    let identity = running.ann();
    let (ann, nobody) = (running.caller(Some(&identity)), running.caller(None));
    for (target, of_nobody) in [("/health", 200), ("/ready", 200), ("/", 200), ("/stats", 403), ("/nothing", 403)] {
        assert_eq!(running.status(&nobody, target, ""), of_nobody, "{target}");
    }
    assert_eq!((running.drain(&nobody, ""), running.drain(&ann, "")), (403, 200));
    assert_eq!(running.status(&ann, "/stats", ""), 200);
    // With a token, either of the two is enough.
    assert_eq!(running.reload(OPTIONAL, WITH_TOKEN), (0, "configuration 2 is in force\n".to_owned()));
    assert_eq!((running.status(&nobody, "/stats", ""), running.status(&nobody, "/stats", &bearer())), (401, 200));
    assert_eq!((running.status(&ann, "/stats", ""), running.drain(&nobody, &bearer())), (200, 200));
    let audit = running.json(&ann, "/audit", "");
    assert_eq!(audit["entries"][0]["who"], "admin token");
    let needs_token = |caller| running.json(caller, "/health", "")["needs_token"].clone();
    assert_eq!((needs_token(&ann), needs_token(&nobody)), (Value::Bool(false), Value::Bool(true)));
}

#[test]
fn a_token_goes_over_tls_and_never_in_clear() {
    let running = Running::start("min_version: '1.3'", WITH_TOKEN);
    let caller = running.caller(None);
    assert_eq!((running.status(&caller, "/stats", ""), running.status(&caller, "/stats", &bearer())), (401, 200));
    let told = running.get(&running.caller(None).alpn(&["h2", "http/1.1"]), "/ready", "").unwrap();
    assert_eq!((told.alpn.as_deref(), told.version.as_str()), (Some("http/1.1"), "TLSv1_3"));
    assert!(running.get(&running.caller(None).alpn(&["h2"]), "/ready", "").is_err());
    let old = TlsClient::with(&running.authority, &[&rustls::version::TLS12], None);
    assert!(running.get(&old, "/ready", "").is_err());
    let mut clear = Client::connect(running.admin);
    clear.send(format!("GET /stats HTTP/1.1\r\nHost: {NAME}\r\n{}\r\n", bearer()));
    let told = clear.response();
    assert_eq!((told.status, told.text().as_str()), (400, "this port speaks HTTPS\n"));
    running.await_log(&format!("the admin endpoint 0.0.0.0:{}: 127.0.0.1:", running.admin.port()));
    let log = running.proxy.read("stderr");
    assert!(log.contains(&format!("admin: https://0.0.0.0:{}/", running.admin.port())), "{log}");
    // Its own page came by HTTPS, and no other is.
    let origin = |scheme: &str| format!("{}Origin: {scheme}://{NAME}\r\n", bearer());
    assert_eq!((running.drain(&caller, &origin("https")), running.drain(&caller, &origin("http"))), (200, 403));
}

#[test]
fn loopback_with_tls_alone_only_tells() {
    let running = Running::start("", WITH_TOKEN);
    let loopback = free_port();
    let proxy = Proxy::start(&text(&running.files, &format!("127.0.0.1:{loopback}"), "", ""));
    let caller = running.caller(None).of_any_name(&running.authority);
    let ask = |host: &str| {
        let request = format!("GET /stats HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        status(&caller.send(([127, 0, 0, 1], loopback).into(), NAME, &request).unwrap().head)
    };
    assert_eq!((ask("localhost"), ask("evil.test")), (200, 403));
    drop(proxy);
}

#[test]
fn requests_are_told_as_they_come() {
    let running = Running::start(REQUIRE, "");
    let identity = running.ann();
    let mut stream = Kept::open(&running.caller(Some(&identity)), running.admin);
    let request = format!("GET /requests HTTP/1.1\r\nHost: {NAME}\r\nAccept: text/event-stream\r\n\r\n");
    stream.0.get_mut().write_all(request.as_bytes()).unwrap();
    let end = Instant::now() + DEADLINE;
    let mut until = |wanted: &str| loop {
        let mut line = String::new();
        assert!(stream.0.read_line(&mut line).unwrap() > 0 && Instant::now() < end, "{wanted}");
        if line.starts_with(wanted) {
            return line;
        }
    };
    // It begins with what comes after it has begun.
    until(":");
    assert_eq!(running.proxy.get("/seen").status, 502);
    assert!(until("data: ").contains("\"path\":\"/seen\""));
}

#[test]
fn certificates_are_told_and_read_again_when_they_change() {
    let running = Running::start(REQUIRE, "");
    let identity = running.ann();
    let ann = running.caller(Some(&identity));
    let own = || running.json(&ann, "/certificates", "")["certificates"][0].clone();
    let first = own();
    assert_eq!((first["listener"].as_str(), &first["error"]), (Some("admin"), &Value::Null));
    assert_eq!(first["names"], serde_json::json!([NAME]));
    let metrics = || running.get(&ann, "/metrics", "").unwrap().body;
    let file = running.files.0.join("admin.pem").display().to_string();
    let end = format!("pingora_proxy_tls_cert_not_after_seconds{{listener=\"admin\",file=\"{file}\",name=\"{NAME}\"}}");
    assert!(metrics().contains(&end), "{}", metrics());
    let handshakes = "pingora_proxy_tls_handshakes_total{listener=\"admin\",outcome=\"ok\"}";
    assert!(metrics().contains(handshakes), "{}", metrics());
    running.authority.issue(&[NAME]).write(&running.files, "admin");
    await_until("the new certificate", || own()["fingerprint"] != first["fingerprint"]);
    let second = own();
    running.files.write("admin.key", "no key\n");
    await_until("the renewal fails", || !own()["error"].is_null());
    assert_eq!(own()["fingerprint"], second["fingerprint"]);
    running.await_log(&format!("the admin endpoint 0.0.0.0:{}: ", running.admin.port()));
    running.await_log("the certificate of before stays in force");
    let (code, said) = running.reload(REQUIRE, "");
    assert!(code == 1 && said.contains("there is no private key in this file"), "{said}");
    assert_eq!(own()["fingerprint"], second["fingerprint"]);
    let (_, said, told) = support::call(&["-c", "proxy.yaml", "-t"], &running.proxy.folder.0);
    assert!(format!("{said}{told}").contains("there is no private key in this file"), "{said}{told}");
}

#[test]
fn a_reload_changes_who_is_let_in() {
    let running = Running::start(REQUIRE, "");
    let (identity, others) = (running.ann(), Authority::new("others"));
    let ann = running.caller(Some(&identity));
    let mut kept = Kept::open(&ann, running.admin);
    assert_eq!((kept.get("/stats"), kept.get("/ready")), (200, 200));
    running.files.write("callers.pem", &others.0.pem());
    assert_eq!(running.reload(REQUIRE, ""), (0, "configuration 2 is in force\n".to_owned()));
    // A connection that the old authority opened opens nothing any more.
    assert_eq!((kept.get("/stats"), kept.is_closed()), (421, true));
    assert!(running.get(&ann, "/stats", "").is_err());
    let bob = others.issue_to_client("bob");
    let bob = running.caller(Some(&bob));
    assert_eq!(running.status(&bob, "/stats", ""), 200);
    // Certificates make room for a token.
    assert_eq!(running.reload("", WITH_TOKEN).0, 0);
    let nobody = running.caller(None);
    assert_eq!((running.status(&nobody, "/stats", ""), running.status(&nobody, "/stats", &bearer())), (401, 200));
    // What callers show at another address says nothing of this one.
    let (code, said) = running.reload_at(&format!("127.0.0.1:{}", running.admin.port()), "", "");
    assert!(code == 0 && said.contains("these wait for an upgrade (`-s upgrade`): admin.address"), "{said}");
    assert_eq!(running.status(&nobody, "/stats", ""), 401);
}

#[test]
fn the_command_line_needs_no_certificate() {
    let running = Running::start(REQUIRE, "");
    for call in [vec!["healthcheck"], vec!["healthcheck", "--live"], vec!["upstreams"], vec!["diff", "proxy.yaml"]] {
        let (code, said) = call_for(&running.proxy.folder, &call);
        assert_eq!(code, 0, "{call:?}: {said}");
    }
    let (_, said) = call_for(&running.proxy.folder, &["upstreams", "drain", "api", "127.0.0.1:1"]);
    assert!(said.contains("127.0.0.1:1"), "{said}");
    let figures = call_for(&running.proxy.folder, &["top", "--once"]);
    assert_eq!(figures.0, 0, "{figures:?}");
}

#[test]
fn a_handshake_has_its_time_and_connections_their_bound() {
    let running = Running::start("", &format!("{WITH_TOKEN}timeouts: {{ tls_handshake: 300ms }}\n"));
    let mut silent = Client::connect(running.admin);
    assert!(silent.wire.until_end().is_empty());
    let mut slow = Client::connect(running.admin);
    slow.send([22, 3, 1, 0, 200]);
    assert!(slow.wire.until_end().is_empty());
    running.await_log("the TLS handshake took longer than `timeouts.tls_handshake`");
    let proxy = Proxy::start(
        "listeners: ['{listen}']\nadmin: { address: 'unix:{folder}/admin.sock' }\nroutes: [{ respond: {} }]\n",
    );
    let path = proxy.folder.0.join("admin.sock");
    let ready = || {
        let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let mut answer = String::new();
        let asked = stream.write_all(b"GET /ready HTTP/1.0\r\n\r\n").and_then(|()| stream.read_to_string(&mut answer));
        asked.is_ok() && answer.contains(" 200 ")
    };
    let connect = || std::os::unix::net::UnixStream::connect(&path).unwrap();
    let held: Vec<_> = (0..512).map(|_| connect()).collect();
    assert!(!ready());
    await_until("the log", || proxy.read("stderr").contains("there are 512 already"));
    drop(held);
    await_until("there is a place again", ready);
}
