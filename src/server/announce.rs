//! What the log says when the process starts to serve: where it listens, what leads where, and how
//! it is told something.

use std::net::SocketAddr;

use super::conditions;
use crate::config::{
    Action, Address, Config, HostPattern, Lookup, Match, PathPattern, Route, ServerPlace, Source, Upstream,
};

/// Routes that are listed; `explain` knows the others.
const MOST_ROUTES: usize = 10;

/// A listener as a client calls it. `bound` is its address once the kernel has chosen a port.
pub fn listener(bound: &Address, ipv6_only: bool, tls: bool) -> String {
    match bound {
        Address::Unix(path) if tls => format!("listening on unix:{} with TLS", path.display()),
        Address::Unix(path) => format!("listening on unix:{}", path.display()),
        Address::Tcp(address) => {
            format!("listening on {}://{}", if tls { "https" } else { "http" }, place(*address, ipv6_only))
        }
    }
}

fn place(address: SocketAddr, ipv6_only: bool) -> String {
    if !address.ip().is_unspecified() {
        return address.to_string();
    }
    let which = match (address.is_ipv4(), ipv6_only) {
        (true, _) => "every IPv4 address",
        (false, true) => "every IPv6 address",
        (false, false) => "every address",
    };
    format!("localhost:{} ({address}: {which})", address.port())
}

/// A line for each route: what it takes, and where that goes.
pub fn routes(config: &Config) -> Vec<String> {
    let mut lines: Vec<String> =
        config.routes.iter().take(MOST_ROUTES).map(|route| describe_route(route, &config.upstreams)).collect();
    if let Some(more) = config.routes.len().checked_sub(MOST_ROUTES).filter(|more| *more > 0) {
        lines.push(format!("and {more} more routes: `pingora-proxy explain` tells which one takes a request"));
    }
    lines
}

fn describe_route(route: &Route, upstreams: &[Upstream]) -> String {
    let to = describe_action(route, upstreams);
    format!("route {}: {} -> {to}", route.name, describe_match(&route.matcher))
}

/// Where a route's requests go.
pub fn describe_action(route: &Route, upstreams: &[Upstream]) -> String {
    match &route.action {
        Action::Upstream(upstream) => describe_upstream(upstreams.get(upstream.index)),
        Action::Split(split) => {
            let all: u32 = split.shares.iter().map(|(_, share)| share).sum();
            let part = |(upstream, share): &(_, u32)| share_of(*share, all, upstream);
            split.shares.iter().map(part).collect::<Vec<_>>().join(", ")
        }
        Action::Redirect(redirect) => format!("a redirect ({})", redirect.status.as_u16()),
        Action::Respond(respond) => format!("the answer {}", respond.status.as_u16()),
    }
}

fn share_of(share: u32, all: u32, upstream: &crate::config::UpstreamRef) -> String {
    format!("{share}/{all} {}", upstream.name)
}

/// What a route takes.
pub fn describe_match(matcher: &Match) -> String {
    let Match { hosts, paths, .. } = matcher;
    let hosts = hosts.iter().map(HostPattern::to_string).collect::<Vec<_>>().join(" | ");
    let path = |path: &PathPattern| match path {
        PathPattern::Prefix(prefix) => format!("{}/*", prefix.trim_end_matches('/')),
        PathPattern::Exact(path) => path.clone(),
        PathPattern::Regex(regex) => format!(" ~ {regex}"),
    };
    let path = paths.iter().map(path).collect::<Vec<_>>().join(" | ");
    let place = match (hosts.is_empty(), path.is_empty()) {
        (true, true) => "everything".to_owned(),
        _ => format!("{hosts}{path}").trim_start().to_owned(),
    };
    match conditions::describe(matcher).len() {
        0 => place,
        1 => format!("{place} with a condition"),
        others => format!("{place} with {others} conditions"),
    }
}

