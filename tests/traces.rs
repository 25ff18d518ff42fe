//! Traces: which requests become spans, how these hang together, what the upstream is told, and that no
//! request waits for a collector, whatever becomes of it.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::collector::{Collector, attribute};
use support::front::{Ask, Front, every_front};
use support::{Client, Origin, Proxy, await_until, free_port};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn yaml(url: &str, more: &str, upstream: &str) -> String {
    format!(
        "listeners: ['{{listen}}']\ntraces: {{ endpoint: '{url}', service: shop{more} }}\n\
         upstreams: {{ app: {upstream} }}\nroutes: [{{ name: all, upstream: app }}]\n"
    )
}

fn servers(of: &[SocketAddr]) -> String {
    let list: Vec<_> = of.iter().map(|address| format!("'{address}'")).collect();
    format!("{{ servers: [{}] }}", list.join(", "))
}

fn of_kind(spans: &[Value], kind: u64) -> Vec<&Value> {
    spans.iter().filter(|span| span["kind"] == kind).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

every_front! { spans_hang_together_from_the_client_to_the_upstream }

fn spans_hang_together_from_the_client_to_the_upstream(front: Front) {
    let (collector, origin) = (Collector::start(&[]), Origin::fixed(OK));
    let proxy = front.start(&yaml(&collector.url(), ", sample: 0%, parent: any", &servers(&[origin.address])));
    let ask = Ask::get("/x/y?secret=1").host("a.test").field("traceparent", &format!("00-{TRACE}-{SPAN}-01"));
    let answer = proxy.ask(&ask.field("tracestate", "a=1").field("User-Agent", "t"));
    assert_eq!(answer.status, 200);
    let spans = collector.spans(2);
    let (request, attempt) = (of_kind(&spans, 2)[0], of_kind(&spans, 3)[0]);
    assert_eq!((text(&request["traceId"]), text(&request["parentSpanId"])), (TRACE, SPAN));
    assert_eq!((text(&attempt["traceId"]), &attempt["parentSpanId"]), (TRACE, &request["spanId"]));
    let sent = origin.last();
    let told = format!("00-{TRACE}-{}-01", text(&attempt["spanId"]));
    assert_eq!((sent.header("traceparent"), sent.header("tracestate")), (Some(told.as_str()), Some("a=1")));
    assert_eq!(text(&request["name"]), "GET all");
    let version = if front.is_http2() { "2" } else { "1.1" };
    for (key, value) in [
        ("http.request.method", "GET"),
        ("url.path", "/x/y"),
        ("url.scheme", front.scheme()),
        ("server.address", "a.test"),
        ("client.address", "127.0.0.1"),
        ("network.protocol.version", version),
        ("http.route", "all"),
        ("http.response.status_code", "200"),
        ("user_agent.original", "t"),
        ("pingora_proxy.request_id", answer.header("x-request-id").unwrap()),
    ] {
        assert_eq!(attribute(request, key), Some(value), "{key}");
    }
    assert!(attribute(request, "error.type").is_none() && request.get("status").is_none(), "{request}");
    assert_eq!(attribute(attempt, "server.port"), Some(origin.address.port().to_string().as_str()));
    let time = |span: &Value, key: &str| text(&span[key]).parse::<u64>().unwrap();
    assert!(time(request, "startTimeUnixNano") <= time(attempt, "startTimeUnixNano"));
    assert!(time(attempt, "startTimeUnixNano") < time(attempt, "endTimeUnixNano"));
    assert!(time(attempt, "endTimeUnixNano") <= time(request, "endTimeUnixNano"));
    assert_eq!(proxy.access_log(1)[0]["trace_id"], TRACE);
    assert!(!format!("{spans:?}").contains("secret"));
}

#[test]
fn an_exemplar_names_the_trace_whose_spans_are_sent() {
    let (collector, origin) = (Collector::start(&[]), Origin::fixed(OK));
    let admin = free_port();
    let text = yaml(&collector.url(), ", sample: 0%, parent: any", &servers(&[origin.address]));
    let proxy = Proxy::start(&format!("admin: {{ address: '127.0.0.1:{admin}' }}\n{text}"));
    let exemplars = || {
        let mut client = Client::connect(([127, 0, 0, 1], admin).into());
        client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: application/openmetrics-text\r\n\r\n");
        let seen = support::exposition::Exposition::parse(&client.response().text(), true);
        seen.samples.into_iter().filter_map(|sample| sample.exemplar).collect::<Vec<_>>()
    };
    // A trace that nobody records is nobody's to look up.
    for (sampled, traced) in [("00", None), ("01", Some(TRACE))] {
        let fields = format!("Host: a\r\ntraceparent: 00-{TRACE}-{SPAN}-{sampled}\r\n\r\n");
        let answer = proxy.ask(format!("GET / HTTP/1.1\r\n{fields}"));
        let id = answer.header("x-request-id").unwrap().to_owned();
        await_until("its exemplar", || {
            let all = exemplars();
            let own = all.iter().find(|exemplar| exemplar["request_id"] == id);
            own.is_some_and(|own| own.get("trace_id").map(String::as_str) == traced)
        });
    }
}

#[test]
fn each_attempt_is_a_span_with_its_reason() {
    let (collector, origin) = (Collector::start(&[]), Origin::fixed(OK));
    let nobody: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let upstream = format!("{{ servers: ['{nobody}', '{}'] }}", origin.address);
    let proxy = Proxy::start(&yaml(&collector.url(), ", sample: 100%", &upstream));
    assert_eq!((proxy.get("/").status, proxy.get("/").status), (200, 200));
    let is_retried = |spans: &[Value]| of_kind(spans, 3).iter().any(|span| attribute(span, "error.type").is_some());
    await_until("an attempt that failed", || is_retried(&collector.spans.lock().unwrap()));
    let spans = collector.spans(5);
    let attempts = of_kind(&spans, 3);
    let failed = attempts.iter().find(|span| attribute(span, "error.type").is_some()).unwrap();
    assert_eq!(attribute(failed, "error.type"), Some("upstream_refused"));
    assert_eq!((&failed["status"]["code"], attribute(failed, "http.response.status_code")), (&Value::from(2), None));
    let again = attempts.iter().find(|span| attribute(span, "http.request.resend_count") == Some("1")).unwrap();
    assert_eq!((&again["parentSpanId"], &again["traceId"]), (&failed["parentSpanId"], &failed["traceId"]));
    assert_eq!(attribute(again, "http.response.status_code"), Some("200"));
    let request = of_kind(&spans, 2).into_iter().find(|span| span["spanId"] == failed["parentSpanId"]).unwrap();
    assert!(attribute(request, "error.type").is_none(), "{request}");
    // What the upstream was told names the attempt that came to it.
    let told =
        origin.seen.lock().unwrap().iter().map(|r| r.header("traceparent").unwrap().to_owned()).collect::<Vec<_>>();
    assert!(told.iter().any(|field| field.contains(text(&again["spanId"])) && field.ends_with("-01")), "{told:?}");
}

#[test]
fn who_decides_and_what_goes_up_without_a_trace() {
    let (collector, origin) = (Collector::start(&[]), Origin::fixed(OK));
    let asked = |proxy: &Proxy, flag: &str| {
        let field = format!("traceparent: 00-{TRACE}-{SPAN}-{flag}\r\ntracestate: a=1\r\n");
        assert_eq!(proxy.ask(format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n")).status, 200);
        origin.last().header("traceparent").unwrap().to_owned()
    };
    let upstream = servers(&[origin.address]);
    let proxy = |more: &str| Proxy::start(&yaml(&collector.url(), more, &upstream));
    // A stranger's word is not taken, but his trace goes on.
    let none = proxy(", sample: 0%, errors: false");
    assert_eq!(asked(&none, "01"), format!("00-{TRACE}-{SPAN}-00"));
    assert_eq!(none.access_log(1)[0]["trace_id"], TRACE);
    let own = none.ask("GET / HTTP/1.1\r\nHost: a\r\ntraceparent: 00-bad\r\ntracestate: a=1\r\n\r\n");
    let sent = origin.last();
    let told = sent.header("traceparent").unwrap();
    assert!(own.status == 200 && told.len() == 55 && told.ends_with("-00"), "{told}");
    assert_eq!(sent.header("tracestate"), None);
    let all = proxy(", sample: 100%, parent: none");
    assert!(asked(&all, "00").ends_with("-01"));
    let trusting = yaml(&collector.url(), ", sample: 100%", &upstream) + "trusted_proxies: [127.0.0.1]\n";
    let trusting = Proxy::start(&trusting);
    let told = asked(&trusting, "00");
    assert!(told.starts_with(&format!("00-{TRACE}-")) && told.ends_with("-00"), "{told}");
    assert!(asked(&trusting, "01").ends_with("-01"));
    // One request of `all`, one of `trusting`.
    assert_eq!(collector.spans(4).len(), 4);
    // Without `traces` nothing is touched.
    let off = Proxy::before(origin.address);
    assert_eq!(asked(&off, "01"), format!("00-{TRACE}-{SPAN}-01"));
    assert_eq!(origin.last().header("tracestate"), Some("a=1"));
}

#[test]
fn requests_that_fail_are_kept_with_the_reason_of_the_log() {
    let (collector, origin) = (Collector::start(&[]), Origin::fixed(OK));
    let nobody: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let text = yaml(&collector.url(), ", sample: 0%", &servers(&[nobody])).replace(
        "routes: [",
        &format!("routes: [{{ name: good, match: {{ path: /good }}, upstream: '{}' }}, ", origin.address),
    );
    let proxy = Proxy::start(&text);
    assert_eq!((proxy.get("/good").status, proxy.get("/%zz").status, proxy.get("/bad").status), (200, 400, 502));
    let spans = collector.spans(2);
    let (request, attempt) = (of_kind(&spans, 2)[0], of_kind(&spans, 3)[0]);
    let logged = proxy.access_log(3);
    let failed = logged.iter().find(|line| line["status"] == 502).unwrap();
    assert_eq!(attribute(request, "error.type"), failed["reason"].as_str());
    assert_eq!((&request["traceId"], &request["status"]["code"]), (&failed["trace_id"], &Value::from(2)));
    assert_eq!(attribute(attempt, "error.type"), failed["reason"].as_str());
    // The end flushes what is left: two of these, and nothing of those that went well.
    assert_eq!((proxy.get("/good").status, proxy.get("/bad").status), (200, 502));
    assert_eq!(proxy.order("quit").0, 0);
    assert_eq!(collector.spans(4).len(), 4);
}

/// A proxy whose collector is `address`, after a hundred requests of which none waited for it: the collector
/// may take 5 s.
fn is_quick_before(address: SocketAddr, origin: &Origin) -> Proxy {
    let url = format!("http://{address}/v1/traces");
    let text = yaml(&url, ", sample: 100%", &servers(&[origin.address]))
        .replace("listeners", "admin: { address: 'unix:{folder}/admin.sock' }\nlisteners");
    let proxy = Proxy::start(&text);
    let mut client = proxy.connect();
    for _ in 0..100 {
        let began = Instant::now();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().status, 200);
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    }
    proxy
}

fn metric(proxy: &Proxy, line: &str) -> u64 {
    let stream = std::os::unix::net::UnixStream::connect(proxy.folder.0.join("admin.sock")).unwrap();
    let mut stream = stream;
    std::io::Write::write_all(&mut stream, b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stream, &mut text).unwrap();
    let found = text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse::<f64>().ok());
    found.unwrap_or_else(|| panic!("no {line}: {text}")) as u64
}

#[test]
fn no_request_waits_for_a_collector_that_is_away_or_frozen() {
    let origin = Origin::fixed(OK);
    let away = is_quick_before(([127, 0, 0, 1], free_port()).into(), &origin);
    let frozen = TcpListener::bind("127.0.0.1:0").unwrap();
    let stuck = is_quick_before(frozen.local_addr().unwrap(), &origin);
    // Nor does the end.
    for proxy in [away, stuck] {
        let began = Instant::now();
        assert_eq!(proxy.order("quit").0, 0);
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
}

#[test]
fn spans_beyond_the_queue_are_lost_and_counted() {
    let origin = Origin::fixed(OK);
    let frozen = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = is_quick_before(frozen.local_addr().unwrap(), &origin);
    let mut client = proxy.connect();
    // Two spans each: more than the queue and the batch that is under way hold.
    for _ in 0..90 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(50));
        (0..50).for_each(|_| assert_eq!(client.response().status, 200));
    }
    let lost = metric(&proxy, "pingora_proxy_trace_spans_lost_total{why=\"queue_full\"}");
    assert!(lost > 0 && metric(&proxy, "pingora_proxy_trace_spans_exported_total") == 0, "{lost}");
}

