//! A route as YAML that can be fed back, defaults included. Must not know how YAML
//! is laid out.

use http::HeaderValue;

use super::emit::Yaml;
use super::model::*;
use super::value::{query_decode, template_text};
use super::value_upstream::key_source_text;

pub fn route(config: &Config, index: usize, route: &Route) -> Yaml {
    let mut entries = Vec::new();
    let mut add = |key: &str, value: Yaml| entries.push((key.to_owned(), value));
    // The name an unnamed route is given is not one that may be written.
    if route.name != format!("routes[{index}]") {
        add("name", Yaml::text(&route.name));
    }
    add("match", matcher(&route.matcher));
    add("priority", Yaml::word(route.priority));
    let proxied = !route.action.upstreams().is_empty();
    let name = |id: &UpstreamId| config.upstreams.get(id.0).map_or("", |u| u.name.as_str());
    if proxied {
        add("request", request(&route.request));
    }
    add("response", response(&route.response, proxied));
    if let Some(mirror) = &route.mirror {
        let (upstream, share) = (Yaml::text(name(&mirror.upstream)), Yaml::text(format!("{}%", mirror.share)));
        add("mirror", Yaml::map([("upstream", upstream), ("share", share)]));
    }
    match &route.action {
        Action::Upstream(id) => add("upstream", Yaml::text(name(id))),
        Action::Split(split) => {
            let share = |(id, share): &(UpstreamId, u32)| (name(id).to_owned(), Yaml::word(share));
            add("upstream", Yaml::Map(split.shares.iter().map(share).collect()));
            if let Some(by) = &split.by {
                add("split_by", Yaml::text(key_source_text(by)));
            }
        }
        Action::Redirect { to, status } => {
            let to = Yaml::text(template_text(to));
            add("redirect", Yaml::map([("to", to), ("status", Yaml::word(status.as_u16()))]));
        }
        Action::Respond { status, body, headers } => add(
            "respond",
            Yaml::map([
                ("status", Yaml::word(status.as_u16())),
                ("body", Yaml::text(body)),
                ("header", header_map(headers)),
            ]),
        ),
    }
    Yaml::Map(entries)
}

/// A condition has no default, so only those that are there are printed.
fn matcher(m: &Match) -> Yaml {
    let mut entries = Vec::new();
    let mut add = |key: &str, value: Yaml, there: bool| {
        if there {
            entries.push((key.to_owned(), value));
        }
    };
    add("host", Yaml::list(m.hosts.iter().map(host)), !m.hosts.is_empty());
    if let Some(pattern) = &m.path {
        add("path", path(pattern), true);
    }
    add("method", Yaml::list(m.methods.iter().map(Yaml::text)), !m.methods.is_empty());
    add("header", conditions(&m.headers), !m.headers.is_empty());
    add("query", conditions(&m.query), !m.query.is_empty());
    add("cookie", conditions(&m.cookies), !m.cookies.is_empty());
    add("client_ip", Yaml::list(m.client_ips.iter().map(Yaml::text)), !m.client_ips.is_empty());
    Yaml::Map(entries)
}

fn host(pattern: &HostPattern) -> Yaml {
    match pattern {
        HostPattern::Exact(host) => Yaml::text(host),
        HostPattern::Suffix(suffix) => Yaml::text(format!("*.{suffix}")),
        HostPattern::Any => Yaml::text("*"),
    }
}

fn path(pattern: &PathPattern) -> Yaml {
    match pattern {
        PathPattern::Prefix(path) => Yaml::text(path),
        PathPattern::Exact(path) => Yaml::map([("exact", Yaml::text(path))]),
        PathPattern::Regex(regex) => Yaml::map([("regex", Yaml::text(regex))]),
    }
}

fn conditions<N: ToString>(conditions: &[(N, ValuePattern)]) -> Yaml {
    let value = |pattern: &ValuePattern| match pattern {
        ValuePattern::Is(value) => Yaml::text(value),
        ValuePattern::Regex(regex) => Yaml::map([("regex", Yaml::text(regex))]),
        ValuePattern::Present => Yaml::map([("present", Yaml::word(true))]),
        ValuePattern::Absent => Yaml::map([("present", Yaml::word(false))]),
    };
    Yaml::Map(conditions.iter().map(|(name, p)| (name.to_string(), value(p))).collect())
}

