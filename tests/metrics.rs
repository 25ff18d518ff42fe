//! The figures that `/metrics` and `/stats` tell: that they are right, whoever asks whatever in whichever way, and that
//! the alert rules, the dashboard and the page of the docs speak of those that there are.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use proxy_service::metrics::FAMILIES;
use serde_json::Value;
use support::exposition::Exposition;
use support::faults::{answering, named, refusing};
use support::front::{Ask, Front, Fronted, every_front};
use support::{Client, Origin, await_until, free_port};

const REQUESTS: &str = "pingora_proxy_http_requests_total";
const FAILURES: &str = "pingora_proxy_failures_total";

struct Running {
    proxy: Fronted,
    admin: SocketAddr,
    yaml: String,
}

fn start(front: Front, rest: &str) -> Running {
    let admin: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let yaml = format!("listeners: ['{{listen}}']\nadmin: {{ address: '{admin}' }}\n{rest}");
    Running { proxy: front.start(&yaml), admin, yaml }
}

impl Running {
    fn ask(&self, target: &str, accept: &str) -> support::Response {
        let mut client = Client::connect(self.admin);
        client.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{accept}\r\n"));
        let answer = client.response();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    }

    fn metrics(&self) -> Exposition {
        let answer = self.ask("/metrics", "");
        assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        Exposition::parse(&answer.text(), false)
    }

    fn stats(&self) -> Value {
        serde_json::from_slice(&self.ask("/stats", "").body).unwrap()
    }

    /// Waits until as many requests are counted: that happens after their clients have their answers.
    fn await_requests(&self, count: f64) -> Exposition {
        let mut seen = self.metrics();
        await_until("the count of requests", || {
            seen = self.metrics();
            seen.sum(REQUESTS, &[]) >= count
        });
        seen
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn is(value: f64, expected: f64) -> bool {
    (value - expected).abs() < 0.5
}

every_front! { every_request_is_counted_once_under_load }

fn every_request_is_counted_once_under_load(front: Front) {
    const CLIENTS: usize = 8;
    const EACH: usize = 40;
    let origin = named("a");
    let running = start(
        front,
        &format!(
            "upstreams: {{ api: {{ servers: ['{}'] }} }}\nroutes:\n  - {{ name: hi, match: {{ path: /hi }}, respond: {{ body: hi }} }}\n  \
             - {{ name: up, match: {{ path: /up }}, upstream: api }}\n",
            origin.address
        ),
    );
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut link = running.proxy.link();
                for _ in 0..EACH {
                    assert_eq!(link.ask(&Ask::get("/hi")).status, 200);
                    assert_eq!(link.ask(&Ask::post("/up", "12345")).text(), "a");
                    assert_eq!(link.ask(&Ask::get("/none")).status, 404);
                }
            });
        }
    });
    let all = (CLIENTS * EACH) as f64;
    let seen = running.await_requests(3.0 * all);
    for (route, method, code) in [("hi", "GET", "200"), ("up", "POST", "200"), ("_none", "GET", "404")] {
        let listener = running.proxy.address.to_string();
        let labels = [("listener", listener.as_str()), ("route", route), ("method", method), ("code", code)];
        assert!(is(seen.sum(REQUESTS, &labels), all), "{route}: {}", seen.sum(REQUESTS, &labels));
        let counted = seen.sum("pingora_proxy_http_request_duration_seconds_count", &[("route", route)]);
        assert!(is(counted, all), "{route}: {counted}");
    }
    assert!(is(seen.sum(REQUESTS, &[]), 3.0 * all));
    assert!(is(seen.sum(FAILURES, &[("route", "_none"), ("reason", "no_route"), ("source", "client")]), all));
    assert!(is(seen.sum(FAILURES, &[]), all));
    assert!(is(seen.sum("pingora_proxy_http_request_body_bytes_total", &[("route", "up")]), 5.0 * all));
    assert!(is(seen.sum("pingora_proxy_http_response_body_bytes_total", &[("route", "hi")]), 2.0 * all));
    assert!(is(seen.sum("pingora_proxy_upstream_requests_total", &[("upstream", "api")]), all));
    assert!(is(seen.sum("pingora_proxy_upstream_first_byte_seconds_count", &[]), all));
    let connections = |name: &str| seen.sum(&format!("pingora_proxy_upstream_{name}"), &[("upstream", "api")]);
    let made = connections("connections_total");
    assert!(is(made + connections("connections_reused_total"), all) && made <= CLIENTS as f64, "{made}");
    assert!(is(connections("connections_open"), connections("pool_idle")), "none is in use");
    assert!(is(seen.sum("pingora_proxy_connections_accepted_total", &[]), CLIENTS as f64));
    let streams = if front.is_http2() { 3.0 * all } else { 0.0 };
    assert!(is(seen.sum("pingora_proxy_http2_streams_total", &[]), streams));
    await_until("the connections to end", || is(running.metrics().sum("pingora_proxy_connections_active", &[]), 0.0));
    assert!(is(running.metrics().sum("pingora_proxy_http_requests_in_flight", &[]), 0.0));
}

