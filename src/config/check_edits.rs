//! From the tree to what a route changes in requests and responses. Must not know
//! what the route matches or where it leads.

use std::collections::HashMap;

use http::HeaderValue;

use super::decode::{Cx, Fields};
use super::keys;
use super::model::*;
use super::node::{Kind, Node};
use super::pattern;
use super::value::{self, Read, Wrong, nearest};
use crate::message::host::split as split_host;

pub fn request(cx: &mut Cx<'_>, node: &Node) -> RequestEdits {
    let mut edits = RequestEdits::default();
    let Some(fields) = Fields::open(cx, node, &keys::REQUEST) else { return edits };
    edits.path = fields.get("path").and_then(|node| path_edit(cx, node));
    if let Some(node) = fields.get("header") {
        edits.headers = headers(cx, node, request_header);
    }
    if let Some(node) = fields.get("query") {
        edits.query = query(cx, node);
    }
    if let Some(node) = fields.get("cookie") {
        edits.cookies = cookies(cx, node);
    }
    if let Some(node) = fields.get("host")
        && let Some(host) = cx.read(node, "`preserve`, `upstream` or a host name", host)
    {
        edits.host = host;
    }
    edits
}

pub fn response(cx: &mut Cx<'_>, node: Option<&Node>) -> ResponseEdits {
    let mut edits = ResponseEdits { rewrite_location: true, ..ResponseEdits::default() };
    edits.set_cookie.secure = SecurePolicy::Auto;
    let Some(fields) = node.and_then(|node| Fields::open(cx, node, &keys::RESPONSE)) else { return edits };
    if let Some(node) = fields.get("header") {
        edits.headers = headers(cx, node, value::edited_header);
    }
    if let Some(node) = fields.get("cookie") {
        set_cookie(cx, node, &mut edits.set_cookie);
    }
    if let Some(node) = fields.get("location") {
        edits.rewrite_location = cx.word(node, &["rewrite", "off"]) != Some("off");
    }
    edits
}

fn request_header(text: &str) -> Read<FieldName> {
    if text.eq_ignore_ascii_case("host") {
        return Err(Wrong::with_help("`host` cannot be edited here", "write `request: { host: … }`"));
    }
    value::edited_header(text)
}

fn path_edit(cx: &mut Cx<'_>, node: &Node) -> Option<PathEdit> {
    const PATH: &str = "a path such as `/api`";
    let fields = Fields::open(cx, node, &keys::PATH_EDIT)?;
    let (strip, add) = (fields.get("strip_prefix"), fields.get("add_prefix"));
    let (replace, regex, with) = (fields.get("replace"), fields.get("regex"), fields.get("with"));
    match (strip, add, replace, regex, with) {
        (Some(node), None, None, None, None) => cx.read(node, PATH, pattern::matched_prefix).map(PathEdit::StripPrefix),
        (None, Some(node), None, None, None) => cx.read(node, PATH, pattern::path_prefix).map(PathEdit::AddPrefix),
        (None, None, Some(node), None, None) => cx.read(node, PATH, pattern::path).map(PathEdit::Replace),
        (None, None, None, Some(regex), Some(with)) => {
            let compiled = cx.read(regex, "a regex", pattern::regex);
            let with_text = cx.text(with, "a path such as `/$1`");
            let (compiled, with_text) = (compiled?, with_text?);
            cx.accept(with.span, pattern::replacement(&compiled, with_text))?;
            Some(PathEdit::Regex { pattern: compiled, with: with_text.to_owned() })
        }
        (None, None, None, Some(_), None) => {
            cx.error(fields.key_span("regex"), "`regex` needs `with` beside it");
            None
        }
        (None, None, None, None, Some(_)) => {
            cx.error(fields.key_span("with"), "`with` needs `regex` beside it");
            None
        }
        (None, None, None, None, None) if fields.refused => None,
        _ => {
            cx.error(fields.span, "expected one of `strip_prefix`, `add_prefix`, `replace`, and `regex` with `with`");
            None
        }
    }
}

fn headers(cx: &mut Cx<'_>, node: &Node, name: fn(&str) -> Read<FieldName>) -> HeaderEdits {
    let mut edits = HeaderEdits::default();
    let Some(fields) = Fields::open(cx, node, &keys::HEADER_EDIT) else { return edits };
    if let Some(node) = fields.get("set") {
        edits.set = header_map(cx, node, name);
    }
    if let Some(node) = fields.get("add") {
        edits.add = header_map(cx, node, name);
    }
    if let Some(node) = fields.get("remove") {
        edits.remove = names(cx, node, "header names", |text| name(text).map(|f| f.name));
    }
    edits
}

/// Names and values of headers, each name once however it is spelled.
pub fn header_map(cx: &mut Cx<'_>, node: &Node, name: fn(&str) -> Read<FieldName>) -> Vec<(FieldName, HeaderValue)> {
    let mut out: Vec<(FieldName, HeaderValue)> = Vec::new();
    for (key, node) in cx.entries(node, "header names to values") {
        let field = cx.accept(key.span, name(&key.text));
        let value = cx.read(node, "a header's value", value::header_value);
        let (Some(field), Some(value)) = (field, value) else { continue };
        if out.iter().any(|(known, _)| known.name == field.name) {
            cx.error_help(
                key.span,
                format!("duplicate header `{}`", key.text),
                "upper and lower case make no difference",
            );
        }
        out.push((field, value));
    }
    out
}

