//! Tests that the configuration warns only of routes that [`RouteTable`] never finds.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, Method};
use proptest::prelude::*;

use super::{RequestView, RouteTable};
use crate::config::{self, Config};

/// The configuration, and the names of the routes of which it warns.
fn read(routes: &[String]) -> (Config, Vec<String>) {
    let items: String =
        routes.iter().enumerate().map(|(i, m)| format!("  - {{ name: r{i}, {m}, respond: {{}} }}\n")).collect();
    let text = format!("listeners: [':80']\nroutes:\n{items}");
    let (config, warnings) = config::parse("f", &text, &|_| None).unwrap_or_else(|e| panic!("{text}{e}"));
    let name = |text: &str| text.split('`').nth(1).unwrap().to_owned();
    (config, warnings.iter().map(|warning| name(&warning.message)).collect())
}

fn warned(routes: &[&str]) -> Vec<String> {
    read(&routes.iter().map(|r| (*r).to_owned()).collect::<Vec<_>>()).1
}

#[test]
fn a_host_beside_the_asterisk_is_reached_by_its_own_rank() {
    assert!(warned(&["match: {}", "match: { host: ['*', a.com] }"]).is_empty());
    assert_eq!(warned(&["match: {}", "match: { host: '*' }"]), ["r1"]);
    assert_eq!(warned(&["match: {}", "match: { host: a.com }", "match: { host: ['*', a.com] }"]), ["r2"]);
}

#[test]
fn a_regex_beside_an_unconditional_prefix_is_not_reached() {
    assert_eq!(warned(&["match: { path: { regex: '^/x' } }", "match: { path: / }"]), ["r0"]);
    assert_eq!(
        warned(&["match: { host: a.com, path: { regex: '^/x' } }", "match: { host: '*.com', path: / }"]),
        [""; 0]
    );
    assert_eq!(
        warned(&["match: { host: '*.com', path: { regex: '^/x' } }", "match: { host: '*.com', path: / }"]),
        ["r0"]
    );
    assert!(warned(&["match: { path: { regex: '^/x' } }, priority: 1", "match: { path: / }"]).is_empty());
    assert!(warned(&["match: { path: { regex: '^/x' } }", "match: { path: /, method: GET }"]).is_empty());
    // `OPTIONS *` is not under `/`.
    assert!(warned(&["match: { path: / }", "match: {}"]).is_empty());
    assert!(warned(&["match: { path: { regex: '^.$' } }", "match: { path: / }"]).is_empty());
    assert_eq!(warned(&["match: { path: / }, priority: 1", "match: { method: GET }"]), ["r1"]);
}

#[test]
fn a_superset_of_the_same_rank_wins() {
    assert_eq!(warned(&["match: { method: [GET, POST] }", "match: { method: GET }"]), ["r1"]);
    assert!(warned(&["match: { method: GET }", "match: { method: [GET, POST] }"]).is_empty());
    assert_eq!(warned(&["match: { client_ip: 10.0.0.0/8 }", "match: { client_ip: 10.1.0.0/16 }"]), ["r1"]);
    assert_eq!(warned(&["match: { header: { a: { present: true } } }", "match: { header: { a: 1 } }"]), ["r1"]);
    assert_eq!(warned(&["match: { query: { a: { regex: '^[0-9]' } } }", "match: { query: { a: 1 } }"]), ["r1"]);
    assert!(warned(&["match: { cookie: { a: { present: false } } }", "match: { cookie: { a: 1 } }"]).is_empty());
    // More conditions win.
    assert!(warned(&["match: { path: / }", "match: { path: /, method: GET }"]).is_empty());
}

