//! The JSON Schema of the configuration and `-t` agree: the schema refuses a mistake wherever one value shows it,
//! and accepts everything that `-t` does. Its rows name what only `-t` can refuse, each with the reason.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use proxy_service::config::{self, Config, Rejected};
use serde_json::{Value, json};
use support::Folder;
use support::tls::write_examples;

/// A configuration file with one mistake.
#[derive(Clone, Copy)]
struct Mistake {
    name: &'static str,
    place: Place,
    /// What stands at the place.
    yaml: &'static str,
}

/// Where in an otherwise good file something stands.
#[derive(Clone, Copy)]
enum Place {
    /// It is the file.
    File,
    /// A key of its own beside `listeners` and `routes`.
    Top,
    /// The value of `listeners`.
    Listeners,
    /// A key beside `certificates` in the `tls` of the only listener.
    Tls,
    /// The only upstream.
    Upstream,
    /// The only entry of an upstream's `servers`.
    Server,
    /// A key beside `servers` in the only upstream.
    Setting,
    /// The only route.
    Route,
}

const fn file(name: &'static str, yaml: &'static str) -> Mistake {
    Mistake { name, place: Place::File, yaml }
}

const fn top(name: &'static str, yaml: &'static str) -> Mistake {
    Mistake { name, place: Place::Top, yaml }
}

const fn listeners(name: &'static str, yaml: &'static str) -> Mistake {
    Mistake { name, place: Place::Listeners, yaml }
}

const fn tls(name: &'static str, yaml: &'static str) -> Mistake {
    Mistake { name, place: Place::Tls, yaml }
}

const fn upstream(name: &'static str, yaml: &'static str) -> Mistake {
    Mistake { name, place: Place::Upstream, yaml }
}

const fn server(name: &'static str, yaml: &'static str) -> Mistake {
    Mistake { name, place: Place::Server, yaml }
}

const fn setting(name: &'static str, yaml: &'static str) -> Mistake {
    Mistake { name, place: Place::Setting, yaml }
}

const fn route(name: &'static str, yaml: &'static str) -> Mistake {
    Mistake { name, place: Place::Route, yaml }
}

impl Place {
    fn around(self, yaml: &str) -> String {
        const LISTENERS: &str = "listeners: ['127.0.0.1:8080']\n";
        const ROUTES: &str = "routes: [{ upstream: '127.0.0.1:3000' }]\n";
        let upstream =
            |upstream: &str| format!("{LISTENERS}upstreams:\n  api: {upstream}\nroutes: [{{ upstream: api }}]\n");
        match self {
            Self::File => yaml.to_owned(),
            Self::Top => format!("{LISTENERS}{yaml}\n{ROUTES}"),
            Self::Listeners => format!("listeners: {yaml}\n{ROUTES}"),
            Self::Tls => format!(
                "listeners: [{{ address: ':443', tls: {{ certificates: [{{ cert: a.pem, key: a.key }}], {yaml} }} }}]\n{ROUTES}"
            ),
            Self::Upstream => upstream(yaml),
            Self::Server => upstream(&format!("{{ servers: [{yaml}] }}")),
            Self::Setting => upstream(&format!("{{ servers: ['a.b:3000'], {yaml} }}")),
            Self::Route => format!("{LISTENERS}routes:\n  - {yaml}\n"),
        }
    }
}