fn names<T>(cx: &mut Cx<'_>, node: &Node, what: &str, read: impl Fn(&str) -> Read<T>) -> Vec<T> {
    cx.list(node, what).iter().filter_map(|item| cx.read(item, "a name", &read)).collect()
}

fn pairs(
    cx: &mut Cx<'_>,
    node: &Node,
    name: impl Fn(&str) -> Read<String>,
    value: impl Fn(&str) -> Read<String>,
) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut lines = HashMap::new();
    for (key, node) in cx.entries(node, "names to values") {
        let name = cx.accept(key.span, name(&key.text));
        let value = cx.read(node, "a value", &value);
        // Two spellings of one name; the same one twice is refused by its text already.
        if let Some(line) = name.as_ref().and_then(|name| lines.insert(name.clone(), key.span.line)) {
            let help = format!("it is the same as the one on line {line}");
            cx.error_help(key.span, format!("duplicate key `{}`", key.text), help);
        }
        out.extend(name.zip(value));
    }
    out
}

fn query(cx: &mut Cx<'_>, node: &Node) -> QueryEdits {
    let mut edits = QueryEdits::default();
    let Some(fields) = Fields::open(cx, node, &keys::QUERY_EDIT) else { return edits };
    let encode = |text: &str| Ok(value::query_encode(text));
    if let Some(node) = fields.get("set") {
        edits.set = pairs(cx, node, encode, encode);
    }
    if let Some(node) = fields.get("add") {
        edits.add = pairs(cx, node, encode, encode);
    }
    if let Some(node) = fields.get("remove") {
        edits.remove = names(cx, node, "parameter names", encode);
    }
    edits
}

fn cookies(cx: &mut Cx<'_>, node: &Node) -> CookieEdits {
    let mut edits = CookieEdits::default();
    let Some(fields) = Fields::open(cx, node, &keys::COOKIE_EDIT) else { return edits };
    if let Some(node) = fields.get("set") {
        edits.set = pairs(cx, node, value::cookie_name, value::cookie_value);
    }
    if let Some(node) = fields.get("remove") {
        edits.remove = names(cx, node, "cookie names", value::cookie_name);
    }
    edits
}

fn host(text: &str) -> Read<HostPolicy> {
    match text {
        "preserve" => return Ok(HostPolicy::Preserve),
        "upstream" => return Ok(HostPolicy::Upstream),
        _ => {}
    }
    if !text.contains(['.', ':'])
        && let Some(word) = nearest(text, ["preserve", "upstream"])
    {
        return Err(Wrong::with_help(format!("`{text}` is hardly a host name"), format!("did you mean `{word}`?")));
    }
    match split_host(text) {
        Some(_) => Ok(HostPolicy::Literal(text.to_owned())),
        None => Err(Wrong::new(format!("`{text}` is not a host name, with or without a port"))),
    }
}

fn set_cookie(cx: &mut Cx<'_>, node: &Node, edits: &mut SetCookieEdits) {
    let Some(fields) = Fields::open(cx, node, &keys::SET_COOKIE) else { return };
    if let Some(node) = fields.get("domain") {
        let to = |text: &str| if text.is_empty() { Ok(String::new()) } else { cookie_domain(text) };
        edits.domain = pairs(cx, node, cookie_domain, to);
    }
    if let Some(node) = fields.get("path") {
        edits.path = pairs(cx, node, cookie_path, cookie_path);
    }
    if let Some(node) = fields.get("secure") {
        edits.secure = match (&node.kind, node.text()) {
            (Kind::Bool(true, _), _) => SecurePolicy::Always,
            (Kind::Bool(false, _), _) => SecurePolicy::Never,
            (_, Some("keep")) => SecurePolicy::Keep,
            (_, Some("auto")) => SecurePolicy::Auto,
            _ => {
                cx.expected(node, "`auto`, `keep`, `true` or `false`");
                SecurePolicy::Auto
            }
        };
    }
    edits.http_only = fields.get("http_only").and_then(|node| cx.boolean(node));
    if let Some(node) = fields.get("same_site") {
        edits.same_site = match cx.word(node, keys::SAME_SITE) {
            Some("strict") => Some(SameSite::Strict),
            Some("lax") => Some(SameSite::Lax),
            Some(_) => Some(SameSite::None),
            None => None,
        };
        // Browsers drop such a cookie altogether.
        if edits.same_site == Some(SameSite::None) && edits.secure == SecurePolicy::Never {
            cx.error(node.span, "browsers refuse `same_site: none` without Secure");
        }
    }
}

fn cookie_domain(text: &str) -> Read<String> {
    value::dns_name(text.strip_prefix('.').unwrap_or(text))
}

fn cookie_path(text: &str) -> Read<String> {
    let path = pattern::path(text)?;
    if path.contains([';', ',']) {
        return Err(Wrong::new("a cookie's path has no `;` or `,` in it"));
    }
    Ok(path)
}
