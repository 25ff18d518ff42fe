//! Each file of conf/examples/ does what it says.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use support::http2::{Http2Origin, Rules};
use support::provider::{CLIENT_SECRET, Provider};
use support::tls::{Authority, TlsClient};
use support::{BINARY, Client, Folder, Origin, Process, Response, await_until, free_port, signal};

struct Example {
    address: SocketAddr,
    admin: SocketAddr,
    process: Process,
    folder: Folder,
}

impl Example {
    fn start(name: &str, service: &str, second: &str) -> Self {
        Self::start_in(Folder::new(), name, service, second)
    }

    /// `folder` holds the certificates, if there are any.
    fn start_in(folder: Folder, name: &str, service: &str, second: &str) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let admin = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/examples").join(name);
        let child = Command::new(BINARY)
            .arg("-c")
            .arg(file)
            .env("LISTEN", address.to_string())
            .env("SERVICE", service)
            .env("SECOND", second)
            .env("NAME", format!("localhost:{}", service.rsplit(':').next().unwrap()))
            .env("ADMIN", admin.to_string())
            .env("CERTS", &folder.0)
            .env("ISSUER", format!("http://{second}"))
            .env("CLEARTEXT", second)
            // Nobody is there.
            .env("STORE", "127.0.0.1:1")
            .env("RUNTIME_DIRECTORY", &folder.0)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let process = Process(child);
        await_until(name, || std::net::TcpStream::connect(address).is_ok());
        Self { address, admin, process, folder }
    }

    fn ask(&self, request: &str) -> Response {
        let mut client = Client::connect(self.address);
        client.send(request);
        client.response()
    }

    fn get(&self, host: &str, target: &str) -> Response {
        self.ask(&format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
    }
}

