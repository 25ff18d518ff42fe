//! From the tree to a `Config`: listeners, limits and error pages, and the order in
//! which everything is checked. Only the `check*` files build model values.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::decode::{Cx, Fields};
use super::keys;
use super::model::*;
use super::node::{Key, Node};
use super::problem::{Problem, Span};
use super::value::{self, Wrong};
use super::{address, check_process, check_resilience, check_route, check_upstream};

pub const DURATION: &str = "a duration such as `10s`";

/// Every problem is added; without errors the config is there.
pub fn config(tree: Option<&Node>, base: &Path, problems: &mut Vec<Problem>) -> Option<Config> {
    let mut cx = Cx { problems: std::mem::take(problems), base };
    let config = match tree {
        Some(root) => whole(&mut cx, root),
        None => {
            cx.error_help(Span::default(), "the file is empty", "it needs at least `listeners` and `routes`");
            None
        }
    };
    let failed = cx.failed();
    *problems = cx.problems;
    if failed { None } else { config }
}

fn whole(cx: &mut Cx<'_>, root: &Node) -> Option<Config> {
    let fields = Fields::open(cx, root, &keys::ROOT)?;
    let server = check_process::server(cx, fields.get("server"));
    let log = check_process::log(cx, fields.get("log"));
    if server.daemon && log.access.to == AccessTarget::Stdout {
        cx.warn(
            fields.key_span("server"),
            "a daemon has no stdout: its access log is lost",
            Some("give `log.access.to` a file".into()),
        );
    }
    let listeners = listeners(cx, &fields);
    let admin = check_process::admin(cx, fields.get("admin"), &listeners);
    let trusted_proxies = match fields.get("trusted_proxies") {
        Some(node) => networks(cx, node),
        None => Vec::new(),
    };
    let limits = head_limits(cx, fields.get("limits"));
    let timeouts = client_timeouts(cx, fields.get("timeouts"));
    let dns = check_resilience::dns(cx, fields.get("dns"));
    let mut upstreams = check_upstream::Upstreams::read(cx, fields.get("upstreams"));
    let routes = check_route::routes(cx, &fields, &mut upstreams);
    let errors = error_pages(cx, fields.get("errors"));
    upstreams.refuse_loops(cx, &listeners);
    upstreams.warn_unused(cx);
    let upstreams = upstreams.finish();
    Some(Config { server, admin, log, listeners, trusted_proxies, limits, timeouts, dns, upstreams, routes, errors })
}

/// `upgrade_sock` and `pid_file`, whatever else is wrong.
pub fn own_files(root: &Node, base: &Path) -> (Place, Place) {
    let mut cx = Cx { problems: Vec::new(), base };
    let section = Fields::open(&mut cx, root, &keys::ROOT).and_then(|fields| fields.get("server"));
    let server = check_process::server(&mut cx, section);
    (server.upgrade_sock, server.pid_file)
}

/// The section's keys, or nothing where it is absent or not a map.
pub fn open<'n>(cx: &mut Cx<'_>, node: Option<&'n Node>, section: &'static keys::Section) -> Option<Fields<'n>> {
    node.and_then(|node| Fields::open(cx, node, section))
}

fn listeners(cx: &mut Cx<'_>, fields: &Fields<'_>) -> Vec<Listener> {
    const WHAT: &str = "addresses such as `0.0.0.0:8080`";
    let Some(node) = fields.get("listeners") else {
        if !fields.refused {
            cx.error_help(
                Span::default(),
                "`listeners` is missing",
                "add for instance `listeners: [\"0.0.0.0:8080\"]`",
            );
        }
        return Vec::new();
    };
    let items = cx.list(node, WHAT);
    if items.is_empty() && matches!(node.kind, super::node::Kind::Seq(_)) {
        cx.error_help(node.span, "no listener: nothing could connect", "add for instance \"0.0.0.0:8080\"");
    }
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    for item in items {
        let Some((address, span)) = listener(cx, item) else { continue };
        if seen.insert(address.clone()) {
            out.push(Listener { address });
        } else {
            cx.error(span, format!("duplicate listener `{}`", address::text(&address)));
        }
    }
    out
}

fn listener(cx: &mut Cx<'_>, node: &Node) -> Option<(Address, Span)> {
    const WHAT: &str = "an address such as `0.0.0.0:8080`";
    if node.text().is_some() {
        return listening(cx, node, WHAT);
    }
    if !matches!(node.kind, super::node::Kind::Map(_)) {
        cx.expected(node, WHAT);
        return None;
    }
    let fields = Fields::open(cx, node, &keys::LISTENER)?;
    let address = fields.required(cx, "address")?;
    listening(cx, address, WHAT)
}

fn listening(cx: &mut Cx<'_>, node: &Node, what: &str) -> Option<(Address, Span)> {
    let address = cx.read(node, what, address::listener)?;
    if let Address::Unix(path) = &address {
        has_folder(cx, node, path);
    }
    Some((address, node.span))
}

fn networks(cx: &mut Cx<'_>, node: &Node) -> Vec<ipnet::IpNet> {
    const WHAT: &str = "a network such as `10.0.0.0/8`";
    let items = cx.list(node, "networks such as `10.0.0.0/8`");
    items.iter().filter_map(|item| cx.read(item, WHAT, value::cidr)).collect()
}

