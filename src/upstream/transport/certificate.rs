//! Why a server's certificate was not accepted.

use std::io;

use pingora::Error;
use rustls::CertificateError;

/// rustls's verdict on a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateFault {
    UnknownIssuer,
    NotForName,
    Expired,
    NotYetValid,
    CaAsServer,
    WrongPurpose,
    BadSignature,
    UnsupportedAlgorithm,
    Revoked,
    Malformed,
    Other,
}

impl CertificateFault {
    /// Each of them once, in their order.
    pub const ALL: &[Self] = &[
        Self::UnknownIssuer,
        Self::NotForName,
        Self::Expired,
        Self::NotYetValid,
        Self::CaAsServer,
        Self::WrongPurpose,
        Self::BadSignature,
        Self::UnsupportedAlgorithm,
        Self::Revoked,
        Self::Malformed,
        Self::Other,
    ];

    /// The word that logs and metrics have for it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::UnknownIssuer => "upstream_certificate_unknown_issuer",
            Self::NotForName => "upstream_certificate_not_for_name",
            Self::Expired => "upstream_certificate_expired",
            Self::NotYetValid => "upstream_certificate_not_yet_valid",
            Self::CaAsServer => "upstream_certificate_ca_as_server",
            Self::WrongPurpose => "upstream_certificate_wrong_purpose",
            Self::BadSignature => "upstream_certificate_bad_signature",
            Self::UnsupportedAlgorithm => "upstream_certificate_algorithm",
            Self::Revoked => "upstream_certificate_revoked",
            Self::Malformed => "upstream_certificate_malformed",
            Self::Other => "upstream_certificate_refused",
        }
    }

    /// What an operator can do about it.
    pub const fn cure(self) -> &'static str {
        match self {
            Self::UnknownIssuer => "Name the CA of the server in `tls.ca` of the upstream.",
            Self::NotForName => "Set `tls.sni` of the upstream to a name of the server's certificate.",
            Self::Expired => "Renew the server's certificate. If it is good, look at the clock of this machine.",
            Self::NotYetValid => "Look at the clocks of the server and of this machine.",
            Self::CaAsServer => "The server shows its CA's certificate: give it one of its own.",
            Self::WrongPurpose | Self::BadSignature | Self::UnsupportedAlgorithm | Self::Revoked | Self::Malformed => {
                "Renew the server's certificate."
            }
            Self::Other => "`openssl s_client -connect SERVER -verify_return_error` says more.",
        }
    }

    /// `None` where the error is about something else.
    pub fn of(error: &Error) -> Option<Self> {
        let failed = error.root_cause().downcast_ref::<io::Error>()?;
        match failed.get_ref()?.downcast_ref()? {
            rustls::Error::InvalidCertificate(verdict) => Some(Self::from_verdict(verdict)),
            // rustls's list is long and may grow.
            _ => None,
        }
    }

    fn from_verdict(verdict: &CertificateError) -> Self {
        match verdict {
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Self::NotForName,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => Self::WrongPurpose,
            CertificateError::BadSignature => Self::BadSignature,
            CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => Self::UnsupportedAlgorithm,
            CertificateError::Revoked => Self::Revoked,
            CertificateError::BadEncoding => Self::Malformed,
            // The one that rustls has no name for.
            CertificateError::Other(other) if other.to_string() == "CaUsedAsEndEntity" => Self::CaAsServer,
            _ => Self::Other,
        }
    }

    /// A sentence for a person, with rustls's name for it.
    pub const fn message(self) -> &'static str {
        match self {
            Self::UnknownIssuer => {
                "the upstream's certificate was not accepted: no trusted CA issued it (UnknownIssuer)"
            }
            Self::NotForName => "the upstream's certificate was not accepted: it is for other names (NotValidForName)",
            Self::Expired => "the upstream's certificate was not accepted: it has expired (Expired)",
            Self::NotYetValid => "the upstream's certificate was not accepted: it is not valid yet (NotValidYet)",
            Self::CaAsServer => {
                "the upstream's certificate was not accepted: it is a CA's and no server's (CaUsedAsEndEntity)"
            }
            Self::WrongPurpose => {
                "the upstream's certificate was not accepted: it is not meant for servers (InvalidPurpose)"
            }
            Self::BadSignature => "the upstream's certificate was not accepted: its signature is wrong (BadSignature)",
            Self::UnsupportedAlgorithm => {
                "the upstream's certificate was not accepted: it is signed in a way that is not known \
                 (UnsupportedSignatureAlgorithm)"
            }
            Self::Revoked => "the upstream's certificate was not accepted: it was revoked (Revoked)",
            Self::Malformed => "the upstream's certificate was not accepted: it is malformed (BadEncoding)",
            Self::Other => "the upstream's certificate was not accepted",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingora::ErrorType;
    use rustls::{Error as TlsError, OtherError};

    fn fault(error: TlsError) -> Option<CertificateFault> {
        let failed = io::Error::new(io::ErrorKind::InvalidData, error);
        CertificateFault::of(&Error::because(ErrorType::TLSHandshakeFailure, "with a.test", failed))
    }

    #[test]
    fn each_verdict_of_rustls_has_its_fault() {
        use CertificateFault::{CaAsServer, Expired, Malformed, NotForName, NotYetValid, Other, UnknownIssuer};
        let time = |seconds| rustls_pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let name = rustls_pki_types::ServerName::try_from("a.test").unwrap();
        for (error, expected) in [
            (CertificateError::UnknownIssuer, UnknownIssuer),
            (CertificateError::NotValidForName, NotForName),
            (CertificateError::NotValidForNameContext { expected: name, presented: vec!["b.test".into()] }, NotForName),
            (CertificateError::Expired, Expired),
            (CertificateError::ExpiredContext { time: time(9), not_after: time(1) }, Expired),
            (CertificateError::NotValidYetContext { time: time(1), not_before: time(9) }, NotYetValid),
            (CertificateError::BadEncoding, Malformed),
            (CertificateError::Other(OtherError(std::sync::Arc::new(CaUsedAsEndEntity))), CaAsServer),
            (CertificateError::UnhandledCriticalExtension, Other),
        ] {
            assert_eq!(fault(TlsError::InvalidCertificate(error.clone())), Some(expected), "{error:?}");
        }
        assert_eq!(fault(TlsError::HandshakeNotComplete), None);
    }

    #[derive(Debug)]
    struct CaUsedAsEndEntity;

    impl std::fmt::Display for CaUsedAsEndEntity {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("CaUsedAsEndEntity")
        }
    }

    impl std::error::Error for CaUsedAsEndEntity {}
}
