//! Fetches the keys of an issuer of tokens, and fetches them again: in time, and when a token names
//! one that is not there. No request waits for it.

use std::sync::Arc;

use super::fetch::{Refetching, fetched};
use crate::auth::Jwt;
use crate::config::hidden_in_urls;
use crate::message::escaping::printable;
use crate::runtime::{AskedService, Snapshot};
use crate::upstream::Connector;

/// Fetches the keys for a route of the snapshot until the future is dropped.
pub async fn keep_fetching(snapshot: Arc<Snapshot>, route: usize, connector: Arc<Connector>) {
    let Some(route) = snapshot.routes.get(route) else { return };
    let (Some(service), Some(jwt)) = (&route.token_keys, route.filters.jwt()) else { return };
    let mut refetching = Refetching::default();
    loop {
        let outcome = fetch(&connector, service, jwt).await;
        match &outcome {
            Ok(count) => log::debug!("route `{}`: {count} keys came from {}", route.name, service.host),
            Err(reason) => {
                let kept = if jwt.has_keys() { "the keys of before stay in force" } else { "requests get 503" };
                let reason = printable(reason);
                let target = hidden_in_urls(&service.target);
                log::error!("route `{}`: no keys from {}{target}: {reason}; {kept}", route.name, service.host);
            }
        }
        refetching.wait(outcome.is_ok(), &jwt.wanted).await;
    }
}

async fn fetch(connector: &Connector, service: &AskedService, jwt: &Jwt) -> Result<usize, String> {
    jwt.replace_keys(&fetched(connector, service, "application/jwk-set+json, application/json").await?)
}
