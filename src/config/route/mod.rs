//! `routes`: which request goes where, and what is changed on its way.

mod access;
mod action;
mod auth;
mod circles;
mod client_cert;
mod concurrency;
mod cors;
mod definition;
mod edits;
mod list;
mod matching;
mod mirror;
pub mod rank;
mod rate_limit;
mod reach;
mod request;
mod response;
mod security;
mod upstream_ref;

pub use access::Access;
pub use action::{Action, Redirect, Respond, Split};
pub use auth::{
    Auth, BasicAuth, ClientSecret, CookieSecrets, ForwardAuth, Jwt, KeyMaterial, KeySet, Oidc, PasswordHash,
    PasswordScheme, PublicKey, ServiceUrl, TokenAlgorithm, TokenPlace, TokenSecret, User, authority_of,
};
pub use client_cert::{ClientCertPattern, Fingerprint, Such};
pub use concurrency::Concurrency;
pub use cors::Cors;
pub use definition::Route;
pub use edits::{CookieEdits, HeaderEdits, QueryEdits};
pub use list::{check_upstreams, routes};
pub use matching::{Match, PathPattern, ValuePattern};
pub use mirror::Mirror;
pub use rate_limit::RateLimit;
pub use request::{HostPolicy, PathEdit, RequestEdits};
pub use response::{ResponseEdits, SameSite, SecurePolicy, SetCookieEdits};
pub use security::Security;
pub use upstream_ref::UpstreamRef;
