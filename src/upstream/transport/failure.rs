//! Why a connection could not be made, or broke off, in Pingora's kinds of errors.

use std::fmt::Display;
use std::io;

use nix::errno::Errno;
use pingora::{Error, ErrorType};
use rustls::AlertDescription;

/// Of an attempt to connect `to` an address.
pub(super) fn connect_failed(error: io::Error, to: impl Display) -> Box<Error> {
    let kind = match error.kind() {
        io::ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
        io::ErrorKind::TimedOut => ErrorType::ConnectTimedout,
        // No port of our own is left.
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => ErrorType::BindError,
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => ErrorType::ConnectNoRoute,
        _ if is_exhausted(&error) => ErrorType::SocketError,
        _ => ErrorType::ConnectError,
    };
    Error::because(kind, format!("connecting to {to}"), error)
}

/// Whether this process, or the machine, can have no further socket.
fn is_exhausted(error: &io::Error) -> bool {
    const EXHAUSTED: [Errno; 4] = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];
    error.raw_os_error().is_some_and(|code| EXHAUSTED.contains(&Errno::from_raw(code)))
}

/// The cause of an error: the server does not speak the protocol that it has to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSelected;

impl Display for NotSelected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a server that did not select HTTP/2")
    }
}

impl std::error::Error for NotSelected {}

/// Of a TLS handshake with `name`.
pub(super) fn handshake_failed(error: io::Error, name: &str) -> Box<Error> {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref());
    match of_tls {
        Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
            not_selected("the server says so")
        }
        _ => Error::because(ErrorType::TLSHandshakeFailure, format!("with {name}"), error),
    }
}

pub(super) fn not_selected(context: &'static str) -> Box<Error> {
    Error::because(ErrorType::TLSHandshakeFailure, context, NotSelected)
}

/// Of reading from a server. A server that does not like our certificate says so only here, in
/// TLS 1.3.
pub fn read_failed(error: io::Error) -> Box<Error> {
    let is_tls = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
    let kind = match error.kind() {
        _ if is_tls => ErrorType::TLSHandshakeFailure,
        io::ErrorKind::InvalidData => ErrorType::InvalidHTTPHeader,
        io::ErrorKind::UnexpectedEof => ErrorType::ConnectionClosed,
        _ => ErrorType::ReadError,
    };
    Error::because(kind, "reading a response", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_kind() {
        for (code, expected) in [
            (Errno::ECONNREFUSED, ErrorType::ConnectRefused),
            (Errno::ETIMEDOUT, ErrorType::ConnectTimedout),
            (Errno::EADDRNOTAVAIL, ErrorType::BindError),
            (Errno::ENETUNREACH, ErrorType::ConnectNoRoute),
            (Errno::EHOSTUNREACH, ErrorType::ConnectNoRoute),
            (Errno::EMFILE, ErrorType::SocketError),
            (Errno::ENFILE, ErrorType::SocketError),
            (Errno::EACCES, ErrorType::ConnectError),
            (Errno::ENOENT, ErrorType::ConnectError),
        ] {
            let failed = connect_failed(io::Error::from_raw_os_error(code as i32), "server");
            assert_eq!(*failed.etype(), expected, "{code}");
        }
    }

    #[test]
    fn an_alert_of_the_server_is_no_bad_response() {
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
        let failed = |inner| read_failed(io::Error::new(io::ErrorKind::InvalidData, inner)).etype().clone();
        assert_eq!(failed(Box::<dyn std::error::Error + Send + Sync>::from(alert)), ErrorType::TLSHandshakeFailure);
        assert_eq!(failed("not chunked".into()), ErrorType::InvalidHTTPHeader);
    }
}
