//! What an operator sees and changes of a running process's servers: over the command
//! line and the admin endpoint.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;
use support::faults::{answering, named, refusing};
use support::{Client, Origin, Proxy, Response, await_until, call_for, free_port};

struct Running {
    proxy: Proxy,
    /// Where the admin endpoint listens; without an address on a unix socket.
    admin: Option<SocketAddr>,
    origins: [Origin; 2],
    yaml: String,
}

fn start(settings: &str) -> Running {
    let admin: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    start_at(&admin.to_string(), settings)
}

/// With the admin endpoint on a unix socket.
fn start_on_unix() -> Running {
    start_at("unix:{folder}/admin.sock", "")
}

fn start_at(admin: &str, settings: &str) -> Running {
    let origins = [named("a"), named("b")];
    let yaml = format!(
        "listeners: ['{{listen}}']\nadmin: {{ address: '{admin}' }}\nupstreams:\n  api:\n    \
         servers: ['{}', '{}']\n    sticky: {{ cookie: lb }}\n{settings}routes: [{{ upstream: api }}]\n",
        origins[0].address, origins[1].address
    );
    Running { proxy: Proxy::start(&yaml), admin: admin.parse().ok(), origins, yaml }
}

impl Running {
    fn tell(&self, words: &[&str]) -> (i32, String) {
        call_for(&self.proxy.folder, &[&["upstreams"], words].concat())
    }

    fn ask(&self, request: &str) -> Response {
        let Some(admin) = self.admin else { return ask_on_unix(&self.proxy.folder.0.join("admin.sock"), request) };
        let mut client = Client::connect(admin);
        client.send(request);
        client.response()
    }

    fn server(&self, index: usize) -> Value {
        let answer = self.ask("GET /upstreams HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        let report: Value = serde_json::from_slice(&answer.body).unwrap();
        report["upstreams"][0]["servers"][index].clone()
    }

    fn patch(&self, index: usize, body: &str, fields: &str) -> Response {
        let server = self.origins[index].address;
        let length = body.len();
        self.ask(&format!(
            "PATCH /upstreams/api/servers/{server} HTTP/1.1\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n{fields}\r\n{body}"
        ))
    }

    fn answers(&self) -> String {
        (0..8).map(|_| self.proxy.get("/").text()).collect()
    }
}

fn ask_on_unix(socket: &Path, request: &str) -> Response {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(support::DEADLINE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut piece).unwrap();
        answer.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let mut lines = head.lines();
        let line = lines.next().unwrap().to_owned();
        let headers: Vec<_> = lines.map(|l| l.split_once(": ").unwrap()).map(|(n, v)| (n.into(), v.into())).collect();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let response = Response { line, status, headers, body: body.as_bytes().to_vec() };
        if response.header("content-length").unwrap().parse() == Ok(response.body.len()) {
            return response;
        }
    }
}

