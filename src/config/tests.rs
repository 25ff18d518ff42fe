//! The whole way from text to `Config` and back.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::section::{IfAbsent, Key, Rule, Section, SectionShape, Shape};
use super::yaml::Kind;
use super::*;

/// Every delivered key, none with its default.
const FULL: &str = r#"
server: { threads: 2, work_stealing: false, pid_file: @DIR@/run/p.pid, error_log: @DIR@/error.log,
  daemon: true, upgrade_sock: @DIR@/run/u.sock, user: @UID@, group: @GID@, reload_on_change: true, sandbox: off,
  drain: { delay: 1s, timeout: 0s, tunnels: 1h }, upgrade: { probation: 1m } }
admin: { address: "[::1]:9180", token_file: @DIR@/admin-token, tls: { min_version: "1.3",
  certificates: [{ cert: @DIR@/more.pem, key: @DIR@/more.key, ocsp: @DIR@/more.ocsp }],
  client_auth: { ca: @DIR@/cert.pem, mode: optional } } }
log: { level: debug, format: json, access: { to: { syslog: "192.0.2.1:514", facility: local7, tag: web },
  format: '{client_ip} {{ "{header:x-a}" {status}', sample: 0.5%, redact: { query: [token, "a b"], client_ip: true },
  always: { errors: false, slower_than: 1s, status: [404, 410-420] }, recent: 500 } }
listeners:
    - "0.0.0.0:8080"
    - ":8081"
    - { address: "[::]:8080", redirect_https: true, http2: true }
    - address: "[::]:8443"
      tls:
        certificates:
          - { cert: @DIR@/cert.pem, key: @DIR@/key.pem }
          - { cert: @DIR@/more.pem, key: @DIR@/more.key, ocsp: @DIR@/more.ocsp }
        ticket_keys: @DIR@/tickets.keys
        hsts: 8760h
        min_version: "1.3"
        client_auth: { ca: @DIR@/cert.pem, mode: optional }
        hosts:
          - { host: admin.example.com, client_auth: { ca: @DIR@/cert.pem, mode: optional } }
          - { host: ["*.open.example.com", open.example.com], client_auth: off }
      http2: false
      proxy_protocol: { from: [10.0.0.0/8] }
    - unix:/run/p.sock
trusted_proxies: [10.0.0.0/8, "::1"]
limits: { request_line: 4KiB, request_headers: 1MiB, request_header_count: 256, h2_streams: 50,
  request_body: unlimited, response_headers: 32KiB, connections: 100, connections_per_ip: 10 }
paths: { ambiguous: canonical }
headers: { underscores: keep, request_id: client }
timeouts: { request_header: 1500ms, request_body_idle: 30s, write_idle: 20s, min_rate: 2KiB/s, keepalive: 90s,
  tunnel_idle: 2h, tls_handshake: 5s, h2_idle: 30s }
dns: { nameservers: ["127.0.0.1", "127.0.0.1:5353"], timeout: 500ms }
traces: { endpoint: "http://127.0.0.1:4318/v1/traces", sample: 5%, errors: false, service: edge, parent: any }
upstreams:
  api:
    servers:
      - 127.0.0.1:3000
      - { address: localhost:3001, weight: 2, refresh: 1m }
      - unix:/run/app.sock
      - { dns: app.internal:80, backup: true }
      - { srv: _http._tcp.app.internal, refresh: 5s }
    balance: least_conn
    sticky: { cookie: lb, max_age: 2h, secure: true, secret_file: @DIR@/cert.pem }
    health:
      active: { path: /healthz, interval: 2s, timeout: 500ms, healthy_after: 1, unhealthy_after: 2, status: "200-299",
                host: app.internal, port: 9000, tls: false }
      passive: { failures: 3, eject_for: 10s, max_ejected: 30%, statuses: [500, 503] }
    retry: { attempts: 3, on: [connect, reset], methods: safe, statuses: [503], budget: 10%, body_buffer: 16KiB }
    slow_start: 30s
    proxy_protocol: v2
    protocol: auto
    tls: { sni: app.internal, verify: true, ca: @DIR@/cert.pem, cert: @DIR@/cert.pem, key: @DIR@/key.pem }
    timeouts: { connect: 500ms, response_header: 5m, read_idle: none, write_idle: 1h, pool_idle: 10s, request: 10m }
    pool: { max_idle: 0, max_connections: 100, queue: 50, queue_timeout: 2s }
  plain: { servers: ["localhost:3002"], tls: true, retry: { attempts: 1 }, protocol: http2,
    health: { passive: "off", active: { grpc: shop.Orders } } }
  loose:
    servers: ["127.0.0.1:3003", "127.0.0.1:3004"]
    tls: { sni: "127.0.0.1", verify: false }
    balance: { hash: "cookie:user" }
    health: { active: { tcp: true } }