#[test]
fn each_path_of_a_list_is_reached_by_its_own_rank() {
    assert!(warned(&["match: { path: /a }", "match: { path: [/a, /b] }"]).is_empty());
    assert_eq!(warned(&["match: { path: [/b, /a] }", "match: { path: /a }"]), ["r1"]);
    assert_eq!(warned(&["match: { path: /a }", "match: { path: /b }", "match: { path: [/a/, /b] }"]), ["r2"]);
    // A stronger path of its own is no other route.
    assert!(warned(&["match: { path: [/, { regex: '^/x' }] }"]).is_empty());
    assert_eq!(warned(&["match: { path: / }, priority: 1", "match: { path: [{ regex: '^/x' }, /] }"]), ["r1"]);
}

#[test]
fn ten_thousand_routes_are_checked_at_once() {
    let began = std::time::Instant::now();
    let apart: Vec<String> = (0..10_000).map(|i| format!("match: {{ host: h{i}.a.com, path: /a/b/c{i} }}")).collect();
    assert!(read(&apart).1.is_empty());
    // The worst case: all routes are candidates for one request, and no two are alike.
    let alike: Vec<String> = (0..10_000).map(|i| format!("match: {{ header: {{ x: v{i} }} }}")).collect();
    assert!(read(&alike).1.is_empty());
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

const HOSTS: &str = "(|host: a\\.com, |host: b\\.a\\.com, |host: '\\*\\.com', |host: '\\*\\.a\\.com', |host: '\\*', |host: \\['\\*', a\\.com\\], |host: \\['\\*\\.com', c\\.com\\], )";
const PATHS: &str = "(|path: /, |path: /x, |path: /x/y, |path: \\{ exact: /x \\}, |path: \\{ exact: / \\}, |path: \\{ regex: '\\^/x' \\}, |path: \\{ regex: '\\.' \\}, |path: \\[/x/y, /\\], |path: \\[\\{ exact: /x \\}, \\{ regex: '\\^/x' \\}\\], |path: \\[/x, \\{ exact: / \\}\\], )";
const METHODS: &str = "(|method: GET, |method: \\[GET, OPTIONS\\], |method: OPTIONS, )";
const OTHERS: &str = "(|header: \\{ h: '1' \\}, |header: \\{ h: \\{ present: true \\} \\}, |query: \\{ h: \\{ regex: '\\^1' \\} \\}, |query: \\{ h: '1' \\}, |client_ip: 10\\.0\\.0\\.0/8, |client_ip: 10\\.0\\.0\\.1, )";

proptest! {
    /// No request reaches a route of which the configuration warns.
    #[test]
    fn what_is_said_to_be_out_of_reach_is(
        routes in proptest::collection::vec((HOSTS, PATHS, METHODS, OTHERS, -1i32..2), 2..7),
    ) {
        let texts: Vec<String> = routes.iter()
            .map(|(h, p, m, o, priority)| format!("match: {{ {h}{p}{m}{o} }}, priority: {priority}"))
            .collect();
        let (config, warned) = read(&texts);
        let table = RouteTable::new(config.routes.iter().map(|r| (r.matcher.clone(), r.priority)));
        let mut header = HeaderMap::new();
        header.insert("h", HeaderValue::from_static("1"));
        for host in ["", "a.com", "b.a.com", "c.com", "c.b.a.com", "z"] {
            for path in ["/", "/x", "/x/", "/x/y", "/xy", "*"] {
                for method in [Method::GET, Method::OPTIONS, Method::PUT] {
                    for headers in [&HeaderMap::new(), &header] {
                        for query in ["", "h=1", "h=12"] {
                            for ip in ["10.0.0.1", "10.0.0.2", "1.1.1.1"] {
                                let client_ip: Option<IpAddr> = ip.parse().ok();
                                if path == "*" && method != Method::OPTIONS {
                                    continue;
                                }
                                let view = RequestView { method: &method, host, path, query, headers, client_ip, client_cert: None };
                                let found = table.find(&view).map(|index| config.routes[index].name.clone());
                                prop_assert!(found.is_none_or(|name| !warned.contains(&name)), "{texts:#?} {view:?}");
                            }
                        }
                    }
                }
            }
        }
    }
}
