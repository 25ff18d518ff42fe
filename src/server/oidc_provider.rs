//! Fetches the configuration and the keys of a provider of logins, and fetches them again: in time, and when
//! an ID token names a key that is not there. No request waits for it but a login with such a token.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::fetch::{Refetching, fetched};
use crate::auth::oidc::{Oidc, ProviderMetadata};
use crate::config::{hidden_in_urls, upstream_at};
use crate::message::escaping::printable;
use crate::runtime::{AskedService, Provider, ProviderPlace, Snapshot};
use crate::upstream::{Connector, CookieKey, Pool, Resolver};

/// Fetches for a route of the snapshot until the future is dropped.
pub async fn keep_fetching(snapshot: Arc<Snapshot>, route: usize, connector: Arc<Connector>) {
    let Some(route) = snapshot.routes.get(route) else { return };
    let (Some(provider), Some(rule)) = (&route.provider, route.filters.oidc()) else { return };
    let (oidc, mut others) = (&rule.provider, OtherHosts::new(Arc::clone(&snapshot.resolver)));
    let mut refetching = Refetching::default();
    loop {
        let outcome = fetch(&connector, provider, oidc, &mut others).await;
        match &outcome {
            Ok(count) => log::debug!("route `{}`: the provider {} has {count} keys", route.name, oidc.issuer),
            Err(reason) => {
                let kept = if oidc.is_ready() { "what was fetched before stays in force" } else { "logins get 503" };
                let (reason, issuer) = (printable(reason), hidden_in_urls(&oidc.issuer));
                log::error!("route `{}`: the provider {issuer}: {reason}; {kept}", route.name);
            }
        }
        oidc.fetched.notify_waiters();
        refetching.wait(outcome.is_ok(), &oidc.wanted).await;
    }
}

/// All of it, or nothing is replaced; the number of keys.
async fn fetch(
    connector: &Connector,
    provider: &Provider,
    oidc: &Oidc,
    others: &mut OtherHosts,
) -> Result<usize, String> {
    let document = fetched(connector, &provider.discovery, "application/json").await;
    let document = document.map_err(|e| format!("no configuration: {e}"))?;
    let metadata = ProviderMetadata::parse(&document, &oidc.issuer)?;
    let token = others.service(provider, &metadata.token).await.map_err(|e| format!("its `token_endpoint`: {e}"))?;
    let keys = others.service(provider, &metadata.keys).await.map_err(|e| format!("its `jwks_uri`: {e}"))?;
    let user_info = match &metadata.user_info {
        Some(url) => Some(others.service(provider, url).await.map_err(|e| format!("its `userinfo_endpoint`: {e}"))?),
        None => None,
    };
    let set = fetched(connector, &keys, "application/jwk-set+json, application/json").await;
    let count = oidc.replace_keys(&set.map_err(|e| format!("no keys: {e}"))?)?;
    provider.token.store(Some(Arc::new(token)));
    provider.user_info.store(user_info.map(Arc::new));
    oidc.replace_metadata(metadata);
    Ok(count)
}

/// Hosts that a provider has beside its own, as large ones do: found by what their configuration says.
struct OtherHosts {
    resolver: Arc<Resolver>,
    pools: HashMap<String, Arc<Pool>>,
    lookups: JoinSet<()>,
}

/// Another provider's configuration would have to name as many.
const MOST_HOSTS: usize = 16;

impl OtherHosts {
    fn new(resolver: Arc<Resolver>) -> Self {
        Self { resolver, pools: HashMap::new(), lookups: JoinSet::new() }
    }

    async fn service(&mut self, provider: &Provider, url: &str) -> Result<AskedService, String> {
        match provider.place(url)? {
            ProviderPlace::Here(service) => Ok(service),
            ProviderPlace::Elsewhere { origin, host, target } => {
                let pool = match self.pools.get(&origin) {
                    Some(pool) => Arc::clone(pool),
                    None => self.pool(origin).await?,
                };
                Ok(AskedService { pool, host, target })
            }
        }
    }

    async fn pool(&mut self, origin: String) -> Result<Arc<Pool>, String> {
        if self.pools.len() >= MOST_HOSTS {
            return Err("the provider has too many hosts".to_owned());
        }
        let pool = Arc::new(Pool::new(&upstream_at(&origin)?, None, &CookieKey::new(Vec::new()))?);
        Arc::clone(&pool).resolve_once(Arc::clone(&self.resolver)).await;
        self.lookups.spawn(Arc::clone(&pool).run_background(Arc::clone(&self.resolver)));
        self.pools.insert(origin, Arc::clone(&pool));
        Ok(pool)
    }
}