routes:
  - name: api
    match:
      host: [Example.com, "*.example.com"]
      path: [/api/, { exact: /v1 }, { regex: "^/v[0-9]+/" }]
      method: GET
      header: { x-canary: "1", x-b: { regex: "^a" }, X-C: { present: false } }
      query: { debug: 1, "q q": { present: true }, r: { regex: "^a" } }
      cookie: { beta: "yes", c: { present: true }, d: { regex: "^a" } }
      client_ip: 10.0.0.1
      client_cert: { common_name: ann, san: ["a@b.example"], fingerprint: @HASH@ }
    priority: 5
    paths: { ambiguous: as_sent }
    access: { allow: [10.0.0.0/8, "2001:db8::/32"], deny: [10.9.0.0/16] }
    request:
      path: { regex: "^/v([0-9]+)/(?P<rest>.*)", with: "/$1/$${rest}" }
      header: { set: { X-A: "ü $${x}" }, add: { x-b: 2 }, remove: [x-c] }
      query: { set: { k: "a b" }, add: { "k[]": "&" }, remove: [utm_source] }
      cookie: { set: { k: v }, remove: [tracking] }
      host: upstream
    response:
      header: { set: { a: "" }, add: { b: "\"quoted\"" }, remove: [server] }
      cookie: { domain: { .app.internal: example.com }, path: { /: /api/ }, secure: true, http_only: true, same_site: lax }
      location: off
      server_timing: true
      security: { hsts: 1h, nosniff: false, frame: deny, referrer: no-referrer, csp: "default-src 'self'" }
    upstream: api
  - match: { path: { exact: /old } }
    redirect: "https://{host}{path}{query}"
  - match: { path: { regex: "^/r$" }, host: "*", method: [GET, POST] }
    redirect: { to: "/{{x}}", status: 302 }
  - { match: { path: /strip }, request: { path: { strip_prefix: /strip } }, upstream: plain, grpc_web: true,
      cors: { origins: [https://*.example.com, "https://a.test"], methods: [PUT], headers: [x-grpc-web], expose: [grpc-status],
              credentials: true, max_age: 1h } }
  - { match: { path: /add }, request: { path: { add_prefix: /x }, host: "a.b:81" }, upstream: "https://localhost" }
  - { match: { path: /replace }, request: { path: { replace: /y } }, upstream: loose }
  - { match: { path: /null }, response: { cookie: { http_only: null, secure: keep } }, upstream: "http://127.0.0.1:3000" }
  - match: { path: /split }
    upstream: { plain: 90, loose: 10 }
    split_by: "header:x-user"
    mirror: { upstream: plain, share: 10% }
    limits: { request_body: 1MiB, response_headers: 8KiB }
    timeouts: { request_body_idle: 10s, write_idle: 10s, min_rate: none, tunnel_idle: 10m }
    concurrency: { max: 64, queue: 10, queue_timeout: 2s }
    stream: true
    auth: { basic: { users_file: @DIR@/users, realm: staff, user_header: x-user, forward_credentials: false } }
  - name: token
    match: { path: /token }
    rate_limit:
      - { rate: 60/m, burst: 5, key: "header:x-api-key", max_keys: 5000, dry_run: true }
      - { rate: 1000/h, key: "claim:sub", store: "rediss://ann@store.internal:6380/1", store_timeout: 20ms,
          store_password_file: @DIR@/password, store_ca: @DIR@/cert.pem }
    auth: { jwt: { jwks_file: @DIR@/keys.json, issuer: "https://us.example", audience: [shop, cart],
      algorithms: [EdDSA, ES256], leeway: 5s, required: [exp, sub], claims_to_headers: { sub: x-user },
      from: { cookie: session }, forward_credentials: false } }
    upstream: api
  - { match: { path: /fetched }, auth: { jwt: { jwks_url: "http://127.0.0.1:3005/keys", audience: a, from: { query: t } } }, upstream: api }
  - { match: { path: /secret }, auth: { jwt: { secret_file: @DIR@/cert.key, from: { header: x-token } } }, upstream: api }
  - match: { path: /asked }
    auth: { forward: { url: "http://127.0.0.1:3006/verify?a=b", request_headers: [accept],
      response_headers: [remote-user], timeout: 1s } }
    upstream: api
  - match: { path: /login }
    rate_limit: { rate: 10/s, key: "claim:email" }
    auth: { oidc: { issuer: "https://id.example.com/staff", provider_url: "http://127.0.0.1:3007", client_id: shop,
      client_secret_file: @DIR@/password, cookie_secret_file: @DIR@/seal, scopes: [openid, email],
      callback_path: /login/back, logout_path: /login/out, session_lifetime: 30m, cookie_name: staff,
      claims_to_headers: { sub: x-user }, required: [email], timeout: 2s } }
    upstream: api
  - match: { path: /health }
    respond: { status: 503, body: "a\n\tb ${HOME_PAGE:-x} \u0007", header: { Retry-After: 5 } }
  - upstream: "127.0.0.1:3000"
errors: { pages: { 5xx: @DIR@/e.html, 502: @DIR@/e.json } }
"#;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let key = rcgen::KeyPair::generate().unwrap();
        let cert = rcgen::CertificateParams::new(["app.internal".to_owned()]).unwrap().self_signed(&key).unwrap();
        std::fs::write(dir.join("cert.pem"), cert.pem()).unwrap();
        std::fs::write(dir.join("admin-token"), "0123456789-abcdefghij\n").unwrap();
        std::fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
        std::fs::write(dir.join("other.pem"), rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
        let more = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(["*.example.com".to_owned()]).unwrap();
        params.serial_number = Some(rcgen::SerialNumber::from(7_u64));
        std::fs::write(dir.join("more.pem"), params.self_signed(&more).unwrap().pem()).unwrap();
        std::fs::write(dir.join("more.key"), more.serialize_pem()).unwrap();
        std::fs::write(dir.join("more.ocsp"), listener::ocsp_response(&[7], "20300101000000Z")).unwrap();
        std::fs::write(dir.join("tickets.keys"), format!("{}\n", "ab".repeat(32))).unwrap();
        for secret in ["key.pem", "more.key", "tickets.keys"] {
            std::fs::set_permissions(dir.join(secret), std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        std::fs::write(dir.join("users"), "ann:$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n")
            .unwrap();
        let key = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let keys = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{key}"}}]}}"#);
        std::fs::write(dir.join("keys.json"), keys).unwrap();
        std::fs::write(dir.join("cert.key"), "s".repeat(32)).unwrap();
        std::fs::write(dir.join("password"), "s3cret\n").unwrap();
        std::fs::write(dir.join("seal"), "s3cret-0123456789-abcdefghijklmnop\n").unwrap();
        std::fs::write(dir.join("e.html"), "<p>").unwrap();
        std::fs::write(dir.join("e.json"), "{}").unwrap();
        Folder(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn full(&self) -> String {
        let ids = (nix::unistd::Uid::effective().to_string(), nix::unistd::Gid::effective().to_string());
        FULL.replace("@HASH@", &"ab".repeat(32))
            .replace("@DIR@", self.path().to_str().unwrap())
            .replace("@UID@", &ids.0)
            .replace("@GID@", &ids.1)
    }
}

fn read(text: &str) -> Result<(Config, Vec<Problem>), Rejected> {
    parse("/etc/proxy/proxy.yaml", text, &|_| None)
}

fn good(text: &str) -> Config {
    read(text).unwrap_or_else(|e| panic!("{e}\n{text}")).0
}

fn messages(text: &str) -> Vec<String> {
    match read(text) {
        Ok((_, warnings)) => warnings.into_iter().map(|p| p.message).collect(),
        Err(e) => e.problems.into_iter().map(|p| p.message).collect(),
    }
}

#[test]
fn the_least_that_works() {
    let config = good("listeners: [\"0.0.0.0:8080\"]\nroutes:\n  - upstream: \"127.0.0.1:3000\"\n");
    assert_eq!(config.routes[0].name, "routes[0]");
    assert_eq!(config.routes[0].line, 3);
    assert!(config.routes[0].response.rewrite_location);
    assert_eq!(config.routes[0].response.set_cookie.secure, SecurePolicy::Auto);
    assert!(config.upstreams[0].implicit);
    assert_eq!(config.upstreams[0].name, "127.0.0.1:3000");
}

#[test]
fn the_full_config_is_read_as_written() {
    let folder = Folder::new();
    let (c, warnings) = read(&folder.full()).unwrap_or_else(|e| panic!("{e}"));
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(c.server.pid_file, OwnFilePlace::At(folder.path().join("run/p.pid")));
    assert_eq!(c.server.drain.timeout, std::time::Duration::ZERO);
    assert_eq!(c.server.upgrade.probation, std::time::Duration::from_secs(60));
    assert_eq!(c.server.identity.ids().unwrap().uid, nix::unistd::Uid::effective().as_raw());
    assert_eq!(c.admin.address, AdminAddress::At(Address::Tcp("[::1]:9180".parse().unwrap())));
    assert_eq!(c.upstreams.len(), 10);
    let tls = c.listeners[3].tls.as_ref().unwrap();
    assert_eq!((tls.min_version, tls.hsts), (TlsVersion::V1_3, Some(std::time::Duration::from_secs(8760 * 3600))));
    let names = |index: usize| {
        let files: &CertificateFiles = &tls.certificates[index];
        files.loaded.as_ref().unwrap().names().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!((names(0), names(1)), (vec!["app.internal".to_owned()], vec!["*.example.com".to_owned()]));
    let takes_http2: Vec<bool> = c.listeners.iter().map(Listener::takes_http2).collect();
    assert_eq!(takes_http2, [false, false, true, false, false]);
    assert_eq!(c.upstreams[1].tls.as_ref().unwrap().sni, "localhost");
    assert_eq!(c.upstreams[2].tls.as_ref().unwrap().sni, "127.0.0.1");
    assert_eq!(c.upstreams[0].timeouts.read_idle, None);
    assert_eq!(c.routes[0].matcher.hosts[0], HostPattern::Exact("example.com".into()));
    let limits = &c.routes.iter().find(|route| route.name == "token").unwrap().rate_limits;
    assert_eq!((limits[0].burst(), limits[1].burst(), &limits[1].key), (5, 1000, &LimitKey::Claim("sub".into())));
    assert_eq!(limits[1].store_password(), Some(&Password("s3cret".into())));
    assert_eq!(c.routes[0].request.query.set[0].1, "a%20b");
    assert_eq!(c.routes[0].request.headers.set[0].0.spelled, "X-A");
    assert_eq!(c.routes[0].request.headers.set[0].1.as_bytes(), "ü ${x}".as_bytes());
    assert_eq!(c.routes[0].response.set_cookie.domain[0].0, "app.internal");
    assert!(!c.routes[0].response.rewrite_location);
    assert!(
        matches!(&c.routes.last().unwrap().action, Action::Upstream(upstream) if upstream.index == 9),
        "{:?}",
        c.routes.last()
    );
    assert_eq!(c.errors.pages[0].0, StatusSet::One(http::StatusCode::BAD_GATEWAY));
}

#[test]
fn an_admin_endpoint_for_other_machines_asks_who_calls() {
    let folder = Folder::new();
    let told = |address: &str, keys: &str| {
        let text = format!(
            "admin: {{ address: '{address}', {keys} }}\nlisteners: [':8080']\nroutes: [{{ upstream: '127.0.0.1:3000' }}]\n"
        );
        messages(&text.replace("@DIR@", folder.path().to_str().unwrap()))
    };
    let tls = |more: &str| format!("tls: {{ certificates: [{{ cert: @DIR@/cert.pem, key: @DIR@/key.pem }}]{more} }}");
    let (alone, by_token) = (tls(""), format!("{}, token_file: @DIR@/admin-token", tls("")));
    let by_certificate = tls(", client_auth: { ca: @DIR@/cert.pem }");
    for good in [("127.0.0.1:9180", &alone), ("0.0.0.0:9180", &by_token), ("0.0.0.0:9180", &by_certificate)] {
        assert_eq!(told(good.0, good.1), Vec::<String>::new(), "{good:?}");
    }
    assert_eq!(
        told("[::]:9180", &alone),
        ["`tls` alone lets everybody in: it hides what is said, and asks nobody who he is"]
    );
    assert!(told("0.0.0.0:9180", "tls: null")[0].contains("asks for no password"));
    assert!(told("unix:/run/a.sock", &by_certificate)[0].contains("`tls` has no effect on a unix socket"));
    let other = alone.replace("key.pem", "other.pem");
    assert!(told("127.0.0.1:9180", &other)[0].contains("key"), "{:?}", told("127.0.0.1:9180", &other));
}

#[test]
fn what_is_printed_reads_back_the_same() {
    let folder = Folder::new();
    let mut rng = Rng(7);
    let full = folder.full();
    let routes: Vec<&str> = full.split("\n  - ").collect();
    for round in 0..300 {
        // Any choice of the full config's routes is a config of its own.
        let mut text = routes[0].to_owned();
        let picked: Vec<&&str> =
            routes[1..routes.len() - 1].iter().filter(|_| round == 0 || rng.below(2) == 0).collect();
        for route in picked {
            text.push_str(&format!("\n  - {route}"));
        }
        text.push_str(&format!("\n  - {}", routes[routes.len() - 1]));
        let first = to_yaml(&good(&text));
        let again = to_yaml(&good(&first));
        assert_eq!(first, again);
    }
}

#[test]
fn no_password_is_printed() {
    let folder = Folder::new();
    let limit = "rate_limit: { rate: 1/s, store: 'redis://:s3cret@a' }";
    let text = format!("listeners: [':80']\nroutes: [{{ name: a, {limit}, respond: {{}} }}]\n");
    for config in [good(&folder.full()), good(&text)] {
        assert!(!to_yaml(&config).contains("s3cret") && !format!("{config:?}").contains("s3cret"));
    }
    let again = messages(&to_yaml(&good(&text)));
    assert_eq!(again, ["`***` stands where the store's password was not printed"]);
    let wrong = read(&text.replace("@a", "@")).unwrap_err();
    assert!(!wrong.to_string().contains("s3cret"), "{wrong}");
}

#[test]
fn awkward_text_survives_printing() {
    for text in [
        "",
        " ",
        "null",
        "~",
        "1",
        "0x1",
        "- a",
        "a: b",
        "#",
        "é\u{85}\u{2028}",
        "${A}",
        "$${A}",
        "'",
        "\\n",
        "\u{7f}",
        "\u{1F600}",
    ] {
        let config = good(&format!(
            "listeners: [':80']\nroutes: [{{ respond: {{ body: {} }} }}]\n",
            serde_json::to_string(&yaml::escape(text))
                .unwrap()
                .replace('\u{7f}', "\\u007f")
                .replace('\u{85}', "\\u0085")
        ));
        let Action::Respond(Respond { body, .. }) = &good(&to_yaml(&config)).routes[0].action else { panic!() };
        assert_eq!(body, text);
    }
}

#[test]
fn every_character_survives_printing() {
    let all: String = ('\u{0}'..='\u{ffff}').chain(['\u{1fffe}', '\u{1ffff}', '\u{10ffff}']).collect();
    let mut config = good("listeners: [':80']\nroutes: [{ respond: {} }]\n");
    let Action::Respond(Respond { body, .. }) = &mut config.routes[0].action else { panic!() };
    body.clone_from(&all);
    let Action::Respond(Respond { body, .. }) = &good(&to_yaml(&config)).routes[0].action else { panic!() };
    assert_eq!(body, &all);
}

/// Walks a tree along the declared keys and notes the path of each that is there.
fn note(keys: &[Key], prefix: &str, node: &Node, seen: &mut BTreeSet<String>) {
    let Kind::Map(entries) = &node.kind else { return };
    for (key, value) in entries {
        let known = keys.iter().find(|known| known.name == key.text);
        let known = known.unwrap_or_else(|| panic!("{prefix} has no {}", key.text));
        let path = format!("{prefix}.{}", key.text);
        note_shape(&known.shape, &path, value, seen);
        seen.insert(path);
    }
}

fn note_shape(shape: &Shape, path: &str, node: &Node, seen: &mut BTreeSet<String>) {
    match (shape, &node.kind) {
        (Shape::Section(section), _) => note(&section.keys, path, node, seen),
        (Shape::List { item, .. }, Kind::Seq(items)) => items.iter().for_each(|n| note_shape(item, path, n, seen)),
        (Shape::Map { value, .. }, Kind::Map(entries)) => {
            entries.iter().for_each(|(_, n)| note_shape(value, path, n, seen));
        }
        (Shape::Any(shapes), _) => shapes.iter().for_each(|s| note_shape(s, path, node, seen)),
        _ => {}
    }
}

/// Every declared key with its path.
fn all_keys(keys: &[Key], prefix: &str) -> Vec<(String, Key)> {
    fn inside(shape: &Shape, path: &str) -> Vec<(String, Key)> {
        match shape {
            Shape::Section(section) => all_keys(&section.keys, path),
            Shape::List { item: inner, .. } | Shape::Map { value: inner, .. } => inside(inner, path),
            Shape::Any(shapes) => shapes.iter().flat_map(|shape| inside(shape, path)).collect(),
            _ => Vec::new(),
        }
    }
    let with_inner = |key: &Key| {
        let path = format!("{prefix}.{}", key.name);
        let mut all = inside(&key.shape, &path);
        all.push((path, key.clone()));
        all
    };
    keys.iter().flat_map(with_inner).collect()
}

#[test]
fn every_declared_key_is_tried() {
    let folder = Folder::new();
    let full = folder.full();
    good(&full);
    let mut seen = BTreeSet::new();
    note(Config::keys(), "", &yaml::parse(&full, &|_| None).0.unwrap(), &mut seen);
    let all = all_keys(Config::keys(), "");
    assert!(all.len() > 120, "{}", all.len());
    for (path, _) in all.iter().filter(|(_, key)| !key.is_later()) {
        assert!(seen.contains(path), "{path} is declared, but not in FULL");
    }
}

#[test]
fn every_rule_names_keys_of_its_section() {
    fn check(section: &SectionShape) {
        let is_key = |name: &&str| section.keys.iter().any(|key| key.name == *name);
        for rule in &section.rules {
            let (Rule::OneOf { keys, .. } | Rule::Together(keys)) = rule;
            assert!(keys.len() > 1 && keys.iter().all(is_key), "{rule:?}");
        }
        section.keys.iter().for_each(|key| inside(&key.shape));
    }
    fn inside(shape: &Shape) {
        match shape {
            Shape::Section(section) => check(section),
            Shape::List { item: inner, .. } | Shape::Map { value: inner, .. } => inside(inner),
            Shape::Any(shapes) => shapes.iter().for_each(inside),
            _ => {}
        }
    }
    check(&SectionShape { keys: Config::keys().into(), rules: Config::rules() });
}

#[test]
fn what_is_not_delivered_is_refused() {
    let mut count = 0;
    for (path, key) in all_keys(Config::keys(), "").into_iter().filter(|(_, key)| key.is_later()) {
        let mut tried = Tried::new();
        tried.put(&path);
        assert_eq!(messages(&tried.text()), [format!("`{}` is not supported yet", key.name)], "{path}");
        count += 1;
    }
    assert!(count > 5, "{count}");
}

/// A small configuration with one more key at a path.
struct Tried(serde_json::Value);

impl Tried {
    fn new() -> Self {
        Self(serde_json::json!({
            "listeners": [{ "address": ":80" }],
            "upstreams": { "NAME": { "servers": [{ "address": "127.0.0.1:1" }] } },
            "routes": [{ "upstream": "NAME" }],
        }))
    }

    fn put(&mut self, path: &str) {
        let (sections, key) = path.rsplit_once('.').unwrap();
        let mut place = &mut self.0;
        for name in sections.split('.').filter(|name| !name.is_empty()) {
            place = &mut place[name];
            if place.is_array() {
                place = &mut place[0];
            } else if name == "upstreams" {
                place = &mut place["NAME"];
            }
        }
        place[key] = serde_json::json!(1);
    }

    fn text(&self) -> String {
        self.0.to_string()
    }
}

#[test]
fn every_default_is_one_that_could_be_written() {
    for (path, key) in all_keys(Config::keys(), "") {
        let IfAbsent::Default(default) = &key.if_absent else { continue };
        let text = default.to_string();
        let mut problems = yaml::parse(&text, &|_| None).1;
        assert!(problems.pop().is_none(), "{path}: {text}");
    }
    // Every default is read where its key is absent.
    good("listeners: [':80']\nroutes: [{ respond: {} }]\n");
    good(
        "listeners: [':80']\nupstreams: { a: { servers: ['a:1'], sticky: { cookie: a }, health: { active: { path: / } } } }\nroutes: [{ upstream: a }]\n",
    );
}

/// Whether a schema has a property at this path, whatever lists and names stand between.
fn allows(schema: &serde_json::Value, path: &[&str]) -> bool {
    let Some((name, rest)) = path.split_first() else { return true };
    let own = schema.pointer(&format!("/properties/{name}")).is_some_and(|inner| allows(inner, rest));
    let wrapped = ["items", "additionalProperties"].into_iter().filter_map(|key| schema.get(key));
    let any = schema.get("anyOf").and_then(|any| any.as_array()).into_iter().flatten();
    own || wrapped.chain(any).filter(|inner| inner.is_object()).any(|inner| allows(inner, path))
}

#[test]
fn the_schema_names_every_key() {
    let schema = json_schema();
    for (path, key) in all_keys(Config::keys(), "") {
        let names: Vec<&str> = path.split('.').skip(1).collect();
        assert_eq!(allows(&schema, &names), !key.is_later(), "{path}");
    }
    for list in
        ["/properties/listeners", "/properties/routes", "/properties/upstreams/additionalProperties/properties/servers"]
    {
        assert_eq!(schema.pointer(&format!("{list}/minItems")), Some(&serde_json::json!(1)), "{list}");
    }
    assert_eq!(schema.pointer("/required"), Some(&serde_json::json!(["listeners", "routes"])));
    let actions =
        serde_json::json!([{ "required": ["upstream"] }, { "required": ["redirect"] }, { "required": ["respond"] }]);
    assert_eq!(schema.pointer("/properties/routes/items/oneOf"), Some(&actions));
}

#[test]
fn invalid_files_are_rejected_as_expected() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conf/invalid");
    let mut names: Vec<PathBuf> = std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    let mut count = 0;
    for path in names.iter().filter(|p| p.extension().is_some_and(|e| e == "yaml")) {
        let shown = path.file_name().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        // The folder is a name only, so that the expected text holds no machine's paths.
        let rejected = parse(shown, &text, &|_| None).err().unwrap_or_else(|| panic!("{shown} is accepted"));
        let here = std::env::current_dir().unwrap();
        let got = format!("{rejected}\n").replace(here.to_str().unwrap(), ".");
        let expected = path.with_extension("txt");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&expected, &got).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&expected).unwrap_or_default(), got, "{shown}");
        count += 1;
    }
    assert!(count >= 25, "{count}");
}

#[test]
fn warnings_do_not_reject() {
    let text =
        "listeners: [':80']\nupstreams:\n  a: { servers: [\"127.0.0.1:1\"] }\nroutes:\n  - upstream: \"127.0.0.1:2\"\n";
    assert_eq!(messages(text), ["no route uses the upstream `a`"]);
    let text = "listeners: [':80']\nupstreams:\n  a: { servers: ['127.0.0.1:1'], sticky: { cookie: lb } }\n  \
                b: { servers: ['127.0.0.1:2'] }\nroutes: [{ upstream: { a: 1, b: 9 } }]\n";
    assert_eq!(messages(text), ["clients of `b` move to `a` in time, and stay there"]);
    let text = "listeners: [':80']\nroutes:\n  - { name: a, match: { path: /x }, upstream: \"127.0.0.1:2\" }\n  - { name: b, match: { path: /x/ }, respond: {} }\n";
    assert_eq!(messages(text), ["no request reaches the route `b`"]);
    for limits in ["request_headers: 4KiB", "request_line: 64KiB"] {
        let text = format!("listeners: [':80']\nlimits: {{ {limits} }}\nroutes: [{{ respond: {{}} }}]\n");
        assert!(messages(&text)[0].starts_with("`request_line` has no effect: `request_headers` is smaller"), "{text}");
    }
    let text = text.replace("path: /x/", "path: /x, method: GET");
    assert!(messages(&text).is_empty());
    let text = text.replace("name: a", "name: a, priority: 1");
    assert_eq!(messages(&text), ["no request reaches the route `b`"]);
}

#[test]
fn a_certificate_with_the_key_of_another_is_refused() {
    let folder = Folder::new();
    let text = folder.full().replace("/key.pem", "/other.pem");
    let rejected = read(&text).unwrap_err();
    let found: Vec<_> = rejected.problems.iter().map(|problem| (problem.message.as_str(), problem.line)).collect();
    let lines = text.lines().enumerate().filter(|(_, line)| line.contains("other.pem"));
    let expected: Vec<_> = lines.map(|(at, _)| ("`cert` and `key` do not belong together", at + 1)).collect();
    assert_eq!((found.len(), &found), (2, &expected), "{rejected}");
}

#[test]
fn many_problems_on_one_line_are_shown_in_bounds() {
    let keys: String = (0..20_000).map(|n| format!("unknown_{n}: 1, ")).collect();
    let rejected = read(&format!("{{ {keys} listeners: [':80'], routes: [{{ respond: {{}} }}] }}")).unwrap_err();
    assert_eq!(rejected.problems.len(), 20_000);
    let shown = rejected.to_string();
    assert!(shown.len() < 1_000_000, "{}", shown.len());
    assert!(shown.ends_with("\n… and 19000 more\n20000 errors, 0 warnings"));
}

#[test]
fn the_process_is_found_through_a_broken_file() {
    let folder = Folder::new();
    let file = folder.path().join("p.yaml");
    let places = |text: &str| {
        std::fs::write(&file, text).unwrap();
        own_files(Some(&file))
    };
    let at = |name: &str| OwnFilePlace::At(folder.path().join(name));
    assert_eq!(
        places("server: { upgrade_sock: ./u.sock, pid_file: off }\nlisteners: [\n"),
        (at("./u.sock"), OwnFilePlace::Off)
    );
    assert_eq!(
        places("server:\n  upgrade_sock: \"./u.sock\" # ours\nnonsense: 1\n"),
        (at("./u.sock"), OwnFilePlace::Auto)
    );
    assert_eq!(places("\"\n"), (OwnFilePlace::Auto, OwnFilePlace::Auto));
    assert_eq!(own_files(Some(&folder.path().join("none"))), (OwnFilePlace::Auto, OwnFilePlace::Auto));
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem() {
    let rejected = load(&Source::File("/nonexistent/proxy.yaml".into())).unwrap_err();
    assert!(rejected.to_string().starts_with("error: cannot read the file: No such file"), "{rejected}");
    assert!(load(&Source::File("/".into())).is_err());
}

#[test]
fn standard_input_is_read_like_a_file() {
    let source = Source::Input("listeners: [':80']\nroutes: [{ respond: {} }]\nx: 1\n".into());
    assert_eq!(source.name(), Path::new("-"));
    let shown = load(&source).unwrap_err().to_string();
    assert!(shown.contains("--> (standard input):3:1"), "{shown}");
    assert!(text_of(vec![b'a'; 4 * 1024 * 1024 + 1]).unwrap_err().contains("larger than 4 MiB"));
    assert!(text_of(vec![b'a', 0xff]).unwrap_err().contains("not UTF-8 at byte 1"));
}

#[test]
fn the_default_file_is_good() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/proxy.yaml");
    let (config, warnings) = load(&Source::File(path)).unwrap_or_else(|e| panic!("{e}"));
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(config.listeners[0].address, Address::Tcp("0.0.0.0:8080".parse().unwrap()));
}

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(n.max(1)).unwrap()).unwrap()
    }
}

