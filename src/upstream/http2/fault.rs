//! Why a request over HTTP/2 failed, in Pingora's kinds of errors, and where those say too little
//! in ours.

use h2::Reason;
use pingora::{Error, ErrorType};

use crate::upstream::transport::read_failed;

/// The cause of an error that Pingora has no kind for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http2Fault {
    /// The server says that it has not looked at the request: it may be sent again, whatever it is
    /// (RFC 9113 section 8.7).
    Unprocessed,
    /// The server gave the request up (RST_STREAM).
    Reset,
    /// The server takes no tunnels (RFC 8441).
    NoTunnel,
    /// The target or the Host of the request cannot be sent.
    Target,
}

impl std::fmt::Display for Http2Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unprocessed => "a request that was not processed",
            Self::Reset => "a request that was reset",
            Self::NoTunnel => "a server that takes no tunnels",
            Self::Target => "a target that HTTP/2 cannot carry",
        })
    }
}

impl std::error::Error for Http2Fault {}

impl Http2Fault {
    pub(super) fn error(self, kind: ErrorType, context: String) -> Box<Error> {
        Error::because(kind, context, self)
    }
}

/// Of a stream, or of the connection under it.
pub(super) fn failed(error: h2::Error) -> Box<Error> {
    let context = error.to_string();
    // The streams that a GOAWAY ends are those above its last one.
    let is_refused = error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM);
    if error.is_remote() && is_refused {
        return Http2Fault::Unprocessed.error(ErrorType::ConnectionClosed, context);
    }
    if error.is_remote() && error.is_reset() {
        return Http2Fault::Reset.error(ErrorType::H2Error, context);
    }
    if error.is_library() {
        return Error::because(ErrorType::InvalidHTTPHeader, "from an upstream", error);
    }
    match error.into_io() {
        Some(error) => read_failed(error),
        None => Error::explain(ErrorType::InternalError, context),
    }
}
