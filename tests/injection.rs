//! What a client sends to write in the operator's logs and terminal, to hide a value from a
//! rule, or to have a redirect lead elsewhere.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use support::{Folder, Origin, Proxy, await_until, call};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Nothing but printable ASCII, and short lines.
fn assert_harmless(text: &str, most: usize) {
    assert!(text.bytes().all(|b| matches!(b, b'\n' | b' '..=b'~')), "{}", text.escape_debug());
    let longest = text.lines().map(str::len).max().unwrap_or(0);
    assert!(longest <= most, "a line of {longest} bytes");
}

#[test]
fn requests_that_are_none_write_nothing_of_their_own_into_a_line() {
    let hostile: [&[u8]; 4] = [
        b"GE\x1b[31mT\x07\" / HTTP/1.1\"\x1b]0;owned\x07\r\nUser-Agent: \x1b[2J\x9b1m\"\r\nReferer: \xe2\x80\xae\r\n\r\n",
        b"GET /\x7f\x1b[1m?\"\x08 HTTP/9\x1b[5m\r\nHost: \x1b[7m\"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: a\" \"b\x1b\r\n\r\n",
        b"\x16\x03\x01\x02\x00 \x1b \x07\r\n\r\n",
    ];
    let long = format!("{} / {}\r\nHost: {}\r\n\r\n", "M".repeat(3000), "P".repeat(3000), "h".repeat(9000));
    for format in ["combined", "text"] {
        let proxy = Proxy::start(&format!(
            "listeners: ['{{listen}}']\nlog: {{ access: {{ format: {format} }} }}\nroutes: [{{ respond: {{}} }}]\n"
        ));
        for request in hostile.iter().copied().chain([long.as_bytes()]) {
            assert_eq!(proxy.ask(request).status / 100, 4);
        }
        proxy.get("/good");
        await_until("six lines", || proxy.read("stdout").lines().count() >= 6);
        let lines = proxy.read("stdout");
        assert_harmless(&lines, 300);
        if format == "combined" {
            assert!(lines.lines().all(|line| line.matches('"').count() == 6), "{lines}");
            assert!(lines.contains("\"GE\\x1B[31mT\\x07\\x22 /"), "{lines}");
        }
    }
}

#[test]
fn a_json_line_of_a_hostile_request_is_bounded() {
    let proxy = Proxy::start("listeners: ['{listen}']\nroutes: [{ respond: {} }]\n");
    proxy.ask(format!("{}\x1b / {}\r\nHost: {}\r\n\r\n", "M".repeat(3000), "P".repeat(3000), "h".repeat(9000)));
    let line = proxy.access_log(1).remove(0);
    let length = |key: &str| line[key].as_str().unwrap().len();
    assert_eq!((length("method"), length("proto"), length("host")), (32, 16, 260));
}

/// The error log at `debug` holds what an upstream says of itself.
#[test]
fn an_upstream_writes_no_line_of_the_error_log() {
    let origin = Origin::fixed("HTTP/1.1 200 OK\r\nX: \x1b[31m\r\n[2026-01-01T00:00:00Z ERROR forged] \x07\r\n\r\n");
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nlog: {{ level: debug }}\nroutes: [{{ upstream: '{}' }}]\n",
        origin.address
    ));
    assert_eq!(proxy.get("/").status, 502);
    await_until("a line of it", || proxy.read("stderr").contains("request "));
    let log = proxy.read("stderr");
    assert!(log.chars().all(|c| c == '\n' || !c.is_control()), "{}", log.escape_debug());
    assert!(!log.lines().any(|line| line.starts_with("[2026-01-01T00:00:00Z ERROR forged]")), "{log}");
}

