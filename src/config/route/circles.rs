//! Finds redirects that lead back to their own route, which a client would follow for ever.
//! Says so only where that is certain.

use http::{Method, StatusCode};

use super::action::{Action, Redirect};
use super::definition::Route;
use super::matching::{Match, PathPattern};
use super::rank::{self, Rank};
use super::reach::Claim;
use crate::config::section::Reader;
use crate::config::value::HostPattern;
use crate::message::path::has_prefix;

/// Warns of each redirect whose target the same route redirects again. Of each claim, `routes`
/// has the route, if it could be read.
pub fn warn_circles(reader: &mut Reader<'_>, routes: &[Option<Route>], claims: &[Claim]) {
    for (at, route) in routes.iter().enumerate() {
        let Some(Route { action: Action::Redirect(redirect), locations, .. }) = route else { continue };
        if leads_back(at, redirect, claims) {
            let message = "this redirect leads back to its own route: a client would follow it for ever";
            let help = "give it another target, or the route conditions that the target does not fulfil";
            reader.warn(locations.redirect.0, message, Some(help.to_owned()));
        }
    }
}

fn leads_back(at: usize, redirect: &Redirect, claims: &[Claim]) -> bool {
    let Some(Claim { matcher, is_certain: true, .. }) = claims.get(at) else { return false };
    // What else a client sends may be another by then, as after a cookie was set.
    let is_plain = matcher.headers.is_empty() && matcher.query.is_empty() && matcher.cookies.is_empty();
    let keeps_method = matches!(redirect.status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    let takes_get = matcher.methods.is_empty() || matcher.methods.contains(&Method::GET);
    if !is_plain || !(keeps_method || takes_get) {
        return false;
    }
    let target = redirect.to.written();
    let Some(target) = on_same_host(&target, matcher) else { return false };
    let (path, rest) = target.split_once('{').unwrap_or((target, ""));
    match (path, rest) {
        ("", rest) => ["path}", "path}{query}"].contains(&rest),
        (path, "" | "query}") => is_taken(path, at, claims),
        // The path grows with each turn.
        (path, "path}" | "path}{query}") => is_below(path, at, claims),
        _ => false,
    }
}

/// The target from its path on, where its scheme and its host are those of the request.
fn on_same_host<'t>(target: &'t str, matcher: &Match) -> Option<&'t str> {
    if target.contains(['?', '#']) || target.contains("{{") || target.contains("}}") {
        return None;
    }
    // A redirect to HTTPS leaves this proxy for whatever ends TLS in front of it.
    let Some(rest) = target.strip_prefix("{scheme}://").or_else(|| target.strip_prefix("http://")) else {
        return (target.starts_with('/') || target.starts_with("{path}")).then_some(target);
    };
    if let Some(rest) = rest.strip_prefix("{host}") {
        return Some(if rest.is_empty() { "/" } else { rest });
    }
    let end = rest.find(['/', '{']).unwrap_or(rest.len());
    let (host, rest) = rest.split_at_checked(end)?;
    let is_own =
        matcher.hosts.iter().any(|own| matches!(own, HostPattern::Exact(own) if own.eq_ignore_ascii_case(host)));
    is_own.then_some(if rest.is_empty() { "/" } else { rest })
}

/// Whether the route itself takes this path of its host.
fn is_taken(path: &str, at: usize, claims: &[Claim]) -> bool {
    let holds = |pattern: &PathPattern| pattern.holds(path);
    wins(at, claims, &holds, &holds)
}

/// Whether the route itself takes whatever is below this path.
fn is_below(path: &str, at: usize, claims: &[Claim]) -> bool {
    let covers = |pattern: &PathPattern| matches!(pattern, PathPattern::Prefix(prefix) if has_prefix(path, prefix));
    let may_take = |pattern: &PathPattern| match pattern {
        PathPattern::Prefix(other) | PathPattern::Exact(other) => has_prefix(path, other) || has_prefix(other, path),
        PathPattern::Regex(_) => true,
    };
    wins(at, claims, &covers, &may_take)
}

