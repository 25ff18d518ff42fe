//! The id of a request: the same in the log, at the upstream, at the client and in an error.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use support::front::{Front, every_front};
use support::{Origin, Proxy, Request};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Request-Id: its-own\r\n\r\nok";
const GIVEN: &str = "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: from-outside\r\n\r\n";

every_front! { every_line_about_a_request_has_one_id }

fn every_line_about_a_request_has_one_id(front: Front) {
    let origin = Origin::fixed(OK);
    let proxy = front.before(origin.address);
    let told = ["/1", "/2"].map(|target| proxy.get(target).header("x-request-id").unwrap().to_owned());
    let seen: Vec<_> = origin.seen.lock().unwrap().iter().map(id).collect();
    let log = proxy.access_log(2);
    let logged: Vec<_> = log.iter().map(|line| line["request_id"].as_str().unwrap()).collect();
    assert!(told.as_slice() == seen && told.as_slice() == logged, "{told:?} {seen:?} {logged:?}");
    assert!(told[0] < told[1] && told[0].len() == 36, "{told:?}");
}

fn id(request: &Request) -> String {
    request.header("x-request-id").unwrap_or("none").to_owned()
}

#[test]
fn only_a_trusted_proxy_gives_a_request_its_id() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::before(origin.address);
    let told = proxy.ask(GIVEN);
    assert_ne!(told.header("x-request-id"), Some("from-outside"));
    assert_eq!(Some(id(&origin.last()).as_str()), told.header("x-request-id"));
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\ntrusted_proxies: [127.0.0.1]\nroutes:\n  - upstream: '{}'\n",
        origin.address
    ));
    assert_eq!(proxy.ask(GIVEN).header("x-request-id"), Some("from-outside"));
    assert_eq!(id(&origin.last()), "from-outside");
    assert_eq!(proxy.access_log(1)[0]["request_id"], "from-outside");
    // What would not be safe in a log or a page is none.
    let hostile = proxy.ask("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: \"><script>\r\n\r\n");
    assert!(hostile.header("x-request-id").is_some_and(|id| id.len() == 36), "{hostile:?}");
    let error = proxy.ask("GET /%zz HTTP/1.1\r\nHost: a\r\nX-Request-Id: from-outside\r\n\r\n");
    assert_eq!(error.status, 400);
    assert!(error.header("x-request-id").is_some());
}

#[test]
fn the_field_can_be_left_to_others() {
    let origin = Origin::fixed(OK);
    for (told, at_upstream, at_client) in
        [("both", true, true), ("upstream", true, false), ("client", false, true), ("off", false, false)]
    {
        let proxy = Proxy::start(&format!(
            "listeners: ['{{listen}}']\nheaders: {{ request_id: {told} }}\nroutes:\n  - upstream: '{}'\n",
            origin.address
        ));
        let client = proxy.ask(GIVEN).header("x-request-id").unwrap().to_owned();
        let upstream = id(&origin.last());
        let logged = proxy.access_log(1)[0]["request_id"].as_str().unwrap().to_owned();
        assert_eq!((client == logged, client == "its-own"), (at_client, !at_client), "{told}");
        assert_eq!((upstream == logged, upstream == "from-outside"), (at_upstream, !at_upstream), "{told}");
    }
    // An operator's own edit comes after it.
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nroutes:\n  - {{ upstream: '{}', request: {{ header: {{ remove: [x-request-id] }} }} }}\n",
        origin.address
    ));
    assert_eq!(proxy.ask(GIVEN).status, 200);
    assert_eq!(id(&origin.last()), "none");
}