#[test]
fn explain_and_problems_of_a_file_do_not_move_the_cursor() {
    let folder = Folder::new();
    folder.write("p.yaml", "listeners: ['127.0.0.1:1']\nroutes: [{ match: { header: { x: y } }, respond: {} }]\n");
    for arguments in
        [["GET", "/\u{1b}[2J", "x: \u{e9}"], ["GET", "/a", "x: \u{9b}1m\u{202e}"], ["GET", "/?\u{9b}1m", "x: y"]]
    {
        let [method, target, field] = arguments;
        let (_, said, stderr) = call(&["explain", "-c", "p.yaml", method, target, "-H", field], &folder.0);
        let all = said + &stderr;
        assert!(all.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{}", all.escape_debug());
    }
    let name = "a\u{1b}[1m.yaml";
    folder.write(name, "listeners: []\nx\u{9b}: \u{202e}\n");
    let (code, _, stderr) = call(&["-t", "-c", name], &folder.0);
    assert_eq!(code, 1);
    assert!(stderr.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{}", stderr.escape_debug());
}

fn with_rule(condition: &str, origin: &Origin) -> Proxy {
    Proxy::start(&format!(
        "listeners: ['{{listen}}']\nroutes:\n  - {{ match: {{ {condition} }}, respond: {{ status: 403 }} }}\n  - {{ upstream: '{}' }}\n",
        origin.address
    ))
}

#[test]
fn a_query_that_a_rule_refuses_cannot_hide_behind_another() {
    let origin = Origin::fixed(OK);
    for condition in ["query: { debug: '1' }", "query: { debug: { regex: ^1$ } }"] {
        let proxy = with_rule(condition, &origin);
        for query in ["debug=1", "debug=0&debug=1", "debug=1&debug=0", "debug&debug=%31", "x=2;debug=1", "%64ebug=1"] {
            assert_eq!(proxy.get(&format!("/?{query}")).status, 403, "{condition} {query}");
        }
        for query in ["debug=0", "debug=11", "xdebug=1", "x=debug=1"] {
            assert_eq!(proxy.get(&format!("/?{query}")).status, 200, "{condition} {query}");
        }
    }
    let proxy = with_rule("query: { token: { present: false } }", &origin);
    assert_eq!(proxy.get("/?x=1&token").status, 200);
    assert_eq!(proxy.get("/?x=1").status, 403);
}

#[test]
fn cookies_and_fields_that_a_rule_refuses_cannot_hide_behind_others() {
    let origin = Origin::fixed(OK);
    let ask = |proxy: &Proxy, fields: &[u8]| {
        proxy.ask([b"GET / HTTP/1.1\r\nHost: a\r\n", fields, b"\r\n\r\n"].concat()).status
    };
    for condition in ["cookie: { role: admin }", "cookie: { role: { regex: '^adm' } }"] {
        let proxy = with_rule(condition, &origin);
        for fields in [
            "Cookie: role=admin",
            "Cookie: role=user; role=admin",
            "Cookie: role=user\r\nCookie: a=b;role=admin",
            "Cookie: role=\"admin\"",
            "Cookie: role=%61dmin",
        ] {
            assert_eq!(ask(&proxy, fields.as_bytes()), 403, "{condition} {fields}");
        }
        assert_eq!(ask(&proxy, b"Cookie: role=user; xrole=admin"), 200);
    }
    let proxy = with_rule("header: { x-role: admin }", &origin);
    for fields in ["X-Role: admin", "X-Role: user\r\nX-Role: admin", "X-Role: user, admin", "X-Role: ,admin ,"] {
        assert_eq!(ask(&proxy, fields.as_bytes()), 403, "{fields}");
    }
    assert_eq!(ask(&proxy, b"X-Role: administrator"), 200);
    let proxy = with_rule("header: { x-role: { regex: admin } }", &origin);
    assert_eq!(ask(&proxy, b"X-Role: admin\xff"), 403);
}

#[test]
fn a_redirect_leads_to_no_other_site() {
    let location = |to: &str, request: &str| {
        let proxy = Proxy::start(&format!("listeners: ['{{listen}}']\nroutes: [{{ redirect: '{to}' }}]\n"));
        let response = proxy.ask(request);
        response.header("location").map(str::to_owned).ok_or(response.status)
    };
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a.test:81\r\n\r\n");
    for to in ["{path}/", "/{path}/"] {
        let to = location(to, &get("//evil.test")).unwrap();
        assert!(to.starts_with("/evil.test"), "{to}");
    }
    assert_eq!(location("https://{hostname}{path}?{query}", &get("/x?y=1")).unwrap(), "https://a.test/x?y=1");
    assert_eq!(location("https://{host}{path}?{query}", &get("/x")).unwrap(), "https://a.test:81/x");
    assert_eq!(location("{path}{query}", &get("/x?q={\"a\":\"<\"}")).unwrap(), "/x?q=%7B%22a%22:%22%3C%22%7D");
    // `https:///evil.test` is read as a link to that host.
    assert_eq!(location("https://{host}{path}", "GET /evil.test HTTP/1.0\r\n\r\n"), Err(400));
    assert_eq!(
        location("https://{host}{path}", "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap(),
        "https://a.test/"
    );
}
