//! From the tree to a route's conditions. Must not know upstreams or edits.

use http::Method;

use super::decode::{Cx, Fields};
use super::keys;
use super::model::{Match, PathPattern, ValuePattern};
use super::node::{Kind, Node};
use super::value::{self, Read, Wrong};

pub fn matcher(cx: &mut Cx<'_>, node: &Node) -> Match {
    let mut m = Match::default();
    let Some(fields) = Fields::open(cx, node, &keys::MATCH) else { return m };
    if let Some(node) = fields.get("host") {
        m.hosts = each(cx, node, "a host such as `example.com`", value::host_pattern);
    }
    m.path = fields.get("path").and_then(|node| path(cx, node));
    if let Some(node) = fields.get("method") {
        m.methods = each(cx, node, "a method such as `GET`", method);
    }
    if let Some(node) = fields.get("header") {
        m.headers = conditions(cx, node, |name| value::header_name(name).map(|f| f.name));
    }
    if let Some(node) = fields.get("query") {
        m.query = conditions(cx, node, |name| Ok(name.to_owned()));
    }
    if let Some(node) = fields.get("cookie") {
        m.cookies = conditions(cx, node, value::cookie_name);
    }
    if let Some(node) = fields.get("client_ip") {
        m.client_ips = each(cx, node, "a network such as `10.0.0.0/8`", value::cidr);
    }
    m
}

fn each<T>(cx: &mut Cx<'_>, node: &Node, what: &str, read: impl Fn(&str) -> Read<T>) -> Vec<T> {
    cx.one_or_list(node, what).iter().filter_map(|item| cx.read(item, what, &read)).collect()
}

fn path(cx: &mut Cx<'_>, node: &Node) -> Option<PathPattern> {
    if !matches!(node.kind, Kind::Map(_)) {
        return cx.read(node, "a path such as `/api/`", value::path_prefix).map(PathPattern::Prefix);
    }
    let fields = Fields::open(cx, node, &keys::MATCH_PATH)?;
    match (fields.get("exact"), fields.get("regex")) {
        (Some(exact), None) => cx.read(exact, "a path such as `/api`", value::path).map(PathPattern::Exact),
        (None, Some(regex)) => cx.read(regex, "a regex", value::regex).map(PathPattern::Regex),
        (None, None) if fields.refused => None,
        _ => {
            cx.error(fields.span, "expected one of `exact` and `regex`");
            None
        }
    }
}

fn method(text: &str) -> Read<Method> {
    let wrong = || Wrong::new(format!("`{text}` is not a method"));
    let method = Method::from_bytes(text.as_bytes()).map_err(|_| wrong())?;
    // Methods are case-sensitive: `get` would never match.
    if text.bytes().any(|b| b.is_ascii_lowercase()) {
        return Err(Wrong::with_help(wrong().message, format!("write `{}`", text.to_ascii_uppercase())));
    }
    Ok(method)
}

fn conditions<N: PartialEq>(cx: &mut Cx<'_>, node: &Node, name: impl Fn(&str) -> Read<N>) -> Vec<(N, ValuePattern)> {
    let mut out: Vec<(N, ValuePattern)> = Vec::new();
    for (key, node) in cx.entries(node, "names to values") {
        let name = cx.accept(key.span, name(&key.text));
        let pattern = pattern(cx, node);
        let (Some(name), Some(pattern)) = (name, pattern) else { continue };
        if out.iter().any(|(known, _)| *known == name) {
            cx.error(key.span, format!("duplicate condition on `{}`", key.text));
        }
        out.push((name, pattern));
    }
    out
}

fn pattern(cx: &mut Cx<'_>, node: &Node) -> Option<ValuePattern> {
    if !matches!(node.kind, Kind::Map(_)) {
        return cx
            .text(node, "a value, `{ regex: … }` or `{ present: true }`")
            .map(|text| ValuePattern::Is(text.to_owned()));
    }
    let fields = Fields::open(cx, node, &keys::MATCH_VALUE)?;
    match (fields.get("regex"), fields.get("present")) {
        (Some(regex), None) => cx.read(regex, "a regex", value::regex).map(ValuePattern::Regex),
        (None, Some(present)) => {
            cx.boolean(present).map(|p| if p { ValuePattern::Present } else { ValuePattern::Absent })
        }
        (None, None) if fields.refused => None,
        _ => {
            cx.error(fields.span, "expected one of `regex` and `present`");
            None
        }
    }
}
