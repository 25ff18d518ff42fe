//! Where the access log goes, what its lines look like, which requests have one, and what they hide.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::os::unix::net::UnixDatagram;

use support::{DEADLINE, Folder, Origin, Proxy, await_until};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn with_log(log: &str, routes: &str) -> Proxy {
    Proxy::start(&format!("log: {{ {log} }}\nlisteners: ['{{listen}}']\nroutes: {routes}\n"))
}

fn lines(proxy: &Proxy, count: usize) -> Vec<String> {
    await_until("lines", || proxy.read("stdout").lines().count() >= count);
    proxy.read("stdout").lines().map(str::to_owned).collect()
}

#[test]
fn a_template_is_the_whole_line() {
    let origin = Origin::fixed(OK);
    let format =
        r#"{client_ip} <{method} {target}> {status}/{upstream_status} "{header:x-a}" {header:x-b} {user_agent} {{}}"#;
    let proxy =
        with_log(&format!("access: {{ format: '{format}' }}"), &format!("[{{ upstream: '{}' }}]", origin.address));
    proxy.ask("GET /a?b={c HTTP/1.1\r\nHost: a\r\nX-A: 1\" 2\r\nUser-Agent: curl\r\n\r\n");
    assert_eq!(lines(&proxy, 1), [r#"127.0.0.1 <GET /a?b={c> 200/200 "1\x22 2" - curl {}"#]);
}

#[test]
fn failures_are_logged_whatever_the_sample_is_and_all_requests_are_kept() {
    let origin = Origin::fixed(OK);
    let free = support::free_port();
    let proxy = with_log(
        "access: { sample: 0%, always: { status: 404, slower_than: 1m } }",
        &format!(
            "[{{ match: {{ path: /bad }}, upstream: '127.0.0.1:{free}' }}, \
              {{ match: {{ path: /none }}, respond: {{ status: 404 }} }}, {{ upstream: '{}' }}]",
            origin.address
        ),
    );
    for path in ["/good", "/bad", "/good", "/none", "/good"] {
        proxy.get(path);
    }
    assert_eq!(proxy.order("stop").0, 0);
    let paths: Vec<_> = proxy.access_log(2).iter().map(|line| line["path"].as_str().unwrap().to_owned()).collect();
    assert_eq!(paths, ["/bad", "/none"]);
}

#[test]
fn values_that_are_to_be_hidden_are_in_no_line() {
    let proxy = with_log("access: { redact: { query: [token], client_ip: true } }", "[{ respond: { status: 204 } }]");
    proxy.ask("GET /a?x=1&tok%65n=s3cret HTTP/1.1\r\nHost: a\r\nReferer: http://a/?token=s3cret#b\r\n\r\n");
    let line = proxy.access_log(1).remove(0);
    assert_eq!(
        (&line["query"], &line["referer"]),
        (&"x=1&tok%65n=[redacted]".into(), &"http://a/?token=[redacted]#b".into())
    );
    assert_eq!((&line["client_ip"], &line["remote_ip"]), (&"127.0.0.0".into(), &"127.0.0.0".into()));
    assert!(!proxy.read("stdout").contains("s3cret"));
}

fn receive(daemon: &UnixDatagram) -> String {
    let mut bytes = vec![0; 65_536];
    let count = daemon.recv(&mut bytes).unwrap();
    String::from_utf8(bytes[..count].to_vec()).unwrap()
}

#[test]
fn syslog_gets_each_line_and_is_found_again_after_it_was_gone() {
    let folder = Folder::new();
    let path = folder.0.join("log");
    let listen = || {
        let daemon = UnixDatagram::bind(&path).unwrap();
        daemon.set_read_timeout(Some(DEADLINE)).unwrap();
        daemon
    };
    let daemon = listen();
    let proxy = with_log(
        &format!("access: {{ to: {{ syslog: 'unix:{}', facility: local3, tag: web }} }}", path.display()),
        "[{ respond: { status: 204 } }]",
    );
    let head = format!("<158>web[{}]: ", proxy.pid());
    for number in 0..3 {
        assert_eq!(proxy.get(&format!("/{number}")).status, 204);
        let message = receive(&daemon);
        let line: serde_json::Value = serde_json::from_str(message.strip_prefix(&head).unwrap()).unwrap();
        assert_eq!(line["path"], format!("/{number}"));
    }
    drop(daemon);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(proxy.get("/lost").status, 204);
    await_until("the trouble", || proxy.read("stderr").contains("access log: cannot write to syslog at unix:"));
    assert!(proxy.order("status").1.contains("access log lines lost: 1"), "{}", proxy.order("status").1);
    let daemon = listen();
    assert_eq!(proxy.get("/again").status, 204);
    assert!(receive(&daemon).contains("\"path\":\"/again\""));
    await_until("the end of the trouble", || proxy.read("stderr").contains("is written again; 1 lines were lost"));
}

#[test]
fn syslog_over_udp_is_rfc_5424() {
    let daemon = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    daemon.set_read_timeout(Some(DEADLINE)).unwrap();
    let address = daemon.local_addr().unwrap();
    let proxy = with_log(
        &format!("access: {{ to: {{ syslog: '{address}' }}, format: '{{status}} {{path}}' }}"),
        "[{ respond: { status: 204 } }]",
    );
    assert_eq!(proxy.get("/a").status, 204);
    let mut bytes = [0; 2048];
    let count = daemon.recv(&mut bytes).unwrap();
    let text = std::str::from_utf8(&bytes[..count]).unwrap();
    let words: Vec<&str> = text.split(' ').collect();
    assert_eq!((words[0], words[3], words[4]), ("<134>1", "pingora-proxy", proxy.pid().to_string().as_str()), "{text}");
    assert_eq!(words[5..], ["access", "-", "204", "/a"]);
}

#[test]
fn the_error_log_is_json_where_asked_for_and_names_what_a_message_is_about() {
    let proxy = with_log("format: json, access: { to: off }", "[{ respond: { status: 204 } }]");
    assert_eq!(proxy.order("reload").0, 0);
    let text = proxy.read("stderr");
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let reload =
        lines.iter().find(|line| line["message"].as_str().unwrap().starts_with("reload: configuration")).unwrap();
    assert_eq!((&reload["level"], &reload["target"]), (&"info".into(), &"process".into()));
    assert!(reload["ts"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn the_same_message_is_told_once_a_second_with_a_count() {
    let proxy = with_log("format: json", "[{ respond: { status: 204 } }]");
    proxy.rewrite("listeners: [");
    for _ in 0..8 {
        assert_eq!(proxy.order("reload").0, 1);
    }
    let told = || {
        let text = proxy.read("stderr");
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect(line));
        lines
            .filter(|line| line["message"].as_str().unwrap().starts_with("reload: configuration 1 stays"))
            .collect::<Vec<_>>()
    };
    let count =
        |lines: &[serde_json::Value]| lines.iter().map(|line| line["repeated"].as_u64().unwrap_or(1)).sum::<u64>();
    // The last of them are told though none comes again.
    await_until("all eight", || count(&told()) == 8);
    let lines = told();
    assert!(lines.len() < 8 && lines.iter().any(|line| line["repeated"].is_u64()), "{lines:?}");
}
