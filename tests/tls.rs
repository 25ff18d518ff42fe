//! TLS in front: which certificate a client gets, who is let in, how sessions are resumed, and
//! files that change.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails
#![allow(clippy::print_stdout)] // what ten thousand certificates cost is read by a person

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustls::version::{TLS12, TLS13};
use support::tls::{Answer, Authority, BOTH, Identity, TlsClient, serial};
use support::{Folder, Proxy, await_until, call_for, free_port, ocsp};

/// `{files}` is where certificates are.
fn start(files: &Folder, tls: &str) -> Proxy {
    start_with(files, tls, "")
}

fn start_with(files: &Folder, tls: &str, more: &str) -> Proxy {
    Proxy::start(&text(files, tls, more))
}

fn text(files: &Folder, tls: &str, more: &str) -> String {
    let text = format!(
        "listeners: [{{ address: '{{listen}}', tls: {{ {tls} }} }}]\nroutes: [{{ respond: {{ body: served }} }}]\n{more}"
    );
    text.replace("{files}", files.0.to_str().unwrap())
}

fn pair(name: &str) -> String {
    format!("{{ cert: '{{files}}/{name}.pem', key: '{{files}}/{name}.key' }}")
}

fn certificates(names: &[&str]) -> String {
    let all: Vec<String> = names.iter().map(|name| pair(name)).collect();
    format!("certificates: [{}]", all.join(", "))
}

/// One certificate, for a.test.
fn one() -> (Authority, Folder, Identity) {
    let (authority, files) = (Authority::default(), Folder::new());
    let identity = authority.issue(&["a.test"]);
    identity.write(&files, "a");
    (authority, files, identity)
}

fn served(answer: std::io::Result<Answer>) -> Answer {
    let answer = answer.unwrap();
    assert!(answer.head.starts_with("HTTP/1.1 200 ") && answer.body == "served", "{answer:?}");
    answer
}

#[test]
fn the_certificate_is_chosen_by_name() {
    let (authority, files) = (Authority::default(), Folder::new());
    let of = |file: &str, names: &[&str]| {
        let identity = authority.issue(names);
        identity.write(&files, file);
        identity
    };
    let first = of("first", &["first.test"]);
    let exact = of("exact", &["exact.test", "also.exact.test", "deep.www.wild.test"]);
    let wild = of("wild", &["*.wild.test", "wild.test"]);
    let second = of("second", &["first.test", "second.test"]);
    let common = authority.issue_with(&[], |params| {
        params.distinguished_name.push(rcgen::DnType::CommonName, "common.test");
    });
    common.write(&files, "common");
    let proxy = start(&files, &certificates(&["first", "exact", "wild", "second", "common"]));
    let client = TlsClient::new(&authority).of_any_name(&authority);
    for (name, identity) in [
        ("first.test", &first),
        ("exact.test", &exact),
        ("ALSO.exact.test", &exact),
        ("www.wild.test", &wild),
        ("wild.test", &wild),
        ("deep.www.wild.test", &exact),
        ("second.test", &second),
        ("common.test", &common),
        // For a name of nobody's, for two labels in place of one, and for no name at all.
        ("nobody.test", &first),
        ("a.b.wild.test", &first),
        ("127.0.0.1", &first),
    ] {
        let answer = served(client.ask(proxy.address, name));
        assert!(answer.is_of(identity), "{name}");
    }
    let said = proxy.read("stderr");
    assert!(said.contains("`first.test` has a certificate already"), "{said}");
}

#[test]
fn versions_and_protocols_are_those_of_the_configuration() {
    let (authority, files, _) = one();
    let both = start(&files, &certificates(&["a"]));
    let new = start(&files, &format!("{}, min_version: '1.3'", certificates(&["a"])));
    let old = || TlsClient::with(&authority, &[&TLS12], None);
    assert_eq!(served(old().ask(both.address, "a.test")).version, "TLSv1_2");
    assert_eq!(served(TlsClient::new(&authority).ask(both.address, "a.test")).version, "TLSv1_3");
    assert_eq!(served(TlsClient::new(&authority).ask(new.address, "a.test")).version, "TLSv1_3");
    let refused = old().ask(new.address, "a.test").unwrap_err();
    assert!(refused.to_string().contains("ProtocolVersion"), "{refused}");
    let spoken = |proxy: &Proxy, protocols: &[&str]| {
        TlsClient::new(&authority).alpn(protocols).ask(proxy.address, "a.test").map(|answer| answer.alpn)
    };
    assert_eq!(spoken(&both, &["http/1.1"]).unwrap().as_deref(), Some("http/1.1"));
    assert_eq!(spoken(&both, &[]).unwrap(), None);
    let refused = spoken(&both, &["spdy/1"]).unwrap_err();
    assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");
    let text = text(&files, &certificates(&["a"]), "").replacen("tls: {", "http2: false, tls: {", 1);
    let without = Proxy::start(&text);
    assert_eq!(spoken(&without, &["h2", "http/1.1"]).unwrap().as_deref(), Some("http/1.1"));
}

