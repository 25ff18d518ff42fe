//! `GET /routes`: what each route takes and where that goes, in the words of the log.

use serde::Serialize;

use super::answer::Answer;
use crate::config::Config;
use crate::server::announce::{describe_action, describe_match};
use crate::server::conditions;

#[derive(Serialize)]
struct Routes<'c> {
    routes: Vec<Route<'c>>,
}

#[derive(Serialize)]
struct Route<'c> {
    name: &'c str,
    /// In the file.
    line: usize,
    r#match: String,
    /// What it asks for beside host and path.
    conditions: Vec<String>,
    action: String,
    priority: i64,
}

pub fn answer(config: &Config) -> Answer {
    let routes = config.routes.iter().map(|route| Route {
        name: &route.name,
        line: route.line,
        r#match: describe_match(&route.matcher),
        conditions: conditions::describe(&route.matcher),
        action: describe_action(route, &config.upstreams),
        priority: route.priority.into(),
    });
    Answer::json(&Routes { routes: routes.collect() })
}
