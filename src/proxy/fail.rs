//! Why the proxy answers by itself: one [`Cause`] for each reason, with its
//! status, its words and its Proxy-Status error (RFC 9209), and the mapping from
//! Pingora's errors to them.

use pingora::{Error, ErrorSource as Side, ErrorType};

use crate::observe::ErrorSource;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    HostMissing,
    HostInvalid,
    HostConflict,
    TargetInvalid,
    RequestInvalid,
    FramingAmbiguous,
    ExpectationFailed,
    MethodRefused,
    NoRoute,
    BodyTimeout,
    ClientGone,
    ConnectRefused,
    ConnectTimeout,
    ConnectFailed,
    TlsFailed,
    CertificateRefused,
    ResponseTimeout,
    SendTimeout,
    UpstreamClosed,
    UpstreamInvalid,
    ResourcesExhausted,
    Internal,
}

impl Cause {
    /// 499 is never sent: that client is gone.
    pub fn status(self) -> u16 {
        match self {
            Self::HostMissing | Self::HostInvalid | Self::HostConflict => 400,
            Self::TargetInvalid | Self::RequestInvalid | Self::FramingAmbiguous => 400,
            Self::ExpectationFailed => 417,
            Self::NoRoute => 404,
            Self::MethodRefused => 405,
            Self::BodyTimeout => 408,
            Self::ClientGone => 499,
            Self::Internal => 500,
            Self::ConnectRefused | Self::ConnectFailed => 502,
            Self::TlsFailed | Self::CertificateRefused => 502,
            Self::UpstreamClosed | Self::UpstreamInvalid => 502,
            Self::ResourcesExhausted => 503,
            Self::ConnectTimeout | Self::ResponseTimeout | Self::SendTimeout => 504,
        }
    }

    /// A sentence for a person.
    pub fn message(self) -> &'static str {
        match self {
            Self::HostMissing => "the request has no Host",
            Self::HostInvalid => "the Host of the request is not a host name",
            Self::HostConflict => "the Host of the request differs from its target",
            Self::TargetInvalid => "the target of the request has a bad escape or a control character",
            Self::RequestInvalid => "the request is not valid HTTP",
            Self::FramingAmbiguous => "the length of the request body can be read two ways",
            Self::ExpectationFailed => "the expectation of the request is not known",
            Self::MethodRefused => "this method is not forwarded",
            Self::NoRoute => "no route matches this request",
            Self::BodyTimeout => "the request body stopped arriving",
            Self::ClientGone => "the client closed the connection",
            Self::ConnectRefused => "the upstream refused the connection",
            Self::ConnectTimeout => "the upstream did not accept the connection in time",
            Self::ConnectFailed => "the upstream could not be reached",
            Self::TlsFailed => "the TLS handshake with the upstream failed",
            Self::CertificateRefused => "the upstream's certificate was not accepted",
            Self::ResponseTimeout => "the upstream did not answer in time",
            Self::SendTimeout => "the upstream did not take the request in time",
            Self::UpstreamClosed => "the upstream closed the connection before its answer was complete",
            Self::UpstreamInvalid => "the upstream's answer is not valid HTTP",
            Self::ResourcesExhausted => "the proxy has no more connections to give",
            Self::Internal => "the proxy failed",
        }
    }

    /// The error type of RFC 9209 section 2.3.
    pub fn proxy_status(self) -> &'static str {
        match self {
            Self::HostMissing | Self::HostInvalid | Self::HostConflict => "http_request_error",
            Self::TargetInvalid | Self::RequestInvalid => "http_request_error",
            Self::FramingAmbiguous | Self::ExpectationFailed => "http_request_error",
            Self::MethodRefused | Self::BodyTimeout | Self::ClientGone => "http_request_error",
            Self::NoRoute => "destination_not_found",
            Self::ConnectRefused => "connection_refused",
            Self::ConnectTimeout => "connection_timeout",
            Self::ConnectFailed => "destination_ip_unroutable",
            Self::TlsFailed => "tls_protocol_error",
            Self::CertificateRefused => "tls_certificate_error",
            Self::ResponseTimeout => "http_response_timeout",
            Self::SendTimeout => "connection_write_timeout",
            Self::UpstreamClosed => "connection_terminated",
            Self::UpstreamInvalid => "http_protocol_error",
            Self::ResourcesExhausted => "connection_limit_reached",
            Self::Internal => "proxy_internal_error",
        }
    }

    pub fn source(self) -> ErrorSource {
        match self {
            Self::HostMissing | Self::HostInvalid | Self::HostConflict => ErrorSource::Client,
            Self::TargetInvalid | Self::RequestInvalid | Self::MethodRefused => ErrorSource::Client,
            Self::FramingAmbiguous | Self::ExpectationFailed => ErrorSource::Client,
            Self::BodyTimeout | Self::ClientGone | Self::NoRoute => ErrorSource::Client,
            Self::ConnectRefused | Self::ConnectTimeout | Self::ConnectFailed => ErrorSource::Upstream,
            Self::TlsFailed | Self::CertificateRefused => ErrorSource::Upstream,
            Self::ResponseTimeout | Self::SendTimeout => ErrorSource::Upstream,
            Self::UpstreamClosed | Self::UpstreamInvalid => ErrorSource::Upstream,
            Self::ResourcesExhausted | Self::Internal => ErrorSource::Proxy,
        }
    }
}

/// What a Pingora error means to a client.
pub fn cause_of(error: &Error) -> Cause {
    match by_kind(error) {
        // Pingora keeps rustls's verdict only in the text of the cause.
        Cause::TlsFailed if error.to_string().contains("invalid peer certificate") => Cause::CertificateRefused,
        cause => cause,
    }
}

fn by_kind(error: &Error) -> Cause {
    match error.esource() {
        Side::Downstream => downstream(error.etype()),
        Side::Upstream => upstream(error.etype()),
        Side::Internal | Side::Unset => match error.etype() {
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
        ErrorType::InvalidCert => Cause::CertificateRefused,
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
        let failed = |reason: &str| {
            let cause = std::io::Error::other(reason.to_owned());
            cause_of(&Error::because(ErrorType::TLSHandshakeFailure, "handshake", cause).into_up())
        };
        assert_eq!(failed("invalid peer certificate: UnknownIssuer"), Cause::CertificateRefused);
        assert_eq!(failed("received corrupt message"), Cause::TlsFailed);
    }

    #[test]
    fn a_slow_client_and_a_slow_upstream_are_told_apart() {
        assert_eq!(cause_of(&Error::new_down(ErrorType::ReadTimedout)).status(), 408);
        assert_eq!(cause_of(&Error::new_up(ErrorType::ReadTimedout)).status(), 504);
        assert_eq!(cause_of(&Error::new_up(ErrorType::ConnectTimedout)).status(), 504);
        assert_eq!(cause_of(&Error::new_up(ErrorType::ConnectRefused)).status(), 502);
        assert_eq!(cause_of(&Error::new_up(ErrorType::SocketError)).status(), 503);
    }
}
