//! Why a response cannot be used.

/// What is wrong with a response's head, or with the framing of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadResponse {
    /// It is not HTTP/1.
    Syntax,
    /// Its length can be read in more than one way (RFC 9112 section 6.3).
    Length,
    HeadTooLarge,
    TooManyFields,
    /// 101 to a request that asked for no upgrade (RFC 9110 section 15.2.2).
    Switch,
    TooManyInterim,
}

impl std::fmt::Display for BadResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Syntax => "a response that is not HTTP/1",
            Self::Length => "a response whose length can be read in more than one way",
            Self::HeadTooLarge => "a response with a larger head than is read",
            Self::TooManyFields => "a response with more fields than are read",
            Self::Switch => "a change of protocols that was not asked for",
            Self::TooManyInterim => "more interim responses than are taken",
        })
    }
}

impl std::error::Error for BadResponse {}
