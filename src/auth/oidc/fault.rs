//! Why a login or a session lets nobody pass.

use crate::auth::token_fault::TokenFault;

/// Declares the enum and, of each fault, the word, the status, the error type of RFC 9209 section 2.3,
/// the sentence, and what an operator can do about it.
macro_rules! faults {
    ($($name:ident = $status:literal $reason:literal $proxy_status:literal, $message:literal, $cure:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum OidcFault {
            $($name,)*
        }

        impl OidcFault {
            /// Each of them once, in their order.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$name => $status,)*
                }
            }

            /// The word that logs and metrics have for it.
            pub const fn reason(self) -> &'static str {
                match self {
                    $(Self::$name => concat!("auth_oidc_", $reason),)*
                }
            }

            /// The error type of RFC 9209 section 2.3.
            pub const fn proxy_status(self) -> &'static str {
                match self {
                    $(Self::$name => $proxy_status,)*
                }
            }

            /// A sentence for a person, without anything that a token holds.
            pub const fn message(self) -> &'static str {
                match self {
                    $(Self::$name => $message,)*
                }
            }

            /// What an operator can do about it.
            pub const fn cure(self) -> &'static str {
                match self {
                    $(Self::$name => $cure,)*
                }
            }
        }
    };
}

faults! {
    NotReady = 503 "not_ready" "destination_unavailable",
        "the configuration or the keys of the provider could not be fetched yet, see `auth.oidc.issuer`",
        "The provider of `auth.oidc.issuer` does not answer, or not as one: the error log says why.";
    LoginNeeded = 401 "login_needed" "http_request_denied",
        "a login is asked for, see `auth.oidc`",
        "The client is no browser that opens a page, or its page was open when the session ended: load it anew.";
    SessionExpired = 401 "session_expired" "http_request_denied",
        "the session is over: log in again",
        "It lasted for `auth.oidc.session_lifetime`. Pages that only fetch have to be loaded anew.";
    SessionInvalid = 401 "session_invalid" "http_request_denied",
        "the cookie of the session is not good for this route: log in again",
        "The secret of `auth.oidc.cookie_secret_file` or the settings of the route changed, or somebody made the cookie up.";
    SessionTwice = 400 "session_twice" "http_request_error",
        "the request has the cookie of the session more than once",
        "Something else on the site or its parent domain sets a cookie of this name: choose another `auth.oidc.cookie_name`.";
    CallbackInvalid = 400 "callback_invalid" "http_request_error",
        "this is no answer of the provider: it has to have one code and one state",
        "Somebody opened `auth.oidc.callback_path` by hand, or the provider answers by POST.";
    StateUnknown = 400 "state_unknown" "http_request_error",
        "this login was finished already, took too long, or began in another browser",
        "Begin anew. If it happens to everybody, something takes cookies out, or people come by two host names or schemes.";
    IssuerMixedUp = 400 "issuer_mixed_up" "http_request_error",
        "the answer is of another provider than the one of this login",
        "An attack by which providers are mixed up (RFC 9207), or a provider that calls itself otherwise than `auth.oidc.issuer`.";
    Denied = 403 "denied" "http_request_denied",
        "the provider did not let the login pass",
        "The page and the error log have the error that the provider named; look into its log.";
    CodeRefused = 400 "code_refused" "http_request_denied",
        "the provider did not take the code of this login",
        "The code was used before, or was too old. If it happens to everybody, compare the redirect URI at the provider.";
    ClientRefused = 502 "client_refused" "http_request_denied",
        "the provider did not take this proxy for its client",
        "Compare `auth.oidc.client_id` and `client_secret_file` with what the provider has; the error log has its error.";
    Down = 503 "provider_down" "destination_unavailable",
        "no server of the provider is up",
        "Look whether the provider runs: without it nobody logs in. Sessions go on.";
    Unreachable = 502 "provider_unreachable" "connection_terminated",
        "the provider could not be reached, or closed the connection",
        "Look whether the provider runs, and whether its certificate is believed: the error log says why.";
    TimedOut = 504 "provider_timeout" "http_response_timeout",
        "the provider did not answer within `auth.oidc.timeout`",
        "The provider is slow: look into its log, or raise `auth.oidc.timeout`.";
    AnswerInvalid = 502 "provider_invalid" "http_protocol_error",
        "the answer of the provider is not one to a code",
        "Something else answers at the token endpoint of the provider, or the provider made no ID token.";
    AnswerTooLong = 502 "provider_too_long" "http_response_body_size",
        "the answer of the provider is larger than 64 KiB",
        "Have the provider put less into its tokens.";
    UserInfo = 502 "user_info" "http_protocol_error",
        "the provider did not tell more of who has logged in, or told it of somebody else",
        "The ID token lacks a claim that the route wants, and `userinfo_endpoint` of the provider does not tell it as JSON.";
    TokenMalformed = 502 "token_malformed" "http_protocol_error",
        "the ID token is no JSON Web Token in compact form, or longer than 16 KiB",
        "The provider encrypts its ID tokens, or puts too much into them.";
    TokenAlgorithm = 502 "token_algorithm" "http_protocol_error",
        "the ID token is not signed by an algorithm for public keys",
        "Have the provider sign by RS256, PS256, ES256 or EdDSA: see its settings of the client.";
    TokenKey = 502 "token_key" "http_protocol_error",
        "the ID token names a key that the provider does not have",
        "The provider changed its keys and does not show the new ones at its `jwks_uri`.";
    TokenSignature = 502 "token_signature" "http_protocol_error",
        "the signature of the ID token is wrong",
        "A forged token, or another provider answers.";
    TokenClaims = 502 "token_claims" "http_protocol_error",
        "the claims of the ID token are not valid, or some are missing",
        "The claims of the provider are not those of OpenID Connect.";
    TokenExpired = 502 "token_expired" "http_protocol_error",
        "the ID token has expired, or is not valid yet",
        "Look at the clocks of the provider and of this machine.";
    TokenIssuer = 502 "token_issuer" "http_protocol_error",
        "the ID token is of another issuer than `auth.oidc.issuer`",
        "Compare the `iss` claim of the ID token with `auth.oidc.issuer`.";
    TokenAudience = 502 "token_audience" "http_protocol_error",
        "the ID token is for another client than `auth.oidc.client_id`",
        "Compare the `aud` and `azp` claims of the ID token with `auth.oidc.client_id`.";
    TokenNonce = 502 "token_nonce" "http_protocol_error",
        "the ID token is of another login",
        "A token that was played back, or a provider that leaves `nonce` out.";
    TokenHash = 502 "token_hash" "http_protocol_error",
        "the ID token and the access token are not of one answer",
        "A token that was put in the place of another.";
    ClaimMissing = 403 "claim_missing" "http_request_denied",
        "who has logged in lacks a claim of `auth.oidc.required`",
        "Look at what the provider tells of this person, and at `auth.oidc.scopes`.";
    SessionTooLarge = 502 "session_too_large" "http_response_header_size",
        "the claims of who has logged in are more than a cookie can hold",
        "The page names the largest claim: have the provider tell less of it, or leave it out of `claims_to_headers`.";
    LogoutCrossSite = 403 "logout_cross_site" "http_request_denied",
        "another site tried to log you out",
        "Follow the link to log out. A site of your own links from the same domain.";
}

impl From<TokenFault> for OidcFault {
    fn from(fault: TokenFault) -> Self {
        match fault {
            TokenFault::Missing
            | TokenFault::Twice
            | TokenFault::Malformed
            | TokenFault::TooLong
            | TokenFault::Critical => Self::TokenMalformed,
            TokenFault::Algorithm => Self::TokenAlgorithm,
            TokenFault::UnknownKey => Self::TokenKey,
            TokenFault::Signature => Self::TokenSignature,
            TokenFault::Claims => Self::TokenClaims,
            TokenFault::Expired | TokenFault::NotYetValid => Self::TokenExpired,
            TokenFault::Issuer => Self::TokenIssuer,
            TokenFault::Audience => Self::TokenAudience,
            TokenFault::Required => Self::ClaimMissing,
            TokenFault::NoKeys => Self::NotReady,
        }
    }
}