/// What both the schema and `-t` refuse.
const SEEN_BY_THE_SCHEMA: &[Mistake] = &[
    file("no listeners", "routes: [{ respond: {} }]"),
    file("no routes", "listeners: [':80']"),
    file("a map of routes", "listeners: [':80']\nroutes: { a: 1 }"),
    file("an empty list of routes", "listeners: [':80']\nroutes: []"),
    listeners("a port", "[8080]"),
    listeners("a name", "['localhost:8080']"),
    listeners("a URL", "['http://0.0.0.0:80']"),
    listeners("no port", "['0.0.0.0']"),
    listeners("an IPv6 address without brackets", "['::1:80']"),
    listeners("a port beyond the last", "['0.0.0.0:99999']"),
    listeners("a text", "'0.0.0.0:80'"),
    listeners("an empty list", "[]"),
    listeners("a map without address", "[{}]"),
    listeners("a relative socket", "['unix:run.sock']"),
    listeners("a key of a later version", "[{ address: ':443', tls: {} }]"),
    top("a misspelt key", "upstrem: {}"),
    top("a misspelt choice for underscores", "headers: { underscores: pass }"),
    top("a key of a later version", "cache: {}"),
    top("no thread", "server: { threads: 0 }"),
    top("threads as a text", "server: { threads: '2' }"),
    top("too many threads", "server: { threads: 9999 }"),
    top("`yes` for a boolean", "server: { daemon: yes }"),
    top("a misspelt error log", "server: { error_log: sterr }"),
    listeners("TLS without certificates", "[{ address: ':443', tls: {} }]"),
    listeners("no certificate", "[{ address: ':443', tls: { certificates: [] } }]"),
    listeners("a certificate without a key", "[{ address: ':443', tls: { certificates: [{ cert: a.pem }] } }]"),
    listeners("TLS that is switched on", "[{ address: ':443', tls: true }]"),
    listeners("HTTP/2 by another word", "[{ address: ':80', http2: maybe }]"),
    listeners("a redirect by another word", "[{ address: ':80', redirect_https: maybe }]"),
    listeners("a PROXY header of no network", "[{ address: ':80', proxy_protocol: { from: [a] } }]"),
    listeners("a PROXY header that is switched on", "[{ address: ':80', proxy_protocol: true }]"),
    tls("an old version", "min_version: '1.1'"),
    tls("HSTS by another word", "hsts: true"),
    tls("client certificates without a CA", "client_auth: { mode: require }"),
    tls("another mode", "client_auth: { ca: a.pem, mode: maybe }"),
    tls("hosts without a rule", "hosts: [{ host: a.test }]"),
    tls("ACME", "acme: {}"),
    top("no streams", "limits: { h2_streams: 0 }"),
    top("too many streams", "limits: { h2_streams: 1001 }"),
    top("a misspelt pid file", "server: { pid_file: atuo }"),
    top("a drain without unit", "server: { drain: { timeout: 25 } }"),
    top("a unit that is none", "server: { drain: { timeout: 25sec } }"),
    top("a misspelt key of `drain`", "server: { drain: { time: 25s } }"),
    top("a misspelt admin endpoint", "admin: { address: of }"),
    top("a level that is none", "log: { level: warning }"),
    top("a misspelt format", "log: { access: { format: jsn } }"),
    top("a misspelt target of the access log", "log: { access: { to: stdot } }"),
    top("33 bits of an IPv4 network", "trusted_proxies: ['10.0.0.0/33']"),
    top("a name for a network", "trusted_proxies: [example.com]"),
    top("a network without its list", "trusted_proxies: 10.0.0.0/8"),
    top("a unit of sizes that is none", "limits: { request_line: 8k }"),
    top("a size without unit", "limits: { request_headers: 8192 }"),
    top("too large a head", "limits: { request_headers: 2MiB }"),
    top("too short a request line", "limits: { request_line: 255B }"),
    top("too high a count", "limits: { request_header_count: 1000 }"),
    top("no room for a body", "limits: { request_body: 0B }"),
    top("a timeout without unit", "timeouts: { keepalive: 75 }"),
    top("a fraction of a duration", "timeouts: { keepalive: 1.5s }"),
    top("no time at all", "timeouts: { keepalive: 0s }"),
    top("a timeout in days", "timeouts: { tunnel_idle: 1d }"),
    top("a timeout of a later version", "timeouts: { min_rate: 1KiB }"),
    top("a nameserver by its name", "dns: { nameservers: [ns.example.com] }"),
    top("a nameserver without its list", "dns: { nameservers: 10.0.0.53 }"),
    top("a page for a success", "errors: { pages: { 200: a.html } }"),
    top("an image as a page", "errors: { pages: { 502: a.png } }"),
    file(
        "an upstream's name with a space",
        "listeners: [':80']\nupstreams: { 'a b': { servers: ['a.b:1'] } }\nroutes: [{ respond: {} }]",
    ),
    upstream("no servers", "{}"),
    upstream("an empty list of servers", "{ servers: [] }"),
    upstream("an address alone", "'127.0.0.1:3000'"),
    server("no port", "'127.0.0.1'"),
    server("port 0", "'127.0.0.1:0'"),
    server("a URL", "'http://127.0.0.1:3000'"),
    server("a number above 255", "'256.0.0.1:80'"),
    server("two addresses", "{ address: '127.0.0.1:1', dns: 'a.b:1' }"),
    server("no address", "{ weight: 2 }"),
    server("no weight", "{ address: '127.0.0.1:1', weight: 0 }"),
    server("an IP address to look up", "{ dns: '127.0.0.1:80' }"),
    server("too often looked up", "{ dns: 'a.b:80', refresh: 999ms }"),
    server("a port beside SRV records", "{ srv: '_http._tcp.a:80' }"),
    setting("a misspelt balance", "balance: least_con"),
    setting("a hash of nothing known", "balance: { hash: session }"),
    setting("a hash of nothing", "balance: {}"),
    setting("a sticky cookie without name", "sticky: {}"),
    setting("a cookie's name that is none", "sticky: { cookie: 'a;b' }"),
    setting("a fraction of a cookie's age", "sticky: { cookie: a, max_age: 1500ms }"),
    setting("`yes` for TLS", "tls: yes"),
    setting("a certificate without key", "tls: { cert: x.pem }"),
    setting("an SNI with a space", "tls: { sni: 'a b' }"),
    setting("too many checks", "health: { active: { path: /, interval: 99ms } }"),
    setting("a check's path without `/`", "health: { active: { path: healthz } }"),
    setting("a class for a check's status", "health: { active: { path: /, status: 2xx } }"),
    setting("a word for no ejection that is none", "health: { passive: none }"),
    setting("a share without `%`", "health: { passive: { max_ejected: 50 } }"),
    setting("a success as a failure", "health: { passive: { statuses: [200] } }"),
    setting("a misspelt reason for a retry", "retry: { on: [conect] }"),
    setting("no attempt", "retry: { attempts: 0 }"),
    setting("a budget without `%`", "retry: { budget: 20 }"),
    setting("too large a body to keep", "retry: { body_buffer: 65KiB }"),
    setting("methods that are none", "retry: { methods: all }"),
    setting("a connect timeout without unit", "timeouts: { connect: 3 }"),
    setting("a word for no timeout that is none", "timeouts: { connect: never }"),
    setting("no connection", "pool: { max_connections: 0 }"),
    route("no action", "{ name: a }"),
    route("two actions", "{ upstream: '127.0.0.1:1', redirect: /x }"),
    route("a name with a space", "{ name: 'a b', respond: {} }"),
    route("a word for a priority", "{ priority: high, respond: {} }"),
    route("an upstream with a path", "{ upstream: 'http://127.0.0.1:3000/api' }"),
    route("an upstream of another scheme", "{ upstream: 'ftp://127.0.0.1' }"),
    route("a host with its port", "{ match: { host: 'a.b:80' }, respond: {} }"),
    route("a host as a URL", "{ match: { host: 'http://a.b' }, respond: {} }"),
    route("a host that ends with a star", "{ match: { host: 'a.*' }, respond: {} }"),
    route("a path without `/`", "{ match: { path: api }, respond: {} }"),
    route("a path with a star", "{ match: { path: '/api/*' }, respond: {} }"),
    route("a path with a query", "{ match: { path: '/a?b' }, respond: {} }"),
    route("a path with dots", "{ match: { path: '/a/../b' }, respond: {} }"),
    route("a path with an empty segment", "{ match: { path: '/a//b' }, respond: {} }"),
    route("a path in two forms", "{ match: { path: { exact: /a, regex: b } }, respond: {} }"),
    route("a method in small letters", "{ match: { method: get }, respond: {} }"),
    route("a method that no route takes", "{ match: { method: CONNECT }, respond: {} }"),
    route("a header's name with a space", "{ match: { header: { 'a b': x } }, respond: {} }"),
    route("a list of headers", "{ match: { header: [a] }, respond: {} }"),
    route("a cookie's value with `;`", "{ match: { cookie: { a: 'b;c' } }, respond: {} }"),
    route("a word for an address", "{ match: { client_ip: nowhere }, respond: {} }"),
    route("an empty list of hosts", "{ match: { host: [] }, respond: {} }"),
    route("null for no condition", "{ match: null, respond: {} }"),
    route("a presence that is no boolean", "{ match: { query: { a: { present: maybe } } }, respond: {} }"),
    route("two changes of the path", "{ request: { path: { strip_prefix: /a, add_prefix: /b } }, upstream: 'a.b:1' }"),
    route("a regex without replacement", "{ request: { path: { regex: a } }, upstream: 'a.b:1' }"),
    route("a field of the connection", "{ request: { header: { set: { Connection: x } } }, upstream: 'a.b:1' }"),
    route("Host among the fields", "{ request: { header: { set: { Host: x } } }, upstream: 'a.b:1' }"),
    route("Host among those to remove", "{ request: { header: { remove: [host] } }, upstream: 'a.b:1' }"),
    route("a field's value with a space before it", "{ request: { header: { set: { a: ' b' } } }, upstream: 'a.b:1' }"),
    route("a cookie's value with a space", "{ request: { cookie: { set: { a: 'b c' } } }, upstream: 'a.b:1' }"),
    route("a parameter without its list", "{ request: { query: { remove: a } }, upstream: 'a.b:1' }"),
    route("`yes` for Secure", "{ response: { cookie: { secure: yes } }, upstream: 'a.b:1' }"),
    route("SameSite in capitals", "{ response: { cookie: { same_site: Lax } }, upstream: 'a.b:1' }"),
    route("`on` for a boolean", "{ response: { location: on }, upstream: 'a.b:1' }"),
    route("a domain with a space", "{ response: { cookie: { domain: { 'a b': c } } }, upstream: 'a.b:1' }"),
    route("a cookie's path without `/`", "{ response: { cookie: { path: { a: /b } } }, upstream: 'a.b:1' }"),
    route("a target without scheme", "{ redirect: example.com }"),
    route("a misspelt placeholder", "{ redirect: '/{hots}' }"),
    route("a status that is no redirect's", "{ redirect: { to: /x, status: 200 } }"),
    route("a redirect to nowhere", "{ redirect: { status: 301 } }"),
    route("a status below the first", "{ respond: { status: 99 } }"),
    route("a list of answers", "{ respond: [] }"),
    route("origins of nobody", "{ cors: { origins: [] }, respond: {} }"),
    route("an origin with a path", "{ cors: { origins: ['https://a.test/'] }, respond: {} }"),
    route("an origin without scheme", "{ cors: { origins: [a.test] }, respond: {} }"),
    route("no origins at all", "{ cors: { methods: [PUT] }, respond: {} }"),
    route("an age without unit", "{ cors: { origins: ['*'], max_age: 600 }, respond: {} }"),
    route("a word for fields that guard a page", "{ response: { security: strict }, respond: {} }"),
    route("a misspelt frame", "{ response: { security: { frame: same } }, respond: {} }"),
    file(
        "a share of nothing",
        "listeners: [':80']\nupstreams: { api: { servers: ['a.b:1'] } }\nroutes: [{ upstream: { api: 0 } }]",
    ),
    route("a split without parts", "{ upstream: {} }"),
    route("a mirror to nowhere", "{ upstream: 'a.b:1', mirror: { share: 10% } }"),
    route("a mirror of nothing", "{ upstream: 'a.b:1', mirror: { upstream: 'a.b:2', share: 0% } }"),
];