fn request(edits: &RequestEdits) -> Yaml {
    let mut entries = Vec::new();
    if let Some(edit) = &edits.path {
        entries.push(("path".to_owned(), path_edit(edit)));
    }
    let decoded = |pairs: &[(String, String)]| {
        Yaml::Map(pairs.iter().map(|(k, v)| (query_decode(k), Yaml::text(query_decode(v)))).collect())
    };
    let query = Yaml::map([
        ("set", decoded(&edits.query.set)),
        ("add", decoded(&edits.query.add)),
        ("remove", Yaml::list(edits.query.remove.iter().map(|n| Yaml::text(query_decode(n))))),
    ]);
    let cookie = Yaml::map([
        ("set", texts(&edits.cookies.set)),
        ("remove", Yaml::list(edits.cookies.remove.iter().map(Yaml::text))),
    ]);
    let host = match &edits.host {
        HostPolicy::Preserve => "preserve",
        HostPolicy::Upstream => "upstream",
        HostPolicy::Literal(host) => host,
    };
    entries.push(("header".to_owned(), headers(&edits.headers)));
    entries.push(("query".to_owned(), query));
    entries.push(("cookie".to_owned(), cookie));
    entries.push(("host".to_owned(), Yaml::text(host)));
    Yaml::Map(entries)
}

fn path_edit(edit: &PathEdit) -> Yaml {
    match edit {
        PathEdit::StripPrefix(path) => Yaml::map([("strip_prefix", Yaml::text(path))]),
        PathEdit::AddPrefix(path) => Yaml::map([("add_prefix", Yaml::text(path))]),
        PathEdit::Replace(path) => Yaml::map([("replace", Yaml::text(path))]),
        PathEdit::Regex { pattern, with } => Yaml::map([("regex", Yaml::text(pattern)), ("with", Yaml::text(with))]),
    }
}

fn texts(pairs: &[(String, String)]) -> Yaml {
    Yaml::Map(pairs.iter().map(|(k, v)| (k.clone(), Yaml::text(v))).collect())
}

fn headers(edits: &HeaderEdits) -> Yaml {
    Yaml::map([
        ("set", header_map(&edits.set)),
        ("add", header_map(&edits.add)),
        ("remove", Yaml::list(edits.remove.iter().map(Yaml::text))),
    ])
}

fn header_map(headers: &[(FieldName, HeaderValue)]) -> Yaml {
    let text = |value: &HeaderValue| Yaml::text(String::from_utf8_lossy(value.as_bytes()));
    Yaml::Map(headers.iter().map(|(field, value)| (field.spelled.clone(), text(value))).collect())
}

fn response(edits: &ResponseEdits, proxied: bool) -> Yaml {
    let mut entries = vec![("header".to_owned(), headers(&edits.headers))];
    if proxied {
        let location = if edits.rewrite_location { Yaml::word("rewrite") } else { Yaml::text("off") };
        entries.push(("cookie".to_owned(), set_cookie(&edits.set_cookie)));
        entries.push(("location".to_owned(), location));
    }
    Yaml::Map(entries)
}

fn set_cookie(edits: &SetCookieEdits) -> Yaml {
    let secure = match edits.secure {
        SecurePolicy::Keep => "keep",
        SecurePolicy::Auto => "auto",
        SecurePolicy::Always => "true",
        SecurePolicy::Never => "false",
    };
    let same_site = edits.same_site.map(|s| match s {
        SameSite::Strict => Yaml::word("strict"),
        SameSite::Lax => Yaml::word("lax"),
        SameSite::None => Yaml::word("none"),
    });
    Yaml::map([
        ("domain", texts(&edits.domain)),
        ("path", texts(&edits.path)),
        ("secure", Yaml::word(secure)),
        ("http_only", Yaml::or_null(edits.http_only.map(Yaml::word))),
        ("same_site", Yaml::or_null(same_site)),
    ])
}
