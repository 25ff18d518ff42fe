//! A new configuration in a running process: all of it or nothing, and nobody's
//! connection notices.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::time::{Duration, Instant};

use support::{Origin, Proxy, await_until};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn answering(body: &str) -> String {
    format!("listeners: ['{{listen}}']\nroutes: [{{ respond: {{ body: {body} }} }}]\n")
}

#[test]
fn hup_puts_a_new_file_in_force_on_open_connections() {
    let proxy = Proxy::start(&answering("one"));
    let mut client = proxy.connect();
    let mut ask = || {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.response().text()
    };
    assert_eq!(ask(), "one");
    proxy.rewrite(&answering("two"));
    proxy.signal("HUP");
    await_until("the reload", || proxy.read("stderr").contains("configuration 2 is in force"));
    assert_eq!(ask(), "two");
    proxy.rewrite(&answering("three"));
    assert_eq!(proxy.order("reload"), (0, "configuration 3 is in force\n".to_owned()));
    assert_eq!(ask(), "three");
}

#[test]
fn a_bad_file_changes_nothing_and_prints_every_problem() {
    let proxy = Proxy::start(&answering("one"));
    proxy.rewrite("listeners: ['{listen}']\nroutes: [{ upstrem: a }, { respond: { status: 9 } }]\n");
    let (code, text) = proxy.order("reload");
    assert_eq!(code, 1);
    for words in
        ["proxy.yaml:2:12", "did you mean `upstream`?", "proxy.yaml:2:", "2 errors, 0 warnings; nothing was changed"]
    {
        assert!(text.contains(words), "{words}\n{text}");
    }
    assert_eq!(proxy.get("/").text(), "one");
    // Nor does one that is no YAML at all, or is gone.
    proxy.folder.write("proxy.yaml", "listeners: [\n");
    assert_eq!(proxy.order("reload").0, 1);
    proxy.signal("HUP");
    await_until("the refusal", || proxy.read("stderr").matches("configuration 1 stays in force").count() >= 2);
    std::fs::remove_file(proxy.folder.0.join("proxy.yaml")).unwrap();
    proxy.signal("HUP");
    await_until("the refusal", || proxy.read("stderr").contains("cannot read the file"));
    assert_eq!(proxy.get("/").text(), "one");
}

#[test]
fn servers_that_stay_keep_their_connections_and_turns() {
    let (one, two) = (Origin::fixed(OK), Origin::fixed(OK));
    let yaml = |extra: &str| {
        format!(
            "server: {{ threads: 1 }}\nlisteners: ['{{listen}}']\nupstreams: {{ a: {{ servers: ['{}', '{}'] }} }}\nroutes: [{{ upstream: a }}{extra}]\n",
            one.address, two.address
        )
    };
    let proxy = Proxy::start(&yaml(""));
    for _ in 0..2 {
        assert_eq!(proxy.get("/").status, 200);
    }
    for step in 0..5 {
        proxy.rewrite(&yaml(&format!(", {{ match: {{ path: /{step} }}, respond: {{ status: 204 }} }}")));
        assert_eq!(proxy.order("reload").0, 0);
        assert_eq!(proxy.get("/").status, 200);
    }
    // Seven requests in turns, on the connections of the first two.
    assert_eq!((one.count(), two.count()), (4, 3));
    let connections = |origin: &Origin| origin.connections.load(std::sync::atomic::Ordering::SeqCst);
    assert!(connections(&one) <= 2 && connections(&two) <= 2, "{} {}", connections(&one), connections(&two));
}

#[test]
fn what_waits_for_an_upgrade_is_said_by_name() {
    let proxy = Proxy::start(&answering("one"));
    proxy.rewrite(&format!("server: {{ threads: 3 }}\nlog: {{ level: debug }}\n{}", answering("two")));
    let (code, text) = proxy.order("reload");
    let expected = "configuration 2 is in force; these wait for an upgrade (`-s upgrade`): log.level, server.threads\n";
    assert_eq!((code, text.as_str()), (0, expected));
    assert_eq!(proxy.get("/").text(), "two");
    let (_, status) = proxy.order("status");
    assert!(status.contains("; these wait for an upgrade (`-s upgrade`): log.level, server.threads"), "{status}");
    proxy.rewrite("x: 1\n");
    assert_eq!(proxy.order("reload").0, 1);
    let (_, status) = proxy.order("status");
    assert!(status.contains("configuration 2,") && status.contains("; the last reload was refused"), "{status}");
    proxy.rewrite(&answering("three"));
    assert_eq!(proxy.order("reload").0, 0);
    let (_, status) = proxy.order("status");
    assert!(!status.contains("reload") && !status.contains("wait for an upgrade"), "{status}");
}

#[test]
fn the_access_log_moves_with_a_reload_or_the_reload_is_refused() {
    let proxy = Proxy::start(&answering("one"));
    let with_log = |to: &str| format!("log: {{ access: {{ to: '{to}', format: combined }} }}\n{}", answering("two"));
    proxy.rewrite(&with_log("{folder}/none/access.log"));
    let (code, text) = proxy.order("reload");
    assert_eq!(code, 1, "{text}");
    assert_eq!(proxy.get("/a").text(), "one");
    proxy.rewrite(&with_log("{folder}/access.log"));
    assert_eq!(proxy.order("reload").0, 0);
    assert_eq!(proxy.get("/b").text(), "two");
    await_until("the new log", || proxy.read("access.log").contains("GET /b "));
    await_until("the old log", || proxy.read("stdout").contains("\"/a\""));
}

#[test]
fn a_change_of_the_file_is_seen_when_it_is_asked_for() {
    let watched = |body: &str| format!("server: {{ reload_on_change: true }}\n{}", answering(body));
    let proxy = Proxy::start(&watched("one"));
    proxy.rewrite(&watched("two"));
    await_until("the change", || proxy.get("/").text() == "two");
    proxy.rewrite("routes: []\n");
    await_until("the refusal", || proxy.read("stderr").contains("configuration 2 stays in force"));
    assert_eq!(proxy.get("/").text(), "two");
}

#[test]
fn ten_thousand_routes_reload_without_a_pause_for_traffic() {
    let yaml = |body: &str| {
        let routes: String = (0..10_000)
            .map(|n| format!("  - {{ match: {{ host: h{n}.example.com, path: /p{n} }}, respond: {{ body: x }} }}\n"))
            .collect();
        format!("listeners: ['{{listen}}']\nroutes:\n  - {{ respond: {{ body: {body} }} }}\n{routes}")
    };
    let proxy = Proxy::start(&yaml("one"));
    proxy.rewrite(&yaml("two"));
    let slowest = std::thread::scope(|scope| {
        let traffic = scope.spawn(|| {
            let mut slowest = Duration::ZERO;
            let mut client = proxy.connect();
            loop {
                let began = Instant::now();
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                let text = client.response().text();
                slowest = slowest.max(began.elapsed());
                if text == "two" {
                    return slowest;
                }
            }
        });
        assert_eq!(proxy.order("reload").0, 0);
        traffic.join().unwrap()
    });
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
}
