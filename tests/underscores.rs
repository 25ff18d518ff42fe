//! Header fields with an underscore in their names: what becomes of them is the operator's choice,
//! and one who misses such a field finds out why.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use support::{Origin, Proxy, await_until, call_for};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const ASKED: &str =
    "GET / HTTP/1.1\r\nHost: a\r\nX_User: 1\r\nX-User: 2\r\nX_Forwarded_For: 6.6.6.6\r\nKeep_Alive: 5\r\n\r\n";

fn with(origin: &Origin, headers: &str) -> String {
    format!(
        "listeners: ['{{listen}}']\nlog: {{ level: debug }}\n{headers}\nroutes: [{{ upstream: '{}' }}]\n",
        origin.address
    )
}

#[test]
fn fields_with_underscores_are_dropped_kept_or_refused() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::start(&with(&origin, ""));
    let seen = |name: &str| origin.last().header(name).map(str::to_owned);
    assert_eq!(proxy.ask(ASKED).status, 200);
    assert_eq!((seen("x_user"), seen("x-user").as_deref(), seen("x_forwarded_for")), (None, Some("2"), None));

    proxy.rewrite(&with(&origin, "headers: { underscores: keep }"));
    assert_eq!(proxy.order("reload").0, 0);
    assert_eq!(proxy.ask(ASKED).status, 200);
    assert_eq!((seen("x_user").as_deref(), seen("x-user").as_deref()), (Some("1"), Some("2")));
    // What the proxy tells of the client, and what ends here, does not pass in disguise.
    assert_eq!((seen("x_forwarded_for"), seen("keep_alive")), (None, None));

    proxy.rewrite(&with(&origin, "headers: { underscores: reject }"));
    assert_eq!(proxy.order("reload").0, 0);
    let count = origin.count();
    let refused = proxy.ask(ASKED);
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("headers.underscores"), "{}", refused.text());
    assert_eq!((proxy.get("/").status, origin.count()), (200, count + 1));
}

#[test]
fn the_log_and_explain_say_that_a_field_was_dropped() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::start(&with(&origin, ""));
    (0..3).for_each(|_| assert_eq!(proxy.ask(ASKED).status, 200));
    let lines = |what: &str| proxy.read("stderr").lines().filter(|line| line.contains(what)).count();
    let each =
        "dropped header fields with an underscore in their names: [\"x_user\", \"x_forwarded_for\", \"keep_alive\"]";
    await_until("a line for each request", || lines(each) == 3);
    assert_eq!(lines("see `headers.underscores`"), 1, "{}", proxy.read("stderr"));
    let arguments = ["explain", "GET", "http://a/", "-H", "x_user: 1", "-H", "connection: x-gone", "-H", "x-gone: 1"];
    let (code, explained) = call_for(&proxy.folder, &arguments);
    assert_eq!(code, 0, "{explained}");
    assert!(explained.contains("  removes:    x_user: 1 (see `headers.underscores`)\n"), "{explained}");
    assert!(explained.contains("  removes:    x-gone: 1\n"), "{explained}");
}
