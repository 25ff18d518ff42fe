//! What a route does to a request and to its response: one file a filter, and their
//! one order.
//!
//! A filter is compiled once for each route that configures it, when a snapshot is
//! made, and joins the chain of each phase in which it has work to do:
//!
//! - [`RequestFilter::on_request`] sees the client's request once a route took it and
//!   before an upstream is chosen. It decides: `Verdict::Continue`, or
//!   `Verdict::Reply` with the answer that the client gets instead.
//! - [`UpstreamRequestFilter::on_upstream_request`] edits the request that is about to
//!   be sent, anew for each attempt.
//! - [`ResponseFilter::on_response`] edits the response on its way to the client, the
//!   upstream's as well as one that the proxy gives by itself.
//!
//! No hook returns a `Result`: a filter that cannot find out whether a request may pass
//! has to say so with a `Reply`, as there is no error that somebody could take for
//! "pass". An edit of fields that does not succeed is noted by [`Edited`], and the
//! chain then fails the whole message.
//!
//! `ORDER` is the one order of filters. The YAML chooses which filters a route has,
//! never when they run.
//!
//! # Why trait objects
//!
//! The filters are known when this crate is compiled, so one enum of all of them would
//! do as well. But every new filter would then be named in the enum and in a `match` of
//! each phase, and a vector of it would have the stride of the largest filter. A
//! `Box<dyn …>` costs one indirect call for a filter that is configured, and a chain
//! without filters costs the comparison of two pointers. The three traits are apart
//! because the type of a chain then says that no filter in it has an empty hook.
//!
//! # Adding a filter
//!
//! A filter that answers for a service under maintenance would touch:
//!
//! 1. `filter/maintenance.rs`: the logic with its unit tests, and a function `add` that
//!    looks into the route's configuration and joins the chain if it is wanted there:
//!    ```ignore
//!    #[derive(Debug)]
//!    struct Maintenance(StatusCode);
//!
//!    pub fn add(route: &Route, chain: &mut Chain) -> Result<(), String> {
//!        if let Some(status) = route.maintenance {
//!            chain.request.push(Box::new(Maintenance(status)));
//!        }
//!        Ok(())
//!    }
//!
//!    impl RequestFilter for Maintenance {
//!        fn on_request(&self, _: &mut FilterContext<'_>) -> Verdict {
//!            Verdict::Reply(Reply::Respond { status: self.0, body: Bytes::new(), headers: Vec::new() })
//!        }
//!    }
//!    ```
//! 2. This file: `mod maintenance;` and one line of `ORDER`.
//! 3. Its section of the configuration, in `config/`.
//! 4. Its tests over the wire, in `tests/`.
//!
//! `explain` (`proxy/explain.rs`) runs the same chains and needs no change. A step that has to await an
//! answer from elsewhere, such as external authorization or a limit that several
//! processes share, is not a filter: its place is in `proxy/`, with a deadline of its
//! own (see `proxy::local_reply`).

mod access;
mod basic_auth;
mod basic_rule;
mod cause;
mod chain;
mod client_cert;
mod code_exchange;
mod context;
mod cookies;
mod cors;
mod destination;
mod editable;
mod fields;
mod findings;
pub mod forwarding;
mod headers;
pub mod hop_by_hop;
mod host;
mod jwt;
mod location;
pub mod loops;
mod oidc;
mod path;
mod query;
mod rare_fields;
mod rate_limit;
mod redirect;
mod reply;
mod respond;
mod security;
mod set_cookie;
mod trailers;
mod vary;

pub use basic_rule::{BasicRule, Entry};
pub use cause::Cause;
pub use chain::{Chain, RequestFilter, ResponseFilter, UpstreamRequestFilter, Verdict};
pub use code_exchange::CodeExchange;
pub use context::{FilterContext, FilterRequest, Origin, ResponseContext, UpstreamRequestContext};
pub use fields::Edited;
pub use findings::{Findings, WayOut};
pub use oidc::OidcRule;
pub use path::edited;
pub use rare_fields::RareFields;
pub use redirect::Redirect;
pub use reply::Reply;
pub use respond::Respond;

use crate::config::Route;

/// Has a filter join the chain of a route that configures it.
type Add = fn(&Route, &mut Chain) -> Result<(), String>;

/// The order in which filters run, in each phase.
const ORDER: &[Add] = &[
    // Who is let in, before anything is counted or asked for him.
    access::add,
    // Preflights have no credentials, so that nothing may ask for them before.
    cors::add,
    // How much, before anybody is asked who a client is; and how much each of whom that was found.
    rate_limit::add,
    // Who may pass.
    jwt::add,
    basic_auth::add,
    oidc::add,
    rate_limit::add_by_claim,
    // The target of the upstream request.
    path::add,
    query::add,
    // Fields that the proxy sets, before those that the operator may set instead.
    host::add,
    destination::add,
    forwarding::add,
    location::add,
    set_cookie::add,
    security::add,
    // Fields that the operator sets.
    headers::add,
    cookies::add,
    // What no client says behind a body of all this.
    trailers::add,
];

/// The filters of a route. `previous`: those that the route of this name had before a reload.
///
/// # Errors
/// In words, when a filter cannot be made of its configuration.
pub fn compile(route: &Route, previous: Option<&Chain>) -> Result<Chain, String> {
    let mut chain =
        Chain { learnt: previous.map(|chain| chain.learnt.clone()).unwrap_or_default(), ..Chain::default() };
    for add in ORDER {
        add(route, &mut chain).map_err(|e| format!("route `{}`: {e}", route.name))?;
    }
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many filters run for a route, by phase.
    fn lengths(route: &str) -> [usize; 3] {
        let text = format!("listeners: [':80']\nroutes: [{{ upstream: '127.0.0.1:1', {route} }}]\n");
        let (config, _) = crate::config::parse("test.yaml", &text, &|_| None).unwrap();
        let chain = compile(&config.routes[0], None).unwrap();
        [chain.request.len(), chain.upstream_request.len(), chain.response.len()]
    }

    /// Browsers send no credentials with a preflight: who asks for them first keeps every page out.
    #[test]
    fn preflights_are_answered_before_anything_is_asked_but_for_the_address() {
        let first = [access::add as Add, cors::add];
        assert!(ORDER.iter().zip(first).all(|(add, first)| std::ptr::fn_addr_eq(*add, first)));
    }

    #[test]
    fn a_route_has_the_filters_that_it_asks_for() {
        // Host and forwarding fields; Location and Set-Cookie.
        assert_eq!(lengths(""), [0, 3, 2]);
        assert_eq!(lengths("response: { location: off, cookie: { secure: keep } }"), [0, 3, 0]);
        assert_eq!(lengths("request: { path: { strip_prefix: /a }, query: { remove: [b] } }"), [0, 5, 2]);
        assert_eq!(lengths("request: { header: { remove: [b] }, cookie: { remove: [b] } }"), [0, 5, 2]);
        assert_eq!(lengths("response: { header: { remove: [b] } }"), [0, 3, 3]);
    }
}
