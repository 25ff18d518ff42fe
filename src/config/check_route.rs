//! From the tree to routes: their names, actions, and whether what they hold has any
//! effect. Must not know how a request is matched at run time.

use std::collections::HashMap;

use http::StatusCode;

use super::check_upstream::{Upstreams, check_name};
use super::decode::{Cx, Fields};
use super::keys::{self, ACTIONS};
use super::model::*;
use super::node::{Kind, Node};
use super::problem::Span;
use super::value::{self, Read, Wrong};
use super::value_upstream::{key_source, percent};
use super::{check_edits, check_match, reach};

pub fn routes(cx: &mut Cx<'_>, root: &Fields<'_>, upstreams: &mut Upstreams) -> Vec<Route> {
    let Some(node) = root.get("routes") else {
        if !root.refused {
            cx.error_help(
                Span::default(),
                "`routes` is missing",
                "add for instance `routes: [{ upstream: \"127.0.0.1:3000\" }]`",
            );
        }
        return Vec::new();
    };
    let items = cx.list(node, "routes");
    if items.is_empty() && matches!(node.kind, Kind::Seq(_)) {
        cx.error_help(
            node.span,
            "no route: every request would be answered with 404",
            "add for instance `- upstream: \"127.0.0.1:3000\"`",
        );
    }
    let mut names: HashMap<String, usize> = HashMap::new();
    let mut out = Vec::new();
    let mut spans = Vec::new();
    for (index, item) in items.iter().enumerate() {
        if let Some((route, span)) = route(cx, item, index, upstreams, &mut names) {
            out.push(route);
            spans.push(span);
        }
    }
    reach::warn_unreachable(cx, &out, &spans);
    out
}

fn route(
    cx: &mut Cx<'_>,
    node: &Node,
    index: usize,
    upstreams: &mut Upstreams,
    names: &mut HashMap<String, usize>,
) -> Option<(Route, Span)> {
    let fields = Fields::open(cx, node, &keys::ROUTE)?;
    let name = match fields.get("name") {
        Some(node) => named(cx, node, names).unwrap_or_default(),
        None => format!("routes[{index}]"),
    };
    let before = cx.problems.len();
    let matcher = fields.get("match").map(|node| check_match::matcher(cx, node)).unwrap_or_default();
    // A condition that was not understood is no reason to call another route unreachable.
    let sound = cx.problems.len() == before;
    let priority = fields.get("priority").and_then(|node| cx.integer(node, -1_000_000, 1_000_000)).unwrap_or(0);
    let request = fields.get("request").map(|node| check_edits::request(cx, node)).unwrap_or_default();
    let response = check_edits::response(cx, fields.get("response"));
    let action = action(cx, &fields, upstreams);
    let mirror = fields.get("mirror").and_then(|node| mirror(cx, node, upstreams));
    no_dead_keys(cx, &fields);
    let action = action.filter(|_| sound)?;
    if let (Some(node), HostPolicy::Upstream) = (fields.get("request"), &request.host) {
        for id in action.upstreams() {
            host_of_upstream(cx, node, upstreams.get(id));
        }
    }
    let span = if fields.get("match").is_some() { fields.key_span("match") } else { node.span };
    let route = Route {
        name,
        line: node.span.line,
        matcher,
        priority: i32::try_from(priority).unwrap_or(0),
        request,
        response,
        mirror,
        action,
    };
    Some((route, span))
}

fn named(cx: &mut Cx<'_>, node: &Node, names: &mut HashMap<String, usize>) -> Option<String> {
    let text = cx.text(node, "a name")?;
    check_name(cx, node.span, text, "a route's name");
    if let Some(line) = names.get(text) {
        cx.error_help(node.span, format!("duplicate route name `{text}`"), format!("the first one is on line {line}"));
    } else {
        names.insert(text.to_owned(), node.span.line);
    }
    Some(text.to_owned())
}

fn action(cx: &mut Cx<'_>, fields: &Fields<'_>, upstreams: &mut Upstreams) -> Option<Action> {
    let given: Vec<&str> = ACTIONS.into_iter().filter(|name| fields.get(name).is_some()).collect();
    if given.is_empty() && !fields.refused {
        cx.error_help(fields.span, "this route has no action", "add one of `upstream`, `redirect` and `respond`");
    }
    if let [first, second, ..] = given.as_slice() {
        cx.error_help(
            fields.key_span(second),
            format!("`{second}` is a second action beside `{first}`"),
            "a route has exactly one; remove the other",
        );
    }
    // Each is checked even where there is one too many, so that nothing is left to find later.
    let upstream = fields.get("upstream").and_then(|node| to_upstream(cx, node, fields, upstreams));
    let redirect = fields.get("redirect").and_then(|node| redirect(cx, node));
    let respond = fields.get("respond").and_then(|node| respond(cx, node));
    upstream.or(redirect).or(respond)
}

