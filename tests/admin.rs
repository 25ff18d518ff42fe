//! The admin endpoint of a process that serves: what each resource tells, who may ask, and what a
//! stranger's request can do to it.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::faults::{named, refusing};
use support::tls::Authority;
use support::{Client, Folder, Origin, Proxy, Response, await_until, free_port};

const TOKEN: &str = "0123456789-abcdefghij";

struct Running {
    proxy: Proxy,
    admin: SocketAddr,
    origin: Origin,
    /// Fields that each request has.
    fields: String,
}

impl Running {
    /// `more` are further lines of the configuration, `admin` further keys of its section.
    fn start(admin_keys: &str, more: &str) -> Self {
        Self::start_with(admin_keys, "", more)
    }

    fn start_with(admin_keys: &str, upstreams: &str, more: &str) -> Self {
        let origin = named("a");
        let admin: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        let yaml = format!(
            "listeners: ['{{listen}}']\nadmin: {{ address: '{admin}'{admin_keys} }}\nupstreams:\n  api: {{ servers: \
             ['{}'] }}\n  gone: {{ servers: ['{}'] }}\n{upstreams}routes:\n  - {{ name: gone, match: {{ path: /gone }}, upstream: \
             gone }}\n  - {{ name: api, match: {{ path: /api }}, upstream: api }}\n{more}",
            origin.address,
            refusing()
        );
        let proxy = Proxy::start(&yaml);
        Self { proxy, admin, origin, fields: String::new() }
    }

    fn with_token() -> (Self, Folder) {
        let secrets = Folder::new();
        let file = secrets.write("token", &format!("{TOKEN}\n"));
        let mut running = Self::start(&format!(", token_file: {}", file.display()), "");
        running.fields = format!("Authorization: Bearer {TOKEN}\r\n");
        (running, secrets)
    }

    fn send(&self, request: &str) -> Response {
        let mut client = Client::connect(self.admin);
        client.send(request);
        client.response()
    }

    fn get(&self, target: &str) -> Response {
        self.with_fields(target, &self.fields)
    }