/// What the schema accepts and only `-t` refuses, with the reason. A row that the schema learns to refuse moves up.
const SEEN_BY_T_ALONE: &[(Mistake, &str)] = &[
    (top("an admin endpoint for everyone", "admin: { address: '0.0.0.0:9180' }"), "with a token it may be"),
    (top("more than a year", "timeouts: { keepalive: 8761h }"), "the pattern stays short, for editors show it"),
    (top("a page that is not there", "errors: { pages: { 502: /nonexistent.html } }"), "it depends on this machine"),
    (setting("a budget of no retries", "retry: { attempts: 1, budget: 10% }"), "it depends on two keys"),
    (setting("a check of nothing", "health: { active: { interval: 1s } }"), "it depends on the value of `tcp`"),
    (
        setting("a check of two kinds", "health: { active: { path: /x, tcp: true } }"),
        "it depends on the value of `tcp`",
    ),
    (setting("a queue without bound", "pool: { queue: 5 }"), "a queue of 0 is allowed without `max_connections`"),
    (tls("a misspelt word for ticket keys", "ticket_keys: atuo"), "it could be a file"),
    (tls("a host that is every host", "hosts: [{ host: '*', client_auth: off }]"), "it is a pattern elsewhere"),
    (tls("two rules for a host", "hosts: [{ host: [a.test, A.test], client_auth: off }]"), "two spellings of one name"),
    (
        listeners("a PROXY header from nobody", "[{ address: ':80', proxy_protocol: {} }]"),
        "it depends on the address beside it",
    ),
    (
        listeners(
            "a PROXY header from networks on a unix socket",
            "[{ address: 'unix:/tmp/x', proxy_protocol: { from: [10.0.0.0/8] } }]",
        ),
        "it depends on the address beside it",
    ),
    (route("an upstream that is not there", "{ upstream: nope }"), "the names are other keys of the file"),
    (
        route("a regex with a group left open", "{ match: { path: { regex: '(' } }, respond: {} }"),
        "it depends on the regex engine",
    ),
    (
        route("a misspelt policy", "{ request: { host: presrve }, upstream: 'a.b:1' }"),
        "it is a name that could be; `-t` knows what it resembles",
    ),
    (
        route("every origin with credentials", "{ cors: { origins: ['*'], credentials: true }, respond: {} }"),
        "it depends on two keys",
    ),
    (route("an edit for nobody", "{ request: { host: a.b }, respond: {} }"), "it depends on the action beside it"),
    (
        route(
            "SameSite=None without Secure",
            "{ response: { cookie: { same_site: none, secure: false } }, upstream: 'a.b:1' }",
        ),
        "it depends on two keys",
    ),
    (route("a body of a status without one", "{ respond: { status: 204, body: x } }"), "it depends on two keys"),
    (
        route("a key of a split without one", "{ upstream: 'a.b:1', split_by: path }"),
        "it depends on the form of another key",
    ),
];