/// Answers with the request line and fields it saw.
fn mirror() -> Origin {
    Origin::start(|request, wire| {
        wire.body(&request.headers, false);
        let mut text = format!("{}\n", request.line);
        for (name, value) in &request.headers {
            text.push_str(&format!("{}: {value}\n", name.to_lowercase()));
        }
        wire.send(format!(
            "HTTP/1.1 200 OK\r\nServer: x\r\nLocation: /next\r\nSet-Cookie: s=1; Domain=app.internal; Path=/; Secure\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        ));
        true
    })
}

fn with_mirror(name: &str) -> (Example, Origin) {
    let origin = mirror();
    let address = origin.address.to_string();
    (Example::start(name, &address, &address), origin)
}

#[test]
fn limits() {
    let origin = mirror();
    let example = Example::start("limits.yaml", &origin.address.to_string(), "");
    assert_eq!(example.get("a", "/").status, 200);
    let long = example.get("a", &format!("/{}", "x".repeat(2000)));
    assert_eq!(long.status, 414);
    assert!(long.text().contains("limits.request_line"), "{}", long.text());
    let fields = |count: usize| example.ask(&format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(count)));
    assert_eq!((fields(19).status, fields(20).status), (200, 431));
    let upload = |target: &str| {
        let mut client = Client::connect(example.address);
        client.send(format!(
            "PUT {target} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 10485761\r\n\r\n"
        ));
        client.send(vec![b'x'; if target == "/" { 0 } else { 10_485_761 }]);
        client.response()
    };
    let large = upload("/");
    assert!(large.status == 413 && large.text().contains("limits.request_body"), "{}", large.text());
    assert_eq!(upload("/upload/").status, 200);
}

#[test]
fn cors() {
    let (example, origin) = with_mirror("cors.yaml");
    let preflight = |target: &str, page: &str| {
        example.ask(&format!(
            "OPTIONS {target} HTTP/1.1\r\nHost: a\r\nOrigin: {page}\r\nAccess-Control-Request-Method: PUT\r\n\r\n"
        ))
    };
    let allowed = preflight("/api/x", "https://pr-7.preview.example.com");
    assert_eq!((allowed.status, allowed.header("access-control-allow-methods")), (204, Some("PUT, PATCH, DELETE")));
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://pr-7.preview.example.com"));
    assert_eq!(preflight("/api/x", "https://evil.example").status, 403);
    assert_eq!(preflight("/public/x", "https://evil.example").status, 204);
    assert_eq!(origin.count(), 0);
    assert_eq!(example.get("a", "/public/x").header("access-control-allow-origin"), Some("*"));
}

#[test]
fn request_id() {
    let (example, origin) = with_mirror("request-id.yaml");
    let page = example.get("a", "/");
    assert_eq!(page.header("x-request-id"), origin.last().header("x-request-id"));
    assert!(page.header("x-request-id").is_some() && page.header("server-timing").unwrap().contains("ttfb;dur="));
}

#[test]
fn security_fields() {
    let (example, _origin) = with_mirror("security-fields.yaml");
    let page = example.get("a", "/");
    assert_eq!(page.header("x-frame-options"), Some("SAMEORIGIN"));
    assert_eq!(
        (page.header("x-content-type-options"), page.header("strict-transport-security")),
        (Some("nosniff"), None)
    );
    let embedded = example.get("a", "/embedded");
    assert_eq!(embedded.header("x-frame-options"), None);
    assert_eq!(embedded.header("content-security-policy"), Some("frame-ancestors https://*.example.com"));
}

#[test]
fn basic_auth() {
    let (example, origin) = with_mirror("basic-auth.yaml");
    let asked = example.get("a", "/staff");
    assert_eq!(asked.header("www-authenticate"), Some("Basic realm=\"staff\", charset=\"UTF-8\""));
    // ann, and the password that stands in the file.
    let field = "Authorization: Basic YW5uOlUqVQ==\r\nX-User: root";
    let answer = example.ask(&format!("GET /staff HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n"));
    assert_eq!((answer.status, origin.last().header("x-user")), (200, Some("ann")));
    assert_eq!((origin.last().header("authorization"), example.get("a", "/").status), (None, 200));
}

#[test]
fn jwt() {
    let (example, origin) = with_mirror("jwt.yaml");
    let asked = example.get("a", "/api/x");
    assert_eq!((asked.status, asked.header("www-authenticate")), (401, Some("Bearer")));
    // Signed by nobody.
    let token = "eyJhbGciOiJFZERTQSIsImtpZCI6IjIwMjYifQ.e30.AAAA";
    let forged = example.ask(&format!("GET /api HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n"));
    assert!(forged.status == 401 && forged.text().contains("signature"), "{}", forged.text());
    assert_eq!((origin.count(), example.get("a", "/").status), (0, 200));
}

#[test]
fn forward_auth() {
    let origin = mirror();
    let guard = Origin::start(|request, wire| {
        wire.send(match request.header("cookie") {
            Some(_) => "HTTP/1.1 202 Accepted\r\nX-Auth-Request-User: ann\r\nContent-Length: 0\r\n\r\n",
            None => "HTTP/1.1 401 Unauthorized\r\nContent-Length: 7\r\n\r\nsign in",
        });
        true
    });
    let example = Example::start("forward-auth.yaml", &origin.address.to_string(), &guard.address.to_string());
    let refused = example.get("a", "/x");
    assert_eq!((refused.status, refused.text().as_str(), origin.count()), (401, "sign in", 0));
    assert_eq!(guard.last().header("x-forwarded-uri"), Some("/x"));
    let answer = example.ask("GET /x HTTP/1.1\r\nHost: a\r\nCookie: s=1\r\nX-Auth-Request-User: root\r\n\r\n");
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("x-auth-request-user: ann\n") && !answer.text().contains("root"));
}

#[test]
fn oidc() {
    let (origin, provider, folder) = (mirror(), Provider::start(), Folder::new());
    folder.write("oidc-cookie-secret", "0123456789-abcdefghijklmnopqrstuvwxyz");
    folder.write("oidc-client-secret", CLIENT_SECRET);
    let (service, second) = (origin.address.to_string(), provider.origin.address.to_string());
    let example = Example::start_in(folder, "oidc.yaml", &service, &second);
    let open = |target: &str, cookie: &str| {
        let cookie = cookie.split(';').next().unwrap();
        example.ask(&format!(
            "GET {target} HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\nCookie: {cookie}\r\nX-User: root\r\n\r\n"
        ))
    };
    await_until("the provider", || open("/", "").status == 302);
    let sent = open("/x?y", "");
    let back = provider.log_in(sent.header("location").unwrap());
    let welcome = open(&back, sent.header("set-cookie").unwrap());
    assert_eq!((welcome.status, welcome.header("location")), (303, Some("/x?y")));
    let session =
        welcome.all("set-cookie").into_iter().find(|cookie| !cookie.contains("Max-Age=0")).unwrap().to_owned();
    let page = open("/x?y", &session).text();
    assert!(
        page.contains("x-user: ann\n") && page.contains("x-email: ann@a.test\n") && !page.contains("root"),
        "{page}"
    );
    assert_eq!((example.get("a", "/api").status, origin.count()), (401, 1));
}

