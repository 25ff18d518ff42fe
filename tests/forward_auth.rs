//! A service that is asked whether a request may pass: what it is told, what becomes of its answers,
//! and that nobody passes without one.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use support::front::{Ask, Front, every_front};
use support::{Folder, Origin, Proxy, Request, Wire, await_until, call, free_port};

fn ok() -> Origin {
    Origin::fixed("HTTP/1.1 200 OK\r\nSet-Cookie: app=1\r\nContent-Length: 2\r\n\r\nok")
}

/// A service that lets pass who has the cookie `session=good`, as oauth2-proxy answers at
/// `/oauth2/auth`.
fn guard() -> Origin {
    Origin::start(|request, wire| {
        let is_good = request.header("cookie").is_some_and(|cookies| cookies.contains("session=good"));
        wire.send(if is_good {
            "HTTP/1.1 202 Accepted\r\nX-Auth-Request-User: ann\r\nX-Groups: a\r\nX-Groups: b\r\n\
             Set-Cookie: session=good; Path=/; Domain=us.example\r\nSet-Cookie: csrf=2\r\nContent-Length: 0\r\n\r\n"
        } else {
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Cookie\r\nX-Reason: none\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\
             Transfer-Encoding: chunked\r\n\r\n7\r\nsign in\r\n0\r\n\r\n"
        });
        true
    })
}

fn yaml(origin: &Origin, url: &str, more: &str) -> String {
    format!(
        "listeners: ['{{listen}}']\nroutes:\n\
         - {{ match: {{ path: /open }}, upstream: '{origin}' }}\n\
         - {{ match: {{ path: /app }}, auth: {{ forward: {{ url: '{url}'{more} }} }}, upstream: '{origin}' }}\n",
        origin = origin.address
    )
}

fn told(request: &Request, name: &str) -> Vec<String> {
    let is_it = |field: &&(String, String)| field.0.to_lowercase().replace('_', "-") == name;
    request.headers.iter().filter(is_it).map(|(_, value)| value.clone()).collect()
}

every_front! { a_service_decides_and_its_answer_is_the_clients }

fn a_service_decides_and_its_answer_is_the_clients(front: Front) {
    let (origin, guard) = (ok(), guard());
    let more = ", request_headers: [x-team], response_headers: [X-Auth-Request-User, x-groups, x-email]";
    let url = format!("http://{}/oauth2/auth?a=1", guard.address);
    let proxy = front.start(&format!("{}headers: {{ underscores: keep }}\n", yaml(&origin, &url, more)));
    let forging = |ask: Ask| {
        ask.field("X-Auth-Request-User", "root").field("x_auth_request_user", "root").field("X-Email", "root")
    };
    for ask in [
        forging(Ask::get("/app/x?y=1")),
        Ask::new("OPTIONS", "/app").field("Origin", "https://a").field("Access-Control-Request-Method", "GET"),
        Ask::post("/app", "body"),
        Ask::websocket("/app"),
    ] {
        let answer = proxy.ask(&ask);
        assert_eq!((answer.status, answer.text().as_str()), (401, "sign in"), "{ask:?}");
        assert_eq!((answer.header("www-authenticate"), answer.header("x-reason")), (Some("Cookie"), Some("none")));
        assert_eq!((answer.header("x-hop"), answer.header("transfer-encoding")), (None, None));
    }
    assert_eq!(origin.count(), 0);
    let good = forging(Ask::post("/app/x%20y?z=1", "body"))
        .host("us.example")
        .field("Cookie", "session=good")
        .field("Authorization", "Bearer x")
        .field("X-Team", "t")
        .field("X-Other", "o")
        .field("X-Forwarded-Uri", "/open")
        .field("X-Original-URL", "http://us.example/open");
    let answer = proxy.ask(&good);
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    assert_eq!(answer.all("set-cookie"), ["app=1", "session=good; Path=/; Domain=us.example", "csrf=2"]);
    let seen = origin.last();
    assert_eq!(told(&seen, "x-auth-request-user"), ["ann"]);
    assert_eq!(told(&seen, "x-groups"), ["a, b"]);
    assert!(told(&seen, "x-email").is_empty());
    let question = guard.last();
    assert_eq!(question.line, "GET /oauth2/auth?a=1 HTTP/1.1");
    let scheme = front.scheme();
    for (name, value) in [
        ("host", guard.address.to_string()),
        ("cookie", "session=good".to_owned()),
        ("authorization", "Bearer x".to_owned()),
        ("x-team", "t".to_owned()),
        ("x-forwarded-method", "POST".to_owned()),
        ("x-forwarded-proto", scheme.to_owned()),
        ("x-forwarded-host", "us.example".to_owned()),
        ("x-forwarded-uri", "/app/x%20y?z=1".to_owned()),
        ("x-forwarded-for", "127.0.0.1".to_owned()),
        ("x-original-method", "POST".to_owned()),
        ("x-original-url", format!("{scheme}://us.example/app/x%20y?z=1")),
    ] {
        assert_eq!(told(&question, name), [value], "{name}");
    }
    assert_eq!((question.header("x-other"), question.header("content-length")), (None, None));
    // Nothing is kept: each request is asked about.
    let before = guard.count();
    (0..3).for_each(|_| assert_eq!(proxy.ask(&good).status, 200));
    assert_eq!((guard.count() - before, proxy.get("/open").status), (3, 200));
}

