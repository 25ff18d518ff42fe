//! From the tree to the servers of an upstream. Must not know how they are used.

use std::time::Duration;

use super::address;
use super::check::DURATION;
use super::decode::{Cx, Fields};
use super::keys;
use super::model::*;
use super::node::{Key, Kind, Node};
use super::problem::Span;
use super::value::{self, Read, Wrong};

const REFRESH: Duration = Duration::from_secs(10);
const SHORTEST_REFRESH: Duration = Duration::from_secs(1);

pub struct Found {
    pub server: UpstreamServer,
    /// What its certificate is expected to hold.
    pub name: Option<String>,
    pub span: Span,
}

pub fn servers(cx: &mut Cx<'_>, key: &Key, fields: &Fields<'_>) -> Vec<Found> {
    let Some(node) = fields.get("servers") else {
        if !fields.refused {
            cx.error(key.span, format!("`servers` is missing in the upstream `{}`", key.text));
        }
        return Vec::new();
    };
    let items = cx.list(node, "addresses such as `127.0.0.1:3000`");
    if items.is_empty() && matches!(node.kind, Kind::Seq(_)) {
        cx.error(node.span, format!("the upstream `{}` has no server", key.text));
    }
    let mut out: Vec<Found> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for item in items {
        let Some(found) = server(cx, item) else { continue };
        if !seen.insert(found.server.written.clone()) {
            cx.error_help(
                item.span,
                format!("duplicate server `{}`", found.server.written),
                "`weight` gives one a larger share",
            );
        }
        out.push(found);
    }
    if !out.is_empty() && out.iter().all(|found| found.server.backup) {
        cx.error(node.span, "every server is a backup: of what?");
    }
    out
}

fn server(cx: &mut Cx<'_>, node: &Node) -> Option<Found> {
    const WHAT: &str = "an address such as `127.0.0.1:3000`";
    if !matches!(node.kind, Kind::Map(_)) {
        let address = cx.read(node, WHAT, address::server)?;
        return Some(found(address, 1, false, node.span));
    }
    let fields = Fields::open(cx, node, &keys::UPSTREAM_SERVER)?;
    let weight = fields.get("weight").and_then(|node| cx.integer(node, 1, 1000));
    let weight = weight.and_then(|w| u32::try_from(w).ok()).unwrap_or(1);
    let backup = fields.get("backup").and_then(|node| cx.boolean(node)).unwrap_or(false);
    let refresh = fields.get("refresh").and_then(|node| cx.read(node, DURATION, refresh));
    let mut address = place(cx, &fields)?;
    if let ServerPlace::Named(named) = &mut address.place {
        named.refresh = refresh.unwrap_or(REFRESH);
    } else if fields.get("refresh").is_some() {
        cx.error_help(
            fields.key_span("refresh"),
            "`refresh` has no effect here",
            "an IP address or a path is not looked up",
        );
    }
    Some(found(address, weight, backup, node.span))
}

fn found(address: address::Server, weight: u32, backup: bool, span: Span) -> Found {
    let server = UpstreamServer { place: address.place, weight, backup, written: address.written };
    Found { server, name: address.name, span }
}

fn refresh(text: &str) -> Read<Duration> {
    let refresh = value::duration(text)?;
    if refresh < SHORTEST_REFRESH {
        return Err(Wrong::new("a name is looked up at most once a second"));
    }
    Ok(refresh)
}

/// One of `address`, `dns` and `srv`.
fn place(cx: &mut Cx<'_>, fields: &Fields<'_>) -> Option<address::Server> {
    let given: Vec<&str> = ["address", "dns", "srv"].into_iter().filter(|name| fields.get(name).is_some()).collect();
    match given.as_slice() {
        [] => {
            if !fields.refused {
                cx.error_help(fields.span, "`address` is missing in a server", "or `dns`, or `srv`");
            }
            None
        }
        [one] => {
            let node = fields.get(one)?;
            match *one {
                "dns" => cx.read(node, "a name and a port such as `app.internal:8080`", address::each),
                "srv" => cx.read(node, "a name such as `_http._tcp.app.internal`", address::services),
                _ => cx.read(node, "an address such as `127.0.0.1:3000`", address::server),
            }
        }
        [first, second, ..] => {
            cx.error_help(
                fields.key_span(second),
                format!("`{second}` is a second place beside `{first}`"),
                "a server has one; make it another entry of `servers`",
            );
            None
        }
    }
}