#[test]
fn sessions_are_resumed_until_their_rule_changes() {
    for version in [&TLS12, &TLS13] {
        let (authority, files, _) = one();
        files.write("ca.pem", &authority.0.pem());
        let proxy = start(&files, &certificates(&["a"]));
        let client = TlsClient::with(&authority, &[version], None);
        let resumed = || served(client.ask(proxy.address, "a.test")).resumed;
        assert_eq!((resumed(), resumed(), resumed()), (false, true, true), "{version:?}");
        let reload = |tls: &str| {
            proxy.rewrite(&text(&files, tls, ""));
            let (code, said) = proxy.order("reload");
            assert_eq!(code, 0, "{said}");
            assert!(!said.contains("wait for an upgrade"), "{said}");
        };
        reload(&format!("{}, hsts: 1h", certificates(&["a"])));
        assert!(resumed(), "a reload alone ends no session");
        let optional = "client_auth: { ca: '{files}/ca.pem', mode: optional }";
        reload(&format!("{}, {optional}", certificates(&["a"])));
        assert_eq!((resumed(), resumed()), (false, true), "another rule for client certificates");
    }
}

#[test]
fn an_upgrade_ends_no_session() {
    for version in [&TLS12, &TLS13] {
        let (authority, files, _) = one();
        let proxy = start(&files, &certificates(&["a"]));
        let client = TlsClient::with(&authority, &[version], None);
        let resumed = || served(client.ask(proxy.address, "a.test")).resumed;
        assert!(!resumed());
        let (code, said) = proxy.order("upgrade");
        assert_eq!(code, 0, "{said}");
        assert!(resumed(), "{version:?}");
        assert_eq!(proxy.order("stop").0, 0);
        let key = proxy.folder.0.join("ticket.keys");
        assert_eq!(std::fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

/// Handshakes that are under way when the listeners go to another process, and those that begin.
#[test]
fn upgrades_and_renewals_under_load_lose_no_connection() {
    let (authority, files, _) = one();
    let proxy = start(&files, &certificates(&["a"]));
    let stop = AtomicBool::new(false);
    std::thread::scope(|all| {
        let ask = |resumes: bool| {
            let (mut asked, mut resumed) = (0, 0);
            let mut client = TlsClient::new(&authority);
            while !stop.load(Ordering::SeqCst) || asked <= 20 {
                if !resumes {
                    client = TlsClient::new(&authority);
                }
                let answer = served(client.ask(proxy.address, "a.test"));
                asked += 1;
                resumed += usize::from(answer.resumed);
            }
            (asked, resumed)
        };
        let (fresh, again) = (all.spawn(move || ask(false)), all.spawn(move || ask(true)));
        for _ in 0..3 {
            authority.issue(&["a.test"]).write(&files, "a");
            assert_eq!(proxy.order("upgrade").0, 0);
            assert_eq!(proxy.order("reload").0, 0);
        }
        stop.store(true, Ordering::SeqCst);
        let ((asked, none), (asked_again, resumed)) = (fresh.join().unwrap(), again.join().unwrap());
        assert!(none == 0 && asked_again - resumed == 1, "{asked} {none} {asked_again} {resumed}");
    });
    assert_eq!(proxy.order("stop").0, 0);
}

#[test]
fn a_reload_changes_everything_of_a_listener_but_its_address() {
    let (authority, files, _) = one();
    let [second, third] = [(); 2].map(|()| SocketAddr::from(([127, 0, 0, 1], free_port())));
    let tls = format!("tls: {{ {} }}", certificates(&["a"])).replace("{files}", files.0.to_str().unwrap());
    let text = |listeners: &[String]| {
        format!("listeners: [{}]\nroutes: [{{ respond: {{ body: served }} }}]\n", listeners.join(", "))
    };
    let plain = |address: &str| format!("{{ address: '{address}' }}");
    let with_tls = |address: &str| format!("{{ address: '{address}', {tls} }}");
    let proxy = Proxy::start(&text(&[with_tls("{listen}"), plain(&second.to_string())]));
    let speaks_tls = |address| {
        let client = TlsClient::new(&authority);
        let answer = client.ask(address, "a.test");
        answer.is_ok_and(|answer| answer.body == "served")
    };
    assert_eq!((speaks_tls(proxy.address), speaks_tls(second)), (true, false));
    let reload = |listeners: &[String]| {
        proxy.rewrite(&text(listeners));
        let (code, said) = proxy.order("reload");
        assert_eq!(code, 0, "{said}");
        said
    };
    // In another order, and each as the other one was.
    let said = reload(&[with_tls(&second.to_string()), plain("{listen}")]);
    assert_eq!((speaks_tls(proxy.address), speaks_tls(second)), (false, true));
    assert!(!said.contains("wait for an upgrade"), "{said}");
    // One that is not listed any more goes on as it was, and a new one has to wait.
    let said = reload(&[with_tls("{listen}"), with_tls(&third.to_string())]);
    assert_eq!((speaks_tls(proxy.address), speaks_tls(second)), (true, true));
    assert!(said.contains("these wait for an upgrade (`-s upgrade`): listeners"), "{said}");
    assert!(TcpStream::connect(third).is_err());
    assert_eq!(proxy.order("upgrade").0, 0);
    assert_eq!((speaks_tls(proxy.address), speaks_tls(third)), (true, true));
    assert_eq!(proxy.order("stop").0, 0);
}

fn keys(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}").repeat(32) + "\n").collect()
}

#[test]
fn a_fleet_shares_a_file_of_ticket_keys() {
    let (authority, files, _) = one();
    let shared = |name: &str, bytes: &[u8]| {
        // In one step, as a tool that distributes it does.
        let new = files.write(&format!("{name}.new"), &keys(bytes));
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::rename(new, files.0.join(name)).unwrap();
    };
    ["one", "two", "other"].iter().for_each(|name| shared(name, &[1]));
    shared("other", &[9]);
    let port = free_port();
    let start = |ip: &str, file: &str| {
        let listen = format!("{ip}:{port}");
        let tls = format!("{}, ticket_keys: '{{files}}/{file}'", certificates(&["a"]));
        let proxy = Proxy::start(&text(&files, &tls, "").replace("{listen}", &listen));
        (proxy, listen.parse::<SocketAddr>().unwrap())
    };
    let ((first, at_first), (second, at_second)) = (start("127.0.0.2", "one"), start("127.0.0.3", "two"));
    let (_stranger, at_stranger) = start("127.0.0.4", "other");
    let client = TlsClient::new(&authority);
    let resumed = |address| served(client.ask(address, "a.test")).resumed;
    assert!(!resumed(at_first));
    assert!(resumed(at_second));
    assert!(!resumed(at_stranger));
    // A new key comes to one process before the other one; both decrypt what either encrypts.
    shared("two", &[1, 2]);
    await_until("the keys", || second.read("stderr").contains("the 2 ticket keys of"));
    assert!(!resumed(at_second), "the stranger's session is none of this fleet's");
    assert!(resumed(at_first));
    shared("one", &[2, 1]);
    await_until("the keys", || first.read("stderr").contains("the 2 ticket keys of"));
    assert!(resumed(at_first));
    assert!(resumed(at_second));
    // What cannot be used leaves the old keys in force.
    files.write("one", "nonsense\n");
    await_until("the complaint", || first.read("stderr").contains("the ticket keys of before stay in force"));
    assert!(resumed(at_first));
    // The second process loses the key of the sessions so far.
    shared("two", &[3]);
    await_until("the key", || second.read("stderr").contains("the 1 ticket keys of"));
    assert!(!resumed(at_second));
}

#[test]
fn listeners_do_not_take_each_others_sessions() {
    let (authority, files, _) = one();
    let other = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let tls = certificates(&["a"]).replace("{files}", files.0.to_str().unwrap());
    let proxy = Proxy::start(&format!(
        "listeners: [{{ address: '{{listen}}', tls: {{ {tls} }} }}, {{ address: '{other}', tls: {{ {tls} }} }}]\n\
         routes: [{{ respond: {{ body: served }} }}]\n"
    ));
    let client = TlsClient::new(&authority);
    let resumed = |address| served(client.ask(address, "a.test")).resumed;
    assert_eq!((resumed(proxy.address), resumed(other), resumed(other)), (false, false, true));
}

#[test]
fn renewed_certificates_are_served_without_a_reload() {
    let (authority, files, old) = one();
    let proxy = start(&files, &certificates(&["a"]));
    let is_served =
        |identity: &Identity| served(TlsClient::new(&authority).ask(proxy.address, "a.test")).is_of(identity);
    assert!(is_served(&old));
    // The key first, then the certificate, each in place.
    let new = authority.issue(&["a.test", "b.test"]);
    new.write(&files, "a");
    await_until("the renewed certificate", || is_served(&new));
    let said = proxy.read("stderr");
    assert!(said.contains("a.pem is in force: a.test, b.test, until 4096-01-01"), "{said}");
    // Another one's key, for as long as it takes to be complained of.
    let stranger = authority.issue(&["a.test"]);
    files.write("a.key", &stranger.key.serialize_pem());
    await_until("the complaint", || proxy.read("stderr").contains("`cert` and `key` do not belong together"));
    assert!(is_served(&new));
    let said = proxy.read("stderr");
    assert!(said.contains("the certificate of before stays in force: a.test, b.test"), "{said}");
    assert!(said.contains("it is not the key of"), "{said}");
    let complaints = said.matches("do not belong together").count();
    // Its certificate comes, too.
    files.write("a.pem", &stranger.pem);
    await_until("the stranger's certificate", || is_served(&stranger));
    // A file that is gone.
    std::fs::remove_file(files.0.join("a.pem")).unwrap();
    await_until("the complaint", || proxy.read("stderr").contains("a.pem`: No such file"));
    assert!(is_served(&stranger));
    files.write("a.pem", &stranger.pem);
    assert_eq!(complaints, 1, "once for each change");
}

/// Files that root alone may read are read once, before root is given up.
#[test]
fn a_process_that_gives_up_root_says_what_it_cannot_read_again() {
    if !nix::unistd::Uid::effective().is_root() {
        return;
    }
    let (authority, files, _) = one();
    let proxy = start_with(&files, &certificates(&["a"]), "server: { user: nobody }\n");
    served(TlsClient::new(&authority).ask(proxy.address, "a.test"));
    let said = proxy.read("stderr");
    assert!(said.contains("a.key could not be read again: Permission denied"), "{said}");
    assert!(!said.contains("stays in force"), "{said}");
}

/// As Kubernetes swaps a secret's files: `..data` is a symlink to a folder.
#[test]
fn a_symlink_that_is_swapped_is_a_renewal() {
    let (authority, files) = (Authority::default(), Folder::new());
    let place = |folder: &str| {
        let identity = authority.issue(&["a.test"]);
        std::fs::create_dir(files.0.join(folder)).unwrap();
        identity.write(&files, &format!("{folder}/a"));
        std::os::unix::fs::symlink(folder, files.0.join("data.new")).unwrap();
        std::fs::rename(files.0.join("data.new"), files.0.join("data")).unwrap();
        identity
    };
    let old = place("1");
    for file in ["a.pem", "a.key"] {
        std::os::unix::fs::symlink(format!("data/{file}"), files.0.join(file)).unwrap();
    }
    let proxy = start(&files, &certificates(&["a"]));
    let is_served =
        |identity: &Identity| served(TlsClient::new(&authority).ask(proxy.address, "a.test")).is_of(identity);
    assert!(is_served(&old));
    let new = place("2");
    await_until("the renewed certificate", || is_served(&new));
    assert!(!proxy.read("stderr").contains("stays in force"), "{}", proxy.read("stderr"));
}

#[test]
fn clients_show_certificates_where_they_have_to() {
    let (authority, files) = (Authority::default(), Folder::new());
    authority.issue(&["a.test", "*.a.test"]).write(&files, "a");
    let (clients, admins) = (Authority::new("clients"), Authority::new("admins"));
    files.write("clients.pem", &clients.0.pem());
    files.write("admins.pem", &admins.0.pem());
    let tls = format!(
        "{}, client_auth: {{ ca: '{{files}}/clients.pem' }}, hosts: [\
         {{ host: [open.a.test], client_auth: off }}, \
         {{ host: '*.a.test', client_auth: {{ ca: '{{files}}/clients.pem', mode: optional }} }}, \
         {{ host: admin.a.test, client_auth: {{ ca: '{{files}}/admins.pem', mode: require }} }}]",
        certificates(&["a"])
    );
    let proxy = start(&files, &tls);
    let (client, admin) = (clients.issue_to_client("client"), admins.issue_to_client("admin"));
    for version in [&TLS12, &TLS13] {
        let ask = |identity: Option<&Identity>, name: &str| {
            TlsClient::with(&authority, &[version], identity).ask(proxy.address, name).is_ok()
        };
        for (name, nobody, of_clients, of_admins) in [
            ("a.test", false, true, false),
            ("x.a.test", true, true, false),
            ("open.a.test", true, true, true),
            ("admin.a.test", false, false, true),
        ] {
            let got = (ask(None, name), ask(Some(&client), name), ask(Some(&admin), name));
            assert_eq!(got, (nobody, of_clients, of_admins), "{name} {version:?}");
        }
    }
    let said = proxy.read("stderr");
    assert!(said.contains("was not let in: TLS: "), "{said}");
    assert_eq!(said.matches("was not let in").count(), 1, "a flood is one line: {said}");
}

/// rustls keeps the client's certificate in the ticket; what is let in by it must not be let in
/// where another one is asked for.
#[test]
fn a_session_with_a_certificate_is_resumed_under_its_own_rule_alone() {
    let (authority, files) = (Authority::default(), Folder::new());
    authority.issue(&["a.test"]).write(&files, "a");
    let clients = Authority::new("clients");
    files.write("clients.pem", &clients.0.pem());
    let with = |rule: &str| format!("{}, client_auth: {rule}", certificates(&["a"]));
    let required = with("{ ca: '{files}/clients.pem' }");
    let proxy = start(&files, &required);
    let client = TlsClient::with(&authority, BOTH, Some(&clients.issue_to_client("client")));
    let resumed = || client.ask(proxy.address, "a.test").map(|answer| answer.resumed).ok();
    assert_eq!((resumed(), resumed()), (Some(false), Some(true)));
    let reload = |tls: &str| {
        proxy.rewrite(&text(&files, tls, ""));
        assert_eq!(proxy.order("reload").0, 0);
    };
    // The client's CA is not trusted any more.
    files.write("clients.pem", &Authority::new("clients").0.pem());
    reload(&required);
    assert_eq!(resumed(), None);
    // A client that was let in without a certificate.
    reload(&with("off"));
    let nobody = TlsClient::new(&authority);
    let resumed = || nobody.ask(proxy.address, "a.test").map(|answer| answer.resumed).ok();
    assert_eq!((resumed(), resumed()), (Some(false), Some(true)));
    reload(&required);
    assert_eq!(resumed(), None);
}

#[test]
fn an_ocsp_response_is_stapled_until_it_is_out_of_date() {
    let (authority, files) = (Authority::default(), Folder::new());
    authority.issue_with(&["a.test"], |params| params.serial_number = serial(0x91)).write(&files, "a");
    let write = |until: &str| {
        std::fs::write(files.0.join("a.ocsp"), ocsp::response(&[0x91], until)).unwrap();
    };
    write("20500101000000Z");
    let tls = certificates(&["a"]).replace(" }]", ", ocsp: '{files}/a.ocsp' }]");
    let proxy = start(&files, &tls);
    let stapled = || {
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut client = TlsClient::new(&authority);
        client.0.dangerous().set_certificate_verifier(Arc::new(Stapled(Arc::clone(&seen))));
        served(client.ask(proxy.address, "a.test"));
        let seen = seen.lock().unwrap();
        seen.clone()
    };
    assert_eq!(stapled(), ocsp::response(&[0x91], "20500101000000Z"));
    write("20510101000000Z");
    await_until("the new response", || stapled() == ocsp::response(&[0x91], "20510101000000Z"));
    std::fs::write(files.0.join("a.ocsp"), ocsp::response(&[0x92], "20500101000000Z")).unwrap();
    await_until("the complaint", || proxy.read("stderr").contains("this OCSP response is for another certificate"));
    assert_eq!(stapled(), ocsp::response(&[0x91], "20510101000000Z"));
    write("20210101000000Z");
    await_until("no response", || stapled().is_empty());
    let said = proxy.read("stderr");
    assert!(said.contains("the OCSP response is out of date since 2021-01-01: it is not stapled"), "{said}");
}

/// Keeps the OCSP response, and accepts everything.
#[derive(Debug)]
struct Stapled(Arc<std::sync::Mutex<Vec<u8>>>);

impl rustls::client::danger::ServerCertVerifier for Stapled {
    fn verify_server_cert(
        &self,
        _end_entity: &rustls::pki_types::CertificateDer<'_>,
        _intermediates: &[rustls::pki_types::CertificateDer<'_>],
        _server_name: &rustls::pki_types::ServerName<'_>,
        ocsp_response: &[u8],
        _now: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        *self.0.lock().unwrap() = ocsp_response.to_vec();
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &rustls::pki_types::CertificateDer<'_>,
        _signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &rustls::pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.verify_tls12_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[test]
fn a_client_that_does_not_shake_hands_is_let_go() {
    let (authority, files, _) = one();
    let proxy = start_with(&files, &certificates(&["a"]), "timeouts: { tls_handshake: 1s }\n");
    let began = Instant::now();
    let silent = TcpStream::connect(proxy.address).unwrap();
    // A ClientHello of which a byte comes now and then.
    let mut slow = TcpStream::connect(proxy.address).unwrap();
    slow.write_all(&[22, 3, 1, 1, 0, 1]).unwrap();
    let mut closed = [silent, slow].map(|mut stream| {
        stream.set_read_timeout(Some(support::DEADLINE)).unwrap();
        std::thread::spawn(move || matches!(stream.read(&mut [0; 1]), Ok(0)))
    });
    for closed in &mut closed {
        await_until("the end of the connection", || closed.is_finished());
    }
    assert!(closed.into_iter().all(|closed| closed.join().unwrap()));
    let took = began.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(8)).contains(&took), "{took:?}");
    served(TlsClient::new(&authority).ask(proxy.address, "a.test"));
    await_until("the line in the log", || {
        proxy.read("stderr").contains("the TLS handshake took longer than `timeouts.tls_handshake`")
    });
}

#[test]
fn a_client_of_http_is_told_that_the_port_speaks_https() {
    let (_, files, _) = one();
    let proxy = start(&files, &certificates(&["a"]));
    let answer = proxy.get("/");
    assert_eq!((answer.status, answer.text().as_str()), (400, "this port speaks HTTPS\n"));
    let mut other = TcpStream::connect(proxy.address).unwrap();
    other.set_read_timeout(Some(support::DEADLINE)).unwrap();
    other.write_all(b"\0\0\0\0").unwrap();
    let mut answer = Vec::new();
    other.read_to_end(&mut answer).unwrap_or_default();
    assert!(answer.is_empty(), "{answer:?}");
}

#[test]
fn a_check_tells_what_is_wrong_with_a_certificate() {
    let (authority, files) = (Authority::default(), Folder::new());
    let until = |days: i64| {
        authority.issue_with(&["a.test"], |params| {
            params.not_before = time::OffsetDateTime::now_utc() - time::Duration::days(90);
            params.not_after = time::OffsetDateTime::now_utc() + time::Duration::days(days);
        })
    };
    until(-1).write(&files, "expired");
    until(13).write(&files, "soon");
    let later = authority.issue_with(&["b.test"], |params| {
        params.not_before = time::OffsetDateTime::now_utc() + time::Duration::days(1);
    });
    later.write(&files, "later");
    std::fs::set_permissions(files.0.join("later.key"), std::fs::Permissions::from_mode(0o640)).unwrap();
    files.write(
        "proxy.yaml",
        &format!(
            "admin: {{ address: off }}\nlisteners:\n  - address: '127.0.0.1:{}'\n    tls:\n      certificates:\n        - {}\n        - {}\n        - {}\nroutes: [{{ respond: {{}} }}]\n",
            free_port(),
            pair("expired"),
            pair("soon"),
            pair("later")
        )
        .replace("{files}", "."),
    );
    let (code, said) = call_for(&files, &["-t"]);
    assert_eq!(code, 0, "{said}");
    for (message, place) in [
        ("warning: the certificate for `a.test` expired on ", "proxy.yaml:6:19"),
        ("warning: the certificate for `a.test` expires on ", "proxy.yaml:7:19"),
        ("warning: `a.test` has a certificate already", "proxy.yaml:7:19"),
        ("warning: the certificate for `b.test` is not valid before ", "proxy.yaml:8:19"),
        ("warning: the private key can be read by other users", "proxy.yaml:8:39"),
    ] {
        let found =
            said.split(message).skip(1).any(|rest| rest.lines().nth(1).is_some_and(|line| line.ends_with(place)));
        assert!(found, "{message} {place}: {said}");
    }
}

/// A second look at what the other tests do with a client of our own kind.
#[test]
fn openssl_agrees() {
    if Command::new("openssl").arg("version").output().is_err() {
        return;
    }
    let (authority, files, _) = one();
    let ca = files.write("ca.pem", &authority.0.pem());
    let proxy = start(&files, &certificates(&["a"]));
    for version in ["-tls1_2", "-tls1_3"] {
        let session = files.0.join(format!("session{version}"));
        let connect = |arguments: &[&str]| {
            let output = Command::new("sh")
                .args(["-c", "printf 'GET / HTTP/1.1\\r\\nHost: a.test\\r\\nConnection: close\\r\\n\\r\\n' | timeout 20 openssl s_client \"$@\"", "sh"])
                .args(["-connect", &proxy.address.to_string(), "-servername", "a.test", "-ign_eof", version])
                .args(["-verify_return_error", "-CAfile", ca.to_str().unwrap()])
                .args(arguments)
                .output()
                .unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let first = connect(&["-sess_out", session.to_str().unwrap()]);
        assert!(first.contains("New, TLSv1") && first.contains("served"), "{first}");
        let second = connect(&["-sess_in", session.to_str().unwrap()]);
        assert!(second.contains("Reused, TLSv1") && second.contains("served"), "{second}");
    }
    // An address is no name (RFC 6066 section 3): it is passed over, and the log is not filled with it.
    let connect = Command::new("openssl")
        .args(["s_client", "-connect", &proxy.address.to_string(), "-servername", "127.0.0.1"])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&connect.stdout).contains("New, TLSv1.3"), "{connect:?}");
    assert!(!proxy.read("stderr").contains("rustls"), "{}", proxy.read("stderr"));
    for version in ["-tls1", "-tls1_1"] {
        let refused = Command::new("openssl")
            .args(["s_client", "-connect", &proxy.address.to_string(), version, "-cipher", "DEFAULT@SECLEVEL=0"])
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        assert!(!refused.status.success());
    }
}

/// What a provider with a certificate for each customer has.
#[test]
fn ten_thousand_certificates_are_served_from_one_listener() {
    const COUNT: usize = 10_000;
    let (authority, files) = (Authority::default(), Folder::new());
    let mut text = String::from("listeners:\n  - address: '{listen}'\n    tls:\n      certificates:\n");
    for number in 0..COUNT {
        authority.issue(&[&format!("c{number}.test")]).write(&files, &format!("c{number}"));
        text.push_str(&format!("        - {}\n", pair(&format!("c{number}"))));
    }
    text.push_str("routes: [{ respond: { body: served } }]\n");
    let text = text.replace("{files}", files.0.to_str().unwrap());
    let began = Instant::now();
    let proxy = Proxy::start(&text);
    let started = began.elapsed();
    let memory = proxy.peak_memory() / 1024 / 1024;
    let client = TlsClient::new(&authority);
    let began = Instant::now();
    let names = (0..COUNT).step_by(COUNT / 50);
    let handshakes = names.map(|number| served(client.ask(proxy.address, &format!("c{number}.test")))).count();
    let handshake = began.elapsed() / u32::try_from(handshakes).unwrap();
    let began = Instant::now();
    let (code, said) = proxy.order("reload");
    assert_eq!(code, 0, "{said}");
    let reloaded = began.elapsed();
    let renewed = authority.issue(&["c7777.test"]);
    renewed.write(&files, "c7777");
    let began = Instant::now();
    // A session that is resumed is one of the old certificate.
    let is_served = || served(TlsClient::new(&authority).ask(proxy.address, "c7777.test")).is_of(&renewed);
    await_until("the renewed certificate", is_served);
    let seen = began.elapsed();
    let now = proxy.resident_memory() / 1024 / 1024;
    let measured = format!(
        "start {started:?}, {memory} MiB at most, a handshake {handshake:?}, reload {reloaded:?}, \
         a renewal seen after {seen:?}, {now} MiB at last"
    );
    println!("{measured}");
    assert!(memory < 200 && now < 250, "{measured}");
    assert!(reloaded < started, "what is known is read again: {measured}");
}