/// Neither reads another request than the other.
#[test]
fn the_service_and_the_upstream_read_the_same_request() {
    let (origin, guard) = (ok(), guard());
    let more = ", request_headers: [x-team, x-real-ip, x-key]";
    let url = format!("http://{}/auth", guard.address);
    let proxy = Proxy::start(&format!("{}headers: {{ underscores: keep }}\n", yaml(&origin, &url, more)));
    let ask = |fields: &str| {
        let head = format!("GET /app HTTP/1.1\r\nHost: a\r\nCookie: session=good\r\n{fields}\r\n\r\n");
        proxy.ask(head).status
    };
    assert_eq!(ask("Authorization: Bearer good\r\nAuthorization: Bearer evil"), 400);
    assert_eq!((guard.count(), origin.count()), (0, 0));
    // What ends here and what is not believed is not asked about; several fields are one.
    assert_eq!(
        ask("Cookie: b=2\r\nConnection: x-team\r\nX-Team: t\r\nX-Real-IP: 6.6.6.6\r\nX-Key: 1\r\nX-Key: 2"),
        200
    );
    let (question, seen) = (guard.last(), origin.last());
    for name in ["x-team", "x-real-ip"] {
        assert!(told(&question, name).is_empty() && told(&seen, name).is_empty(), "{name}");
    }
    assert_eq!(told(&question, "x-key"), ["1, 2"]);
    assert_eq!(
        (told(&question, "cookie"), told(&seen, "cookie")),
        (vec!["session=good; b=2".into()], vec!["session=good; b=2".into()])
    );
    // Whoever knows no better finds them by their usual spelling.
    for names in [question.names(), seen.names()] {
        assert!(names.contains(&"Cookie") && !names.contains(&"cookie"), "{names:?}");
    }
    assert!(question.names().contains(&"X-Key"), "{:?}", question.names());
    let targets = ["X-Original-URL", "X-Original-Method", "X-Original-Uri", "X-Rewrite-URL", "X_Rewrite_URL"];
    assert_eq!(ask(&targets.map(|name| format!("{name}: /open")).join("\r\n")), 200);
    for name in targets {
        assert!(told(&origin.last(), &name.to_lowercase().replace('_', "-")).is_empty(), "{name}");
    }
}

/// Who has no address does not come from the proxy's own.
#[test]
fn the_service_is_told_that_an_address_is_not_known() {
    let (origin, guard) = (ok(), guard());
    let url = format!("http://{}/auth", guard.address);
    let proxy = Proxy::start(&format!("{}trusted_proxies: [127.0.0.1]\n", yaml(&origin, &url, "")));
    for (named, expected) in [("203.0.113.9", "203.0.113.9"), ("unknown", "unknown"), ("203.0.113.9, _x", "unknown")] {
        proxy.ask(format!("GET /app HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {named}\r\n\r\n"));
        assert_eq!(told(&guard.last(), "x-forwarded-for"), [expected], "{named}");
    }
}

