//! Why a token lets nobody pass.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    Missing,
    /// There are several, of which an upstream might read another one.
    Twice,
    Malformed,
    TooLong,
    Algorithm,
    Critical,
    UnknownKey,
    Signature,
    Claims,
    Expired,
    NotYetValid,
    Issuer,
    Audience,
    Required,
    /// The keys of the issuer are not there yet.
    NoKeys,
}

impl TokenFault {
    /// Each of them once, in their order.
    pub const ALL: &[Self] = &[
        Self::Missing,
        Self::Twice,
        Self::Malformed,
        Self::TooLong,
        Self::Algorithm,
        Self::Critical,
        Self::UnknownKey,
        Self::Signature,
        Self::Claims,
        Self::Expired,
        Self::NotYetValid,
        Self::Issuer,
        Self::Audience,
        Self::Required,
        Self::NoKeys,
    ];

    /// The word that logs and metrics have for it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Missing => "auth_jwt_missing",
            Self::Twice => "auth_jwt_twice",
            Self::Malformed => "auth_jwt_malformed",
            Self::TooLong => "auth_jwt_too_long",
            Self::Algorithm => "auth_jwt_algorithm",
            Self::Critical => "auth_jwt_critical",
            Self::UnknownKey => "auth_jwt_unknown_key",
            Self::Signature => "auth_jwt_signature",
            Self::Claims => "auth_jwt_claims",
            Self::Expired => "auth_jwt_expired",
            Self::NotYetValid => "auth_jwt_not_yet_valid",
            Self::Issuer => "auth_jwt_issuer",
            Self::Audience => "auth_jwt_audience",
            Self::Required => "auth_jwt_required",
            Self::NoKeys => "auth_jwt_no_keys",
        }
    }

    /// What an operator can do about it.
    pub const fn cure(self) -> &'static str {
        match self {
            Self::Missing => "The client has not logged in, or sends its token where `auth.jwt.from` does not look.",
            Self::Twice => "Mend the client: it must send its token once.",
            Self::Malformed => "The client sends something else than a token, such as an opaque one.",
            Self::TooLong => "The issuer puts too much into its tokens.",
            Self::Algorithm => "Name the issuer's algorithm in `auth.jwt.algorithms`, if you trust it.",
            Self::Critical => "The issuer uses an extension of RFC 7515 section 4.1.11 that is not supported.",
            Self::UnknownKey => "The issuer changed its keys: fetch them by `auth.jwt.jwks_url`, or renew `jwks_file`.",
            Self::Signature => "A forged token, or one of an issuer whose keys are not those of `auth.jwt`.",
            Self::Claims => "The issuer's claims are not those of RFC 7519.",
            Self::Expired => "The client must renew its token. If all are refused so, look at the clocks.",
            Self::NotYetValid => "Look at the clocks of the issuer and of this machine, and at `auth.jwt.leeway`.",
            Self::Issuer => "Compare the `iss` claim of the token with `auth.jwt.issuer`.",
            Self::Audience => "Compare the `aud` claim of the token with `auth.jwt.audience`.",
            Self::Required => "Compare the claims of the token with `auth.jwt.required`.",
            Self::NoKeys => "The server of `auth.jwt.jwks_url` does not answer: the error log says why.",
        }
    }

    /// A sentence for a person, without anything that the token holds.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Missing => "a token is asked for, see `auth.jwt`",
            Self::Twice => "the request has more than one token, see `auth.jwt.from`",
            Self::Malformed => "the token is no JSON Web Token in compact form",
            Self::TooLong => "the token is longer than 16 KiB",
            Self::Algorithm => {
                "the token is signed by an algorithm that `auth.jwt.algorithms` or the key does not allow"
            }
            Self::Critical => "the token wants something understood that is not known (`crit`)",
            Self::UnknownKey => "the token names a key that the issuer does not have",
            Self::Signature => "the signature of the token is wrong",
            Self::Claims => "the claims of the token are not valid",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not valid yet",
            Self::Issuer => "the token is of another issuer than `auth.jwt.issuer`",
            Self::Audience => "the token is for another audience than `auth.jwt.audience`",
            Self::Required => "the token lacks a claim of `auth.jwt.required`",
            Self::NoKeys => "the keys of the issuer of tokens could not be fetched yet, see `auth.jwt.jwks_url`",
        }
    }

    pub const fn status(self) -> u16 {
        match self {
            Self::Twice => 400,
            Self::NoKeys => 503,
            Self::Missing
            | Self::Malformed
            | Self::TooLong
            | Self::Algorithm
            | Self::Critical
            | Self::UnknownKey
            | Self::Signature
            | Self::Claims
            | Self::Expired
            | Self::NotYetValid
            | Self::Issuer
            | Self::Audience
            | Self::Required => 401,
        }
    }
}