#[test]
fn damaged_files_never_panic() {
    // Resolving names and compiling large regexes thousands of times over would take minutes.
    let folder = Folder::new();
    let full = folder
        .full()
        .replace("https://localhost", "http://127.0.0.1:1")
        .replace("localhost", "127.0.0.1")
        .replace("a.b:81", "a.b")
        .replace("[0-9]+", "a")
        .replace(".*", "b");
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        ":",
        "\n",
        "  ",
        "- ",
        "\"",
        "'",
        "&a ",
        "*a",
        "${",
        "!",
        "|",
        "#",
        "\t",
        "é",
        "\0",
        "%",
        "9999999999",
        "null",
        "?",
        "<<: ",
    ];
    // Without optimization a file takes milliseconds, and 20,000 of them minutes that every run of the
    // unit tests would wait for. What a damage does depends on where it is and of which kind: the few
    // of a debug build are spread over all places, each kind and each piece at a place of its own. The rest is
    // tried in release builds, and where DAMAGED_FILES says how many.
    let usual = if cfg!(debug_assertions) { 1_200 } else { 20_000 };
    let files = std::env::var("DAMAGED_FILES").map_or(usual, |files| files.parse().unwrap());
    let mut rng = Rng(0x9E37_79B9_7F4A_7C15);
    let (mut checked, mut clean) = (0, 0);
    for file in 0..files {
        let mut bytes = full.clone().into_bytes();
        for damage in 0..=rng.below(4) {
            let at = if damage == 0 { file * bytes.len() / files } else { rng.below(bytes.len()) };
            let (kind, piece) = match damage {
                0 => (file % 4, file / 4 % pieces.len()),
                _ => (rng.below(4), rng.below(pieces.len())),
            };
            let piece = pieces[piece].bytes();
            match kind {
                0 => drop(bytes.drain(at..(at + 1 + rng.below(20)).min(bytes.len()))),
                1 => drop(bytes.splice(at..at, piece)),
                2 => drop(bytes.splice(at..=at, piece)),
                _ => bytes[at] = rng.next().to_le_bytes()[0],
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        // The steps of `parse`, so that the tree is built once.
        let (tree, mut problems) = yaml::parse(&text, &|_| None);
        checked += usize::from(tree.is_some());
        clean += usize::from(tree.is_some() && problems.is_empty());
        let config = from_tree(tree, folder.path(), &mut problems);
        finish(&mut problems, &text);
        assert!(config.is_some() || !problems.is_empty());
        assert!(problems.iter().all(|p| p.render("f", Look::PLAIN).ends_with('\n')));
    }
    // Otherwise the test would try little more than the YAML parser.
    assert!(checked > files / 5 && clean > files / 10, "{checked} {clean} of {files}");
}
