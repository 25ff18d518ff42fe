//! `auth.jwt`: signed tokens.

use std::time::Duration;

use http::{HeaderName, header};

use super::algorithm::TokenAlgorithm;
use super::key_set::KeySet;
use super::service_url::ServiceUrl;
use super::token_secret::TokenSecret;
use crate::config::section::{AsSection, Fields, FromKeys, Reader, Value, list, map, one_or_list, optional, section};
use crate::config::value::{ANY_TEXT, COOKIE_NAME, DURATION_OR_ZERO, EDITED_NAME, HEADER_NAME, WatchedFile, plain};

section! {
    /// Signed tokens (JWT, RFC 7519), verified here.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`jwt`" pub struct Jwt {
        /// A file with the issuer's public keys (JWKS, RFC 7517). It is read again when it changes.
        jwks_file: Option<WatchedFile<KeySet>>, with optional(WatchedFile::FORM);
        /// Where the issuer's public keys are fetched from, at the start and every five minutes; a token that names an unknown key has them fetched earlier, at most every five seconds. Until there are keys, requests get 503; the last good ones are kept. Its host may be the name of an upstream.
        jwks_url: Option<ServiceUrl>;
        /// A file with the secret of HS256, HS384 or HS512: at least 32, 48 or 64 bytes. It is read again when it changes.
        secret_file: Option<WatchedFile<TokenSecret>>, with optional(WatchedFile::FORM);
        /// What `iss` of a token must be.
        issuer: Option<String>, with optional(ISSUER);
        /// What `aud` of a token must be, or have among others; one of these is enough.
        audience: Vec<String>, with one_or_list(AUDIENCE.what, AUDIENCE).if_empty("an empty list accepts no token", "leave the key out to accept tokens for anybody");
        /// The algorithms that tokens may be signed by; by default every one that the keys are for.
        algorithms: Vec<TokenAlgorithm>, with one_or_list("an algorithm such as `RS256`", TokenAlgorithm::form()).if_empty("an empty list accepts no token", "leave the key out for all that the keys are for");
        /// How far the issuer's clock may be from this one.
        leeway: Duration = "60s", with DURATION_OR_ZERO;
        /// Claims that a token must have.
        required: Vec<String> = ["exp"], with list("claims", ANY_TEXT);
        /// Fields in which the upstream is told claims, by the name of the claim: texts, numbers, booleans, and lists of them joined by commas. What a client says in such a field is taken out, also where the token has no such claim.
        claims_to_headers: Vec<(String, HeaderName)> = {}, with map("claims to fields", ANY_TEXT, EDITED_NAME).of("claim");
        /// Where the token is in a request.
        from: TokenPlace = { "header": "authorization" }, with AsSection;
        /// Whether the token goes on to the upstream, as with nginx and Traefik.
        forward_credentials: bool = true;
    }
    one_of "source of keys" { jwks_file, jwks_url, secret_file }
    check Jwt::check;
}

const ISSUER: crate::config::section::Scalar<String> = plain("an issuer such as `https://issuer.example`");
const AUDIENCE: crate::config::section::Scalar<String> = plain("an audience such as `shop`");

impl Jwt {
    fn check(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        let span = fields.key_span("algorithms");
        let secret = self.secret_file.as_ref();
        for algorithm in &self.algorithms {
            let name = algorithm.name();
            match (algorithm.secret_length(), secret) {
                (Some(_), None) => {
                    let help = "whoever knows the public keys could sign with them; it needs a `secret_file`";
                    reader.error_help(span, format!("`{name}` is not for public keys"), help);
                }
                (None, Some(_)) => reader.error(span, format!("`{name}` is not for a secret: it needs public keys")),
                (Some(least), Some(secret)) if secret.content.0.len() < least => {
                    let message = format!("`{name}` needs a secret of at least {least} bytes");
                    reader.error_help(span, message, format!("the secret has {}", secret.content.0.len()));
                }
                (Some(_), Some(_)) | (None, None) => {}
            }
        }
        if secret.is_none() && self.audience.is_empty() {
            let message = "tokens that the issuer made for other services pass, too".to_owned();
            let help = "add `audience`, which a token for this service has in `aud` (RFC 8725 section 3.9)".to_owned();
            reader.warn(fields.span, message, Some(help));
        }
    }

    /// The algorithms that tokens may be signed by, as far as the secret is long enough for them.
    pub fn allowed(&self) -> Vec<TokenAlgorithm> {
        let fits = |algorithm: &TokenAlgorithm| match (algorithm.secret_length(), &self.secret_file) {
            (Some(least), Some(secret)) => secret.content.0.len() >= least,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let wanted = |algorithm: &TokenAlgorithm| self.algorithms.is_empty() || self.algorithms.contains(algorithm);
        TokenAlgorithm::ALL.into_iter().filter(fits).filter(wanted).collect()
    }
}

/// Where a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenPlace {
    /// In `Authorization` behind `Bearer`, in any other field alone.
    Header(HeaderName),
    Cookie(String),
    Query(String),
}

section! {
    /// Where a token is in a request.
    #[derive(Clone, Debug, Default)]
    "`from`" pub struct TokenPlaceKeys {
        /// A field: `authorization` has the token behind `Bearer`, any other one alone.
        header: Option<HeaderName>, with optional(HEADER_NAME);
        /// A cookie.
        cookie: Option<String>, with optional(COOKIE_NAME);
        /// A query parameter. The access log then leaves the query out; on other routes and in `Referer` the parameter's value is `[redacted]`.
        query: Option<String>, with optional(ANY_TEXT);
    }
    one_of "place" { header, cookie, query }
}

impl FromKeys for TokenPlace {
    type Keys = TokenPlaceKeys;

    fn from_keys(keys: TokenPlaceKeys) -> Option<Self> {
        let header = keys.header.map(Self::Header);
        header.or(keys.cookie.map(Self::Cookie)).or(keys.query.map(Self::Query))
    }

    fn to_keys(&self) -> TokenPlaceKeys {
        match self.clone() {
            Self::Header(name) => TokenPlaceKeys { header: Some(name), ..TokenPlaceKeys::default() },
            Self::Cookie(name) => TokenPlaceKeys { cookie: Some(name), ..TokenPlaceKeys::default() },
            Self::Query(name) => TokenPlaceKeys { query: Some(name), ..TokenPlaceKeys::default() },
        }
    }
}

impl TokenPlace {
    pub fn is_authorization(&self) -> bool {
        matches!(self, Self::Header(name) if name == header::AUTHORIZATION)
    }
}
