//! `routes`: all routes, in the order of the file.

use std::collections::HashMap;

use super::action::Action;
use super::circles;
use super::definition::Route;
use super::matching::{Conditions, Match};
use super::reach::{self, Claim};
use crate::config::section::{AsSection, Form, Reader, Section, Shape, number, some_of};
use crate::config::upstream::Upstream;
use crate::config::yaml::{Kind, Node, Yaml};

/// At least one route.
pub fn routes() -> impl Form<Vec<Route>> {
    Routes
}

struct Routes;

impl Routes {
    fn list() -> impl Form<Vec<Option<Route>>> {
        const NONE: &str = "no route: every request would be answered with 404";
        some_of("routes", Tried, (NONE, Some("add for instance `- upstream: \"127.0.0.1:3000\"`")))
    }
}

/// A route, or the place of one that has errors.
struct Tried;

impl Form<Option<Route>> for Tried {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<Option<Route>> {
        Some(AsSection.read(reader, node))
    }

    fn shape(&self) -> Shape {
        Form::<Route>::shape(&AsSection)
    }

    fn print(&self, route: &Option<Route>) -> Yaml {
        route.as_ref().map_or(Yaml::Absent, |route| AsSection.print(route))
    }
}

impl Form<Vec<Route>> for Routes {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<Vec<Route>> {
        let mut tried = Self::list().read(reader, node)?;
        let Kind::Seq(items) = &node.kind else { return None };
        let mut claims = Vec::new();
        for (index, (item, route)) in items.iter().zip(&mut tried).enumerate() {
            if !item.is_bad() && !has_action(item) {
                reader.upstreams.doubt();
            }
            if let Some(route) = route.as_mut().filter(|route| route.name.is_empty()) {
                route.name = format!("routes[{index}]");
            }
            claims.push(match route {
                Some(route) => claim_of(route, item),
                None => claim_beside_errors(reader, item, index),
            });
        }
        reach::warn_unreachable(reader, &claims);
        circles::warn_circles(reader, &tried, &claims);
        let routes: Vec<Route> = tried.into_iter().flatten().collect();
        refuse_duplicate_names(reader, &routes);
        routes.iter().for_each(|route| route.warn_dead_strip(reader));
        Some(routes)
    }

    fn shape(&self) -> Shape {
        Self::list().shape()
    }

    fn print(&self, routes: &Vec<Route>) -> Yaml {
        Yaml::List(routes.iter().map(|route| AsSection.print(route)).collect())
    }
}

fn keys(item: &Node) -> impl Iterator<Item = &str> {
    let entries = if let Kind::Map(entries) = &item.kind { entries.as_slice() } else { &[] };
    entries.iter().map(|(key, _)| key.text.as_str())
}

/// Whether the route says by a key of ours what becomes of a request.
fn has_action(item: &Node) -> bool {
    keys(item).any(|key| Action::known(key).is_some())
}

/// Whether all keys of the route are ours: any other may have been meant as a condition.
fn is_understood(item: &Node) -> bool {
    matches!(item.kind, Kind::Map(_)) && keys(item).all(|key| Route::known(key).is_some())
}

fn claim_of(route: &Route, item: &Node) -> Claim {
    Claim {
        name: route.name.clone(),
        line: route.line,
        matcher: route.matcher.clone(),
        priority: route.priority,
        location: route.locations.matcher.0,
        is_certain: !route.matcher.has_errors && is_understood(item),
    }
}

/// What a route with errors, which are reported, says of the requests that it takes.
fn claim_beside_errors(reader: &Reader<'_>, item: &Node, index: usize) -> Claim {
    let mut reader = reader.afresh();
    let entry = |key: &str| item.entry(key);
    let matcher: Match = entry("match").and_then(|(_, node)| Conditions.read(&mut reader, node)).unwrap_or_default();
    let priority = entry("priority").and_then(|(_, node)| number(i32::MIN..=i32::MAX).read(&mut reader, node));
    let name = entry("name").and_then(|(_, node)| node.text().map(str::to_owned));
    Claim {
        name: name.unwrap_or_else(|| format!("routes[{index}]")),
        line: item.span.line,
        matcher,
        priority: priority.unwrap_or_default(),
        location: entry("match").map_or(item.span, |(key, _)| key.span),
        is_certain: !reader.failed() && is_understood(item),
    }
}

fn refuse_duplicate_names(reader: &mut Reader<'_>, routes: &[Route]) {
    let mut lines: HashMap<&str, usize> = HashMap::new();
    for route in routes {
        let location = route.locations.name.0;
        if let Some(line) = lines.insert(&route.name, location.line) {
            let help = format!("the first one is on line {line}");
            reader.error_help(location, format!("duplicate route name `{}`", route.name), help);
        }
    }
}

/// Reports what cannot hold for the upstreams that the routes lead to.
pub fn check_upstreams(reader: &mut Reader<'_>, routes: &[Route], upstreams: &[Upstream]) {
    for route in routes {
        route.check_host(reader, upstreams);
        route.check_grpc_web(reader, upstreams);
        route.warn_half_sticky(reader, upstreams);
        route.auth.iter().for_each(|auth| auth.check_services(reader, upstreams));
    }
}
