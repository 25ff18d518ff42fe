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
