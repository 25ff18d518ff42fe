//! Why the bytes of a client are no request that is taken.

/// Why a request cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    LineTooLong,
    HeadTooLarge,
    TooManyFields,
    Syntax,
    Version,
    Method,
    Target,
    Host,
    HostConflict,
    Framing,
    /// A transfer coding other than `chunked` in front of that.
    Coding,
}