#[test]
fn a_server_is_drained_disabled_enabled_and_weighed_by_the_command_line() {
    let running = start("");
    let server = running.origins[0].address.to_string();
    let cookie = loop {
        let answer = running.proxy.get("/");
        if answer.text() == "a" {
            break answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        }
    };
    let sticky = || running.proxy.ask(format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n")).text();
    let (code, text) = running.tell(&["drain", "api", &server]);
    assert_eq!(
        (code, text.trim_end()),
        (0, &*format!("upstream api: server {server} gets no new clients; 1 of 2 get requests"))
    );
    assert_eq!((running.answers().as_str(), sticky().as_str()), ("bbbbbbbb", "a"));
    assert_eq!(running.tell(&["disable", "api", &server]).0, 0);
    assert_eq!((running.answers().as_str(), sticky().as_str()), ("bbbbbbbb", "b"));
    let (_, table) = running.tell(&[]);
    assert!(table.contains("api: 1 of 2 get requests") && table.contains("disabled"), "{table}");
    assert_eq!(running.tell(&["enable", "api", &server]).0, 0);
    assert_eq!(running.tell(&["weight", "api", &server, "3"]).0, 0);
    assert_eq!(running.answers().matches('a').count(), 6);
    assert_eq!(running.server(0)["weight"], 3);
    assert_eq!(running.tell(&["weight", "api", &server, "0"]).0, 0);
    assert_eq!(running.answers().matches('a').count(), 4);
    let (code, text) = running.tell(&["drain", "api", "127.0.0.1:1"]);
    assert!(code == 1 && text.contains("has no server `127.0.0.1:1`; it has "), "{text}");
    let (code, text) = running.tell(&["drain", "apo", "127.0.0.1:1"]);
    assert!(code == 1 && text.contains("there is no upstream `apo`; there are api"), "{text}");
    assert_eq!(running.tell(&["weight", "api", &server, "1001"]).0, 2);
}

#[test]
fn over_tcp_the_admin_endpoint_changes_nothing_and_says_what_does() {
    let running = start("");
    for body in [r#"{"state":"disabled"}"#, r#"{"weight":7}"#, "{", "{}"] {
        let answer = running.patch(0, body, "Host: 127.0.0.1\r\n");
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(
            answer.text().contains("`pingora-proxy upstreams`") && answer.text().contains("unix socket"),
            "{answer:?}"
        );
    }
    for method in ["PUT", "POST", "DELETE", "GET"] {
        let server = running.origins[0].address;
        let line = format!("{method} /upstreams/api/servers/{server} HTTP/1.1\r\nHost: localhost\r\n");
        assert_eq!(running.ask(&format!("{line}Content-Length: 0\r\n\r\n")).status, 403, "{method}");
    }
    assert_eq!((running.server(0)["state"].as_str(), running.server(0)["weight"].as_u64()), (Some("up"), Some(1)));
    assert_eq!(running.tell(&["disable", "api", &running.origins[0].address.to_string()]).0, 0);
    assert_eq!(running.answers(), "bbbbbbbb");
}

#[test]
fn what_asks_for_another_machine_or_comes_from_a_page_is_told_nothing() {
    let running = start("");
    let ask = |target: &str, fields: &str| running.ask(&format!("GET {target} HTTP/1.1\r\n{fields}\r\n"));
    for target in ["/health", "/ready", "/upstreams", "/nothing"] {
        for fields in ["Host: evil.test\r\n", "Host: evil.test:9180\r\n", "Host: 192.0.2.1\r\n"] {
            let answer = ask(target, fields);
            assert!(answer.status == 403 && answer.text().contains("is not this machine"), "{target}: {answer:?}");
        }
        let answer = ask(target, "Host: localhost\r\nOrigin: http://evil.test\r\n");
        assert!(answer.status == 403 && answer.text().contains("a page of `http://evil.test`"), "{answer:?}");
    }
    for ours in [format!("Host: {}\r\n", running.admin.unwrap()), "Host: localhost:1\r\n".into()] {
        assert_eq!(ask("/upstreams", &ours).status, 200, "{ours}");
    }
    assert_eq!(call_for(&running.proxy.folder, &["healthcheck"]), (0, String::new()));
}

#[test]
fn the_admin_endpoint_on_a_unix_socket_changes_servers_for_programs_and_not_for_pages() {
    let running = start_on_unix();
    let answer = running.patch(0, r#"{"state":"disabled"}"#, "Host: 127.0.0.1\r\n");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(running.answers(), "bbbbbbbb");
    assert_eq!(
        (running.server(0)["state"].as_str(), running.server(0)["reason"].as_str()),
        (Some("disabled"), Some("by the operator"))
    );
    let from_a_page = running.patch(0, r#"{"state":"enabled"}"#, "Host: localhost\r\nOrigin: http://evil.test\r\n");
    assert_eq!(from_a_page.status, 403);
    for (body, status) in
        [(r#"{"state":"on"}"#, 422), (r#"{"state":"enabled","weight":1001}"#, 422), ("{}", 400), (r#"{"wait":1}"#, 422)]
    {
        assert_eq!(running.patch(0, body, "Host: localhost\r\n").status, status, "{body}");
    }
    assert_eq!(running.answers(), "bbbbbbbb");
    assert_eq!(running.patch(0, r#"{"state":"enabled","weight":7}"#, "Host: localhost\r\n").status, 200);
    assert_eq!(running.answers().matches('a').count(), 7);
    assert_eq!(call_for(&running.proxy.folder, &["healthcheck"]), (0, String::new()));
}

#[test]
fn the_admin_endpoint_on_a_unix_socket_is_its_owners_own() {
    let running = start_on_unix();
    let found = std::fs::metadata(running.proxy.folder.0.join("admin.sock")).unwrap();
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    let own = std::fs::metadata("/proc/self").unwrap();
    assert_eq!(found.uid(), own.uid());
}

#[test]
fn the_admin_endpoint_says_what_it_does_not_understand() {
    let running = start_on_unix();
    let host = "Host: localhost\r\n";
    let status = |line: &str| running.ask(&format!("{line} HTTP/1.1\r\n{host}\r\n")).status;
    assert_eq!((status("GET /nothing"), status("GET /upstreams/api")), (404, 404));
    let wrong = running.ask(&format!("POST /ready HTTP/1.1\r\n{host}Content-Length: 0\r\n\r\n"));
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET, HEAD")));
    let server = running.origins[0].address;
    let plain =
        running.ask(&format!("PATCH /upstreams/api/servers/{server} HTTP/1.1\r\n{host}Content-Length: 2\r\n\r\n{{}}"));
    assert_eq!(plain.status, 415);
    for (body, code) in [("{", 400), ("{\"weight\":\"x\"}", 422), (&"x".repeat(70_000), 413)] {
        let answer = running.patch(0, body, host);
        let told: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status, &told["ok"]), (code, &Value::Bool(false)), "{told}");
    }
    let nowhere = running.ask(&format!(
        "PATCH /upstreams/api/servers/127.0.0.1%3A1 HTTP/1.1\r\n{host}Content-Type: application/json\r\n\
         Content-Length: 12\r\n\r\n{{\"weight\":2}}"
    ));
    assert!(nowhere.status == 404 && nowhere.text().contains("has no server `127.0.0.1:1`"), "{nowhere:?}");
}

#[test]
fn the_admin_endpoint_keeps_a_connection_and_speaks_http_1_0() {
    let running = start("");
    let mut client = Client::connect(running.admin.unwrap());
    for _ in 0..2 {
        client.send("HEAD /ready HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let head = client.response();
        assert_eq!((head.status, head.body.len()), (200, 0));
        client.send("GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = client.response();
        assert_eq!(answer.header("content-length"), head.header("content-length"));
        assert!(answer.text().contains("\"status\":\"ready\""), "{answer:?}");
    }
    let mut old = Client::connect(running.admin.unwrap());
    old.send("GET /ready HTTP/1.0\r\n\r\n");
    assert_eq!(old.response().status, 200);
    assert!(old.wire.is_closed());
}

#[test]
fn what_the_operator_said_stands_until_the_configuration_says_something_else() {
    let running = start("");
    let server = running.origins[0].address.to_string();
    assert_eq!(running.tell(&["disable", "api", &server]).0, 0);
    running.proxy.rewrite(&running.yaml.replace("cookie: lb", "cookie: lb, max_age: 2h"));
    assert_eq!(running.proxy.order("reload").0, 0);
    assert_eq!(running.answers(), "bbbbbbbb");
    let weighed = running.yaml.replace(&format!("'{server}'"), &format!("{{ address: '{server}', weight: 3 }}"));
    running.proxy.rewrite(&weighed);
    assert_eq!(running.proxy.order("reload").0, 0);
    assert_eq!(running.answers().matches('a').count(), 6);
}

#[test]
fn what_the_operator_said_stands_through_an_upgrade() {
    let mut running = start("");
    let (first, second) = (running.origins[0].address.to_string(), running.origins[1].address.to_string());
    assert_eq!(running.tell(&["disable", "api", &first]).0, 0);
    assert_eq!(running.tell(&["weight", "api", &second, "9"]).0, 0);
    let (code, text) = running.proxy.order("upgrade");
    assert_eq!(code, 0, "{text}");
    running.proxy.process.0.wait().unwrap();
    assert_eq!(running.answers(), "bbbbbbbb");
    assert_eq!(
        (running.server(0)["state"].as_str(), running.server(1)["weight"].as_u64()),
        (Some("disabled"), Some(9))
    );
    assert_eq!(running.tell(&["enable", "api", &first]).0, 0);
    assert!(running.answers().contains('a'));
    running.proxy.order("stop");
}

/// Ends the process by a signal and starts another one in its place.
fn restart(running: &mut Running, name: &str) {
    running.proxy.signal(name);
    running.proxy.process.0.wait().unwrap();
    let mut start = support::command(&running.proxy.folder, &["-c", "proxy.yaml"]);
    running.proxy.process = support::Process(start.current_dir(&running.proxy.folder.0).spawn().unwrap());
    running.proxy.await_ready();
}

#[test]
fn what_the_operator_said_stands_through_a_restart() {
    let mut running = start("");
    let (first, second) = (running.origins[0].address.to_string(), running.origins[1].address.to_string());
    let (_, text) = running.tell(&["disable", "api", &first]);
    assert!(!text.contains("forgets"), "{text}");
    assert_eq!(running.tell(&["weight", "api", &second, "9"]).0, 0);
    // Drained, and killed without a word.
    for name in ["TERM", "KILL"] {
        restart(&mut running, name);
        assert_eq!(running.answers(), "bbbbbbbb", "{name}");
        assert_eq!(
            (running.server(0)["state"].as_str(), running.server(1)["weight"].as_u64()),
            (Some("disabled"), Some(9)),
            "{name}"
        );
    }
    let log = running.proxy.read("stderr");
    assert!(log.contains("what an operator said of servers before this start holds on"), "{log}");
    // The configuration says something else of one of them: that holds.
    let weighed = running.yaml.replace(&format!("'{second}'"), &format!("{{ address: '{second}', weight: 3 }}"));
    running.proxy.rewrite(&weighed);
    restart(&mut running, "TERM");
    assert_eq!(
        (running.server(0)["state"].as_str(), running.server(1)["weight"].as_u64()),
        (Some("disabled"), Some(3))
    );
    // What is taken back is forgotten.
    assert_eq!(running.tell(&["enable", "api", &first]).0, 0);
    restart(&mut running, "TERM");
    assert!(running.answers().contains('a'));
    assert!(!running.proxy.folder.0.join("upgrade.sock.servers").exists());
}

#[test]
fn where_a_change_cannot_be_kept_the_answer_says_so() {
    let mut running = start("");
    let server = running.origins[0].address.to_string();
    // A folder stands where the file would.
    std::fs::create_dir_all(running.proxy.folder.0.join("upgrade.sock.servers/x")).unwrap();
    let (code, text) = running.tell(&["disable", "api", &server]);
    assert!(
        code == 0 && text.contains("is disabled; 1 of 2 get requests; a restart forgets it: cannot write"),
        "{text}"
    );
    restart(&mut running, "TERM");
    assert!(running.answers().contains('a'));
    // Without a control socket there is no place for it.
    let running = start_on_unix();
    assert_eq!(running.proxy.order("stop").0, 0);
    running.proxy.rewrite(&format!("server: {{ upgrade_sock: off }}\n{}", running.yaml));
    let mut without = support::command(&running.proxy.folder, &["-c", "proxy.yaml"]);
    let _process = support::Process(without.current_dir(&running.proxy.folder.0).spawn().unwrap());
    await_until("the start", || UnixStream::connect(running.proxy.folder.0.join("admin.sock")).is_ok());
    let answer = running.patch(0, r#"{"state":"disabled"}"#, "Host: localhost\r\n");
    assert!(answer.text().contains("a restart forgets it: this process has no control socket"), "{answer:?}");
}

#[test]
fn when_the_operator_leaves_no_server_requests_get_503() {
    let running = start("");
    for origin in &running.origins {
        running.tell(&["disable", "api", &origin.address.to_string()]);
    }
    let answer = running.proxy.get("/");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    let (_, text) = running.tell(&["disable", "api", &running.origins[0].address.to_string()]);
    assert!(text.contains("0 of 2 get requests: requests get 503"), "{text}");
}

#[test]
fn the_report_tells_each_state_and_its_reason() {
    let (sad, gone) = (answering(503), refusing());
    let good = named("good");
    let admin: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nadmin: {{ address: '{admin}' }}\nupstreams:\n  api:\n    \
         servers: ['{}', '{gone}', '{}']\n    health:\n      passive: {{ failures: 2, max_ejected: 100% }}\n      \
         active: {{ tcp: true, interval: 100ms, unhealthy_after: 2 }}\n\
         \x20   pool: {{ max_connections: 7 }}\nroutes: [{{ upstream: api }}]\n",
        sad.address, good.address
    ));
    await_until("both are out", || {
        proxy.get("/");
        let log = proxy.read("stderr");
        log.contains("gets no requests") && log.contains("is down")
    });
    let mut client = Client::connect(admin);
    client.send("GET /upstreams HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let report: Value = serde_json::from_slice(&client.response().body).unwrap();
    let api = &report["upstreams"][0];
    let text = |server: usize, key: &str| api["servers"][server][key].as_str().unwrap().to_owned();
    assert_eq!((api["name"].as_str(), api["available"].as_u64()), (Some("api"), Some(1)));
    assert_eq!(
        (text(0, "state"), text(0, "reason")),
        ("ejected".into(), "2 failures in a row, the last: it answered 503".into())
    );
    assert_eq!(
        (text(1, "state"), text(1, "reason")),
        ("down".into(), "2 checks in a row failed: connection refused".into())
    );
    assert_eq!((text(2, "state"), text(2, "reason")), ("up".into(), String::new()));
    assert_eq!(api["servers"][2]["max_connections"], 7);
    assert_eq!(api["servers"][0]["ejections"], 1);
    assert!(api["servers"][2]["requests"].as_u64() >= Some(1) && api["servers"][2]["in_flight"].is_u64());
}
