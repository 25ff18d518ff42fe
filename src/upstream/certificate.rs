//! Why a server's certificate was not accepted.

use pingora::Error;

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

/// What rustls's text says first of each, whole words of it.
const VERDICTS: [(&str, CertificateFault); 15] = [
    ("UnknownIssuer", CertificateFault::UnknownIssuer),
    ("certificate not valid for name", CertificateFault::NotForName),
    ("NotValidForName", CertificateFault::NotForName),
    ("certificate expired", CertificateFault::Expired),
    ("Expired", CertificateFault::Expired),
    ("certificate not valid yet", CertificateFault::NotYetValid),
    ("NotValidYet", CertificateFault::NotYetValid),
    ("Other(OtherError(CaUsedAsEndEntity))", CertificateFault::CaAsServer),
    ("certificate does not allow extended key usage", CertificateFault::WrongPurpose),
    ("InvalidPurpose", CertificateFault::WrongPurpose),
    ("BadSignature", CertificateFault::BadSignature),
    ("UnsupportedSignatureAlgorithm", CertificateFault::UnsupportedAlgorithm),
    ("Revoked", CertificateFault::Revoked),
    ("BadEncoding", CertificateFault::Malformed),
    ("ApplicationVerificationFailure", CertificateFault::Other),
];

impl CertificateFault {
    /// Pingora keeps rustls's verdict only in the text of its error; `None` where that is of
    /// something else.
    pub fn of(error: &Error) -> Option<Self> {
        verdict(&error.to_string()).map(Self::from_verdict)
    }

    fn from_verdict(verdict: &str) -> Self {
        VERDICTS.iter().find(|(begin, _)| verdict.starts_with(begin)).map_or(Self::Other, |(_, fault)| *fault)
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

/// The part of an error's text that rustls wrote of a certificate.
fn verdict(text: &str) -> Option<&str> {
    let (_, verdict) = text.split_once("invalid peer certificate: ")?;
    Some(verdict.split_once(", SNI: ").map_or(verdict, |(verdict, _)| verdict))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingora::ErrorType;
    use rustls::{CertificateError, Error as TlsError, OtherError};

    fn fault(error: &TlsError) -> Option<CertificateFault> {
        let context = format!("TLS connect() failed: {error}, SNI: a.test");
        CertificateFault::of(&Error::explain(ErrorType::TLSHandshakeFailure, context))
    }

    /// The texts are rustls's own: this fails when a new version words one otherwise.
    #[test]
    fn each_verdict_of_rustls_is_known_by_its_text() {
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
            assert_eq!(fault(&TlsError::InvalidCertificate(error.clone())), Some(expected), "{error:?}");
        }
        assert_eq!(fault(&TlsError::HandshakeNotComplete), None);
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
