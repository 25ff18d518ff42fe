//! A route: the sections that make one.

use super::access::Access;
use super::action::Action;
use super::auth::{Auth, Oidc};
use super::concurrency::Concurrency;
use super::cors::Cors;
use super::matching::{Conditions, Match, PathPattern};
use super::mirror::Mirror;
use super::rate_limit::RateLimit;
use super::request::{HostPolicy, PathEdit, RequestEdits};
use super::response::ResponseEdits;
use crate::config::limits::RouteLimits;
use crate::config::paths::RoutePaths;
use crate::config::section::{AsSection, Fields, Form, Reader, Shape, one_or_list, section};
use crate::config::timeouts::RouteTimeouts;
use crate::config::upstream::Upstream;
use crate::config::value::{Address, LimitKey, NAME, ServerPlace};
use crate::config::yaml::{Invalid, Location, Node, Yaml};
use crate::message::path::has_prefix;

section! {
    /// Which requests it takes, what is changed, and where they go.
    #[derive(Clone, Debug)]
    "a route" pub struct Route {
        /// For logs and `explain`; by default its place in the list, as in `routes[3]`.
        name: String, with GivenName;
        /// All conditions must hold. Without conditions the route takes every request.
        matcher as "match": Match = {}, with Conditions;
        /// A route with a higher priority is tried first.
        priority: i32 = 0, in -1_000_000..=1_000_000;
        /// What happens to a path that services read in different ways, if this route is one of those that it leads to.
        paths: RoutePaths = {};
        /// Which clients are let in, by the address that is believed to be theirs.
        access: Access = {};
        /// How many requests pass in a time; those above it are answered with 429. One limit, or a list of them.
        rate_limits as "rate_limit": Vec<RateLimit>, with one_or_list("a map with keys such as `rate`, `burst`, `key`", AsSection).if_empty("an empty list limits nothing", "leave the key out for no limit");
        /// Changes to a request before it goes to the upstream.
        request: RequestEdits = {};
        /// Changes to a response before it goes to the client.
        response: ResponseEdits = {};
        /// Which pages of other origins may use the route. The proxy then answers preflights itself, without asking who the client is, and its fields replace the `Access-Control-*` of the upstream.
        cors: Option<Cors>;
        /// Who may send requests; each of them is asked, whatever its method.
        auth: Option<Auth>;
        /// Limits of this route in the place of the `limits` of the whole file.
        limits: RouteLimits = {};
        /// Deadlines of this route in the place of the `timeouts` of the whole file.
        timeouts: RouteTimeouts = {};
        /// How many requests of this route may be at its upstream at the same time.
        concurrency: Option<Concurrency>;
        /// Sends copies of requests to another upstream and ignores its answers.
        mirror: Option<Mirror>;
        /// Whether requests and responses may be quiet for long, as in long polls: `timeouts.tunnel_idle` then replaces `request_body_idle` and the upstream's `response_header` and `read_idle`, and `min_rate` and the upstream's `request` do not apply. WebSockets and responses of type text/event-stream need no such key.
        stream: bool = false;
        /// Whether calls of gRPC-Web, in its binary and its text form, go to the upstream as calls of gRPC, which that takes by HTTP/2. A server that speaks gRPC-Web itself needs no such key.
        grpc_web: bool = false;
    }
    last { action: Action }
    derived {
        /// Line in the file, for `explain`; 0 where there is no file.
        line: usize,
        locations: Locations,
    }
    later { compress, cache, files }
    no_effect Route::no_effect;
    check Route::check;
}

/// Where some keys of a route stand.
#[derive(Clone, Debug, Default)]
pub struct Locations {
    pub name: Location,
    /// The key `match`, or the route.
    pub matcher: Location,
    /// The key `request.host`.
    host: Location,
    /// The key `upstream`.
    upstream: Location,
    /// The key `grpc_web`.
    grpc_web: Location,
    /// Where a redirect leads.
    pub redirect: Location,
    /// The value of `request.path.strip_prefix`.
    pub strip_prefix: Location,
}

impl Route {
    fn no_effect(&self, key: &str) -> Option<Invalid> {
        let has_no_effect = matches!(key, "request" | "mirror" | "stream" | "grpc_web" | "concurrency")
            && self.action.upstreams().is_empty();
        has_no_effect.then(|| self.without_effect(key))
    }

    fn without_effect(&self, key: &str) -> Invalid {
        let why = format!("a `{}` route sends nothing to an upstream", self.action.key());
        Invalid::with_help(format!("`{key}` has no effect here"), why)
    }

    fn check(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        self.line = fields.span.line;
        self.locations.name.0 = fields.get("name").map_or(fields.span, |node| node.span);
        self.locations.matcher.0 = fields.key_span("match");
        let request = |key: &str| fields.get("request").and_then(|request| request.entry(key));
        if let Some((key, _)) = request("host") {
            self.locations.host.0 = key.span;
        }
        if let Some((_, prefix)) = request("path").and_then(|(_, edit)| edit.entry("strip_prefix")) {
            self.locations.strip_prefix.0 = prefix.span;
        }
        let target = fields.get("redirect").map(|node| node.entry("to").map_or(node, |(_, to)| to));
        self.locations.redirect.0 = target.map_or(fields.span, |node| node.span);
        self.locations.upstream.0 = fields.key_span("upstream");
        self.locations.grpc_web.0 = fields.key_span("grpc_web");
        if self.cors.is_some() {
            Cors::warn_unreached(reader, fields.key_span("cors"), &self.matcher);
        }
        if let Some(oidc) = self.auth.as_ref().and_then(|auth| auth.oidc.as_ref()) {
            oidc.warn_unreached(reader, &self.matcher);
        }
        self.check_shared_limits(reader, fields);
        self.check_limits_by_claim(reader, fields);
        self.response.is_local = self.action.upstreams().is_empty();
        let Some(response) = fields.get("response").filter(|_| self.response.is_local) else { return };
        for (key, _) in ResponseEdits::OF_UPSTREAMS.iter().filter_map(|name| response.entry(name)) {
            reader.invalid(key.span, self.without_effect(&key.text));
        }
    }