#[test]
fn access() {
    let (example, _origin) = with_mirror("access.yaml");
    let status = |target: &str, client: &str| {
        example.ask(&format!("GET {target} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\n\r\n")).status
    };
    let everywhere = ["10.1.1.1", "10.66.1.1", "192.0.2.1", "198.51.100.1", "2001:db8:bad::1"];
    assert_eq!(everywhere.map(|client| status("/", client)), [200, 200, 403, 200, 403]);
    assert_eq!(everywhere.map(|client| status("/admin/x", client)), [200, 403, 403, 403, 403]);
}

#[test]
fn rate_limit() {
    let (example, _origin) = with_mirror("rate-limit.yaml");
    let status =
        |target: &str, fields: &str| example.ask(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).status;
    assert_eq!([(); 7].map(|()| status("/login", "")), [200, 200, 200, 200, 200, 429, 429]);
    assert_eq!(status("/login", "X-Forwarded-For: 192.0.2.1\r\n"), 200);
    for key in ["X-Api-Key: a\r\n", "X-Api-Key: b\r\n", ""] {
        assert_eq!([(); 4].map(|()| status("/api", key)), [200, 200, 200, 429], "{key}");
    }
    assert_eq!(example.get("a", "/").header("ratelimit-policy"), Some("\"client_ip\";q=200;w=2"));
}

#[test]
fn rate_limit_shared() {
    let (example, _origin) = with_mirror("rate-limit-shared.yaml");
    // Without its store it counts by itself.
    assert_eq!([(); 3].map(|()| example.get("a", "/").status), [200, 200, 429]);
}

#[test]
fn reverse_proxy() {
    let (example, _origin) = with_mirror("reverse-proxy.yaml");
    assert!(example.get("a", "/x?y").text().starts_with("GET /x?y HTTP/1.1\nhost: a\n"));
}

#[test]
fn several_servers() {
    let (first, second) = (mirror(), mirror());
    let example = Example::start("several-servers.yaml", &first.address.to_string(), &second.address.to_string());
    (0..9).for_each(|_| assert_eq!(example.get("a", "/").status, 200));
    assert_eq!((first.count(), second.count()), (3, 6));
}

