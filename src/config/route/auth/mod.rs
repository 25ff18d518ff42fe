//! `auth`: who may send requests to a route.

mod algorithm;
mod basic;
mod client_secret;
mod cookie_secrets;
mod forward;
mod issuer;
mod jwt;
mod key_set;
mod known_key;
mod oidc;
mod password_hash;
mod service_url;
mod token_secret;
mod users_file;

pub use algorithm::TokenAlgorithm;
pub use basic::BasicAuth;
pub use client_secret::ClientSecret;
pub use cookie_secrets::CookieSecrets;
pub use forward::ForwardAuth;
pub use issuer::authority_of;
pub use jwt::{Jwt, TokenPlace};
pub use key_set::{KeyMaterial, KeySet, PublicKey};
pub use oidc::Oidc;
pub use password_hash::{PasswordHash, PasswordScheme};
pub use service_url::ServiceUrl;
pub use token_secret::TokenSecret;
pub use users_file::User;

use crate::config::section::{Reader, section};
use crate::config::upstream::Upstream;

section! {
    /// Who may pass, decided before anything is sent to an upstream.
    #[derive(Clone, Debug)]
    "`auth`" pub struct Auth {
        /// Names and passwords (RFC 7617).
        basic: Option<BasicAuth>;
        /// Signed tokens (RFC 7519).
        jwt: Option<Jwt>;
        /// A service that is asked about each request.
        forward: Option<ForwardAuth>;
        /// A login by OpenID Connect.
        oidc: Option<Oidc>;
    }
    one_of "way to ask" { basic, jwt, forward, oidc }
}

impl Auth {
    /// The services that are asked.
    fn services(&self) -> impl Iterator<Item = &ServiceUrl> {
        let keys = self.jwt.iter().filter_map(|jwt| jwt.jwks_url.as_ref());
        let providers = self.oidc.iter().filter_map(|oidc| oidc.discovery.as_ref());
        keys.chain(self.forward.iter().map(|forward| &forward.url)).chain(providers)
    }

    /// Checks the services against the upstreams, once these are known.
    pub fn check_services(&self, reader: &mut Reader<'_>, upstreams: &[Upstream]) {
        self.services().for_each(|service| service.check_scheme(reader, upstreams));
    }
}
