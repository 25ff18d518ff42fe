//! `replay` names the requests of an access log that would fare otherwise under another configuration, and no
//! others; and a proxy with that configuration then does what was foretold.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;
use support::{Folder, Origin, Proxy, call, call_for};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Calls `replay` and returns its exit code and its report.
fn replay(folder: &Folder, old: &str, new: &str, log: &str) -> (i32, Value) {
    let (code, out, err) = call(&["-c", old, "replay", new, "--log", log, "--json", "--examples", "1000"], &folder.0);
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{code}: {out}{err}")))
}

/// `what` of the requests that change, as `METHOD host path`.
fn changed(report: &Value) -> BTreeSet<String> {
    let groups = report["groups"].as_array().unwrap();
    let examples = groups.iter().flat_map(|group| group["examples"].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    examples.map(|e| format!("{} {} {}", text(&e["method"]), text(&e["host"]), text(&e["path"]))).collect()
}

fn set(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|one| (*one).to_owned()).collect()
}

/// A line of an access log.
fn line(method: &str, host: &str, path: &str, more: &str) -> String {
    format!(
        r#"{{"ts":"2024-02-29T12:34:56.789Z","client_ip":"192.0.2.7","remote_ip":"192.0.2.7","method":"{method}","scheme":"http","host":"{host}","path":"{path}","query":"","proto":"HTTP/1.1","status":200,"bytes_in":0{more}}}"#
    )
}

const SHOP: &str = "
listeners: ['{listen}']
upstreams: { app: { servers: ['SERVER'] }, next: { servers: ['OTHER'] } }
routes:
  - { name: api, match: { path: /api }, upstream: app }
  - { name: old, match: { host: old.example }, redirect: { to: 'https://new.example{path}', status: 301 } }
  - { name: admin, match: { path: /admin }, access: { allow: [10.0.0.0/8] }, upstream: app }
  - { name: rest, upstream: app }
";

const REQUESTS: [(&str, &str, &str); 9] = [
    ("GET", "shop.example", "/"),
    ("GET", "shop.example", "/api/items"),
    ("POST", "shop.example", "/api/items"),
    ("GET", "shop.example", "/api/v2/items"),
    ("GET", "shop.example", "/api/v2"),
    ("GET", "shop.example", "/api/v20"),
    ("GET", "old.example", "/x"),
    ("GET", "shop.example", "/admin"),
    ("GET", "other.example", "/api/v2/x"),
];