#[test]
fn a_denial_says_whose_it_is_and_who_may_read_it() {
    let origin = ok();
    let guard = Origin::fixed(
        "HTTP/1.1 403 Forbidden\r\nProxy-Status: \"x\"; details=\"evil\"\r\nAccess-Control-Allow-Origin: https://evil.test\r\n\
         Access-Control-Allow-Credentials: true\r\nContent-Length: 6\r\n\r\nsecret",
    );
    let more = " } }, cors: { origins: ['https://ok.test'] }, request: { header: { remove: [x]";
    let proxy = Proxy::start(&yaml(&origin, &format!("http://{}", guard.address), more));
    for (from, allowed) in [("https://evil.test", None), ("https://ok.test", Some("https://ok.test"))] {
        let answer = proxy.ask(format!("GET /app HTTP/1.1\r\nHost: a\r\nOrigin: {from}\r\n\r\n"));
        assert_eq!((answer.status, answer.text().as_str()), (403, "secret"));
        assert_eq!(answer.all("access-control-allow-origin"), allowed.into_iter().collect::<Vec<_>>(), "{from}");
        assert!(answer.header("access-control-allow-credentials").is_none());
        let status = answer.all("proxy-status");
        assert!(status.len() == 1 && status[0].contains("details=\"auth_forward_denied: "), "{status:?}");
    }
}

#[test]
fn questions_share_connections_and_a_dead_one_is_replaced() {
    let (origin, guard) = (ok(), guard());
    let proxy = Proxy::start(&format!(
        "{}server: {{ threads: 1 }}\n",
        yaml(&origin, &format!("http://{}/auth", guard.address), "")
    ));
    let ask = || proxy.ask("GET /app HTTP/1.1\r\nHost: a\r\nCookie: session=good\r\n\r\n").status;
    (0..10).for_each(|_| assert_eq!(ask(), 200));
    let connections = guard.connections.load(std::sync::atomic::Ordering::SeqCst);
    assert!(connections <= 2, "{connections}");
}

#[test]
fn a_redirect_to_sign_in_is_the_clients() {
    let origin = ok();
    let guard = Origin::fixed(
        "HTTP/1.1 302 Found\r\nLocation: https://sso.example/?rd=x\r\nSet-Cookie: rd=1\r\nContent-Length: 0\r\n\r\n",
    );
    let proxy = Proxy::start(&yaml(&origin, &format!("http://{}", guard.address), ""));
    let answer = proxy.get("/app");
    assert_eq!((answer.status, answer.header("location")), (302, Some("https://sso.example/?rd=x")));
    assert_eq!((answer.all("set-cookie"), origin.count()), (vec!["rd=1"], 0));
    let log = proxy.access_log(1);
    assert_eq!(log[0]["error"], "the service of `auth.forward` did not let the request pass");
}

