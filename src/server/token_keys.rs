//! Fetches the keys of an issuer of tokens, and fetches them again: in time, and when a token names
//! one that is not there. No request waits for it.

use std::sync::Arc;
use std::time::Duration;

use super::fetch::fetched;
use crate::auth::Jwt;
use crate::config::hidden_in_urls;
use crate::message::escaping::printable;
use crate::runtime::{AskedService, Snapshot};
use crate::upstream::Connector;

/// The time between two fetches.
pub const REFRESH: Duration = Duration::from_secs(300);
/// Tokens that name unknown keys have them fetched no more often.
pub const LEAST_REFRESH: Duration = Duration::from_secs(5);
/// The time before the first new attempt; it doubles up to [`REFRESH`].
pub const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Fetches the keys for a route of the snapshot until the future is dropped.
pub async fn keep_fetching(snapshot: Arc<Snapshot>, route: usize, connector: Arc<Connector>) {
    let Some(route) = snapshot.routes.get(route) else { return };
    let (Some(service), Some(jwt)) = (&route.token_keys, route.filters.jwt()) else { return };
    let mut retry = FIRST_RETRY;
    loop {
        let rest = match fetch(&connector, service, jwt).await {
            Ok(count) => {
                log::debug!("route `{}`: {count} keys came from {}", route.name, service.host);
                retry = FIRST_RETRY;
                REFRESH
            }
            Err(reason) => {
                let kept = if jwt.has_keys() { "the keys of before stay in force" } else { "requests get 503" };
                let reason = printable(&reason);
                let target = hidden_in_urls(&service.target);
                log::error!("route `{}`: no keys from {}{target}: {reason}; {kept}", route.name, service.host);
                let rest = retry;
                retry = (retry * 2).min(REFRESH);
                rest
            }
        };
        // Give or take a tenth, so that many proxies do not ask at the same moment.
        let rest = rest.mul_f64(0.9 + fastrand::f64() / 5.0);
        let wanted = async {
            tokio::time::sleep(LEAST_REFRESH).await;
            jwt.wanted.notified().await;
        };
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = wanted => {}
        }
    }
}

async fn fetch(connector: &Connector, service: &AskedService, jwt: &Jwt) -> Result<usize, String> {
    jwt.replace_keys(&fetched(connector, service, "application/jwk-set+json, application/json").await?)
}
