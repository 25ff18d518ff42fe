//! The end of a login, as far as it is known before the provider is asked.

/// A code that is to be exchanged for an ID token.
#[derive(Clone, PartialEq, Eq)]
pub struct CodeExchange {
    pub code: String,
    pub verifier: String,
    pub nonce: String,
    /// The one of the request by which the provider was asked.
    pub redirect_uri: String,
    /// Where the login began.
    pub to: String,
}

/// Without what is secret in it.
impl std::fmt::Debug for CodeExchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodeExchange").field("to", &self.to).finish_non_exhaustive()
    }
}
