//! What `explain` says of a request, for a terminal and for the admin endpoint: the same words, as
//! facts with their labels.

use std::collections::HashMap;

use http::{HeaderValue, Method};

use super::asked::Asked;
use super::explain::Explanation;
use super::outcome::Outcome;
use crate::config::{Concurrency, Config, FieldName, ResponseEdits, Route, Underscores, hidden_in_urls};
use crate::filter::Cause;
use crate::runtime::Snapshot;

/// What was found out of it.
#[derive(Debug)]
pub struct Told {
    /// What becomes of the request.
    pub verdict: String,
    /// The route that takes it.
    pub route: Option<String>,
    /// Each with its label.
    pub facts: Vec<Fact>,
    /// Each other route, with why it does not take the request.
    pub others: Vec<(String, String)>,
}

type Fact = (&'static str, String);

impl Told {
    pub fn new(asked: &Asked, explanation: &Explanation, config: &Config, snapshot: &Snapshot) -> Self {
        let winner = explanation.winner.map(|(_, index)| index);
        let (verdict, route, mut facts) =
            match (&explanation.outcome, winner.and_then(|index| config.routes.get(index))) {
                (outcome, _) if explanation.redirecting.is_some() => {
                    let listener = explanation.redirecting.as_deref().unwrap_or_default();
                    let verdict = format!("is answered by the listener {listener} (`redirect_https`)");
                    let mut facts = Vec::new();
                    describe_outcome(&mut facts, outcome);
                    (verdict, None, facts)
                }
                (Outcome::Refused(cause @ Cause::NoRoute), None) => {
                    (format!("is taken by no route: the proxy answers {}", cause.status()), None, Vec::new())
                }
                (Outcome::Refused(cause), _) => {
                    let words = format!("is refused: the proxy answers {}, {}", cause.status(), cause.message());
                    (words, None, Vec::new())
                }
                (outcome, route) => {
                    let title = winner.map_or_else(String::new, |index| title(snapshot, index));
                    ("is taken by".to_owned(), Some(title.clone()), of_taken(title, outcome, route, asked))
                }
            };
        for (reading, route) in &explanation.readings {
            let route = route.map_or_else(|| "no route".to_owned(), |index| title(snapshot, index));
            facts.push(("read as", format!("{reading}, {route}")));
        }
        if let Some(decision) = &explanation.decision {
            let route = title(snapshot, decision.route);
            facts.push(("decided by", format!("`paths.ambiguous: {}` of {route}", decision.policy)));
        }
        if explanation.asks_for_certificate {
            facts.push(("asks for", "a certificate of the client (`client_auth` of the listener)".to_owned()));
        }
        if let (Some(client), true) = (explanation.client_ip, explanation.remote_trusted) {
            let (scheme, proxy) = (explanation.scheme, asked.client_ip);
            facts.push(("client", format!("{client} by {scheme}, as the trusted proxy {proxy} says")));
        }
        if let Some((rank, _)) = explanation.winner {
            facts.push(("precedence", rank.to_string()));
        }
        let others = explanation.mismatches.iter().enumerate().filter(|(index, _)| Some(*index) != winner);
        let others = others.map(|(index, mismatch)| {
            let reason = mismatch.as_ref().map_or_else(|| "matches too, but ranks lower".to_owned(), |m| m.to_string());
            (title(snapshot, index), reason)
        });
        Self { verdict, route, facts, others: others.collect() }
    }
}

fn of_taken(title: String, outcome: &Outcome, route: Option<&Route>, asked: &Asked) -> Vec<Fact> {
    let mut facts = vec![("route", title)];
    describe_outcome(&mut facts, outcome);
    if let Some(route) = route {
        describe_limits(&mut facts, route);
        // A preflight is answered before anybody is asked.
        let is_preflight = matches!(outcome, Outcome::Answered { .. }) && route.cors.is_some();
        if !is_preflight || asked.method != Method::OPTIONS {
            describe_questions(&mut facts, route);
        }
        describe_answer(&mut facts, &route.response);
    }
    facts
}

fn title(snapshot: &Snapshot, index: usize) -> String {
    snapshot.routes.get(index).map_or_else(String::new, |r| format!("{} (line {})", r.name, r.line))
}

fn describe_outcome(facts: &mut Vec<Fact>, outcome: &Outcome) {
    match outcome {
        Outcome::Refused(cause) => facts.push(("refused", cause.status().to_string())),
        Outcome::Redirected { status, location } => facts.push(("redirect", format!("{status}, to {location}"))),
        Outcome::Answered { status } => facts.push(("respond", status.to_string())),
        Outcome::Forwarded { upstream, came, sent, underscores } => {
            facts.push(("upstream", upstream.to_string()));
            facts.push(("request", sent.first().cloned().unwrap_or_default()));
            let host =
                sent.iter().filter_map(|line| line.split_once(": ")).find(|(n, _)| n.eq_ignore_ascii_case("host"));
            facts.push(("host", host.map_or("", |(_, value)| value).to_owned()));
            let removed = missing_in(sent, came);
            facts.extend(removed.map(|line| ("removes", format!("{line}{}", why_removed(line, *underscores)))));
            facts.extend(missing_in(came, sent).map(|line| ("adds", line.clone())));
        }
    }
}

/// Why a field stays behind, where the reason is in another place than the route.
fn why_removed(line: &str, underscores: Underscores) -> &'static str {
    let in_name = line.split(':').next().is_some_and(|name| name.contains('_'));
    if in_name && underscores == Underscores::Drop { " (see `headers.underscores`)" } else { "" }
}

