//! Which [`Cause`] a Pingora error is: the one mapping from Pingora's errors to
//! what a client is told.

use pingora::{Error, ErrorSource as PingoraSource, ErrorType};

use crate::exchange::{BodyRefused, Overdue};
use crate::filter::Cause;
use crate::http1::BadChunk;
use crate::upstream::http1::BadResponse;
use crate::upstream::http2::Http2Fault;
use crate::upstream::{CertificateFault, NotSelected};

/// What the proxy refuses a request for. It travels as the cause of a Pingora error, from
/// the hook that refuses to `fail_to_proxy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub cause: Cause,
    /// In seconds, for the client.
    pub retry_after: Option<u64>,
}

impl Refusal {
    pub fn of(cause: Cause) -> Self {
        Self { cause, retry_after: None }
    }

    /// The refusal in the place of an error that led to it.
    pub fn because(self, error: &Error) -> Box<Error> {
        let mut refused: Box<Error> = self.into();
        refused.set_context(error.to_string());
        refused
    }

    /// What an error means to the client: a refusal says so itself. `answered`: it came once the upstream
    /// had begun its answer.
    pub fn of_error(error: &Error, answered: bool) -> Self {
        match error.root_cause().downcast_ref() {
            Some(refusal) => *refusal,
            None if answered => Self::of(in_mid_answer(cause_of_pingoras(error))),
            None => Self::of(cause_of_pingoras(error)),
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.cause.message())
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for Box<Error> {
    fn from(refusal: Refusal) -> Self {
        Error::because(ErrorType::InternalError, "refused", refusal)
    }
}

/// What an error means to a client, before the upstream has begun its answer or after that.
pub fn cause_of(error: &Error, answered: bool) -> Cause {
    Refusal::of_error(error, answered).cause
}

fn in_mid_answer(cause: Cause) -> Cause {
    match cause {
        Cause::UpstreamClosed => Cause::UpstreamTruncated,
        Cause::ResponseTimeout => Cause::ReadTimeout,
        other => other,
    }
}

fn cause_of_pingoras(error: &Error) -> Cause {
    if let Some(cause) = http2_fault(error) {
        return cause;
    }
    match by_kind(error) {
        Cause::TlsFailed if error.root_cause().is::<NotSelected>() => Cause::Http2NotSelected,
        Cause::TlsFailed => CertificateFault::of(error).map_or(Cause::TlsFailed, Cause::CertificateRefused),
        Cause::UpstreamInvalid => by_head(error),
        Cause::ClientGone => by_driver(error),
        cause => cause,
    }
}

fn http2_fault(error: &Error) -> Option<Cause> {
    Some(match error.root_cause().downcast_ref()? {
        Http2Fault::Unprocessed => Cause::RequestRefused,
        Http2Fault::Reset => Cause::RequestReset,
        Http2Fault::NoTunnel => Cause::TunnelRefused,
        Http2Fault::Target => Cause::TargetInvalid,
    })
}

/// A response that is valid HTTP may be more than is carried.
fn by_head(error: &Error) -> Cause {
    match error.root_cause().downcast_ref() {
        Some(BadResponse::TooManyFields) => Cause::UpstreamFields,
        Some(BadResponse::HeadTooLarge) => Cause::UpstreamHeadTooLarge,
        Some(BadResponse::Syntax | BadResponse::Length | BadResponse::Switch | BadResponse::TooManyInterim) | None => {
            Cause::UpstreamInvalid
        }
    }
}

/// The driver's errors come back as those of a client that could not be read.
fn by_driver(error: &Error) -> Cause {
    let io = error.root_cause().downcast_ref::<std::io::Error>();
    let Some(inner) = io.and_then(std::io::Error::get_ref) else {
        return Cause::ClientGone;
    };
    match inner.downcast_ref::<Overdue>() {
        Some(Overdue::RequestBody) => Cause::BodyTimeout,
        Some(Overdue::RequestRate) => Cause::BodyRate,
        Some(Overdue::RestOfBody) => Cause::BodyWithheld,
        Some(Overdue::Response) => Cause::ResponseTimeout,
        Some(Overdue::Request) => Cause::RequestTimeout,
        Some(Overdue::Write) => Cause::ClientStalled,
        Some(Overdue::ResponseRate) => Cause::ResponseRate,
        Some(Overdue::Delivery) => Cause::ClientTooSlow,
        Some(Overdue::Tunnel) => Cause::Shutdown,
        None if inner.is::<BadChunk>() => Cause::ChunkInvalid,
        None => inner.downcast_ref().map_or(Cause::ClientGone, |refused| match refused {
            BodyRefused::Malformed => Cause::RequestInvalid,
            BodyRefused::TooLarge => Cause::BodyTooLarge,
        }),
    }
}

fn by_kind(error: &Error) -> Cause {
    match error.esource() {
        PingoraSource::Downstream => downstream(error.etype()),
        PingoraSource::Upstream => upstream(error.etype()),
        PingoraSource::Internal | PingoraSource::Unset => match error.etype() {
            ErrorType::InvalidHTTPHeader => Cause::RequestInvalid,
            other => upstream(other),
        },
    }
}

fn downstream(kind: &ErrorType) -> Cause {
    match kind {
        ErrorType::ReadTimedout => Cause::BodyTimeout,
        ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed | ErrorType::WriteTimedout => {
            Cause::ClientGone
        }
        // Pingora's list is long and may grow; whatever else a client does wrong is a bad request.
        _ => Cause::RequestInvalid,
    }
}

fn upstream(kind: &ErrorType) -> Cause {
    match kind {
        ErrorType::ConnectRefused => Cause::ConnectRefused,
        ErrorType::ConnectTimedout => Cause::ConnectTimeout,
        ErrorType::ConnectNoRoute | ErrorType::ConnectError | ErrorType::ConnectProxyFailure => Cause::ConnectFailed,
        ErrorType::TLSHandshakeFailure | ErrorType::HandshakeError | ErrorType::TLSWantX509Lookup => Cause::TlsFailed,
        ErrorType::TLSHandshakeTimedout => Cause::ConnectTimeout,
        ErrorType::InvalidCert => Cause::CertificateRefused(CertificateFault::Other),
        ErrorType::BindError | ErrorType::SocketError => Cause::ResourcesExhausted,
        ErrorType::ReadTimedout => Cause::ResponseTimeout,
        ErrorType::WriteTimedout => Cause::SendTimeout,
        ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed => Cause::UpstreamClosed,
        ErrorType::InvalidHTTPHeader | ErrorType::H1Error | ErrorType::H2Error | ErrorType::InvalidH2 => {
            Cause::UpstreamInvalid
        }
        // Pingora's list is long and may grow; the rest is nobody's fault but ours.
        _ => Cause::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_certificate_is_told_from_a_failed_handshake() {
        let failed = |reason: rustls::Error| {
            let cause = std::io::Error::other(reason);
            cause_of(&Error::because(ErrorType::TLSHandshakeFailure, "handshake", cause).into_up(), false)
        };
        let refused = Cause::CertificateRefused(CertificateFault::UnknownIssuer);
        assert_eq!(failed(rustls::CertificateError::UnknownIssuer.into()), refused);
        assert_eq!(failed(rustls::Error::DecryptError), Cause::TlsFailed);
    }

    #[test]
    fn a_slow_client_and_a_slow_upstream_are_told_apart() {
        assert_eq!(cause_of(&Error::new_down(ErrorType::ReadTimedout), false).status(), 408);
        assert_eq!(cause_of(&Error::new_up(ErrorType::ReadTimedout), false).status(), 504);
        assert_eq!(cause_of(&Error::new_up(ErrorType::ConnectTimedout), false).status(), 504);
        assert_eq!(cause_of(&Error::new_up(ErrorType::ConnectRefused), false).status(), 502);
        assert_eq!(cause_of(&Error::new_up(ErrorType::SocketError), false).status(), 503);
    }
}