#[test]
fn what_is_under_way_is_told() {
    let (sender, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let origin = Origin::start(move |_, wire| {
        gate.lock().unwrap().recv().ok();
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        true
    });
    let running = start(Front::Http1, &format!("routes: [{{ name: r, upstream: '{}' }}]\n", origin.address));
    let mut client = running.proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await_until("the request", || origin.count() == 1);
    let seen = running.metrics();
    for gauge in
        ["http_requests_in_flight", "connections_active", "upstream_requests_in_flight", "upstream_connections_open"]
    {
        assert!(is(seen.sum(&format!("pingora_proxy_{gauge}"), &[]), 1.0), "{gauge}");
    }
    assert!(is(seen.sum("pingora_proxy_upstream_pool_idle", &[]), 0.0));
    assert_eq!(running.stats()["requests"]["in_flight"], 1);
    sender.send(()).unwrap();
    assert_eq!(client.response().status, 200);
    await_until("the connection to be idle", || {
        let seen = running.metrics();
        is(seen.sum("pingora_proxy_upstream_pool_idle", &[]), 1.0)
            && is(seen.sum("pingora_proxy_http_requests_in_flight", &[]), 0.0)
    });
}

#[test]
fn hostile_requests_make_no_labels() {
    let running = start(
        Front::Http1,
        "routes:\n  - { name: q, match: { path: /q }, respond: { body: hi } }\n  - { name: r, match: { path: /r }, respond: {} }\n",
    );
    let mut asked = 0.0;
    for n in 0..300 {
        let request = match n % 5 {
            0 => format!("METHOD{n} /r HTTP/1.1\r\nHost: h{n}\r\nConnection: close\r\n\r\n"),
            1 => format!("GET /path{n} HTTP/1.1\r\nHost: h{n}\r\nConnection: close\r\n\r\n"),
            2 => format!("bytes {n} that are no request\r\n\r\n"),
            3 => format!("GET /r HTTP/1.1\r\nHost: a b{n}\r\nConnection: close\r\n\r\n"),
            _ => "GET /q HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(),
        };
        assert!(running.proxy.ask_bytes(&request).status >= 200, "{request}");
        asked += 1.0;
    }
    let seen = running.await_requests(asked);
    assert!(is(seen.sum(REQUESTS, &[]), asked));
    let set = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(seen.values(REQUESTS, "method"), set(&["GET", "_other"]));
    assert!(
        seen.values(REQUESTS, "route").is_subset(&set(&["_none", "r", "q"])),
        "{:?}",
        seen.values(REQUESTS, "route")
    );
    assert!(is(seen.sum(REQUESTS, &[("route", "q")]), 60.0));
    let series = seen.samples.iter().filter(|sample| sample.name == REQUESTS).count();
    assert!(series < 12, "{series}");
}

#[test]
fn counts_live_through_reloads_and_leave_with_their_routes() {
    let origin = named("a");
    let routes = |names: &[&str]| {
        let each =
            names.iter().map(|name| format!("  - {{ name: {name}, match: {{ path: /{name} }}, upstream: u }}\n"));
        format!("upstreams: {{ u: {{ servers: ['{}'] }} }}\nroutes:\n{}", origin.address, each.collect::<String>())
    };
    let running = start(Front::Http1, &routes(&["one", "two"]));
    (0..3).for_each(|_| assert_eq!(running.proxy.get("/one").status, 200));
    assert_eq!(running.proxy.get("/two").status, 200);
    running.await_requests(4.0);
    let head = running.yaml.split("upstreams:").next().unwrap().to_owned();
    running
        .proxy
        .rewrite(&format!("{head}{}", routes(&["one", "three"]).replace("servers:", "balance: random, servers:")));
    assert_eq!(running.proxy.order("reload").0, 0);
    assert_eq!(running.proxy.get("/one").status, 200);
    let seen = running.await_requests(4.0);
    assert!(is(seen.sum(REQUESTS, &[("route", "one")]), 4.0));
    assert!(!seen.values("pingora_proxy_http_request_duration_seconds_count", "route").contains("two"));
    assert!(is(seen.sum("pingora_proxy_upstream_requests_total", &[]), 5.0));
    assert!(is(seen.sum("pingora_proxy_connections_accepted_total", &[]), 5.0));
    let config = |seen: &Exposition, name: &str| seen.sum(&format!("pingora_proxy_config_{name}"), &[]);
    assert!(is(config(&seen, "generation"), 2.0) && is(config(&seen, "last_reload_successful"), 1.0));
    running.proxy.rewrite("routes: [nonsense]\n");
    assert_ne!(running.proxy.order("reload").0, 0);
    let seen = running.metrics();
    assert!(is(config(&seen, "generation"), 2.0) && is(config(&seen, "last_reload_successful"), 0.0));
    assert!(config(&seen, "last_reload_timestamp_seconds") > 1.7e9);
}

#[test]
fn stats_are_what_the_dashboard_is_built_on() {
    let (good, bad, dead) = (named("a"), answering(503), refusing());
    let running = start(
        Front::Http1,
        &format!(
            // One thread: others have connections of their own.
            "server: {{ threads: 1 }}\nupstreams:\n  good: {{ servers: ['{}'] }}\n  bad: {{ servers: ['{}'] }}\n  dead: {{ servers: ['{dead}'] }}\nroutes:\n  \
             - {{ name: good, match: {{ path: /good }}, upstream: good }}\n  - {{ name: bad, match: {{ path: /bad }}, upstream: bad }}\n  \
             - {{ name: dead, match: {{ path: /dead }}, upstream: dead }}\n",
            good.address, bad.address
        ),
    );
    assert_eq!(running.proxy.get("/good").status, 200);
    // The connection is kept after the client has its answer.
    await_until("an idle connection", || {
        running.stats()["upstreams"].as_array().unwrap().iter().any(|one| one["connections"]["idle"] == 1)
    });
    for (path, status) in [("/good", 200), ("/bad", 503), ("/dead", 502), ("/", 404)] {
        assert_eq!(running.proxy.get(path).status, status, "{path}");
    }
    running.await_requests(5.0);
    let stats = running.stats();
    let named = |list: &str, name: &str| {
        let found = stats[list].as_array().unwrap().iter().find(|entry| entry["name"] == name);
        found.unwrap_or_else(|| panic!("{list} has no {name}: {stats}")).clone()
    };
    let good = named("routes", "good");
    assert_eq!((&good["requests"], &good["status"]["2xx"], &good["bytes_out"]), (&2.into(), &2.into(), &2.into()));
    let bounds = stats["bounds_ms"].as_array().unwrap().len();
    let latency = good["latency"].as_array().unwrap();
    assert_eq!((latency.len(), latency.iter().filter_map(Value::as_u64).sum::<u64>()), (bounds + 1, 2));
    assert!(good["latency_sum_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(named("routes", "bad")["status"]["5xx"], 1);
    assert_eq!(named("routes", "_none")["status"]["4xx"], 1);
    let upstream = named("upstreams", "good");
    assert_eq!((&upstream["requests"], &upstream["failures"]), (&2.into(), &0.into()));
    assert_eq!((&upstream["connections"]["made"], &upstream["connections"]["idle"]), (&1.into(), &1.into()));
    assert_eq!((&upstream["connections"]["reused"], &named("upstreams", "dead")["failures"]), (&1.into(), &1.into()));
    let reasons = serde_json::json!([
        { "reason": "no_route", "source": "client", "count": 1 },
        { "reason": "upstream_refused", "source": "upstream", "count": 1 },
    ]);
    assert_eq!(stats["reasons"], reasons);
    assert_eq!(
        (&stats["generation"], &stats["ready"], &stats["phase"]),
        (&1.into(), &true.into(), &"it is serving".into())
    );
    assert_eq!((&stats["connections"]["accepted"], &stats["pid"]), (&5.into(), &running.proxy.pid().into()));
}

/// A proxy that has something to say of everything.
fn start_with_everything(origin: &Origin) -> Running {
    let store = refusing();
    start(
        Front::Http2,
        &format!(
            "upstreams:\n  api: {{ servers: ['{}'], pool: {{ max_connections: 9, queue: 9 }} }}\n  \
             safe: {{ servers: ['127.0.0.1:1'], tls: {{ verify: false }} }}\nroutes:\n  \
             - {{ match: {{ path: /safe }}, upstream: safe }}\n  - name: api\n    match: {{ path: /api }}\n    \
             concurrency: {{ max: 100 }}\n    rate_limit: {{ rate: 1/h, burst: 3, store: 'redis://{store}' }}\n    upstream: api\n",
            origin.address
        ),
    )
}

#[test]
fn every_metric_is_told_and_both_formats_are_strictly_so() {
    let origin = named("a");
    let running = start_with_everything(&origin);
    let mut link = running.proxy.link();
    let statuses: Vec<u16> = (0..5).map(|_| link.ask(&Ask::get("/api")).status).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    let seen = running.await_requests(5.0);
    let missing: Vec<_> = FAMILIES.iter().map(|family| family.name).filter(|name| !seen.has(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    for family in FAMILIES {
        assert_eq!(seen.kinds[family.name], family.kind.as_str());
        let labels: BTreeSet<_> = family.labels.iter().map(|label| (*label).to_owned()).collect();
        let of_family = |name: &str| name == family.name || name.strip_suffix("_sum") == Some(family.name);
        for sample in seen.samples.iter().filter(|sample| of_family(&sample.name)) {
            assert_eq!(sample.labels.keys().cloned().collect::<BTreeSet<_>>(), labels, "{}", sample.name);
        }
    }
    assert!(is(seen.sum("pingora_proxy_rate_limit_refused_total", &[("route", "api")]), 2.0));
    assert!(is(seen.sum("pingora_proxy_rate_limit_store_away", &[]), 1.0));
    assert!(is(seen.sum("pingora_proxy_tls_handshakes_total", &[("outcome", "ok")]), 1.0));
    assert!(seen.sum("pingora_proxy_tls_cert_not_after_seconds", &[]) > 1.7e9);

    let answer = running.ask("/metrics", "Accept: application/openmetrics-text; version=1.0.0, text/plain;q=0.5\r\n");
    let kind = answer.header("content-type");
    assert_eq!(kind, Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let open = Exposition::parse(&answer.text(), true);
    let ids: Vec<_> = open.samples.iter().filter_map(|sample| sample.exemplar.as_ref()?.get("request_id")).collect();
    let logged: Vec<String> =
        running.proxy.access_log(5).iter().map(|line| line["request_id"].as_str().unwrap().to_owned()).collect();
    assert!(!ids.is_empty() && ids.iter().all(|id| logged.contains(id)), "{ids:?} {logged:?}");
}

#[test]
fn the_build_is_told_as_the_lock_file_has_it() {
    let origin = named("a");
    let running = start_with_everything(&origin);
    let seen = running.metrics();
    let build = seen.samples.iter().find(|sample| sample.name == "pingora_proxy_build_info").unwrap();
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let version = |name: &str| {
        let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \"")).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let arch = std::env::consts::ARCH.to_owned();
    let expected = [
        ("version", version("pingora-proxy-service")),
        ("pingora", version("pingora")),
        ("arch", arch),
        ("os", "linux".to_owned()),
    ];
    let expected: std::collections::BTreeMap<_, _> =
        expected.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    assert_eq!(build.labels, expected);
}

#[test]
fn the_parts_of_requests_are_histograms_of_their_upstream() {
    // The first one holds the only connection until the second one waits.
    let origin = Origin::start(|_, wire| {
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
        std::thread::park_timeout(Duration::from_millis(300));
        wire.send("k");
        true
    });
    let safe = Front::Http1Tls.start("listeners: ['{listen}']\nroutes: [{ respond: { body: ok } }]\n");
    let running = start(
        Front::Http1,
        &format!(
            "upstreams:\n  one: {{ servers: ['{}'], pool: {{ max_connections: 1, queue: 5 }} }}\n  \
             safe: {{ servers: ['{}'], tls: {{ verify: false }} }}\nroutes:\n  - {{ match: {{ path: /safe }}, upstream: safe }}\n  \
             - upstream: one\n",
            origin.address, safe.address
        ),
    );
    assert_eq!(running.proxy.get("/safe").text(), "ok");
    let [mut first, mut second] = [running.proxy.link(), running.proxy.link()];
    let mut begun = first.begin(&Ask::get("/"));
    await_until("the first is there", || origin.count() == 1);
    assert_eq!(second.ask(&Ask::get("/")).text(), "ok");
    assert_eq!(begun.answer().text(), "ok");
    let seen = running.await_requests(3.0);
    let of = |upstream: &str, part: &str| {
        let sum = |suffix: &str| {
            seen.sum(&format!("pingora_proxy_upstream_{part}_seconds_{suffix}"), &[("upstream", upstream)])
        };
        (sum("count"), sum("sum"))
    };
    let (waits, waited) = of("one", "queue");
    assert!(is(waits, 1.0) && waited > 0.01 && waited < 5.0, "{waits} {waited}");
    let (transfers, took) = of("one", "transfer");
    assert!(is(transfers, 2.0) && (0.5..9.0).contains(&took), "{transfers} {took}");
    assert!(is(of("one", "tls").0, 0.0) && is(of("safe", "queue").0, 0.0));
    let ((handshakes, shook), (connects, connected)) = (of("safe", "tls"), of("safe", "connect"));
    assert!(is(handshakes, 1.0) && is(connects, 1.0) && shook > 0.0 && shook <= connected, "{shook} {connected}");
    let absent = |part: &str, upstream: &str| {
        let name = format!("pingora_proxy_upstream_{part}_seconds_bucket");
        !seen.samples.iter().any(|sample| sample.name == name && sample.labels["upstream"] == upstream)
    };
    assert!(absent("tls", "one") && absent("queue", "safe"));
}

/// The names of metrics in a text.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    let words = words.map(|word| word.trim_matches(':'));
    let ours = words.filter(|word| word.starts_with("pingora_proxy_") || word.starts_with("process_"));
    let histogram = |word: &str| {
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|part| word.strip_suffix(part));
        family.filter(|family| FAMILIES.iter().any(|known| known.name == *family)).map(str::to_owned)
    };
    ours.map(|word| histogram(word).unwrap_or_else(|| word.to_owned())).collect()
}

#[test]
fn rules_and_dashboard_name_what_there_is() {
    let known: BTreeSet<_> = FAMILIES.iter().map(|family| family.name.to_owned()).collect();
    for (file, least) in [
        ("deploy/prometheus/rules.yaml", 12),
        ("deploy/prometheus/rules.test.yaml", 5),
        ("deploy/grafana/pingora-proxy.json", 25),
    ] {
        let named = metrics_in(&std::fs::read_to_string(root().join(file)).unwrap());
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
        assert!(named.len() >= least, "{file} names {} metrics", named.len());
    }
    let dashboard = std::fs::read(root().join("deploy/grafana/pingora-proxy.json")).unwrap();
    let dashboard: Value = serde_json::from_slice(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
}

/// The table of docs/metrics.md.
fn table() -> String {
    let row = |family: &&proxy_service::metrics::Family| {
        let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        format!("| `{}` | {} | {} | {} |\n", family.name, family.kind.as_str(), labels.join(", "), family.help)
    };
    let rows: String = FAMILIES.iter().map(row).collect();
    format!("| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n{rows}")
}

#[test]
fn the_page_has_every_metric() {
    let page = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    assert!(page.contains(&table()), "run `cargo test --test metrics -- --ignored the_table_is_written`");
}

#[test]
#[ignore = "writes docs/metrics.md"]
fn the_table_is_written() {
    let file = root().join("docs/metrics.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = page.split_once("| metric | type |").unwrap();
    let after = rest.split_once("\n\n").unwrap().1;
    std::fs::write(&file, format!("{before}{}\n{after}", table())).unwrap();
}

#[test]
#[allow(clippy::print_stdout)] // the number that is measured
fn a_scrape_of_a_thousand_routes_and_endpoints_is_quick() {
    let servers: Vec<_> = (0..1000).map(|n| format!("'127.0.{}.{}:1'", n / 250, n % 250 + 1)).collect();
    let routes: String =
        (0..1000).map(|n| format!("  - {{ name: r{n}, match: {{ path: /r{n} }}, respond: {{}} }}\n")).collect();
    let up = "  - { name: up, match: { path: /up }, upstream: many }\n";
    let running = start(
        Front::Http1,
        &format!("upstreams: {{ many: {{ servers: [{}] }} }}\nroutes:\n{routes}{up}", servers.join(", ")),
    );
    let mut client = running.proxy.connect();
    for n in 0..1000 {
        client.send(format!("GET /r{n} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(client.response().status, 200);
    }
    running.await_requests(1000.0);
    let best = (0..5).map(|_| {
        let began = Instant::now();
        assert!(running.ask("/metrics", "").body.len() > 1_000_000);
        began.elapsed()
    });
    let best = best.min().unwrap();
    println!("a scrape of 1,000 routes and 1,000 endpoints took {best:?}");
    // Without optimisation, beside other tests.
    assert!(best < Duration::from_secs(2), "{best:?}");
}
