//! `routes`: which request goes where, and what is changed on its way.

mod action;
mod edits;
mod matching;
mod mirror;
pub mod rank;
mod reach;
mod request;
mod response;
mod upstream_ref;

use std::collections::HashMap;

pub use action::{Action, Redirect, Respond, Split};
pub use edits::{CookieEdits, HeaderEdits, QueryEdits};
use matching::Conditions;
pub use matching::{Match, PathPattern, ValuePattern};
pub use mirror::Mirror;
pub use request::{HostPolicy, PathEdit, RequestEdits};
pub use response::{ResponseEdits, SameSite, SecurePolicy, SetCookieEdits};
pub use upstream_ref::UpstreamRef;

use super::section::{Fields, Form, Map, Reader, Shape, section, some_of};
use super::upstream::Upstream;
use super::value::{Address, NAME, ServerPlace};
use super::yaml::{Invalid, Location, Node, Yaml};

section! {
    /// Which requests it takes, what is changed, and where they go.
    #[derive(Clone, Debug)]
    "a route" pub struct Route {
        /// For logs and `explain`; by default its place in the list, as in `routes[3]`.
        name: String, with GivenName;
        /// All conditions must hold; none is every request.
        matcher as "match": Match = {}, with Conditions;
        /// A route with a higher priority is tried first.
        priority: i32 = 0, in -1_000_000..=1_000_000;
        /// What is changed before a request goes to the upstream.
        request: RequestEdits = {};
        /// What is changed before a response goes to the client.
        response: ResponseEdits = {};
        /// Copies of requests to another upstream, whatever becomes of them.
        mirror: Option<Mirror>;
    }
    last { action: Action }
    beside {
        /// Line in the file, for `explain`; 0 where there is no file.
        line: usize,
        locations: Locations,
    }
    later { limits, timeouts, rate_limit, concurrency, access, stream, auth, cors, compress, cache, files }
    dead Route::dead;
    check Route::check;
}

/// Where some keys of a route stand.
#[derive(Clone, Debug, Default)]
pub struct Locations {
    name: Location,
    /// The key `match`, or the route.
    matcher: Location,
    /// The key `request.host`.
    host: Location,
}

impl Route {
    fn dead(&self, key: &str) -> Option<Invalid> {
        let is_dead = matches!(key, "request" | "mirror") && self.action.upstreams().is_empty();
        is_dead.then(|| self.without_effect(key))
    }

    fn without_effect(&self, key: &str) -> Invalid {
        let why = format!("a `{}` route sends nothing to an upstream", self.action.key());
        Invalid::with_help(format!("`{key}` has no effect here"), why)
    }

    fn check(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        self.line = fields.span.line;
        self.locations.name.0 = fields.get("name").map_or(fields.span, |node| node.span);
        self.locations.matcher.0 = fields.key_span("match");
        if let Some((key, _)) = fields.get("request").and_then(|request| request.entry("host")) {
            self.locations.host.0 = key.span;
        }
        self.response.is_local = self.action.upstreams().is_empty();
        let Some(response) = fields.get("response").filter(|_| self.response.is_local) else { return };
        for (key, _) in ResponseEdits::OF_UPSTREAMS.iter().filter_map(|name| response.entry(name)) {
            reader.invalid(key.span, self.without_effect(&key.text));
        }
    }

    /// Reports `host: upstream` where a server has no name to send.
    fn check_host(&self, reader: &mut Reader<'_>, upstreams: &[Upstream]) {
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

/// At least one route.
pub fn routes() -> impl Form<Vec<Route>> {
    Routes
}

struct Routes;

impl Routes {
    fn list() -> impl Form<Vec<Route>> {
        const NONE: &str = "no route: every request would be answered with 404";
        some_of("routes", Map, (NONE, Some("add for instance `- upstream: \"127.0.0.1:3000\"`")))
    }
}

impl Form<Vec<Route>> for Routes {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<Vec<Route>> {
        let mut routes = Self::list().read(reader, node)?;
        // Without errors every item of the list has become a route.
        let mut names: HashMap<String, usize> = HashMap::new();
        for (index, route) in routes.iter_mut().enumerate() {
            if route.name.is_empty() {
                route.name = format!("routes[{index}]");
            } else if let Some(line) = names.insert(route.name.clone(), route.locations.name.0.line) {
                let help = format!("the first one is on line {line}");
                reader.error_help(route.locations.name.0, format!("duplicate route name `{}`", route.name), help);
            }
        }
        reach::warn_unreachable(reader, &routes);
        Some(routes)
    }

    fn shape(&self) -> Shape {
        Self::list().shape()
    }

    fn print(&self, routes: &Vec<Route>) -> Yaml {
        Self::list().print(routes)
    }
}

/// Reports what cannot hold for the upstreams that the routes lead to.
pub fn check_upstreams(reader: &mut Reader<'_>, routes: &[Route], upstreams: &[Upstream]) {
    routes.iter().for_each(|route| route.check_host(reader, upstreams));
}
