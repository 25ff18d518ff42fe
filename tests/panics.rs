//! A panic in one request costs that request, and no other.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::net::SocketAddr;
use std::process::Stdio;

use support::{Client, Folder, Origin, Process, Proxy, await_until, command, free_port};

struct Running {
    proxy: Proxy,
    admin: SocketAddr,
    origin: Origin,
}

/// Whoever connects to it panics: the address of a debug build that is told so.
const PANICS: &str = "127.0.0.9:9";

fn start(settings: &str) -> Running {
    let origin = Origin::start(|request, wire| {
        wire.body(&request.headers, false);
        match request.target() {
            "/slow" => {
                wire.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
                wire.until_end();
                return false;
            }
            _ => wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        }
        true
    });
    let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let admin: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let folder = Folder::new();
    folder.write(
        "proxy.yaml",
        &format!(
            "listeners: ['{address}']\nadmin: {{ address: '{admin}' }}\nupstreams:\n  app:\n    \
             servers: ['{}']\n  panicking:\n    servers: ['{PANICS}']\n{settings}\
             routes: [{{ upstream: app }}, {{ match: {{ path: /panic }}, upstream: panicking }}]\n",
            origin.address
        ),
    );
    let child = command(&folder, &["-c", folder.0.join("proxy.yaml").to_str().unwrap()])
        .env("PINGORA_PROXY_TEST_PANIC_AT", PANICS)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut proxy = Proxy { address, process: Process(child), folder };
    proxy.await_ready();
    Running { proxy, admin, origin }
}

impl Running {
    fn health(&self) -> serde_json::Value {
        let mut client = Client::connect(self.admin);
        client.send("GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        serde_json::from_slice(&client.response().body).unwrap()
    }

    /// The lines of the error log about panics, once there are `count`.
    fn panics(&self, count: usize) -> Vec<String> {
        let lines = || -> Vec<String> {
            let log = self.proxy.read("stderr");
            log.lines().filter(|line| line.contains("panicked")).map(str::to_owned).collect()
        };
        await_until("the lines of panics", || lines().len() >= count);
        lines()
    }
}

#[test]
fn a_panic_in_one_request_costs_that_request() {
    let running = start("    pool: { max_connections: 2, queue: 1 }\n    retry: { attempts: 1 }\n");
    let mut other = running.proxy.connect();
    other.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(other.head().status, 200);
    // Each would keep its place at the server, of which there is one left, if it were not
    // given back.
    for _ in 0..5 {
        let mut client = running.proxy.connect();
        client.send("GET /panic HTTP/1.1\r\nHost: a\r\n\r\n");
        let end = client.wire.until_end();
        assert!(end.is_empty(), "{}", String::from_utf8_lossy(&end));
        assert_eq!(running.proxy.get("/").text(), "ok");
    }
    assert_eq!(other.wire.exactly(4), b"half");
    let lines = running.panics(5);
    assert_eq!(lines.len(), 5, "{lines:#?}");
    for line in &lines {
        assert!(line.contains("ERROR") && line.contains("transport/destination.rs:"), "{line}");
        let id = line.split("request ").nth(1).and_then(|rest| rest.split(':').next()).unwrap();
        let log = running.proxy.access_log(10);
        let logged = log.iter().find(|line| line["request_id"] == id).unwrap_or_else(|| panic!("{id}: {log:?}"));
        assert_eq!(
            (&logged["path"], &logged["reason"], &logged["status"]),
            (&"/panic".into(), &"internal".into(), &500.into())
        );
    }
    assert_eq!(running.health()["panics"], 5);
    let (code, text) = running.proxy.order("status");
    assert!(code == 0 && text.contains("requests lost to a panic: 5"), "{text}");
    assert!(running.origin.count() >= 6);
}

#[test]
fn a_process_that_lived_through_a_panic_reloads_upgrades_and_drains() {
    let mut running = start("");
    let panics = || {
        let mut client = running.proxy.connect();
        client.send("GET /panic HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(client.wire.is_closed());
    };
    panics();
    assert_eq!(running.proxy.order("reload").0, 0);
    panics();
    let (code, text) = running.proxy.order("upgrade");
    assert_eq!(code, 0, "{text}");
    // Nothing that the panics left behind keeps the old process alive.
    assert_eq!(running.proxy.process.0.wait().unwrap().code(), Some(0));
    assert_eq!(running.proxy.get("/").text(), "ok");
    assert_eq!(running.health()["panics"], 0);
    let (code, text) = running.proxy.order("quit");
    assert_eq!((code, text.trim()), (0, "ended; nothing was cut"));
}

#[test]
fn a_panic_at_the_start_ends_the_process() {
    let folder = Folder::new();
    let yaml = format!(
        "server: {{ threads: 1024, work_stealing: true }}\nlisteners: ['127.0.0.1:{}']\nadmin: {{ address: off }}\nroutes: [{{ respond: {{ status: 204 }} }}]\n",
        free_port()
    );
    folder.write("proxy.yaml", &yaml);
    // There is no room for the stacks of so many threads, of which the runtime makes a panic.
    let script = format!("ulimit -v 700000 && exec {} -c proxy.yaml", support::BINARY);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &script]).current_dir(&folder.0).env("RUNTIME_DIRECTORY", &folder.0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(folder.0.join("stderr")).unwrap());
    let mut process = Process(command.spawn().unwrap());
    let mut ended = None;
    await_until("the end", || {
        ended = process.0.try_wait().unwrap();
        ended.is_some()
    });
    let text = std::fs::read_to_string(folder.0.join("stderr")).unwrap();
    assert!(!ended.unwrap().success(), "{text}");
    assert!(text.contains("the process ends: panicked at"), "{text}");
}
