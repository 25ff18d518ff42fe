//! What a route knows of its provider: the configuration and the keys that were fetched, the secrets that
//! were read, and how both are replaced while requests go on.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{Notify, Semaphore};

use super::fault::OidcFault;
use super::id_token::{IdTokenRules, Identity, TokenAnswer};
use super::metadata::ProviderMetadata;
use super::seal::Seals;
use crate::auth::reread::Reread;
use crate::auth::token_keys::TokenKeys;
use crate::config::{self, ClientSecret, CookieSecrets, KeySet, TokenAlgorithm};

#[derive(Debug)]
pub struct Oidc {
    pub issuer: String,
    pub client_id: String,
    metadata: ArcSwapOption<ProviderMetadata>,
    keys: ArcSwapOption<TokenKeys>,
    seals: ArcSwap<Seals>,
    secrets_file: Reread,
    client_secret: Option<(Reread, ArcSwap<ClientSecret>)>,
    /// Notified when a token is not of the keys that are there.
    pub wanted: Notify,
    /// Notified when keys were fetched, or could not be.
    pub fetched: Notify,
    /// Places for those whose code is being exchanged.
    pub exchanges: Semaphore,
}

/// Codes of a route that are exchanged at the same time; others wait for their turn.
const MOST_EXCHANGES: usize = 64;

impl Oidc {
    /// `before`: what the route had before a reload; what was fetched from the same provider is kept.
    ///
    /// # Errors
    /// In words, when no key can be derived from the secrets.
    pub fn new(oidc: &config::Oidc, before: Option<&Self>) -> Result<Self, String> {
        let same = before.filter(|before| before.issuer == oidc.issuer);
        let secrets = &oidc.cookie_secrets;
        Ok(Self {
            issuer: oidc.issuer.clone(),
            client_id: oidc.client_id.clone(),
            metadata: ArcSwapOption::new(same.and_then(|before| before.metadata.load_full())),
            keys: ArcSwapOption::new(same.and_then(|before| before.keys.load_full())),
            seals: ArcSwap::from_pointee(seals_of(&secrets.content)?),
            secrets_file: Reread::new(secrets),
            client_secret: oidc
                .client_secret
                .as_ref()
                .map(|secret| (Reread::new(secret), ArcSwap::from_pointee(secret.content.clone()))),
            wanted: Notify::new(),
            exchanges: Semaphore::new(MOST_EXCHANGES),
            fetched: Notify::new(),
        })
    }

    /// What is known of the provider, once its configuration and its keys were fetched.
    pub fn metadata(&self) -> Option<Arc<ProviderMetadata>> {
        self.metadata.load_full().filter(|_| self.keys.load().is_some())
    }

    /// Whether somebody can log in.
    pub fn is_ready(&self) -> bool {
        self.keys.load().is_some() && self.metadata.load().is_some()
    }

    pub fn seals(&self) -> Arc<Seals> {
        self.seals.load_full()
    }

    /// The client's secret, given to `then`; without one it is a public client.
    pub fn with_client_secret<T>(&self, then: impl FnOnce(Option<&str>) -> T) -> T {
        match &self.client_secret {
            Some((_, secret)) => then(Some(&secret.load().0)),
            None => then(None),
        }
    }

    /// Who has logged in, by the provider's answer to the code of the login with this nonce.
    ///
    /// # Errors
    /// Why nobody has.
    pub fn verify(&self, answer: &TokenAnswer, nonce: &str, now: SystemTime) -> Result<Identity, OidcFault> {
        let keys = self.keys.load();
        let Some(keys) = &*keys else { return Err(OidcFault::NotReady) };
        let rules = IdTokenRules { issuer: &self.issuer, client_id: &self.client_id, nonce };
        answer.verify(keys, &rules, now)
    }

    pub fn replace_metadata(&self, fetched: ProviderMetadata) {
        self.metadata.store(Some(Arc::new(fetched)));
    }

    /// Keys as they were fetched.
    ///
    /// # Errors
    /// In words, when they are none.
    pub fn replace_keys(&self, fetched: &[u8]) -> Result<usize, String> {
        let set = KeySet::parse(fetched)?;
        let public: Vec<TokenAlgorithm> =
            TokenAlgorithm::ALL.into_iter().filter(|algorithm| algorithm.secret_length().is_none()).collect();
        self.keys.store(Some(Arc::new(TokenKeys::of_set(&set, &public))));
        Ok(set.keys.len())
    }

    /// Reads the files again that have changed; `of` is the route, for the log.
    pub fn look_at_files(&self, of: &str) {
        if let Some(seals) = self.secrets_file.look(of, "the secrets", |read| seals_of(&read)) {
            log::info!("{of}: what {} holds now seals the cookies of logins", self.secrets_file.path.display());
            self.seals.store(Arc::new(seals));
        }
        let Some((reread, secret)) = &self.client_secret else { return };
        if let Some(new) = reread.look(of, "the secret", Ok::<ClientSecret, _>) {
            log::info!("{of}: what {} holds now is shown to the provider", reread.path.display());
            secret.store(Arc::new(new));
        }
    }
}

fn seals_of(secrets: &CookieSecrets) -> Result<Seals, String> {
    Seals::new(&secrets.0).ok_or_else(|| "no key can be derived from the secrets".to_owned())
}
