//! Login by OpenID Connect: what is known of a provider, what an ID token has to be, and the sealed
//! cookies in which attempts and sessions are.

mod attempt;
mod fault;
mod id_token;
mod metadata;
mod relation;
mod seal;
mod session;

pub use attempt::LoginAttempt;
pub use fault::OidcFault;
pub use id_token::{Identity, TokenAnswer};
pub use metadata::{ClientAuthentication, ProviderMetadata};
pub use relation::Oidc;
pub use seal::{Purpose, Seals, same};
pub use session::{KeptClaim, NotASession, Session, largest};