/// Files of tests/conf/invalid that are no YAML, or whose keys are not all different.
const NO_YAML: &[&str] = &[
    "duplicate-key",
    "flow-placeholder",
    "merge",
    "quotes-alias",
    "quotes-brackets",
    "quotes-colon",
    "quotes-escape",
    "quotes-list",
    "quotes-list-in-list",
    "quotes-map",
    "slip-equals",
    "slip-indent",
    "slip-semicolon",
    "slip-space",
    "syntax",
    "tab",
];

/// Files of tests/conf/invalid that the schema accepts, with the reason.
const FILES_SEEN_BY_T_ALONE: &[(&str, &str)] = &[
    ("admin-listener", "an address is listened on by two keys"),
    ("admin-open", "it takes `address`, `token_file` and `tls` together"),
    ("admin-token", "it depends on this machine"),
    ("backup-only", "it takes all entries of `servers` together"),
    ("dangling-upstream", "the names are other keys of the file"),
    ("dead-request", "it depends on the action beside it"),
    ("dead-stream", "it depends on the action beside it"),
    ("duplicate-domain", "two spellings of one name"),
    ("duplicate-listener", "two spellings of one address"),
    ("duplicate-route", "it takes all entries of `routes` together"),
    ("duplicates", "two spellings of one name"),
    ("environment", "it depends on the environment"),
    ("grpc-web", "it depends on the upstream of the route"),
    ("overlapping-listeners", "it takes all addresses together"),
    ("process-folder", "it depends on this machine"),
    ("regex", "it depends on the regex engine"),
    ("sticky-prefix", "it takes `cookie` and `secure` together"),
    ("tls-no-name", "it depends on the servers beside `tls`"),
    ("traces-none", "it takes all keys of `traces` together"),
    ("traces-scheme", "it depends on the upstream that is named"),
    ("warning-too", "the names are other keys of the file"),
];