#[test]
fn a_batch_is_sent_again_and_what_is_refused_is_counted_and_told() {
    const ANSWERS: &[&str] = &[
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n{\"partialSuccess\":{\"rejectedSpans\":\"1\",\"errorMessage\":\"too old\"}}",
    ];
    let (collector, origin) = (Collector::start(ANSWERS), Origin::fixed(OK));
    let proxy = is_quick_before(collector.origin.address, &origin);
    collector.spans(200);
    await_until("the count", || metric(&proxy, "pingora_proxy_trace_spans_lost_total{why=\"refused\"}") == 1);
    await_until("the count", || metric(&proxy, "pingora_proxy_trace_spans_exported_total") == 199);
    await_until("the log", || {
        proxy.read("stderr").contains("1 spans lost") && proxy.read("stderr").contains("too old")
    });
}

#[test]
fn a_reload_turns_traces_on_and_off() {
    let (collector, origin) = (Collector::start(&[]), Origin::fixed(OK));
    let off = format!("listeners: ['{{listen}}']\nroutes: [{{ name: all, upstream: '{}' }}]\n", origin.address);
    let proxy = Proxy::start(&off);
    assert_eq!(proxy.get("/").status, 200);
    proxy.rewrite(&yaml(&collector.url(), ", sample: 100%", &servers(&[origin.address])));
    assert_eq!((proxy.order("reload").0, proxy.get("/").status), (0, 200));
    proxy.rewrite(&off);
    assert_eq!((proxy.order("reload").0, proxy.get("/").status), (0, 200));
    // What was traced before the second reload comes all the same.
    assert_eq!(collector.spans(2).len(), 2);
    let mut client = Client::connect(proxy.address);
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\ntraceparent: 00-{TRACE}-{SPAN}-01\r\n\r\n"));
    assert_eq!(client.response().status, 200);
    assert_eq!(origin.last().header("traceparent"), Some(format!("00-{TRACE}-{SPAN}-01").as_str()));
}