#[test]
fn by_path_and_host() {
    let (example, _origin) = with_mirror("by-path-and-host.yaml");
    assert_eq!(example.get("a", "/ping").text(), "pong\n");
    for path in ["/metrics", "/metrics/x", "/debug", "/status", "/x/.git/config"] {
        assert_eq!(example.get("a", path).text(), "not from outside\n", "{path}");
    }
    for path in ["/metricsx", "/status/x", "/x.gitx"] {
        assert_eq!(example.get("a", path).status, 200, "{path}");
    }
    assert!(example.get("a", "/v2/users").text().starts_with("GET /api/2/users HTTP/1.1\n"));
    let post = example.ask("POST / HTTP/1.1\r\nHost: x.tenants.example\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(post.status, 403);
    let beta = example.ask("GET /?debug=1 HTTP/1.1\r\nHost: a\r\nX-Team: t\r\nCookie: beta=yes\r\n\r\n");
    assert_eq!(beta.text(), "beta\n");
    assert!(example.get("a", "/?debug=1").text().starts_with("GET /?debug=1 "));
}

#[test]
fn strip_prefix() {
    let (example, _origin) = with_mirror("strip-prefix.yaml");
    let response = example.get("a", "/api/users?x");
    assert!(response.text().starts_with("GET /users?x HTTP/1.1\n"));
    assert_eq!(response.header("location"), Some("/api/next"));
    assert_eq!(response.header("set-cookie"), Some("s=1; Domain=app.internal; Path=/api/"));
    assert_eq!(example.get("a", "/apix").status, 404);
}

#[test]
fn headers() {
    let (example, origin) = with_mirror("headers.yaml");
    let response = example.ask(
        "GET /?utm_source=a&q=1 HTTP/1.1\r\nHost: a\r\nX-Debug: 1\r\nX-Tag: zero\r\nCookie: tracking=1; b=2\r\n\r\n",
    );
    let text = response.text();
    assert!(text.starts_with("GET /?q=1&source=proxy HTTP/1.1\n"), "{text}");
    for line in ["x-environment: production", "x-tag: zero", "x-tag: one", "cookie: b=2; theme=dark"] {
        assert!(text.lines().any(|l| l == line), "{line}: {text}");
    }
    assert!(text.contains(&format!("host: {}\n", origin.address)) && !text.contains("x-debug"), "{text}");
    assert_eq!((response.header("server"), response.header("x-frame-options")), (None, Some("DENY")));
}

#[test]
fn cookies() {
    let (example, _origin) = with_mirror("cookies.yaml");
    let response = example.get("a", "/");
    assert_eq!(response.header("set-cookie"), Some("s=1; Domain=example.com; Path=/shop/; HttpOnly; SameSite=Lax"));
}

#[test]
fn guarded_path() {
    let (example, _origin) = with_mirror("guarded-path.yaml");
    assert_eq!(example.get("a", "/admin/x").status, 403);
    assert_eq!(example.get("a", "/x/..%2fadmin").status, 400);
    assert!(example.get("a", "/a//../b;c").text().starts_with("GET /a//../b;c HTTP/1.1\n"));
}

#[test]
fn underscores() {
    let (example, _origin) = with_mirror("underscores.yaml");
    let fields = "X_User: 1\r\nX_Forwarded_For: 6.6.6.6";
    let text = example.ask(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n")).text();
    assert!(text.contains("x_user: 1\n") && !text.contains("6.6.6.6"), "{text}");
}

#[test]
fn encoded_slashes() {
    let (example, origin) = with_mirror("encoded-slashes.yaml");
    for target in ["/repo/group%2Fname", "/repo/group%2F..%2Fhooks"] {
        assert_eq!((example.get("a", target).status, origin.last().target()), (200, target));
    }
    assert_eq!(example.get("a", "/repo/hooks").status, 403);
    assert_eq!(example.get("a", "/repo/..%2Fadmin").status, 400);
}

#[test]
fn redirect() {
    let (example, _origin) = with_mirror("redirect.yaml");
    let www = example.get("www.example.com", "/a?b");
    assert_eq!((www.status, www.header("location")), (308, Some("https://example.com/a?b")));
    let old = example.get("a", "/old/x");
    assert_eq!((old.status, old.header("location")), (301, Some("https://a/new/")));
    let rest = example.get("a", "/");
    assert_eq!((rest.text().as_str(), rest.header("content-type")), ("{\"ok\":true}", Some("application/json")));
}

#[test]
fn behind_a_proxy() {
    let (example, _origin) = with_mirror("behind-a-proxy.yaml");
    let from = |ip: &str| example.ask(&format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {ip}\r\n\r\n"));
    assert_eq!(from("203.0.113.9").status, 403);
    assert!(from("198.51.100.1").text().contains("x-forwarded-for: 198.51.100.1, 127.0.0.1\n"));
}

#[test]
fn error_pages() {
    let address = format!("127.0.0.1:{}", free_port());
    let example = Example::start("error-pages.yaml", &address, &address);
    let missing = example.get("a", "/nowhere");
    assert_eq!((missing.status, missing.header("content-type")), (404, Some("text/html; charset=utf-8")));
    assert!(missing.text().contains("There is nothing here"));
    let down = example.get("a", "/app");
    assert_eq!(down.status, 502);
    assert!(down.text().contains("back in a moment") && down.header("x-request-id").is_some());
}

#[test]
fn logs_and_timeouts() {
    let (example, _origin) = with_mirror("logs-and-timeouts.yaml");
    assert_eq!(example.get("a", "/").status, 200);
}

/// What it logs: `tests/log_targets.rs`.
#[test]
fn logs() {
    let (example, _origin) = with_mirror("logs.yaml");
    assert_eq!((example.get("a", "/").status, example.get("a", "/status").status), (200, 404));
}

#[test]
fn upstream_tls_refuses_what_it_cannot_verify() {
    // A server that speaks no TLS: it answers the ClientHello in plain HTTP.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut first = [0; 1];
        std::io::Read::read_exact(&mut stream, &mut first).unwrap();
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        first[0]
    });
    let example = Example::start("upstream-tls.yaml", &address, &address);
    let response = example.get("a", "/");
    assert_eq!(response.status, 502, "{}", response.text());
    assert_eq!(response.header("proxy-status").unwrap().split(';').nth(1), Some(" error=tls_protocol_error"));
    // Nothing of the request reached it in the clear: a TLS record came.
    assert_eq!(server.join().unwrap(), 22);
}

#[test]
fn process() {
    let origin = mirror();
    let mut example = Example::start("process.yaml", &origin.address.to_string(), "");
    let ready = |admin: SocketAddr| {
        let mut client = Client::connect(admin);
        client.send("GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        client.response().status
    };
    // The port is open before anybody is let in.
    await_until("/ready", || ready(example.admin) == 200);
    assert!(example.folder.0.join("pingora-proxy.pid").exists());
    let status = std::fs::read_to_string(format!("/proc/{}/status", example.process.0.id())).unwrap();
    assert!(status.lines().any(|line| line == "NoNewPrivs:\t1"), "{status}");
    signal(example.process.0.id(), "TERM");
    await_until("the drain", || ready(example.admin) == 503);
    // The delay of the file.
    assert_eq!(example.get("a", "/").status, 200);
    assert_eq!(example.process.0.wait().unwrap().code(), Some(0));
}

#[test]
fn admin() {
    let (first, second) = (mirror(), mirror());
    let folder = Folder::new();
    folder.write("token", "0123456789-abcdefghij\n");
    let (service, other) = (first.address.to_string(), second.address.to_string());
    let example = Example::start_in(folder, "admin.yaml", &service, &other);
    let ask = |fields: &str| {
        let mut client = Client::connect(example.admin);
        client.send(format!("GET /requests?wait=5s HTTP/1.1\r\nHost: proxy.example.com\r\n{fields}\r\n"));
        client.response()
    };
    assert_eq!(example.get("a", "/seen").status, 200);
    assert_eq!(ask("").status, 401);
    let told = ask("Authorization: Bearer 0123456789-abcdefghij\r\n");
    assert!(told.status == 200 && told.text().contains("\"path\":\"/seen\""), "{told:?}");
}

#[test]
fn admin_tls() {
    let (authority, admins, folder) = (Authority::default(), Authority::new("admins"), Folder::new());
    authority.issue(&["example.com"]).write(&folder, "example.com");
    folder.write("admins.pem", &admins.0.pem());
    let (first, second) = (mirror(), mirror());
    let (service, other) = (first.address.to_string(), second.address.to_string());
    let example = Example::start_in(folder, "admin-tls.yaml", &service, &other);
    let stats = |identity| {
        let caller = TlsClient::with(&authority, support::tls::BOTH, identity);
        let request = "GET /stats HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n";
        caller.send(example.admin, "example.com", request)
    };
    let ann = admins.issue_to_client("ann");
    assert!(stats(None).is_err());
    assert!(stats(Some(&ann)).unwrap().head.starts_with("HTTP/1.1 200 "));
}

#[test]
fn failover() {
    let (first, second) = (mirror(), mirror());
    let example = Example::start("failover.yaml", &first.address.to_string(), &second.address.to_string());
    (0..6).for_each(|_| assert_eq!(example.get("a", "/").status, 200));
    let asked = |origin: &Origin| origin.seen.lock().unwrap().iter().any(|r| r.line.starts_with("GET /healthz "));
    await_until("checks", || asked(&first) && asked(&second));
    drop(first);
    (0..20).for_each(|_| assert_eq!(example.get("a", "/").status, 200));
    let mut admin = Client::connect(example.admin);
    admin.send("GET /upstreams HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let report: serde_json::Value = serde_json::from_slice(&admin.response().body).unwrap();
    assert_eq!(report["upstreams"][0]["servers"][2]["backup"], true);
}

#[test]
fn sticky() {
    let (first, second) = (mirror(), mirror());
    let example = Example::start("sticky.yaml", &first.address.to_string(), &second.address.to_string());
    let ours =
        |answer: &Response| answer.all("set-cookie").into_iter().find(|c| c.starts_with("lb=")).map(str::to_owned);
    let cookie = ours(&example.get("a", "/")).unwrap();
    let cookie = cookie.split(';').next().unwrap();
    let before = (first.count(), second.count());
    (0..4).for_each(|_| {
        let answer = example.ask(&format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n"));
        assert_eq!((answer.status, ours(&answer)), (200, None));
    });
    let after = (first.count() - before.0, second.count() - before.1);
    assert!(after == (4, 0) || after == (0, 4), "{after:?}");
}

#[test]
fn by_hash() {
    let (first, second) = (mirror(), mirror());
    let example = Example::start("by-hash.yaml", &first.address.to_string(), &second.address.to_string());
    for _ in 0..3 {
        for user in 0..32 {
            let answer = example.ask(&format!("GET / HTTP/1.1\r\nHost: a\r\nX-User: {user}\r\n\r\n"));
            assert_eq!(answer.status, 200);
        }
    }
    assert!(first.count() % 3 == 0 && second.count() % 3 == 0 && first.count() > 0 && second.count() > 0);
}

#[test]
fn canary() {
    let (first, second) = (mirror(), mirror());
    let example = Example::start("canary.yaml", &first.address.to_string(), &second.address.to_string());
    for session in 0..40 {
        let answer = example.ask(&format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: session={session}\r\n\r\n"));
        assert_eq!(answer.status, 200);
    }
    // Every request once, and a copy of each.
    await_until("the copies", || first.count() + second.count() == 80);
    assert!(first.count() >= 25, "{}", first.count());
}

#[test]
fn discovery() {
    let (example, origin) = with_mirror("discovery.yaml");
    (0..6).for_each(|_| assert_eq!(example.get("a", "/").status, 200));
    assert_eq!(origin.count(), 6);
}

#[test]
fn queue() {
    let (example, origin) = with_mirror("queue.yaml");
    let clients: Vec<Client> = (0..6).map(|_| Client::connect(example.address)).collect();
    let statuses: Vec<u16> = clients
        .into_iter()
        .map(|mut client| {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            client.response().status
        })
        .collect();
    assert_eq!((statuses, origin.count()), (vec![200; 6], 6));
}

#[test]
fn tls() {
    let (authority, folder, origin) = (Authority::default(), Folder::new(), mirror());
    let [com, org] = ["example.com", "example.org"].map(|name| {
        let identity = authority.issue(&[name]);
        identity.write(&folder, name);
        identity
    });
    let cleartext = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let example = Example::start_in(folder, "tls.yaml", &origin.address.to_string(), &cleartext.to_string());
    let client = TlsClient::new(&authority).of_any_name(&authority);
    for (name, identity) in [("example.com", &com), ("example.org", &org), ("other.test", &com)] {
        let answer = client.ask(example.address, name).unwrap();
        assert!(answer.is_of(identity) && answer.body.contains(&format!("host: {name}\n")), "{answer:?}");
        assert!(answer.head.to_lowercase().contains("strict-transport-security: max-age=3600"), "{answer:?}");
    }
    let mut client = Client::connect(cleartext);
    client.send("GET /x HTTP/1.1\r\nHost: example.org\r\n\r\n");
    assert_eq!(client.response().header("location"), Some("https://example.org/x"));
}

#[test]
fn client_certificates() {
    let (authority, folder, origin) = (Authority::default(), Folder::new(), mirror());
    authority.issue(&["example.com", "*.example.com"]).write(&folder, "example.com");
    let (clients, admins) = (Authority::new("clients"), Authority::new("admins"));
    folder.write("clients.pem", &clients.0.pem());
    folder.write("admins.pem", &admins.0.pem());
    let example = Example::start_in(folder, "client-certificates.yaml", &origin.address.to_string(), "");
    let (client, admin) = (clients.issue_to_client("client"), admins.issue_to_client("admin"));
    for (name, nobody, of_clients, of_admins) in [
        ("example.com", true, true, false),
        ("admin.example.com", false, false, true),
        ("status.example.com", true, true, true),
    ] {
        let ask = |identity| {
            let client = TlsClient::with(&authority, support::tls::BOTH, identity);
            client.ask(example.address, name).is_ok()
        };
        let got = (ask(None), ask(Some(&client)), ask(Some(&admin)));
        assert_eq!(got, (nobody, of_clients, of_admins), "{name}");
    }
    let status = |identity, path: &str| {
        let client = TlsClient::with(&authority, support::tls::BOTH, identity);
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: example.com\r\nClient-Cert: :Yg==:\r\nConnection: close\r\n\r\n");
        client.send(example.address, "example.com", &request).unwrap().head
    };
    let other = clients.issue_to_client("other");
    for (identity, expected) in
        [(None, "HTTP/1.1 403"), (Some(&other), "HTTP/1.1 403"), (Some(&client), "HTTP/1.1 200")]
    {
        assert!(status(identity, "/for-client").starts_with(expected), "{expected}");
    }
}

#[test]
fn proxy_protocol() {
    let (example, _origin) = with_mirror("proxy-protocol.yaml");
    let text = example.ask("PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").text();
    assert!(text.contains("x-forwarded-for: 192.0.2.7\n"), "{text}");
}

#[test]
fn proxy_protocol_out() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut header = [0; 28];
        stream.read_exact(&mut header).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        header
    });
    let example = Example::start("proxy-protocol-out.yaml", &address, &address);
    assert_eq!(example.get("a", "/").status, 200);
    // Of version 2, from 127.0.0.1 over TCP.
    assert!(server.join().unwrap().starts_with(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01"));
}

#[test]
fn grpc() {
    let rules = Rules::default();
    rules.grpc_status.store(1, std::sync::atomic::Ordering::SeqCst);
    let origin = Http2Origin::start(rules);
    let address = origin.address.to_string();
    let example = Example::start("grpc.yaml", &address, &address);
    await_until("a check", || origin.paths().iter().any(|uri| uri.ends_with("/grpc.health.v1.Health/Check")));
    let call = example
        .ask("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 5\r\n\r\n\0\0\0\0\0");
    assert_eq!((call.status, call.body.as_slice()), (200, &[0; 5][..]));
    let seen = origin.seen.lock().unwrap();
    let called = seen.iter().find(|one| one.uri.ends_with("/echo")).expect("the server saw the call");
    assert_eq!(called.headers["content-type"], "application/grpc");
}

#[test]
fn upstream_http2() {
    let origin = Http2Origin::start(Rules { tls: Some(support::http2::tls(&[b"h2"])), ..Rules::default() });
    let address = origin.address.to_string();
    let example = Example::start("upstream-http2.yaml", &address, &address);
    (0..3).for_each(|_| assert_eq!(example.get("a", "/").text(), "0 bytes"));
    assert!(origin.paths().iter().all(|uri| uri.starts_with("https://a/")), "{:?}", origin.paths());
}

#[test]
fn http2() {
    let (example, _origin) = with_mirror("http2.yaml");
    // A client of HTTP/1.1 is served at the same port; tests/http2.rs has those of HTTP/2.
    assert!(example.get("a", "/").text().contains("host: a\n"));
    let mut client = Client::connect(example.address);
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0");
    let head = client.wire.exactly(9);
    assert_eq!((head[3], head[4]), (4, 0), "its SETTINGS");
}

#[test]
fn grpc_web() {
    let origin = Http2Origin::start(Rules::default());
    let example = Example::start("grpc-web.yaml", &origin.address.to_string(), "");
    let answer = example.ask(
        "POST /greet.Greeter/Hello HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc-web+proto\r\n\
         Content-Length: 5\r\n\r\n\0\0\0\0\0",
    );
    assert_eq!(answer.status, 200);
    let seen = origin.seen.lock().unwrap();
    assert_eq!(seen[0].headers["content-type"], "application/grpc+proto");
    assert_eq!(seen[0].headers["te"], "trailers");
}

#[test]
fn traces() {
    let origin = mirror();
    let collector = Origin::fixed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    let example = Example::start("traces.yaml", &origin.address.to_string(), &collector.address.to_string());
    let traced = example.get("a", "/").text();
    assert!(traced.contains("traceparent: 00-"), "{traced}");
    drop(origin);
    assert_eq!(example.get("a", "/").status, 502);
    await_until("the span of the failure", || collector.count() > 0);
    assert_eq!(collector.last().target(), "/v1/traces");
}
