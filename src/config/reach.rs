//! Finds routes that no request can reach. Knows precedence only as far as it is
//! certain from the conditions' text; must not know YAML.

use std::collections::BTreeSet;

use super::decode::Cx;
use super::model::{HostPattern, Match, PathPattern, Route, ValuePattern};
use super::problem::Span;

/// Beyond this many routes comparing each with each would cost more than it tells.
const MOST: usize = 2_000;

pub fn warn_unreachable(cx: &mut Cx<'_>, routes: &[Route], spans: &[Span]) {
    let sets: Vec<BTreeSet<String>> = routes.iter().take(MOST).map(|r| conditions(&r.matcher)).collect();
    for (index, (route, span)) in routes.iter().zip(spans).enumerate() {
        let Some(set) = sets.get(index) else { return };
        let winner = routes.iter().zip(&sets).enumerate().find(|(other, (first, weaker))| {
            let outranks = first.priority > route.priority && weaker.is_subset(set);
            let same_rank = first.priority == route.priority && *other < index && *weaker == set;
            outranks || same_rank
        });
        if let Some((_, (first, _))) = winner {
            let why = format!("`{}` on line {} always wins", first.name, first.line);
            cx.warn(*span, format!("no request reaches the route `{}`", route.name), Some(why));
        }
    }
}

/// One text for each condition; equal texts hold for the same requests.
fn conditions(m: &Match) -> BTreeSet<String> {
    let mut set = BTreeSet::new();
    if !m.hosts.is_empty() && !m.hosts.contains(&HostPattern::Any) {
        set.insert(format!("host {:?}", sorted(&m.hosts)));
    }
    set.extend(m.path.as_ref().map(|path| match path {
        PathPattern::Prefix(path) => format!("path {}/", path.trim_end_matches('/')),
        PathPattern::Exact(path) => format!("exact {path}"),
        PathPattern::Regex(regex) => format!("path regex {}", regex.as_str()),
    }));
    if !m.methods.is_empty() {
        set.insert(format!("method {:?}", sorted(&m.methods)));
    }
    if !m.client_ips.is_empty() {
        set.insert(format!("client {:?}", sorted(&m.client_ips)));
    }
    set.extend(m.headers.iter().map(|(name, p)| format!("header {name} {}", text(p))));
    set.extend(m.query.iter().map(|(name, p)| format!("query {name:?} {}", text(p))));
    set.extend(m.cookies.iter().map(|(name, p)| format!("cookie {name} {}", text(p))));
    set
}

fn sorted<T: std::fmt::Debug>(items: &[T]) -> BTreeSet<String> {
    items.iter().map(|item| format!("{item:?}")).collect()
}

fn text(pattern: &ValuePattern) -> String {
    match pattern {
        ValuePattern::Is(value) => format!("is {value:?}"),
        ValuePattern::Regex(regex) => format!("regex {:?}", regex.as_str()),
        ValuePattern::Present => "present".into(),
        ValuePattern::Absent => "absent".into(),
    }
}
