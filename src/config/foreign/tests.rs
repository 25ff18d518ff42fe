//! Every row of the table is true.

use super::translate::*;
use super::*;
use crate::config::section::Place::{self, Here, Route, Top, Upstream};
use crate::config::section::{Key, Ours, Section, Shape, shown};
use crate::config::{Config, parse};

/// A file with a piece of YAML where it belongs.
fn file(place: Place, within: &[&str], yaml: &str) -> String {
    let route = |entries: &str| format!("listeners: [\":80\"]\nroutes: [{{ {entries} }}]\n");
    let upstream = |entries: &str| {
        format!("listeners: [\":80\"]\nroutes: [{{ upstream: NAME }}]\nupstreams: {{ NAME: {{ {entries} }} }}\n")
    };
    match (place, within.first().copied().unwrap_or_default()) {
        (Top, _) | (Here, "the configuration") => format!("{yaml}\n"),
        (Here, "`admin`") => format!("admin: {{ {yaml} }}\nlisteners: [\":80\"]\nroutes: [{{ respond: {{}} }}]\n"),
        (Here, "a listener") => format!("listeners: [{{ {yaml} }}]\nroutes: [{{ respond: {{}} }}]\n"),
        (Here, "a listener's `tls`") => {
            format!("listeners: [{{ address: \":443\", tls: {{ {yaml} }} }}]\nroutes: [{{ respond: {{}} }}]\n")
        }
        (Here, "`limits`") => format!("limits: {{ {yaml} }}\nlisteners: [\":80\"]\nroutes: [{{ respond: {{}} }}]\n"),
        (Here, "`match`") => route(&format!("match: {{ {yaml} }}, respond: {{}}")),
        // What is written in place of the whole map.
        (Here, "a path") => route(&format!("match: {{ {yaml} }}, respond: {{}}")),
        (Here, "`request`") => route(&format!("request: {{ {yaml} }}, upstream: \"127.0.0.1:1\"")),
        (Here, "`redirect`") => route(&format!("redirect: {{ {yaml} }}")),
        (Here, "`respond`") => route(&format!("respond: {{ {yaml} }}")),
        (Here, "`tls`") => upstream(&format!("tls: {{ {yaml} }}")),
        (Here, "`sticky`") => upstream(&format!("sticky: {{ {yaml} }}")),
        (Here, "an upstream") | (Upstream, _) => upstream(yaml),
        (Here, "a server") => upstream(&format!("servers: [{{ {yaml} }}]")),
        (Here | Route, _) => route(yaml),
    }
}

#[test]
fn every_piece_of_yaml_is_one_of_ours() {
    let mut count = 0;
    for entry in FOREIGN.iter().copied().flatten() {
        let Ours::Write { place, yaml, example, value } = &entry.ours else { continue };
        for piece in *yaml {
            assert_eq!(piece.contains('%'), !example.is_empty(), "{piece}");
            let written = piece.replace('%', &shown(example));
            let text = file(*place, entry.within, &written);
            let problems = parse("f", &text, &|_| None).err().map_or_else(Vec::new, |rejected| rejected.problems);
            let is_expected = |message: &str| {
                ["is missing", "cannot read", "has no action", "no upstream `api"]
                    .iter()
                    .any(|part| message.contains(part))
            };
            let wrong: Vec<_> = problems.iter().filter(|problem| !is_expected(&problem.message)).collect();
            assert!(wrong.is_empty(), "{text}{wrong:?}");
            count += 1;
        }
        assert!(example.is_empty() || value(example).as_deref() == Some(*example), "{example}");
    }
    assert!(count > 60, "{count}");
}

#[test]
fn what_is_to_come_is_a_key_of_the_contract() {
    fn is_later(keys: &[Key], path: &[&str]) -> bool {
        let [name, rest @ ..] = path else { return false };
        let Some(key) = keys.iter().find(|key| key.name == name.trim_end_matches("[]")) else { return false };
        if rest.is_empty() { key.is_later() } else { inside(&key.shape, rest) }
    }
    fn inside(shape: &Shape, path: &[&str]) -> bool {
        match shape {
            Shape::Section(section) => is_later(&section.keys, path),
            Shape::List { item, .. } => inside(item, path),
            Shape::Any(shapes) => shapes.iter().any(|shape| inside(shape, path)),
            _ => false,
        }
    }
    for entry in FOREIGN.iter().copied().flatten() {
        if let Ours::Later(path) = entry.ours {
            assert!(is_later(Config::keys(), &path.split('.').collect::<Vec<_>>()), "{path}");
        }
    }
}

#[test]
fn words_are_in_the_form_that_is_compared() {
    let mut seen = std::collections::HashSet::new();
    for entry in FOREIGN.iter().copied().flatten() {
        for word in entry.words {
            assert_eq!(*word, word.to_ascii_lowercase().replace('-', "_"));
            let sections = if entry.within.is_empty() { &[""][..] } else { entry.within };
            for section in sections {
                assert!(seen.insert((*word, *section)), "{word} stands twice");
            }
        }
    }
}

#[test]
fn values_are_translated() {
    assert_eq!(listening("80").as_deref(), Some(":80"));
    assert_eq!((seconds("60").as_deref(), seconds("1m").as_deref()), (Some("60s"), Some("1m")));
    assert_eq!(server("http://a:1/").as_deref(), Some("a:1"));
    assert_eq!((server("3000").as_deref(), server("a")), (Some("127.0.0.1:3000"), None));
    assert_eq!(service("http://a/").as_deref(), Some("http://a"));
    assert_eq!((path("/api/*").as_deref(), path("~ ^/a")), (Some("/api/"), None));
    assert_eq!((balance("leastconn").as_deref(), balance("x")), (Some("least_conn"), None));
}
