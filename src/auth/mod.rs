//! Who a client is: users and their passwords, tokens and the keys of their issuers, logins at a provider. What is decided
//! here says nothing of HTTP's replies; `filter` and `proxy` make those of it.

mod attempts;
mod basic;
mod check_threads;
mod claims;
mod credentials;
mod fair_queue;
mod jwt;
pub mod oidc;
mod password;
mod reread;
mod service_fault;
mod token;
mod token_fault;
mod token_keys;
mod verified;

pub use basic::{BasicAuth, PasswordCheck, Recalled};
pub use check_threads::Busy;
pub use claims::claim_field;
pub use credentials::{Credentials, NoCredentials};
pub use jwt::Jwt;
pub use oidc::OidcFault;
pub use password::{NewHash, hash_password};
pub use service_fault::ServiceFault;
pub use token_fault::TokenFault;
pub use verified::Told;