fn to_upstream(cx: &mut Cx<'_>, node: &Node, fields: &Fields<'_>, upstreams: &mut Upstreams) -> Option<Action> {
    let by = fields.get("split_by");
    let by = by.map(|node| cx.read(node, "what tells clients apart, such as `cookie:id`", key_source));
    if !matches!(node.kind, Kind::Map(_)) {
        if by.is_some() {
            cx.error(fields.key_span("split_by"), "`split_by` has no effect without a split");
        }
        return upstreams.resolve(cx, node).map(Action::Upstream);
    }
    let entries = cx.entries(node, "upstreams' names to shares");
    if entries.is_empty() {
        cx.error(node.span, "this split has no parts");
    }
    let mut shares = Vec::new();
    for (key, share) in entries {
        let id = upstreams.named(cx, key.span, &key.text);
        let share = cx.integer(share, 1, 1_000_000).and_then(|share| u32::try_from(share).ok());
        shares.extend(id.zip(share));
    }
    let whole = !shares.is_empty() && shares.len() == entries.len();
    whole.then(|| Action::Split(Split { shares, by: by.flatten() }))
}

fn mirror(cx: &mut Cx<'_>, node: &Node, upstreams: &mut Upstreams) -> Option<Mirror> {
    let fields = Fields::open(cx, node, &keys::MIRROR)?;
    let upstream = fields.required(cx, "upstream").and_then(|node| upstreams.resolve(cx, node));
    let share = match fields.get("share") {
        Some(node) => cx.read(node, "a percentage such as `10%`", |text| percent(text, 1, 100))?,
        None => 100,
    };
    Some(Mirror { upstream: upstream?, share })
}

fn redirect(cx: &mut Cx<'_>, node: &Node) -> Option<Action> {
    const WHAT: &str = "a target such as `https://{host}{path}{query}`";
    let status = StatusCode::PERMANENT_REDIRECT;
    if !matches!(node.kind, Kind::Map(_)) {
        return cx.read(node, WHAT, target).map(|to| Action::Redirect { to, status });
    }
    let fields = Fields::open(cx, node, &keys::REDIRECT)?;
    let to = fields.required(cx, "to").and_then(|node| cx.read(node, WHAT, target));
    let status = match fields.get("status") {
        Some(node) => cx.read(node, "a status", redirect_status),
        None => Some(status),
    };
    Some(Action::Redirect { to: to?, status: status? })
}

fn redirect_status(text: &str) -> Read<StatusCode> {
    match value::status(text) {
        Ok(status) if [301, 302, 303, 307, 308].contains(&status.as_u16()) => Ok(status),
        _ => Err(Wrong::with_help(format!("`{text}` is not a redirect's status"), "301, 302, 303, 307 or 308")),
    }
}

/// Where a client is sent: a URL or a path.
fn target(text: &str) -> Read<Template> {
    let template = value::template(text)?;
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Wrong::new("a target holds no spaces, control or non-ASCII characters: percent-encode them"));
    }
    let starts = ["/", "http://", "https://", "{scheme}://", "{path}"];
    if !starts.iter().any(|s| text.starts_with(s)) {
        return Err(Wrong::with_help(
            "a target begins with `/`, `http://`, `https://` or `{scheme}://`",
            format!("write `https://{text}`"),
        ));
    }
    Ok(template)
}

fn respond(cx: &mut Cx<'_>, node: &Node) -> Option<Action> {
    let fields = Fields::open(cx, node, &keys::RESPOND)?;
    let status = match fields.get("status") {
        Some(node) => cx.read(node, "a status", respond_status),
        None => Some(StatusCode::OK),
    };
    let body = match fields.get("body") {
        Some(node) => cx.text(node, "a text").map(str::to_owned),
        None => Some(String::new()),
    };
    let headers = match fields.get("header") {
        Some(node) => check_edits::header_map(cx, node, value::edited_header),
        None => Vec::new(),
    };
    let (status, body) = (status?, body?);
    if matches!(status.as_u16(), 204 | 205 | 304) && !body.is_empty() {
        cx.error(fields.key_span("body"), format!("a response with status {} has no body", status.as_u16()));
    }
    Some(Action::Respond { status, body, headers })
}

fn respond_status(text: &str) -> Read<StatusCode> {
    let wrong = || Wrong::new(format!("`{text}` is not a status from 200 to 599"));
    value::status(text).ok().filter(|s| s.as_u16() >= 200).ok_or_else(wrong)
}

/// What only a request to an upstream could use is an error elsewhere.
fn no_dead_keys(cx: &mut Cx<'_>, fields: &Fields<'_>) {
    let Some(action) = ACTIONS.into_iter().find(|name| fields.get(name).is_some()) else { return };
    if action == "upstream" {
        return;
    }
    let why = format!("a `{action}` route sends nothing to an upstream");
    for name in ["request", "mirror", "split_by"].into_iter().filter(|name| fields.get(name).is_some()) {
        cx.error_help(fields.key_span(name), format!("`{name}` has no effect here"), why.clone());
    }
    let Some(Kind::Map(entries)) = fields.get("response").map(|node| &node.kind) else { return };
    for (key, _) in entries.iter().filter(|(k, _)| k.text == "cookie" || k.text == "location") {
        cx.error_help(key.span, format!("`{}` has no effect here", key.text), why.clone());
    }
}

fn host_of_upstream(cx: &mut Cx<'_>, request: &Node, upstream: Option<&Upstream>) {
    let Some(upstream) = upstream else { return };
    let nameless =
        upstream.tls.is_none() && upstream.servers.iter().any(|s| matches!(s.place, ServerPlace::At(Address::Unix(_))));
    let Kind::Map(entries) = &request.kind else { return };
    if nameless && let Some((key, _)) = entries.iter().find(|(k, _)| k.text == "host") {
        cx.error_help(key.span, "a server on a Unix socket has no name to send", "write the name itself");
    }
}