/// Sends every request, one after the other, and returns route and status of each as logged.
fn seen(proxy: &Proxy) -> Vec<(String, Value, Value)> {
    for (method, host, path) in REQUESTS {
        let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
        proxy.ask(format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{length}\r\n"));
    }
    let log = proxy.access_log(REQUESTS.len());
    let one = |entry: &Value| {
        let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let asked = format!("{} {} {}", text("method"), text("host"), text("path"));
        (asked, entry["route"].clone(), entry["status"].clone())
    };
    let mut seen: Vec<_> = log.iter().map(one).collect();
    seen.sort_by(|a, b| a.0.cmp(&b.0));
    seen
}

#[test]
fn a_moved_route_names_exactly_the_requests_that_move_and_so_it_comes() {
    let (app, next) = (Origin::fixed(OK), Origin::fixed(OK));
    let fill =
        |text: &str| text.replace("SERVER", &app.address.to_string()).replace("OTHER", &next.address.to_string());
    let before = fill(SHOP);
    let moved = before.replace(
        "  - { name: old,",
        "  - { name: v2, match: { path: /api/v2, host: shop.example }, upstream: next }\n  - { name: old,",
    );
    let (old, new) = (Proxy::start(&before), Proxy::start(&moved));
    let was = seen(&old);
    let (code, report) = {
        let file = new.folder.0.join("proxy.yaml").display().to_string();
        replay(&old.folder, "proxy.yaml", &file, "stdout")
    };
    let wanted = set(&["GET shop.example /api/v2/items", "GET shop.example /api/v2"]);
    assert_eq!((code, changed(&report)), (4, wanted.clone()), "{report:#}");
    assert_eq!(report["groups"][0]["what"], serde_json::json!(["route", "upstream"]), "{report:#}");
    assert_eq!((report["requests"].as_u64(), report["cannot_be_told"].as_u64()), (Some(9), Some(0)), "{report:#}");
    // The new proxy does the same with those, and what it did before with all others.
    let is = seen(&new);
    for (before, after) in was.iter().zip(&is) {
        assert_eq!(before.0, after.0);
        assert_eq!(before != after, wanted.contains(&before.0), "{before:?} {after:?}");
    }
    assert_eq!(is.iter().filter(|(_, route, _)| route == "v2").count(), 2);
    assert_eq!(next.count(), 2);
}

/// `old` and `new` are the routes and what goes with them; returns code and report.
fn between(old: &str, new: &str, lines: &[String]) -> (i32, Value) {
    let folder = Folder::new();
    let whole = |text: &str| format!("listeners: ['127.0.0.1:8080']\n{text}");
    folder.write("old.yaml", &whole(old));
    folder.write("new.yaml", &whole(new));
    folder.write("access.log", &(lines.join("\n") + "\n"));
    replay(&folder, "old.yaml", "new.yaml", "access.log")
}

const PLAIN: &str = "routes: [{ name: all, upstream: '127.0.0.1:3000' }]\n";

#[test]
fn every_kind_of_change_is_told() {
    let lines = [line("GET", "a", "/x", ""), line("GET", "a", "/y", "")];
    for (new, what, to) in [
        ("routes: [{ name: other, upstream: '127.0.0.1:3000' }]", "route", "route `other`"),
        ("routes: [{ name: all, upstream: '127.0.0.1:3001' }]", "upstream", "127.0.0.1:3001"),
        (
            "routes: [{ name: all, upstream: '127.0.0.1:3000', request: { header: { set: { x: '1' } } } }]",
            "edits",
            "to upstream",
        ),
        (
            "routes: [{ name: all, upstream: '127.0.0.1:3000', response: { header: { set: { x: '1' } } } }]",
            "edits",
            "to upstream",
        ),
        (
            "routes: [{ name: all, upstream: '127.0.0.1:3000', access: { deny: [192.0.2.0/24] } }]",
            "outcome",
            "refused with 403",
        ),
        ("routes: [{ name: all, redirect: { to: 'https://b' } }]", "outcome", "redirected with"),
        ("routes: [{ name: all, respond: { status: 204 } }]", "outcome", "answered with 204"),
        ("routes: [{ name: all, match: { path: /z }, upstream: '127.0.0.1:3000' }]", "outcome", "refused with 404"),
        (
            "trusted_proxies: [10.0.0.0/8]\nroutes: [{ name: all, upstream: '127.0.0.1:3000', auth: { forward: { url: 'http://127.0.0.1:9/' } } }]",
            "auth",
            "asks by `auth.forward`",
        ),
    ] {
        let (code, report) = between(PLAIN, new, &lines);
        let group = &report["groups"][0];
        assert_eq!((code, report["changed"].as_u64()), (4, Some(2)), "{new}: {report:#}");
        assert!(group["what"].as_array().unwrap().contains(&what.into()), "{new}: {report:#}");
        assert!(group["to"].as_str().unwrap().contains(to), "{new}: {report:#}");
    }
}

#[test]
fn what_changes_from_moment_to_moment_is_no_change() {
    let lines: Vec<String> = (0..50).map(|_| line("GET", "a", "/x", "")).collect();
    for new in [
        "routes: [{ name: all, upstream: '127.0.0.1:3000', rate_limit: { rate: 1/s } }]",
        "routes: [{ name: all, upstream: '127.0.0.1:3000', concurrency: { max: 1 } }]",
        "limits: { request_body: 5GiB }\nroutes: [{ name: all, upstream: '127.0.0.1:3000' }]",
    ] {
        let (code, report) = between(PLAIN, new, &lines);
        assert_eq!((code, report["same"].as_u64()), (0, Some(50)), "{new}: {report:#}");
    }
    let split = "upstreams: { a: { servers: ['127.0.0.1:1'] }, b: { servers: ['127.0.0.1:2'] } }\nroutes: [{ name: all, upstream: { a: 50, b: 50 } }]\n";
    let (code, report) = between(split, split, &lines);
    assert_eq!((code, report["same"].as_u64()), (0, Some(50)), "{report:#}");
}

#[test]
fn a_body_is_held_against_its_limit() {
    let lines = [line("PUT", "a", "/x", "").replace("\"bytes_in\":0", "\"bytes_in\":2000"), line("PUT", "a", "/y", "")];
    let new = "limits: { request_body: 1KiB }\nroutes: [{ name: all, upstream: '127.0.0.1:3000' }]";
    let (code, report) = between(PLAIN, new, &lines);
    assert_eq!((code, changed(&report)), (4, set(&["PUT a /x"])), "{report:#}");
}

#[test]
fn what_a_log_does_not_hold_is_not_guessed() {
    let lines = [line("GET", "a", "/x", ""), line("GET", "b", "/x", "")];
    let beta = "  - { name: beta, match: { host: a, header: { x-beta: '1' } }, upstream: '127.0.0.1:3001' }\n";
    let rest = "  - { name: all, upstream: '127.0.0.1:3000' }\n";
    let (plain, with) = (format!("routes:\n{rest}"), format!("routes:\n{beta}{rest}"));
    let (code, report) = between(&plain, &with, &lines);
    assert_eq!((code, report["same"].as_u64(), report["cannot_be_told"].as_u64()), (0, Some(1), Some(1)), "{report:#}");
    let reason = report["unknown"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("route `beta` matches on header `x-beta`"), "{reason}");
    // Where it makes no difference, it is known.
    let (code, report) = between(&with, &with, &lines);
    assert_eq!((code, report["same"].as_u64()), (0, Some(2)), "{report:#}");
    let (code, report) = between(&with, &with.replace("host: a,", "host: [a, c],"), &lines);
    assert_eq!((code, report["same"].as_u64()), (0, Some(2)), "{report:#}");
    // Also a cookie, and an absent field.
    for condition in ["cookie: { beta: '1' }", "header: { x-old: { present: false } }"] {
        let (_, report) = between(&plain, &with.replace("header: { x-beta: '1' }", condition), &lines);
        assert_eq!(report["cannot_be_told"].as_u64(), Some(1), "{condition}: {report:#}");
    }
    // A trusted proxy says who the client is, and where it does not any more, the log knows all the same.
    let deny = "routes: [{ name: all, upstream: '127.0.0.1:3000', access: { deny: [192.0.2.7] } }]\n";
    let forwarded = [line("GET", "a", "/x", "").replace("\"remote_ip\":\"192.0.2.7\"", "\"remote_ip\":\"10.0.0.1\"")];
    let (code, report) = between(&format!("trusted_proxies: [10.0.0.1]\n{deny}"), deny, &forwarded);
    assert_eq!(
        (code, report["groups"][0]["to"].as_str()),
        (4, Some("route `all`, to upstream `127.0.0.1:3000`")),
        "{report:#}"
    );
}

#[test]
fn a_route_without_a_name_is_the_one_that_does_the_same() {
    let lines = [line("GET", "a", "/x", ""), line("GET", "a", "/new", "")];
    let old = "routes:\n  - upstream: '127.0.0.1:3000'\n";
    let new = "routes:\n  - { match: { path: /new }, upstream: '127.0.0.1:3001' }\n  - upstream: '127.0.0.1:3000'\n";
    let (code, report) = between(old, new, &lines);
    assert_eq!((code, changed(&report)), (4, set(&["GET a /new"])), "{report:#}");
}

#[test]
fn lines_that_are_no_requests_are_counted_and_the_first_is_named() {
    let lines = ["nonsense".to_owned(), line("GET", "a", "/x", ""), "{\"method\":".to_owned(), "x".repeat(3_000_000)];
    let (code, report) = between(PLAIN, PLAIN, &lines);
    assert_eq!(
        (code, report["requests"].as_u64(), report["not_understood"].as_u64()),
        (0, Some(1), Some(3)),
        "{report:#}"
    );
    assert_eq!(report["first_not_understood"]["line"].as_u64(), Some(1));
    // A log without any request is a mistake, and so are a file that is not there and a configuration that is invalid.
    let folder = Folder::new();
    folder.write("a.yaml", &format!("listeners: ['127.0.0.1:8080']\n{PLAIN}"));
    folder.write("bad.yaml", "listeners: 7\n");
    folder.write("empty.log", "");
    for (new, log, says) in
        [("a.yaml", "empty.log", "empty"), ("a.yaml", "none.log", "none.log"), ("bad.yaml", "empty.log", "bad.yaml")]
    {
        let (code, _, err) = call(&["-c", "a.yaml", "replay", new, "--log", log], &folder.0);
        assert!(code == 1 && err.contains(says), "{code} {err}");
    }
}

#[test]
fn against_itself_nothing_moves_whatever_was_asked() {
    let config = "
trusted_proxies: [10.0.0.0/8]
upstreams:
  a: { servers: ['127.0.0.1:1', '127.0.0.1:2'] }
  b: { servers: ['127.0.0.1:3'], sticky: { cookie: s } }
routes:
  - { name: one, match: { host: '*.example', path: /a }, request: { path: { strip_prefix: /a } }, upstream: a }
  - { match: { path: { regex: '^/[0-9]+$' } }, upstream: b }
  - { name: three, match: { header: { user-agent: { regex: curl } } }, respond: { status: 418 } }
  - { name: four, match: { header: { x-y: '1' }, method: [GET, PUT] }, redirect: { to: 'https://{host}{path}' } }
  - { name: five, match: { cookie: { c: { present: false } }, path: /b }, upstream: { a: 1, b: 3 } }
  - { name: six, match: { query: { q: '1' } }, rate_limit: { rate: 1/s }, split_by: client_ip, upstream: { a: 1, b: 3 } }
  - { match: { path: /c }, cors: { origins: ['https://x.example'] }, upstream: a }
";
    let mut lines = Vec::new();
    let pieces = ["a", "b", "c", "17", "%2e%2e", "..", "%2F", "x", "", "%c3%a9"];
    for (i, host) in ["a.example", "b", "10.1.1.1:80", "", "x y"].iter().enumerate() {
        for (j, first) in pieces.iter().enumerate() {
            for (k, second) in pieces.iter().enumerate() {
                for method in ["GET", "PUT", "OPTIONS", "get"] {
                    let mut more = String::new();
                    write!(more, r#","user_agent":"curl {k}","bytes_in2":{j}"#).unwrap();
                    let path = format!("/{first}/{second}");
                    let entry = line(method, host, &path, if (i + j + k) % 2 == 0 { &more } else { "" });
                    let query = format!("\"query\":\"q={}\"", k % 3);
                    lines.push(entry.replace("\"query\":\"\"", &query));
                }
            }
        }
    }
    let (code, report) = between(config, config, &lines);
    assert_eq!((code, report["changed"].as_u64()), (0, Some(0)), "{:#}", report["groups"]);
    assert_eq!(report["same"].as_u64(), Some(2000), "{:#}", report["unknown"]);
}

#[test]
fn a_person_reads_a_summary_and_with_verbose_every_request() {
    let folder = Folder::new();
    folder.write("old.yaml", &format!("listeners: ['127.0.0.1:8080']\n{PLAIN}"));
    folder.write("new.yaml", &format!("listeners: ['127.0.0.1:8080']\n{}", PLAIN.replace("3000", "3001")));
    folder.write("log", &format!("{}\n", line("GET", "a.example", "/x", "")).repeat(3));
    let (code, out, err) = call(&["-c", "old.yaml", "replay", "new.yaml", "--log", "log", "--verbose"], &folder.0);
    assert!(code == 4 && err.contains("; the file old.yaml is compared"), "{code} {err}");
    assert_eq!(out.matches("GET a.example/x: route `all`").count(), 3, "{out}");
    assert!(
        out.contains("3 requests, from old.yaml to new.yaml:\n  3 change (100.0 %), 0 stay as they are\n"),
        "{out}"
    );
    assert!(out.contains("  now:   route `all`, to upstream `127.0.0.1:3000`\n"), "{out}");
}

#[test]
fn the_running_process_is_asked_for_its_newest_requests() {
    let app = Origin::fixed(OK);
    let text = SHOP.replace("SERVER", &app.address.to_string()).replace("OTHER", &app.address.to_string());
    let proxy = Proxy::start(&text.replace("name: rest, upstream: app", "name: rest, upstream: next"));
    seen(&proxy);
    let new = proxy.read("proxy.yaml").replace("path: /admin", "path: /operators");
    proxy.folder.write("new.yaml", &new);
    let last = |count: &str| call_for(&proxy.folder, &["replay", "new.yaml", "--last", count, "--json"]);
    let (code, text) = last("9");
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{code} {text}"));
    assert_eq!((code, changed(&report)), (4, set(&["GET shop.example /admin"])), "{report:#}");
    let (code, text) = last("1");
    assert!(code == 0 && text.contains("\"requests\": 1"), "{code} {text}");
}
