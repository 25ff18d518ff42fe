//! What `auth.basic` of a route says, and what becomes of a request by it.

use std::sync::Arc;

use http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::cause::Cause;
use super::findings::Findings;
use crate::auth::{BasicAuth, Busy, Credentials, NoCredentials, PasswordCheck, Recalled};
use crate::config;

/// What `auth.basic` of a route says.
#[derive(Clone, Debug)]
pub struct BasicRule {
    pub users: Arc<BasicAuth>,
    challenge: HeaderValue,
    user_header: Option<HeaderName>,
    forward_credentials: bool,
}

/// What becomes of a request.
#[derive(Debug)]
#[must_use]
pub enum Entry {
    Granted,
    Denied(Cause),
    /// The password is to be checked first.
    Check(PasswordCheck),
}

impl BasicRule {
    /// # Errors
    /// In words, when the realm cannot be carried by a field.
    pub fn new(basic: &config::BasicAuth, users: Arc<BasicAuth>) -> Result<Self, String> {
        let realm = basic.realm.replace('\\', "\\\\").replace('"', "\\\"");
        let challenge = HeaderValue::try_from(format!("Basic realm=\"{realm}\", charset=\"UTF-8\""));
        Ok(Self {
            users,
            challenge: challenge.map_err(|e| format!("`auth.basic.realm`: {e}"))?,
            user_header: basic.user_header.clone(),
            forward_credentials: basic.forward_credentials,
        })
    }

    /// Decides about a request, as far as that takes no time.
    pub fn enter(&self, headers: &HeaderMap, findings: &mut Findings) -> Entry {
        match Credentials::of(headers) {
            Ok(credentials) => match self.users.recall(credentials) {
                Recalled::Good(user) => self.grant(user, findings),
                Recalled::Wrong => self.deny(findings, Cause::PasswordWrong),
                Recalled::Unknown(check) => Entry::Check(check),
            },
            Err(NoCredentials::Missing) => self.deny(findings, Cause::PasswordMissing),
            Err(NoCredentials::Malformed) => self.deny(findings, Cause::PasswordMalformed),
            Err(NoCredentials::Twice) => Entry::Denied(Cause::CredentialsTwice),
        }
    }

    /// Decides by what the check found.
    pub fn conclude(&self, checked: Result<Option<HeaderValue>, Busy>, findings: &mut Findings) -> Entry {
        match checked {
            Ok(Some(user)) => self.grant(user, findings),
            Ok(None) => self.deny(findings, Cause::PasswordWrong),
            Err(Busy) => {
                findings.tell_client(RETRY_AFTER, HeaderValue::from_static("1"));
                Entry::Denied(Cause::PasswordsBusy)
            }
        }
    }

    fn grant(&self, user: HeaderValue, findings: &mut Findings) -> Entry {
        if let Some(name) = &self.user_header {
            findings.tell_upstream(name.clone(), Some(user));
        }
        if !self.forward_credentials {
            findings.tell_upstream(AUTHORIZATION, None);
        }
        Entry::Granted
    }

    fn deny(&self, findings: &mut Findings, cause: Cause) -> Entry {
        findings.tell_client(WWW_AUTHENTICATE, self.challenge.clone());
        Entry::Denied(cause)
    }
}