fn head_limits(cx: &mut Cx<'_>, node: Option<&Node>) -> HeadLimits {
    let mut limits = HeadLimits { request_line: 8 << 10, request_headers: 32 << 10, request_header_count: 100 };
    let Some(fields) = open(cx, node, &keys::LIMITS) else { return limits };
    let mut set = |name: &str, to: &mut usize, least: usize, most: usize| {
        let node = fields.get(name)?;
        let bytes = cx.read(node, "a size such as `8KiB`", value::size)?;
        if (least..=most).contains(&bytes) {
            *to = bytes;
        } else {
            let (least, most) = (value::size_text(least), value::size_text(most));
            cx.wrong(node.span, Wrong::new(format!("`{name}` goes from {least} to {most}")));
        }
        Some(())
    };
    set("request_line", &mut limits.request_line, 256, 64 << 10);
    set("request_headers", &mut limits.request_headers, 1 << 10, 1 << 20);
    if let Some(node) = fields.get("request_header_count")
        && let Some(count) = cx.integer(node, 1, 256)
    {
        limits.request_header_count = usize::try_from(count).unwrap_or(limits.request_header_count);
    }
    if limits.request_line > limits.request_headers {
        let (line, head) = (value::size_text(limits.request_line), value::size_text(limits.request_headers));
        let key = if fields.raw("request_line").is_some() { "request_line" } else { "request_headers" };
        cx.warn(
            fields.key_span(key),
            format!("no request line reaches `request_line`, {line}: it is part of the head"),
            Some(format!("`request_headers` ends the head at {head}")),
        );
    }
    limits
}

fn client_timeouts(cx: &mut Cx<'_>, node: Option<&Node>) -> ClientTimeouts {
    let mut timeouts = ClientTimeouts {
        request_header: Duration::from_secs(10),
        request_body_idle: Duration::from_secs(60),
        keepalive: Duration::from_secs(75),
        tunnel_idle: Duration::from_secs(3600),
    };
    let Some(fields) = open(cx, node, &keys::TIMEOUTS) else { return timeouts };
    let mut set = |name: &str, to: &mut Duration| {
        let node = fields.get(name)?;
        *to = cx.read(node, DURATION, value::duration)?;
        Some(())
    };
    set("request_header", &mut timeouts.request_header);
    set("request_body_idle", &mut timeouts.request_body_idle);
    set("keepalive", &mut timeouts.keepalive);
    set("tunnel_idle", &mut timeouts.tunnel_idle);
    timeouts
}

fn error_pages(cx: &mut Cx<'_>, node: Option<&Node>) -> ErrorPages {
    let mut pages = Vec::new();
    let Some(fields) = open(cx, node, &keys::ERRORS) else { return ErrorPages::default() };
    if let Some(node) = fields.get("pages") {
        for (key, value) in cx.entries(node, "statuses to files") {
            let set = status_set(cx, key);
            let page = error_page(cx, value);
            if let (Some(set), Some(page)) = (set, page) {
                pages.push((set, page));
            }
        }
    }
    // Exact statuses come before classes; within each the file's order stays.
    pages.sort_by_key(|(set, _)| matches!(set, StatusSet::Class(_)));
    ErrorPages { pages }
}

fn status_set(cx: &mut Cx<'_>, key: &Key) -> Option<StatusSet> {
    match key.text.as_str() {
        "4xx" => return Some(StatusSet::Class(4)),
        "5xx" => return Some(StatusSet::Class(5)),
        _ => {}
    }
    match value::status(&key.text) {
        Ok(status) if status.as_u16() >= 400 => Some(StatusSet::One(status)),
        _ => {
            let message = format!("`{}` is not an error status", key.text);
            cx.error_help(key.span, message, "`400` to `599`, `4xx` or `5xx`");
            None
        }
    }
}

fn error_page(cx: &mut Cx<'_>, node: &Node) -> Option<ErrorPage> {
    let text = cx.text(node, "a file's path")?;
    let path = cx.path(text);
    let ending = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    let content_type = match ending.as_deref() {
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("json") => "application/json",
        Some("txt") => "text/plain; charset=utf-8",
        _ => {
            cx.error(node.span, "an error page is a .html, .json or .txt file");
            return None;
        }
    };
    let body = read_file(cx, node, &path)?;
    Some(ErrorPage { path, content_type, body })
}

/// A file that the configuration names.
pub fn read_file(cx: &mut Cx<'_>, node: &Node, path: &Path) -> Option<Vec<u8>> {
    const LARGEST: u64 = 1024 * 1024;
    let checked = std::fs::metadata(path).map_err(|e| e.to_string()).and_then(|m| {
        if !m.is_file() {
            return Err("it is not a file".to_owned());
        }
        if m.len() > LARGEST {
            return Err("it is larger than 1 MiB".to_owned());
        }
        std::fs::read(path).map_err(|e| e.to_string())
    });
    match checked {
        Ok(bytes) => Some(bytes),
        Err(reason) => {
            let text = node.text().unwrap_or_default();
            let from = path.parent().map_or(String::new(), |p| p.display().to_string());
            let help = (!Path::new(text).is_absolute()).then(|| format!("looked for in {from}"));
            cx.wrong(node.span, Wrong { message: format!("cannot read `{text}`: {reason}"), help });
            None
        }
    }
}

/// A file or socket that start-up will make: it cannot where the folder is missing.
pub fn has_folder(cx: &mut Cx<'_>, node: &Node, path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let text = node.text().unwrap_or_default();
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let folder: PathBuf = folder.components().collect();
        let help = format!("make {}, or name another", folder.display());
        cx.error_help(node.span, format!("cannot make `{text}`: its folder does not exist"), help);
    } else if path.is_dir() {
        cx.error(node.span, format!("cannot make `{text}`: it is a folder"));
    }
}