type IsIt<'p> = &'p dyn Fn(&PathPattern) -> bool;

/// Whether the route has a path that `takes` the target, and no other route, of those that
/// `may_take` it, has a stronger claim to it.
fn wins(at: usize, claims: &[Claim], takes: IsIt<'_>, may_take: IsIt<'_>) -> bool {
    let own = claims.get(at).and_then(|own| ranks(own, takes).min());
    let Some(weakest) = own else { return false };
    let is_weaker = |other: &Claim| other.is_certain && ranks(other, may_take).max().is_none_or(|rank| rank < weakest);
    claims.iter().enumerate().all(|(index, other)| index == at || is_weaker(other))
}

/// The ranks of a route by those of its paths.
fn ranks(claim: &Claim, is_it: IsIt<'_>) -> impl Iterator<Item = Rank> {
    let paths: Vec<_> = rank::paths(&claim.matcher).filter(|path| path.is_none_or(is_it)).collect();
    let of =
        move |host| paths.clone().into_iter().map(move |path| Rank::of(&claim.matcher, claim.priority, host, path, 0));
    rank::hosts(&claim.matcher).iter().flat_map(of)
}

#[cfg(test)]
mod tests {
    use crate::config::parse;

    /// Whether there is a warning of a circle.
    fn warns(routes: &str) -> bool {
        let text = format!("listeners: [':80']\nroutes:\n{routes}  - {{ match: {{ path: /else }}, respond: {{}} }}\n");
        let (_, warnings) = parse("f", &text, &|_| None).unwrap_or_else(|e| panic!("{text}{e}"));
        warnings.iter().any(|warning| warning.message.contains("leads back to its own route"))
    }

    #[test]
    fn a_redirect_to_itself_is_found() {
        for route in [
            "redirect: '{path}{query}'",
            "redirect: '{scheme}://{host}{path}{query}'",
            "redirect: 'http://{host}{path}'",
            "redirect: '/new{path}'",
            "redirect: '{scheme}://{host}'",
            "match: { path: { exact: /a } }, redirect: /a",
            "match: { path: [/b/, /c] }, redirect: '/b/d{query}'",
            "match: { path: /b }, redirect: '/b/c{path}'",
            "match: { host: Example.com }, redirect: 'http://example.com{path}{query}'",
            "match: { method: [GET, POST] }, redirect: { to: '{path}', status: 303 }",
        ] {
            assert!(warns(&format!("  - {{ {route} }}\n")), "{route}");
        }
    }

    #[test]
    fn a_redirect_that_leads_elsewhere_is_not() {
        for route in [
            "redirect: 'https://{host}{path}{query}'",
            "redirect: 'http://www.example.com{path}'",
            "redirect: 'http://{hostname}:81{path}'",
            "redirect: /else",
            "redirect: /else/more",
            "match: { path: { exact: /a } }, redirect: /a/",
            "match: { path: /b }, redirect: '/new{path}'",
            "match: { path: { regex: '^/old' } }, redirect: '/new{path}'",
            "match: { host: example.com }, redirect: 'http://www.example.com{path}{query}'",
            "match: { method: POST }, redirect: { to: '{path}', status: 303 }",
            "match: { cookie: { seen: { present: false } } }, redirect: '{path}', response: { header: { add: { set-cookie: seen=1 } } }",
            "match: { query: { a: 1 } }, redirect: '{path}'",
        ] {
            assert!(!warns(&format!("  - {{ {route} }}\n")), "{route}");
        }
        // Another route takes the target.
        assert!(!warns("  - { redirect: '/b/c' }\n  - { match: { path: /b }, respond: {} }\n"));
        assert!(!warns(
            "  - { match: { path: / }, redirect: '/b{path}' }\n  - { match: { path: { exact: /b/x } }, respond: {} }\n"
        ));
        assert!(!warns("  - { redirect: /b }\n  - { priority: 1, match: { method: PUT }, respond: {} }\n"));
    }
}
