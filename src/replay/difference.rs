//! What differs between two ends of one request, in words.

use super::facts::RouteFacts;
use super::prepared::Prepared;
use crate::proxy::{Forecast, Outcome};

/// How a request fares under either configuration, where that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What becomes of it now, and what would.
    pub from: String,
    pub to: String,
    /// `route`, `upstream`, `auth`, `outcome`, `edits`.
    pub what: Vec<&'static str>,
    /// What differs of this very request.
    pub details: Vec<String>,
}

/// What two forecasts have in common, or not.
#[derive(Debug)]
pub enum Compared {
    Same,
    Differ(Difference),
    /// The edits differ in a way that need not concern this request.
    EditsUnlogged(String),
}

pub fn compare((old, a): (&Prepared, &Forecast), (new, b): (&Prepared, &Forecast)) -> Compared {
    let (was, is) = (facts(old, a), facts(new, b));
    let (mut what, mut details) = (Vec::new(), Vec::new());
    if was.map(|route| &route.identity) != is.map(|route| &route.identity) {
        what.push("route");
    }
    fn auth(facts: Option<&RouteFacts>) -> Option<&str> {
        facts.and_then(|route| route.auth.as_ref()).map(|(_, whole)| whole.as_str())
    }
    if auth(was) != auth(is) {
        what.push("auth");
    }
    let mut is_open = None;
    match (&a.outcome, &b.outcome) {
        (Outcome::Forwarded { upstream: x, sent: up, .. }, Outcome::Forwarded { upstream: y, sent: goes, .. }) => {
            if is_elsewhere((old, was, x), (new, is, y)) {
                what.push("upstream");
            }
            details = differing(up, goes);
            if was.map(|route| &route.response) != is.map(|route| &route.response) {
                details.push("`response`, `cors` or `mirror` of the route differs".to_owned());
            }
            if !details.is_empty() {
                what.push("edits");
            } else if was.map(|route| &route.request) != is.map(|route| &route.request) {
                is_open = is;
            }
        }
        (Outcome::Redirected { status: x, location: to }, Outcome::Redirected { status: y, location: leads }) => {
            if x != y || to != leads {
                what.push("outcome");
            }
            if to != leads {
                details.push(format!("Location: {to} → {leads}"));
            }
        }
        (Outcome::Answered { status: x }, Outcome::Answered { status: y }) => {
            let answer = |facts: Option<&RouteFacts>| facts.map(|route| (route.answer.clone(), route.response.clone()));
            if x != y || answer(was) != answer(is) {
                what.push("outcome");
            }
        }
        (Outcome::Refused(x), Outcome::Refused(y)) if x == y => {}
        (
            Outcome::Refused(_) | Outcome::Forwarded { .. } | Outcome::Redirected { .. } | Outcome::Answered { .. },
            Outcome::Refused(_) | Outcome::Forwarded { .. } | Outcome::Redirected { .. } | Outcome::Answered { .. },
        ) => what.push("outcome"),
    }
    match is_open {
        Some(route) if what.is_empty() => Compared::EditsUnlogged(format!(
            "route {} edits fields that the log does not hold in another way",
            route.label
        )),
        Some(_) | None if what.is_empty() => Compared::Same,
        Some(_) | None => Compared::Differ(Difference { from: told(was, a), to: told(is, b), what, details }),
    }
}

pub fn facts<'p>(prepared: &'p Prepared, forecast: &Forecast) -> Option<&'p RouteFacts> {
    forecast.route.and_then(|index| prepared.routes.get(index))
}

/// Whether it goes to another upstream: one of another name, or none of whose servers is the same.
fn is_elsewhere(
    (old, was, x): (&Prepared, Option<&RouteFacts>, &str),
    (new, is, y): (&Prepared, Option<&RouteFacts>, &str),
) -> bool {
    match (was.and_then(|route| route.shares.as_ref()), is.and_then(|route| route.shares.as_ref())) {
        (None, None) => {}
        (before, after) => return before != after,
    }
    let apart = || match (old.servers.get(x), new.servers.get(y)) {
        (Some(before), Some(after)) => before.is_disjoint(after),
        (None, _) | (_, None) => false,
    };
    x != y || apart()
}

/// The lines that one has and the other has not.
fn differing(before: &[String], after: &[String]) -> Vec<String> {
    if before == after {
        return Vec::new();
    }
    let mut found = Vec::new();
    if before.first() != after.first() {
        let line = |lines: &[String]| lines.first().cloned().unwrap_or_default();
        found.push(format!("{} → {}", line(before), line(after)));
    }
    let only = |these: &[String], those: &[String], sign: &str| {
        let missing = these.iter().skip(1).filter(|line| !those.iter().skip(1).any(|other| other == *line));
        missing.map(|line| format!("{sign}{line}")).collect::<Vec<_>>()
    };
    found.extend(only(before, after, "- "));
    found.extend(only(after, before, "+ "));
    found
}

fn told(route: Option<&RouteFacts>, forecast: &Forecast) -> String {
    let end = match &forecast.outcome {
        Outcome::Refused(cause) => format!("refused with {} ({})", cause.status(), cause.reason()),
        Outcome::Redirected { status, .. } => format!("redirected with {}", status.as_u16()),
        Outcome::Answered { status } => format!("answered with {}", status.as_u16()),
        Outcome::Forwarded { upstream, .. } => match route.and_then(|route| route.shares.as_ref()) {
            Some(shares) => format!("split among {shares}"),
            None => format!("to upstream `{upstream}`"),
        },
    };
    let Some(route) = route else { return end };
    let asks = route.auth.as_ref().map_or(String::new(), |(kind, _)| format!(", asks by `{kind}`"));
    format!("route {}{asks}, {end}", route.label)
}