    fn with_fields(&self, target: &str, fields: &str) -> Response {
        self.send(&format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"))
    }

    fn json(&self, target: &str) -> Value {
        let answer = self.get(target);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{answer:?}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        serde_json::from_slice(&answer.body).unwrap()
    }

    fn paths(&self, query: &str) -> Vec<String> {
        let told = self.json(&format!("/requests?{query}"));
        let requests = told["requests"].as_array().unwrap();
        requests.iter().map(|request| request["path"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until so many requests are told of: a request is, once it is over.
    fn await_requests(&self, count: usize) {
        await_until("the requests are told of", || self.paths("limit=1000").len() >= count);
    }

    fn patch(&self, body: &str, fields: &str) -> Response {
        let (server, length) = (self.origin.address, body.len());
        self.send(&format!(
            "PATCH /upstreams/api/servers/{server} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n{fields}\r\n{body}"
        ))
    }
}

#[test]
fn requests_are_told_of_and_filtered() {
    let running = Running::start("", "");
    for (before, target) in ["/api/a?x=1", "/api/b", "/gone", "/nothing"].into_iter().enumerate() {
        running.proxy.get(target);
        running.await_requests(before + 1);
    }
    let told = running.json("/requests");
    assert_eq!((told["next"].as_u64(), told["lost"].as_u64()), (Some(4), Some(0)));
    let first = &told["requests"][0];
    assert_eq!((first["seq"].as_u64(), first["query"].as_str()), (Some(0), Some("x=1")));
    for (query, paths) in [
        ("status=502", vec!["/gone"]),
        ("status=2xx", vec!["/api/a", "/api/b"]),
        ("status=4xx&status=404", vec!["/nothing"]),
        ("route=api&limit=1", vec!["/api/b"]),
        ("reason=upstream_refused", vec!["/gone"]),
        ("reason=no_route", vec!["/nothing"]),
        ("errors=1", vec!["/gone"]),
        ("path=/api/", vec!["/api/a", "/api/b"]),
        ("client=127.0.0.1&after=2", vec!["/gone", "/nothing"]),
        ("client=192.0.2.1", vec![]),
        ("after=4", vec![]),
    ] {
        assert_eq!(running.paths(query), paths, "{query}");
    }
    let wrong = running.get("/requests?stat=5xx");
    assert!(wrong.status == 400 && wrong.text().contains("no parameter `stat`"), "{wrong:?}");
}

#[test]
fn a_path_stays_a_string_whatever_is_in_it() {
    let running = Running::start("", "");
    let hostile = "/api/%3Cimg%20src=x%20onerror=alert(1)%3E\"'</script>%0A%0Ddata:%00";
    let refused = running.proxy.ask(format!("GET {hostile} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
    running.proxy.get("/api/%ff%00%0a\\u0022");
    running.proxy.get("/api/last");
    await_until("the last", || running.paths("").iter().any(|path| path == "/api/last"));
    let answer = running.get("/requests?path=/api/");
    let told: Value = serde_json::from_slice(&answer.body).unwrap();
    assert!(told["requests"].as_array().unwrap().len() >= 2, "{refused:?} {told}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.text().trim_end().lines().count(), 1);
}

#[test]
fn who_waits_gets_the_next_request_and_no_one_is_held_up() {
    let running = Running::start("", "");
    let mut waiting = Client::connect(running.admin);
    waiting.send("GET /requests?after=0&wait=20s&status=404 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let began = Instant::now();
    assert_eq!(running.get("/health").status, 200);
    running.proxy.get("/api/a");
    running.proxy.get("/nothing");
    let told: Value = serde_json::from_slice(&waiting.response().body).unwrap();
    assert_eq!(told["requests"][0]["path"], "/nothing");
    assert!(began.elapsed() < Duration::from_secs(15));
    let began = Instant::now();
    assert_eq!(running.paths("after=2&wait=300ms"), Vec::<String>::new());
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[test]
fn a_stream_has_an_event_for_each_request() {
    let running = Running::start("", "");
    let mut client = Client::connect(running.admin);
    client.send("GET /requests?status=2xx HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
    let head = client.head();
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    // Pieces of chunked coding are lines to the client, and an event is in one of them.
    let mut until = |wanted: &str| loop {
        let piece = client.wire.line();
        if piece.starts_with(wanted) {
            return piece;
        }
    };
    // It begins with what comes after it has begun.
    until(":");
    running.proxy.get("/nothing");
    running.proxy.get("/api/a");
    let event = until("id: ");
    let (id, data) = event.split_once("\ndata: ").unwrap();
    let told: Value = serde_json::from_str(data.trim()).unwrap();
    assert_eq!((told["path"].as_str(), format!("id: {}", told["seq"]).as_str()), (Some("/api/a"), id));
    // The process ends and takes the stream with it.
    assert_eq!(running.proxy.order("quit").0, 0);
    client.wire.until_end();
}

#[test]
fn streams_have_a_bound() {
    let running = Running::start("", "");
    let ask = "GET /requests HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
    let streams: Vec<Client> = (0..16)
        .map(|_| {
            let mut client = Client::connect(running.admin);
            client.send(ask);
            assert_eq!(client.head().status, 200);
            client
        })
        .collect();
    assert_eq!(running.send(ask).status, 503);
    assert_eq!(running.get("/ready").status, 200);
    drop(streams);
    await_until("there is a place again", || {
        let mut client = Client::connect(running.admin);
        client.send(ask);
        client.head().status == 200
    });
}

/// What was asked for with a right that is gone: a stream that goes on, and a change that is still to come.
#[test]
fn another_token_ends_what_the_one_before_has_begun() {
    let (running, secrets) = Running::with_token();
    let mut stream = Client::connect(running.admin);
    stream.send(format!(
        "GET /requests HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{}\r\n",
        running.fields
    ));
    assert_eq!(stream.head().status, 200);
    running.proxy.get("/api/before");
    while !stream.wire.line().contains("/api/before") {}
    let mut change = Client::connect(running.admin);
    let (body, server) = (r#"{"state":"disabled"}"#, running.origin.address);
    change.send(format!(
        "PATCH /upstreams/api/servers/{server} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{}\
         Content-Length: {}\r\n\r\n{}",
        running.fields,
        body.len(),
        &body[..5]
    ));
    secrets.write("token", "another-token-of-the-operator\n");
    await_until("the new token", || running.get("/stats").status == 401);
    change.send(&body[5..]);
    assert_eq!(change.response().status, 401);
    assert_eq!(running.proxy.get("/api/after").status, 200);
    let rest = String::from_utf8(stream.wire.until_end()).unwrap();
    assert!(!rest.contains("/api/after"), "{rest}");
}

/// Answers of megabytes are held until they are taken.
#[test]
fn callers_who_do_not_read_hold_few_large_answers() {
    const MANY: usize = 1000;
    let gone = refusing();
    let routes = (0..MANY).map(|n| format!("  - {{ name: r{n}, match: {{ path: /r{n} }}, upstream: u{n} }}\n"));
    let upstreams = (0..MANY).map(|n| format!("  u{n}: {{ servers: ['{gone}'] }}\n"));
    // The upstreams stand in front of the routes.
    let running = Running::start_with("", &upstreams.collect::<String>(), &routes.collect::<String>());
    let scrape = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(running.send(scrape).status, 200);
    let stalled: Vec<Client> = (0..4)
        .map(|_| {
            let mut client = Client::connect(running.admin);
            client.send(scrape);
            assert_eq!(client.head().status, 200);
            client
        })
        .collect();
    assert_eq!(running.send("GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 200);
    let refused = running.send(scrape);
    assert_eq!(refused.status, 503, "{}", refused.text());
    drop(stalled);
    await_until("there is a place again", || running.send(scrape).status == 200);
}

#[test]
fn nobody_is_told_a_secret_of_a_route() {
    let routes = "  - { name: in, match: { path: /in, header: { X-Api-Key: s3cret-1 } }, upstream: api }\n  \
                  - { name: out, match: { path: /out }, request: { header: { set: { Authorization: s3cret-2, X-Plain: shown } }, \
                  query: { add: { token: s3cret-3 } } }, upstream: api }\n";
    let running = Running::start("", routes);
    let told: String =
        ["/explain?url=/in", "/explain?url=/out", "/routes"].map(|path| running.get(path).text()).concat();
    assert!(!told.contains("s3cret"), "{told}");
    for shown in
        ["header `x-api-key` is not `***`", "Authorization: ********", "X-Plain: shown", "token=********", "is `***`"]
    {
        assert!(told.contains(shown), "{shown}: {told}");
    }
}

#[test]
fn without_kept_requests_it_says_so() {
    let running = Running::start("", "log: { access: { recent: 0 } }\n");
    let told = running.get("/requests");
    assert!(told.status == 404 && told.text().contains("`log.access.recent` is 0"), "{told:?}");
}

#[test]
fn reasons_and_routes_are_told_in_words() {
    let asked = "{ path: /b, method: [GET, POST], header: { X-Api-Key: s3cret }, cookie: { beta: 'yes' } }";
    let running = Running::start("", &format!("  - {{ name: some, match: {asked}, upstream: api }}\n"));
    let reasons = running.json("/reasons");
    let all = reasons["reasons"].as_array().unwrap();
    let refused = all.iter().find(|reason| reason["reason"] == "upstream_refused").unwrap();
    assert_eq!((refused["status"].as_u64(), refused["source"].as_str()), (Some(502), Some("upstream")));
    assert!(all.iter().all(|reason| reason["cure"].as_str().is_some_and(|cure| cure.ends_with('.'))));
    let routes = running.json("/routes");
    assert_eq!(
        (routes["routes"][1]["name"].as_str(), routes["routes"][1]["match"].as_str()),
        (Some("api"), Some("/api/*"))
    );
    assert_eq!(routes["routes"][1]["conditions"], serde_json::json!([]));
    assert_eq!(routes["routes"][2]["match"], "/b/* with 3 conditions");
    let conditions = ["method GET or POST", "header `x-api-key` is `***`", "cookie `beta` is `yes`"];
    assert_eq!(routes["routes"][2]["conditions"], serde_json::json!(conditions));
    assert_eq!(routes["routes"][1]["action"], format!("http://{}", running.origin.address));
    assert!(routes["routes"][1]["line"].as_u64() > routes["routes"][0]["line"].as_u64());
    assert_eq!(running.json("/certificates"), serde_json::json!({ "certificates": [] }));
}

#[test]
fn an_explanation_is_that_of_the_command_line_and_counts_nothing() {
    let limited =
        "  - { name: once, match: { path: /once }, rate_limit: { rate: 1/h, burst: 1 }, respond: { status: 200 } }\n";
    let running = Running::start("", limited);
    for _ in 0..3 {
        let told = running.json("/explain?url=http%3A%2F%2Fa.test%2Fonce&header=x-a%3Ab&method=GET");
        assert_eq!((told["verdict"].as_str(), told["url"].as_str()), (Some("is taken by"), Some("http://a.test/once")));
        let (code, printed) = running.proxy.order("status");
        assert_eq!(code, 0, "{printed}");
        let (_, printed) = support::call_for(&running.proxy.folder, &["explain", "GET", "http://a.test/once"]);
        for fact in told["facts"].as_array().unwrap() {
            let line =
                format!("{:<11} {}", format!("{}:", fact["label"].as_str().unwrap()), fact["text"].as_str().unwrap());
            assert!(printed.contains(&line), "{line}\n{printed}");
        }
        assert!(told["others"][0]["reason"].as_str().unwrap().contains("is not under `/gone`"), "{told}");
    }
    assert_eq!(running.proxy.get("/once").status, 200);
    for wrong in ["/explain", "/explain?url=/&method=%20", "/explain?url=/&header=x", "/explain?url=/%0a"] {
        assert_eq!(running.get(wrong).status, 400, "{wrong}");
    }
}

#[test]
fn the_configuration_is_told_without_its_secrets() {
    let more = "  - match: { path: /s, header: { x-api-key: hush-1 } }\n    request: { header: { set: { Authorization: \
                'Bearer hush-2', X-Plain: plain-1 } } }\n    upstream: api\n  - { name: shared, match: { path: /r }, rate_limit: { rate: \
                1/s, store: 'redis://user:hush-3@127.0.0.1:1' }, upstream: api }\n";
    let running = Running::start("", more);
    let told = running.get("/config");
    assert_eq!((told.status, told.header("content-type")), (200, Some("text/yaml; charset=utf-8")));
    let text = told.text();
    assert!(!text.contains("hush-") && text.contains("plain-1") && text.contains("***"), "{text}");
    assert!(text.contains("name: api") && text.contains("timeouts:"), "{text}");
}

#[test]
fn generations_and_changes_are_kept_with_who_made_them() {
    let running = Running::start("", "");
    let yaml = running.proxy.read("proxy.yaml");
    assert_eq!(running.proxy.order("reload").0, 0);
    running.proxy.rewrite("listeners: [x]\n");
    running.proxy.signal("HUP");
    await_until("it was refused", || running.json("/generations")["generations"].as_array().unwrap().len() == 3);
    running.proxy.rewrite(&yaml);
    let told = running.json("/generations");
    let outcome = |index: usize| told["generations"][index]["outcome"].as_str().unwrap().to_owned();
    assert_eq!((outcome(0), outcome(1), outcome(2)), ("refused".into(), "in_force".into(), "replaced".into()));
    assert_eq!(told["generations"][0]["by"], "signal HUP");
    assert!(told["generations"][0]["message"].as_str().unwrap().contains("nothing was changed"), "{told}");
    assert_eq!(told["generations"][1]["generation"], 2);
    let by = told["generations"][1]["by"].as_str().unwrap().to_owned();
    assert!(by.starts_with("control socket, user ") && by.contains(", process "), "{by}");
    let server = running.origin.address.to_string();
    let (code, _) = support::call_for(&running.proxy.folder, &["upstreams", "drain", "api", &server]);
    assert_eq!(code, 0);
    let audit = running.json("/audit");
    assert_eq!(audit["entries"][0]["what"], format!("drain {server} of api"));
    assert!(audit["entries"][0]["who"].as_str().unwrap().starts_with("control socket, user "));
    assert_eq!(
        (audit["entries"][1]["what"].as_str(), audit["entries"][1]["outcome"].as_str()),
        (Some("reload"), Some("refused"))
    );
    await_until("the log", || running.proxy.read("stderr").contains("audit: signal HUP: reload: refused"));
}

#[test]
fn certificates_are_told_with_what_is_wrong_with_a_renewal() {
    let (authority, folder) = (Authority::new("test"), Folder::new());
    authority.issue(&["a.test", "b.test"]).write(&folder, "a");
    let place = folder.0.display().to_string();
    let admin: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let proxy = Proxy::start(&format!(
        "listeners:\n  - address: '{{listen}}'\n    tls: {{ certificates: [{{ cert: {place}/a.pem, key: {place}/a.key }}] }}\n\
         admin: {{ address: '{admin}' }}\nroutes: [{{ respond: {{}} }}]\n"
    ));
    let running = Running { proxy, admin, origin: named("a"), fields: String::new() };
    let one = running.json("/certificates")["certificates"][0].clone();
    assert_eq!(one["names"], serde_json::json!(["a.test", "b.test"]));
    assert_eq!(
        (one["listener"].as_str(), &one["error"]),
        (Some(running.proxy.address.to_string().as_str()), &Value::Null)
    );
    assert_eq!(one["fingerprint"].as_str().map(str::len), Some(64));
    assert!(one["file"].as_str().unwrap().ends_with("/a.pem") && one["expires_in_s"].as_i64() > Some(0), "{one}");
    assert!(one["not_after"].as_str().unwrap().ends_with('Z'));
    folder.write("a.pem", "no certificate\n");
    await_until("the renewal fails", || !running.json("/certificates")["certificates"][0]["error"].is_null());
}

#[test]
fn the_page_has_a_policy_and_every_file_that_it_names() {
    let running = Running::start("", "");
    let page = running.get("/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'") && policy.contains("frame-ancestors 'none'"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    for (file, kind) in [
        ("/dashboard.css", "text/css; charset=utf-8"),
        ("/dashboard.js", "text/javascript; charset=utf-8"),
        ("/api.js", "text/javascript; charset=utf-8"),
        ("/dom.js", "text/javascript; charset=utf-8"),
        ("/panels.js", "text/javascript; charset=utf-8"),
        ("/requests.js", "text/javascript; charset=utf-8"),
        ("/servers.js", "text/javascript; charset=utf-8"),
        ("/stats.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let answer = running.get(file);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)), "{file}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    for nothing in ["/..%2fapi.js", "/dashboard/index.html", "/index.html", "//"] {
        assert_eq!(running.get(nothing).status, 404, "{nothing}");
    }
}

#[test]
fn a_token_is_asked_for_and_opens_changes() {
    let (running, secrets) = Running::with_token();
    for open in ["/", "/health", "/ready", "/api.js"] {
        assert_eq!(running.with_fields(open, "").status, 200, "{open}");
    }
    for shut in ["/stats", "/requests", "/config", "/metrics", "/nothing", "/audit"] {
        let refused = running.with_fields(shut, "");
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer realm=\"pingora-proxy\"")));
    }
    for wrong in [
        "Authorization: Bearer wrong-wrong-wrong-wrong\r\n".to_owned(),
        format!("Authorization: Bearer {TOKEN}x\r\n"),
        format!("Authorization: Basic {TOKEN}\r\n"),
        "Authorization: Bearer \r\n".to_owned(),
        format!("Authorization: Bearer {TOKEN}\r\nAuthorization: Bearer x\r\n"),
    ] {
        assert_eq!(running.with_fields("/stats", &wrong).status, 401, "{wrong}");
    }
    assert_eq!(running.get("/stats").status, 200);
    // Whatever this machine is called by its callers.
    let named = format!("GET /stats HTTP/1.1\r\nHost: proxy.example.com\r\n{}\r\n", running.fields);
    assert_eq!(running.send(&named).status, 200);
    assert_eq!(running.patch(r#"{"state":"draining"}"#, "").status, 401);
    let own = format!("{}Origin: http://localhost\r\n", running.fields);
    assert_eq!(running.patch(r#"{"state":"draining"}"#, &own).status, 200);
    let other = format!("{}Origin: http://localhost:3000\r\n", running.fields);
    assert_eq!(running.patch(r#"{"state":"enabled"}"#, &other).status, 403);
    let audit = running.json("/audit");
    assert_eq!(audit["entries"][0]["who"], "admin token");
    assert!(!running.get("/config").text().contains(TOKEN));
    // Another token holds from when it is in the file; one that is none leaves the old.
    secrets.write("token", "another-token-of-24-char\n");
    assert_eq!(running.get("/stats").status, 401);
    let new = "Authorization: Bearer another-token-of-24-char\r\n";
    assert_eq!(running.with_fields("/stats", new).status, 200);
    secrets.write("token", "short\n");
    assert_eq!(running.with_fields("/stats", new).status, 200);
    await_until("the log", || running.proxy.read("stderr").contains("the token of before stays in force"));
}

#[test]
fn pages_of_other_sites_get_nothing() {
    let running = Running::start("", "");
    let site = |site: &str, mode: &str| format!("Sec-Fetch-Site: {site}\r\nSec-Fetch-Mode: {mode}\r\n");
    assert_eq!(running.with_fields("/stats", &site("same-origin", "cors")).status, 200);
    assert_eq!(running.with_fields("/", &site("cross-site", "navigate")).status, 200);
    for (target, fields) in [
        ("/stats", site("cross-site", "no-cors")),
        ("/stats", site("same-site", "no-cors")),
        ("/stats", site("cross-site", "navigate")),
        ("/stats", "Origin: http://evil.test\r\n".to_owned()),
        ("/", site("cross-site", "no-cors")),
    ] {
        let refused = running.with_fields(target, &fields);
        assert!(refused.status == 403 && refused.header("access-control-allow-origin").is_none(), "{fields}");
    }
    let renamed = running.send("GET /stats HTTP/1.1\r\nHost: evil.test\r\n\r\n");
    assert_eq!(renamed.status, 403);
    // Without a token it only tells, also its own page.
    assert_eq!(running.patch(r#"{"state":"draining"}"#, "Origin: http://localhost\r\n").status, 403);
}

#[test]
fn ready_fails_first_in_a_drain_and_everything_else_answers() {
    let running = Running::start("", "server: { drain: { delay: 2s } }\n");
    running.proxy.signal("TERM");
    await_until("it is not ready", || running.get("/ready").status == 503);
    assert_eq!((running.get("/health").status, running.proxy.get("/api").status), (200, 200));
    let audit = running.json("/audit");
    assert_eq!(
        (audit["entries"][0]["who"].as_str(), audit["entries"][0]["what"].as_str()),
        (Some("signal TERM"), Some("drain"))
    );
}

#[test]
fn it_answers_when_no_client_gets_in_any_more() {
    let running = Running::start("", "limits: { connections: 4 }\n");
    let held: Vec<Client> = (0..4)
        .map(|_| {
            let mut client = running.proxy.connect();
            client.send("GET /api HTTP/1.1\r\nHost: a.test\r\n\r\n");
            assert_eq!(client.response().status, 200);
            client
        })
        .collect();
    for target in ["/ready", "/stats", "/requests", "/upstreams"] {
        assert_eq!(running.get(target).status, 200, "{target}");
    }
    assert_eq!(running.json("/stats")["connections"]["active"], 4);
    drop(held);
}
