//! `routes`: all routes, in the order of the file.

use std::collections::HashMap;

use super::definition::Route;
use super::reach;
use crate::config::section::{AsSection, Form, Reader, Shape, some_of};
use crate::config::upstream::Upstream;
use crate::config::yaml::{Node, Yaml};

/// At least one route.
pub fn routes() -> impl Form<Vec<Route>> {
    Routes
}

struct Routes;

impl Routes {
    fn list() -> impl Form<Vec<Route>> {
        const NONE: &str = "no route: every request would be answered with 404";
        some_of("routes", AsSection, (NONE, Some("add for instance `- upstream: \"127.0.0.1:3000\"`")))
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
    for route in routes {
        route.check_host(reader, upstreams);
        route.warn_half_sticky(reader, upstreams);
    }
}
