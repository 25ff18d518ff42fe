//! Configurations that differ in one thing, and the words for it.

use super::*;
use crate::config::parse;

fn config(text: &str) -> Config {
    parse("f.yaml", text, &|_| None).unwrap().0
}

fn words(old: &str, new: &str) -> Vec<String> {
    changes(&config(old), &config(new)).into_iter().map(|change| change.words).collect()
}

const BASE: &str = "listeners: ['127.0.0.1:8080']
limits: { request_body: 100MiB }
upstreams: { api: { servers: ['127.0.0.1:3000', '127.0.0.1:3001'] } }
routes:
  - { name: api, match: { path: /api }, upstream: api }
  - { name: rest, upstream: '127.0.0.1:4000' }
";

#[test]
fn a_configuration_differs_in_nothing_from_itself() {
    assert_eq!(words(BASE, BASE), [""; 0]);
    // Neither does one whose comments and forms are others.
    let same = BASE.replace("['127.0.0.1:8080']", "[{ address: '127.0.0.1:8080' }]  # here");
    assert_eq!(words(BASE, &same), [""; 0]);
}

#[test]
fn each_change_is_one_line_of_words() {
    let with = |from: &str, to: &str| words(BASE, &BASE.replace(from, to));
    assert_eq!(with("100MiB", "10MiB"), ["`limits.request_body`: 100MiB → 10MiB"]);
    assert_eq!(with(", '127.0.0.1:3001'", ""), ["upstream `api`: server 127.0.0.1:3001 was removed"]);
    assert_eq!(
        with("path: /api", "path: /v1"),
        ["route `api` (line 5): `match.path` /api was removed", "route `api` (line 5): `match.path` /v1 was added"]
            .map(|line| line.replace("` /", "`: /"))
    );
    assert_eq!(with("['127.0.0.1:8080']", "['127.0.0.1:8080', '127.0.0.1:8081']").len(), 1,);
    assert_eq!(with("  - { name: rest, upstream: '127.0.0.1:4000' }\n", ""), ["route `rest` was removed"]);
    let limited = with("path: /api }, ", "path: /api }, rate_limit: { rate: 100/s }, ");
    assert!(
        limited.len() == 1 && limited[0].starts_with("route `api` (line 5): `rate_limit` was added: "),
        "{limited:?}"
    );
    let renamed = with("name: rest", "name: other");
    assert!(renamed.len() == 2 && renamed[0].starts_with("route `other` (line 6) was added: "), "{renamed:?}");
    assert_eq!(renamed[1], "route `rest` was removed");
}

#[test]
fn a_route_without_a_name_is_the_one_that_does_the_same() {
    let old = "listeners: [':80']\nroutes:\n  - upstream: '127.0.0.1:1'\n";
    let new = "listeners: [':80']\nroutes:\n  - { match: { path: /x }, upstream: '127.0.0.1:2' }\n  - upstream: '127.0.0.1:1'\n";
    let words = words(old, new);
    assert!(words.len() == 1 && words[0].starts_with("route `routes[0]` (line 3) was added"), "{words:?}");
}

#[test]
fn the_order_of_routes_counts_where_their_rank_is_equal() {
    let routes = |first: &str, second: &str| format!("listeners: [':80']\nroutes:\n  - {first}\n  - {second}\n");
    let (a, b) = (
        "{ name: a, match: { header: { x: '1' } }, upstream: '127.0.0.1:1' }",
        "{ name: b, match: { header: { y: '1' } }, upstream: '127.0.0.1:2' }",
    );
    assert_eq!(
        words(&routes(a, b), &routes(b, a)),
        ["route `b` comes before route `a` now, which takes requests that match both"]
    );
    let (c, d) = (
        "{ name: c, match: { path: /c }, upstream: '127.0.0.1:1' }",
        "{ name: d, match: { path: /d }, upstream: '127.0.0.1:2' }",
    );
    assert_eq!(words(&routes(c, d), &routes(d, c)), [""; 0]);
}

#[test]
fn no_secret_is_shown() {
    let with = |password: &str, token: &str| {
        format!(
            "listeners: [':80']\nroutes:\n  - {{ name: a, upstream: '127.0.0.1:1', rate_limit: {{ rate: 1/s, store: 'redis://:{password}@127.0.0.1:1' }}, request: {{ header: {{ set: {{ Authorization: '{token}' }} }} }} }}\n"
        )
    };
    let all = words(&with("hunter2", "Bearer abc"), &with("hunter3", "Bearer xyz")).join("\n");
    assert!(!all.is_empty() && !all.contains("hunter") && !all.contains("abc") && !all.contains("xyz"), "{all}");
    let added = words(
        "listeners: [':80']\nroutes:\n  - { name: b, upstream: '127.0.0.1:1' }\n",
        &with("hunter2", "Bearer abc"),
    )
    .join("\n");
    assert!(added.contains("route `a`") && !added.contains("hunter2") && !added.contains("abc"), "{added}");
}

/// `/generations` shows changes to whoever may see `/config`, which hid more than they did.
#[test]
fn a_change_hides_what_the_public_configuration_hides() {
    let with = |secret: &str| {
        format!(
            "listeners: [':80']\nroutes:\n  - {{ name: a, upstream: '127.0.0.1:1', request: {{ header: {{ set: {{ X-Session: '{secret}', X-Plain: shown }} }}, \
             query: {{ add: {{ access_token: '{secret}' }} }} }} }}\n"
        )
    };
    let without = "listeners: [':80']\nroutes:\n  - { name: a, upstream: '127.0.0.1:1' }\n";
    let other = "listeners: [':80']\nroutes:\n  - { name: b, upstream: '127.0.0.1:1' }\n";
    // A whole route is longer than a line of a change.
    for (old, shows_plain) in [(with("s3cret-old"), false), (without.to_owned(), true), (other.to_owned(), false)] {
        let all = words(&old, &with("s3cret-new")).join("\n");
        assert!(all.contains("route `a`") && !all.contains("s3cret"), "{all}");
        assert_eq!(all.contains("shown"), shows_plain, "{all}");
    }
    assert_eq!(words(&with("s3cret-1"), &with("s3cret-2")).len(), 2);
}
