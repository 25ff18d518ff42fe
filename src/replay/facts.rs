//! What is known of a route beside what it does with one request: who it is in the other
//! configuration, what it matches on that a log does not hold, and what it does that needs an answer.

use crate::config::{self, Action, Config, KeySource, Match, Route, ValuePattern};

/// Header fields that the access log holds.
const LOGGED: [&str; 3] = ["host", "user-agent", "referer"];

/// A route, as far as two of them are compared.
#[derive(Debug)]
pub struct RouteFacts {
    /// For a person: its name, and the line where it has none of its own.
    pub label: String,
    /// Two routes of the same identity are one. A route without a name is what it does.
    pub identity: String,
    /// What it matches on that a log does not hold.
    pub unlogged: Option<Unlogged>,
    /// How it asks who may pass, and the whole of it.
    pub auth: Option<(&'static str, String)>,
    pub cors: String,
    /// What it does to responses, and where copies go.
    pub response: String,
    /// Edits of requests that may concern what a log does not hold.
    pub request: String,
    /// The answer that it gives by itself.
    pub answer: String,
    /// The shares of a split that is not decided by what a log holds.
    pub shares: Option<String>,
}

/// Conditions on what a log does not hold.
#[derive(Clone, Debug)]
pub struct Unlogged {
    /// As `header x-beta`.
    pub names: Vec<String>,
    /// With what they want.
    pub whole: String,
}

impl RouteFacts {
    pub fn of(index: usize, route: &Route, config: &Config) -> Self {
        let keys = config::route_keys(route);
        let text = |wanted: &[&str]| {
            let found = keys.iter().filter(|(key, _)| wanted.contains(&key.as_str()));
            found.map(|(key, text)| format!("{key}: {text}")).collect::<String>()
        };
        let is_named = route.name != format!("routes[{index}]");
        let whole =
            || keys.iter().filter(|(key, _)| key != "name").map(|(key, text)| format!("{key}: {text}")).collect();
        let kind = |auth: &config::Auth| match (&auth.basic, &auth.jwt) {
            (Some(_), _) => "auth.basic",
            (None, Some(_)) => "auth.jwt",
            (None, None) => "auth.forward",
        };
        Self {
            label: if is_named || route.line == 0 {
                format!("`{}`", route.name)
            } else {
                format!("`{}` (line {})", route.name, route.line)
            },
            identity: if is_named { format!("name {}", route.name) } else { whole() },
            unlogged: unlogged(&route.matcher),
            auth: route.auth.as_ref().map(|auth| (kind(auth), text(&["auth"]))),
            cors: text(&["cors"]),
            response: text(&["response", "cors", "mirror"]),
            request: text(&["request.header", "request.cookie", "request.host"]),
            answer: text(&["redirect", "respond"]),
            shares: shares(&route.action, config),
        }
    }
}

fn is_logged(name: &str) -> bool {
    LOGGED.contains(&name)
}

fn unlogged(matcher: &Match) -> Option<Unlogged> {
    let said = |what: &str, name: &str, pattern: &ValuePattern| (format!("{what} `{name}`"), format!("{pattern:?}"));
    let headers = matcher.headers.iter().filter(|(name, _)| !is_logged(name.as_str()));
    let mut all: Vec<(String, String)> = headers.map(|(name, value)| said("header", name.as_str(), value)).collect();
    all.extend(matcher.cookies.iter().map(|(name, value)| said("cookie", name, value)));
    all.extend(
        matcher.client_cert.iter().map(|pattern| ("the client's certificate".to_owned(), format!("{pattern:?}"))),
    );
    let whole = all.iter().map(|(name, pattern)| format!("{name} {pattern}\n")).collect();
    let names: Vec<String> = all.into_iter().map(|(name, _)| name).collect();
    (!names.is_empty()).then_some(Unlogged { names, whole })
}

/// The same conditions without those on what a log does not hold.
pub fn without_unlogged(matcher: &Match) -> Match {
    let mut known = matcher.clone();
    known.headers.retain(|(name, _)| is_logged(name.as_str()));
    known.cookies.clear();
    known.client_cert = None;
    known
}

/// The shares of a split whose part depends on chance, or on what a log does not hold.
fn shares(action: &Action, config: &Config) -> Option<String> {
    let Action::Split(split) = action else { return None };
    let is_known = match &split.by {
        None | Some(KeySource::Cookie(_)) => false,
        Some(KeySource::Header(name)) => is_logged(name.as_str()),
        Some(KeySource::ClientIp | KeySource::Query(_) | KeySource::Path) => true,
    };
    let is_sticky = |index: usize| config.upstreams.get(index).is_some_and(|upstream| upstream.sticky.is_some());
    if is_known && !split.shares.iter().any(|(upstream, _)| is_sticky(upstream.index)) {
        return None;
    }
    let parts = split.shares.iter().map(|(upstream, share)| format!("`{}` {share}", upstream.name));
    Some(parts.collect::<Vec<_>>().join(", "))
}
