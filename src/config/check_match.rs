//! From the tree to a route's conditions. Must not know upstreams or edits.

use http::Method;

use super::decode::{Cx, Fields};
use super::keys;
use super::model::{Match, PathPattern, ValuePattern};
use super::node::{Kind, Node};
use super::pattern;
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
        m.headers = conditions(cx, node, |name| value::header_name(name).map(|f| f.name), header_value);
    }
    if let Some(node) = fields.get("query") {
        m.query = conditions(cx, node, |name| Ok(name.to_owned()), |_| Ok(()));
    }
    if let Some(node) = fields.get("cookie") {
        m.cookies = conditions(cx, node, value::cookie_name, cookie_value);
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
        return cx.read(node, "a path such as `/api/`", pattern::matched_prefix).map(PathPattern::Prefix);
    }
    let fields = Fields::open(cx, node, &keys::MATCH_PATH)?;
    let exact = fields.get("exact").map(|node| cx.read(node, "a path such as `/api`", pattern::matched_path));
    let regex = fields.get("regex").map(|node| cx.read(node, "a regex", pattern::regex));
    if exact.is_some() == regex.is_some() && !fields.refused {
        cx.error(fields.span, "expected one of `exact` and `regex`");
    }
    exact.flatten().map(PathPattern::Exact).or(regex.flatten().map(PathPattern::Regex))
}

fn method(text: &str) -> Read<Method> {
    let wrong = || Wrong::new(format!("`{text}` is not a method"));
    let method = Method::from_bytes(text.as_bytes()).map_err(|_| wrong())?;
    // Methods are case-sensitive: `get` would never match.
    if text.bytes().any(|b| b.is_ascii_lowercase()) {
        return Err(Wrong::with_help(wrong().message, format!("write `{}`", text.to_ascii_uppercase())));
    }
    if matches!(text, "CONNECT" | "TRACE") {
        return Err(Wrong::with_help(format!("no route takes {text}"), "the proxy answers 405 to it"));
    }
    Ok(method)
}

/// Whether a request can carry it.
fn header_value(text: &str) -> Read<()> {
    value::header_value(text).map(drop)
}

/// Browsers send more than RFC 6265 allows, but a `;` ends a value and the blanks
/// around it are no part of it.
fn cookie_value(text: &str) -> Read<()> {
    if text.contains(';') {
        return Err(Wrong::with_help("no cookie's value has a `;` in it", "it is matched as it is sent, not decoded"));
    }
    value::header_value(text).map(drop).map_err(|_| {
        Wrong::new("a cookie's value cannot begin or end with a space, or hold line breaks or control characters")
    })
}

/// `possible`: whether there can be such a value at all.
fn conditions<N: PartialEq>(
    cx: &mut Cx<'_>,
    node: &Node,
    name: impl Fn(&str) -> Read<N>,
    possible: impl Fn(&str) -> Read<()>,
) -> Vec<(N, ValuePattern)> {
    let mut out: Vec<(N, ValuePattern)> = Vec::new();
    for (key, node) in cx.entries(node, "names to values") {
        let name = cx.accept(key.span, name(&key.text));
        let pattern = value_pattern(cx, node, &possible);
        let (Some(name), Some(pattern)) = (name, pattern) else { continue };
        if out.iter().any(|(known, _)| *known == name) {
            cx.error(key.span, format!("duplicate condition on `{}`", key.text));
        }
        out.push((name, pattern));
    }
    out
}

fn value_pattern(cx: &mut Cx<'_>, node: &Node, possible: impl Fn(&str) -> Read<()>) -> Option<ValuePattern> {
    if !matches!(node.kind, Kind::Map(_)) {
        return cx.read(node, "a value, `{ regex: … }` or `{ present: true }`", |text| {
            possible(text).map(|()| ValuePattern::Is(text.to_owned()))
        });
    }
    let fields = Fields::open(cx, node, &keys::MATCH_VALUE)?;
    let regex = fields.get("regex").map(|node| cx.read(node, "a regex", pattern::regex));
    let present = fields.get("present").map(|node| cx.boolean(node));
    if regex.is_some() == present.is_some() && !fields.refused {
        cx.error(fields.span, "expected one of `regex` and `present`");
    }
    let presence = |there: bool| if there { ValuePattern::Present } else { ValuePattern::Absent };
    regex.flatten().map(ValuePattern::Regex).or(present.flatten().map(presence))
}