/// The fields of `all` that `fields` has not, or fewer times.
fn missing_in<'l>(fields: &'l [String], all: &'l [String]) -> impl Iterator<Item = &'l String> {
    let mut left: HashMap<&str, usize> = HashMap::new();
    fields.iter().skip(1).for_each(|field| *left.entry(field).or_default() += 1);
    all.iter().skip(1).filter(move |field| match left.get_mut(field.as_str()) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        Some(_) | None => true,
    })
}

/// Who would be asked about the request; nobody is about this one.
fn describe_questions(facts: &mut Vec<Fact>, route: &Route) {
    let Some(auth) = &route.auth else { return };
    if let Some(basic) = &auth.basic {
        facts.push(("asks for", format!("a password of {} (`auth.basic`)", basic.users.path.display())));
    }
    if let Some(oidc) = &auth.oidc {
        facts.push(("asks for", format!("a session of a login at {} (`auth.oidc`)", oidc.issuer)));
    }
    if let Some(forward) = &auth.forward {
        facts.push(("asks", format!("{} (`auth.forward`)", hidden_in_urls(&forward.url.written))));
    }
}

/// The limits that the request would be counted by; this one is not.
fn describe_limits(facts: &mut Vec<Fact>, route: &Route) {
    if let Some(Concurrency { max, queue, .. }) = &route.concurrency {
        let max = max.map_or_else(|| "as many as the upstream bears".to_owned(), |max| max.to_string());
        facts.push(("concurrency", format!("{max} at once, {queue} in the queue")));
    }
    for limit in &route.rate_limits {
        let store = limit.store.as_ref().map_or_else(String::new, |store| format!(", counted in {}", store.place));
        let dry = if limit.dry_run { ", dry run" } else { "" };
        facts.push(("rate limit", format!("{} by {}, burst {}{store}{dry}", limit.rate, limit.key, limit.burst())));
    }
}

/// What the route changes in each response.
fn describe_answer(facts: &mut Vec<Fact>, edits: &ResponseEdits) {
    let headers = &edits.headers;
    let field = |verb: &str, (name, value): &(FieldName, HeaderValue)| {
        ("answer", format!("{verb} {}: {}", name.spelled, String::from_utf8_lossy(value.as_bytes())))
    };
    facts.extend(headers.set.iter().map(|pair| field("sets", pair)));
    facts.extend(headers.add.iter().map(|pair| field("adds", pair)));
    facts.extend(headers.remove.iter().map(|name| ("answer", format!("removes {name}"))));
}