    /// Proxies that share a limit find its counters by the route's name.
    fn check_shared_limits(&self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        if self.name.is_empty() && self.rate_limits.iter().any(|limit| limit.store.is_some()) {
            let message = "a limit that several proxies share needs a route with a name";
            reader.error_help(
                fields.key_span("rate_limit"),
                message,
                "add for instance `name: api`: it is counted by that",
            );
        }
    }

    /// Without a token, all requests would be counted together.
    fn check_limits_by_claim(&self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        let of_login = self.auth.as_ref().and_then(|auth| auth.oidc.as_ref()).map(Oidc::kept_claims);
        let has_token = self.auth.as_ref().is_some_and(|auth| auth.jwt.is_some());
        let is_by_claim = |limit: &RateLimit| match (&limit.key, &of_login) {
            (LimitKey::Claim(claim), Some(kept)) => claim != "sub" && !kept.contains(claim),
            (LimitKey::Claim(_), None) => true,
            (LimitKey::ClientIp | LimitKey::Header(_) | LimitKey::Cookie(_) | LimitKey::Route, _) => false,
        };
        if of_login.is_some() && self.rate_limits.iter().any(is_by_claim) {
            let message = "a session of `auth.oidc` does not have this claim";
            let help = "count by `claim:sub`, or name the claim in `claims_to_headers` or `required`";
            reader.error_help(fields.key_span("rate_limit"), message, help);
        } else if self.rate_limits.iter().any(is_by_claim) && !has_token {
            let message = "`claim:` counts by a token, and this route asks for none";
            reader.error_help(
                fields.key_span("rate_limit"),
                message,
                "add `auth: { jwt: … }`, or count by another key",
            );
        }
    }

    /// Warns of a split of which only some parts are sticky: each client ends up at those.
    pub fn warn_half_sticky(&self, reader: &mut Reader<'_>, upstreams: &[Upstream]) {
        let parts: Vec<&Upstream> =
            self.action.upstreams().iter().filter_map(|upstream| upstreams.get(upstream.index)).collect();
        let (sticky, others): (Vec<&Upstream>, Vec<&Upstream>) = parts.iter().partition(|part| part.sticky.is_some());
        let (Some(stays), Some(moves)) = (sticky.first(), others.first()) else { return };
        let message = format!("clients of `{}` move to `{}` in time, and stay there", moves.name, stays.name);
        let help = format!("only `{}` has `sticky`; give it to every part of the split", stays.name);
        reader.warn(self.locations.upstream.0, message, Some(help));
    }

    /// Warns of a `strip_prefix` that no path of the route begins with.
    pub fn warn_dead_strip(&self, reader: &mut Reader<'_>) {
        let Some(PathEdit::StripPrefix(prefix)) = &self.request.path else { return };
        let may_begin = |pattern: &PathPattern| match pattern {
            PathPattern::Prefix(path) => has_prefix(path, prefix) || has_prefix(prefix, path),
            PathPattern::Exact(path) => has_prefix(path, prefix),
            PathPattern::Regex(_) => true,
        };
        let paths = &self.matcher.paths;
        if !paths.is_empty() && !self.matcher.has_errors && !paths.iter().any(may_begin) {
            let message = format!("no path of this route begins with `{prefix}`: nothing is taken off");
            let first = paths.iter().find_map(|path| match path {
                PathPattern::Prefix(path) | PathPattern::Exact(path) => Some(format!("its `match` takes `{path}`")),
                PathPattern::Regex(_) => None,
            });
            reader.warn(self.locations.strip_prefix.0, message, first);
        }
    }

    /// Reports `grpc_web` where an upstream cannot take gRPC.
    pub fn check_grpc_web(&self, reader: &mut Reader<'_>, upstreams: &[Upstream]) {
        let upstreams = self.action.upstreams().into_iter().filter_map(|upstream| upstreams.get(upstream.index));
        for upstream in upstreams.filter(|upstream| self.grpc_web && !upstream.protocol.is_maybe_http2()) {
            let message = format!("gRPC needs HTTP/2, and the upstream `{}` is spoken to in HTTP/1.1", upstream.name);
            reader.error_help(
                self.locations.grpc_web.0,
                message,
                "give the upstream `protocol: h2c`, or `http2` with `tls`",
            );
        }
    }

    /// Reports `host: upstream` where a server has no name to send.
    pub fn check_host(&self, reader: &mut Reader<'_>, upstreams: &[Upstream]) {
        if self.request.host != HostPolicy::Upstream {
            return;
        }
        let is_unix = |place: &ServerPlace| matches!(place, ServerPlace::At(Address::Unix(_)));
        for upstream in self.action.upstreams().iter().filter_map(|upstream| upstreams.get(upstream.index)) {
            if upstream.tls.is_none() && upstream.servers.iter().any(|server| is_unix(&server.address.place)) {
                let message = "a server on a Unix socket has no name to send";
                reader.error_help(self.locations.host.0, message, "write the name itself");
            }
        }
    }
}

/// The name of a route; one that is made of its place in the list is not printed.
struct GivenName;

impl Form<String> for GivenName {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<String> {
        NAME.read(reader, node)
    }

    fn shape(&self) -> Shape {
        NAME.shape()
    }

    fn print(&self, name: &String) -> Yaml {
        if name.ends_with(']') { Yaml::Absent } else { NAME.print(name) }
    }
}