#[test]
fn without_an_answer_nobody_passes() {
    let origin = ok();
    let refuses = free_port();
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let large = Origin::start(|_, wire| {
        wire.try_send(format!("HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n{}", "x".repeat(70_000))).is_ok()
    });
    let closes = Origin::start(|_, _| false);
    let half = Origin::start(|_, wire| {
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        false
    });
    let garbage = Origin::fixed("HELLO\r\n\r\n");
    let switches = Origin::fixed("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
    let no_status = Origin::fixed("HTTP/1.1 999 No Status\r\nContent-Length: 0\r\n\r\n");
    let large_head = Origin::start(|_, wire| {
        wire.try_send(format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(70_000))).is_ok()
    });
    let drips = Origin::start(|_, wire: &mut Wire| {
        while wire.try_send("HTTP/1.1 103 Early Hints\r\n\r\n").is_ok() {
            std::thread::park_timeout(Duration::from_millis(50));
        }
        false
    });
    for (address, status, reason) in [
        (format!("127.0.0.1:{refuses}"), 502, "could not be reached"),
        (hangs.local_addr().unwrap().to_string(), 504, "did not answer within `auth.forward.timeout`"),
        (large.address.to_string(), 502, "larger than 64 KiB"),
        (closes.address.to_string(), 502, "closed the connection"),
        (half.address.to_string(), 502, "closed the connection"),
        (garbage.address.to_string(), 502, "not valid HTTP"),
        (switches.address.to_string(), 502, "not valid HTTP"),
        (no_status.address.to_string(), 502, "not valid HTTP"),
        (large_head.address.to_string(), 502, "larger than 64 KiB"),
        (drips.address.to_string(), 502, "not valid HTTP"),
        ("nowhere.invalid:80".to_owned(), 503, "no server of the service"),
    ] {
        let timeout = if status == 504 { "300ms" } else { "15s" };
        let proxy = Proxy::start(&yaml(&origin, &format!("http://{address}/"), &format!(", timeout: {timeout}")));
        let answer = proxy.get("/app");
        assert!(answer.status == status && answer.text().contains(reason), "{address}: {}", answer.text());
        assert_eq!((origin.count(), proxy.get("/open").status), (0, 200));
        origin.seen.lock().unwrap().clear();
    }
}

#[test]
fn a_client_that_leaves_takes_its_question_with_it() {
    let origin = ok();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let proxy = Proxy::start(&yaml(&origin, &url, ", timeout: 10m"));
    let mut client = proxy.connect();
    client.send("GET /app HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut asked = Wire::new(listener.accept().unwrap().0);
    assert!(asked.head().is_some());
    let began = Instant::now();
    drop(client);
    assert!(asked.is_closed() && began.elapsed() < support::DEADLINE);
    await_until("the log", || proxy.read("stdout").contains("\"status\":499"));
    assert_eq!(origin.count(), 0);
}

/// An upstream of the file may be meant by its name, with all that is said of it there.
#[test]
fn the_host_of_the_url_may_be_the_name_of_an_upstream() {
    let (origin, guard, dead) = (ok(), guard(), free_port());
    let proxy = Proxy::start(&format!(
        "{}upstreams: {{ guard: {{ servers: ['127.0.0.1:{dead}', '{}'] }} }}\n",
        yaml(&origin, "http://guard/auth", ""),
        guard.address
    ));
    for _ in 0..4 {
        assert_eq!(proxy.ask("GET /app HTTP/1.1\r\nHost: a\r\nCookie: session=good\r\n\r\n").status, 200);
    }
    assert_eq!(guard.last().header("host"), Some("guard"));
}

/// Who would be asked is said, and nobody is.
#[test]
fn explain_says_who_is_asked_and_asks_nobody() {
    let folder = Folder::new();
    folder.write("users", "ann:$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n");
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/auth", service.local_addr().unwrap());
    let routes = format!(
        "- {{ match: {{ path: /a }}, respond: {{}}, auth: {{ forward: {{ url: '{url}' }} }} }}\n\
         - {{ respond: {{}}, auth: {{ basic: {{ users_file: users }} }} }}\n"
    );
    folder.write("p.yaml", &format!("listeners: [':1']\nroutes:\n{routes}"));
    let explain = |url, more: &[&str]| {
        let (code, said, complaints) = call(&[&["-c", "p.yaml", "explain", "GET", url], more].concat(), &folder.0);
        assert_eq!(code, 0, "{complaints}");
        said
    };
    let asked = explain("http://h/a", &[]);
    assert!(asked.contains(&format!("  asks:       {url} (`auth.forward`)\n")), "{asked}");
    let refused = explain("http://h/b", &[]);
    assert!(refused.contains("the proxy answers 401") && refused.contains("see `auth.basic`"), "{refused}");
    let asked = explain("http://h/b", &["-H", "authorization: Basic YW5uOmEgcGFzc3dvcmQ="]);
    assert!(asked.contains("  asks for:   a password of ") && asked.contains("users (`auth.basic`)\n"), "{asked}");
    service.set_nonblocking(true).unwrap();
    assert_eq!(service.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}