fn describe_upstream(upstream: Option<&Upstream>) -> String {
    const MOST: usize = 3;
    let Some(upstream) = upstream else { return String::new() };
    let server = |place: &ServerPlace| match place {
        ServerPlace::At(address) => address.to_string(),
        ServerPlace::Named(named) => match named.kind {
            Lookup::One { port } | Lookup::Each { port } => format!("{}:{port}", named.name),
            Lookup::Services => named.name.clone(),
        },
    };
    let scheme = if upstream.tls.is_some() { "https://" } else { "http://" };
    let servers: Vec<String> = upstream.servers.iter().map(|entry| server(&entry.address.place)).collect();
    let first = servers.iter().take(MOST).map(|server| match server.starts_with("unix:") {
        true => server.clone(),
        false => format!("{scheme}{server}"),
    });
    let mut text = first.collect::<Vec<_>>().join(", ");
    if let Some(more) = servers.len().checked_sub(MOST).filter(|more| *more > 0) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// Where the admin endpoint is.
pub fn admin(address: &Address, tls: bool) -> String {
    match address {
        Address::Tcp(address) => {
            let scheme = if tls { "https" } else { "http" };
            format!("admin: {scheme}://{address}/ for a browser; /health, /ready")
        }
        Address::Unix(path) => format!("admin: unix:{}", path.display()),
    }
}

/// How the process is told something and ended.
pub fn commands(source: Option<&Source>, has_control: bool) -> String {
    const OTHERS: &str = "also -s status, -s upgrade, -s quit";
    match (source, has_control) {
        (Some(Source::File(path)), true) => format!("reload: pingora-proxy -c {} -s reload; {OTHERS}", path.display()),
        (Some(Source::Input(_)), true) => {
            format!("another configuration: pingora-proxy -c - -u < FILE; {OTHERS} with -c -")
        }
        (Some(Source::File(_)), false) => "reload: signal HUP; the end: TERM".to_owned(),
        (Some(Source::Input(_)) | None, _) => "there is no file to reload; the end: TERM, or Ctrl-C".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn lines(yaml: &str) -> Vec<String> {
        let text = format!("listeners: [':80']\n{yaml}");
        routes(&parse("p.yaml", &text, &|_| None).unwrap_or_else(|e| panic!("{e}")).0)
    }

    #[test]
    fn a_listener_is_a_url() {
        let tcp = |text: &str| listener(&Address::Tcp(text.parse().unwrap()), false, false);
        assert_eq!(tcp("127.0.0.1:8080"), "listening on http://127.0.0.1:8080");
        assert_eq!(tcp("[::1]:8080"), "listening on http://[::1]:8080");
        assert_eq!(tcp("0.0.0.0:80"), "listening on http://localhost:80 (0.0.0.0:80: every IPv4 address)");
        assert_eq!(tcp("[::]:80"), "listening on http://localhost:80 ([::]:80: every address)");
        let ipv6 = listener(&Address::Tcp("[::]:80".parse().unwrap()), true, false);
        assert_eq!(ipv6, "listening on http://localhost:80 ([::]:80: every IPv6 address)");
        let unix = |tls| listener(&Address::Unix("/a.sock".into()), false, tls);
        assert_eq!(
            (unix(false), unix(true)),
            ("listening on unix:/a.sock".into(), "listening on unix:/a.sock with TLS".into())
        );
        let tls = listener(&Address::Tcp("0.0.0.0:443".parse().unwrap()), false, true);
        assert_eq!(tls, "listening on https://localhost:443 (0.0.0.0:443: every IPv4 address)");
    }

    #[test]
    fn a_route_says_what_it_takes_and_where_that_goes() {
        let yaml = "upstreams:\n  a: { servers: ['127.0.0.1:1', 'h.test:2', '127.0.0.1:3', '127.0.0.1:4'] }\n  \
                    b: { servers: ['unix:/b.sock'] }\nroutes:\n  - upstream: b\n  \
                    - { name: api, match: { host: [a.test, '*.b.test'], path: /api/, method: GET }, upstream: a }\n  \
                    - { match: { path: { exact: /x } }, redirect: 'https://{host}{path}' }\n  \
                    - { match: { path: { regex: '^/v' }, cookie: { c: '1' }, query: { q: '1' } }, respond: { status: 404 } }\n  \
                    - { match: { host: c.test }, upstream: { a: 9, b: 1 } }\n";
        assert_eq!(
            lines(yaml),
            [
                "route routes[0]: everything -> unix:/b.sock",
                "route api: a.test | *.b.test/api/* with a condition -> http://127.0.0.1:1, http://h.test:2, http://127.0.0.1:3 and 1 more",
                "route routes[2]: /x -> a redirect (308)",
                "route routes[3]: ~ ^/v with 2 conditions -> the answer 404",
                "route routes[4]: c.test -> 9/10 a, 1/10 b",
            ]
        );
        let many = (0..12).map(|n| format!("  - {{ match: {{ path: /p{n} }}, respond: {{}} }}\n")).collect::<String>();
        let told = lines(&format!("routes:\n{many}"));
        assert_eq!((told.len(), told[10].starts_with("and 2 more routes")), (11, true));
    }

    #[test]
    fn the_commands_name_the_file() {
        let file = Source::File("/etc/p.yaml".into());
        assert_eq!(
            commands(Some(&file), true),
            "reload: pingora-proxy -c /etc/p.yaml -s reload; also -s status, -s upgrade, -s quit"
        );
        let input = Source::Input("".into());
        assert!(commands(Some(&input), true).contains("pingora-proxy -c - -u < FILE"));
        assert!(commands(Some(&file), false).contains("HUP"));
        assert!(commands(Some(&input), false).contains("no file") && commands(None, false).contains("Ctrl-C"));
        let tcp = Address::Tcp("127.0.0.1:9180".parse().unwrap());
        assert_eq!(admin(&tcp, false), "admin: http://127.0.0.1:9180/ for a browser; /health, /ready");
        assert_eq!(admin(&tcp, true), "admin: https://127.0.0.1:9180/ for a browser; /health, /ready");
        assert_eq!(admin(&Address::Unix("/a.sock".into()), false), "admin: unix:/a.sock");
    }
}