fn schema() -> Validator {
    let schema = config::json_schema();
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

/// The text as YAML 1.2, where `yes` and `off` are texts; an error where it is none.
fn json(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|e| e.to_string())
}

fn good_json(text: &str) -> Value {
    json(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn parse(text: &str) -> Result<Config, Rejected> {
    config::parse("proxy.yaml", text, &|_| None).map(|(config, _)| config)
}

/// What the schema has against the text, one line each.
fn objections(schema: &Validator, text: &str) -> Vec<String> {
    schema.iter_errors(&good_json(text)).map(|e| format!("{}: {e}", e.instance_path())).collect()
}

fn assert_accepted(schema: &Validator, name: &str, text: &str) {
    let objections = objections(schema, text);
    assert!(objections.is_empty(), "the schema refuses {name}:\n{}\n{text}", objections.join("\n"));
}

fn assert_t_refuses(name: &str, text: &str) {
    let Err(rejected) = parse(text) else { panic!("`-t` accepts {name}:\n{text}") };
    // The files that rows name are not there, which is no mistake of those rows' own.
    let mistakes = rejected.problems.iter().filter(|problem| !problem.message.starts_with("cannot read")).count();
    assert_eq!(mistakes.max(1), 1, "{name} is more than one mistake:\n{rejected}");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The YAML files of a folder, with their names.
fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let paths = std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let yaml = paths.filter(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    let files: Vec<_> = yaml.map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect();
    assert!(!files.is_empty(), "{folder}");
    files
}

#[test]
fn yaml_becomes_json_as_it_is_meant() {
    let yaml =
        "{ 502: a, true: b, 5xx: c, d: [yes, off, No, ~, null, 8, 1.5, 10s, '1', \"2\", true, ${X}, 0.0.0.0:80] }"
            .replace("${X}", "'${X}'");
    let expected = json!({ "502": "a", "true": "b", "5xx": "c",
        "d": ["yes", "off", "No", null, null, 8, 1.5, "10s", "1", "2", true, "${X}", "0.0.0.0:80"] });
    assert_eq!(good_json(&yaml), expected);
}

/// Calls `look` with each schema inside this one that is a map.
fn each_schema(schema: &Value, look: &mut dyn FnMut(&Value)) {
    match schema {
        Value::Object(inner) => {
            look(schema);
            inner.values().for_each(|inner| each_schema(inner, look));
        }
        Value::Array(inner) => inner.iter().for_each(|inner| each_schema(inner, look)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_schema_accepts_its_own_examples_and_defaults() {
    let mut count = 0;
    each_schema(&config::json_schema(), &mut |schema| {
        let examples = schema.get("examples").and_then(Value::as_array).into_iter().flatten();
        for value in examples.chain(schema.get("default")) {
            let objection = jsonschema::validate(schema, value).err();
            assert!(objection.is_none(), "{value} is refused: {}", objection.unwrap());
            count += 1;
        }
    });
    assert!(count > 100, "{count}");
}

#[test]
fn the_places_are_good_without_a_mistake() {
    let schema = schema();
    for (place, yaml) in [
        (Place::Top, "server: {}"),
        (Place::Listeners, "[':80']"),
        (Place::Upstream, "{ servers: ['127.0.0.1:3000'] }"),
        (Place::Server, "'127.0.0.1:3000'"),
        (Place::Setting, "balance: p2c"),
        (Place::Route, "{ respond: {} }"),
    ] {
        let text = place.around(yaml);
        parse(&text).unwrap_or_else(|rejected| panic!("{rejected}"));
        assert_accepted(&schema, yaml, &text);
    }
}

#[test]
fn the_schema_refuses_what_one_value_shows() {
    let schema = schema();
    for Mistake { name, place, yaml } in SEEN_BY_THE_SCHEMA {
        let text = place.around(yaml);
        assert_t_refuses(name, &text);
        assert!(!objections(&schema, &text).is_empty(), "the schema accepts {name}:\n{text}");
    }
}

#[test]
fn what_t_alone_refuses_has_a_reason() {
    let schema = schema();
    for (Mistake { name, place, yaml }, _) in SEEN_BY_T_ALONE {
        let text = place.around(yaml);
        assert_t_refuses(name, &text);
        assert_accepted(&schema, &format!("{name}, whose row moves up"), &text);
    }
}

#[test]
fn the_schema_refuses_the_invalid_files() {
    let schema = schema();
    let (mut no_yaml, mut accepted) = (BTreeSet::new(), BTreeSet::new());
    for (path, text) in files("tests/conf/invalid") {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        match json(&text) {
            Err(_) => drop(no_yaml.insert(name)),
            Ok(value) if schema.is_valid(&value) => drop(accepted.insert(name)),
            Ok(_) => {}
        }
    }
    assert_eq!(no_yaml, NO_YAML.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(accepted, FILES_SEEN_BY_T_ALONE.iter().map(|(name, _)| (*name).to_owned()).collect());
}

#[test]
fn the_schema_accepts_the_good_files_and_their_defaults() {
    let schema = schema();
    let certificates = Folder::new();
    write_examples(&certificates);
    for (path, text) in files("conf").into_iter().chain(files("conf/examples")) {
        let name = path.display().to_string();
        assert_accepted(&schema, &name, &text);
        let env = |name: &str| (name == "CERTS").then(|| certificates.0.display().to_string());
        let (config, _) = config::parse(&name, &text, &env).unwrap_or_else(|rejected| panic!("{rejected}"));
        assert_accepted(&schema, &format!("what `-T` prints of {name}"), &config::to_yaml(&config));
    }
}
