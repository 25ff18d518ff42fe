//! Why the proxy answers by itself: one [`Cause`] for each reason, with its status, its words,
//! its Proxy-Status error (RFC 9209), and what an operator can do about it.

mod families;
mod row;
mod table;

use crate::downstream::Malformed;
use crate::telemetry::ErrorSource;
pub use table::Cause;

impl Cause {
    /// Every cause once.
    pub fn all() -> &'static [Self] {
        &table::ALL
    }

    /// Its place in [`Cause::all`].
    pub fn index(self) -> usize {
        Self::all().iter().position(|cause| *cause == self).unwrap_or_default()
    }

    /// Whether nothing more can be said to the client.
    pub const fn is_lost_client(self) -> bool {
        matches!(
            self,
            Self::ClientGone | Self::ClientStalled | Self::ClientTooSlow | Self::ResponseRate | Self::BodyWithheld
        )
    }

    /// 499 is never sent: that client is gone.
    pub const fn status(self) -> u16 {
        self.row().status
    }

    /// The short word that names it everywhere: in logs, metrics, Proxy-Status and pages.
    pub const fn reason(self) -> &'static str {
        self.row().reason
    }

    /// What an operator can do about it.
    pub const fn cure(self) -> &'static str {
        self.row().cure
    }

    /// A sentence for a person.
    pub const fn message(self) -> &'static str {
        self.row().message
    }

    /// The error type of RFC 9209 section 2.3.
    pub const fn proxy_status(self) -> &'static str {
        self.row().proxy_status
    }

    pub const fn source(self) -> ErrorSource {
        self.row().source
    }
}

/// What is wrong with a request that never became one.
impl From<Malformed> for Cause {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::LineTooLong => Self::LineTooLong,
            Malformed::HeadTooLarge => Self::HeadTooLarge,
            Malformed::TooManyFields => Self::TooManyFields,
            Malformed::Syntax => Self::RequestInvalid,
            Malformed::Version => Self::VersionUnsupported,
            Malformed::Method => Self::MethodRefused,
            Malformed::Target => Self::TargetInvalid,
            Malformed::Host => Self::HostInvalid,
            Malformed::HostConflict => Self::HostConflict,
            Malformed::Framing => Self::FramingAmbiguous,
            Malformed::Coding => Self::CodingUnsupported,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_cause_has_a_word_of_its_own() {
        let words: BTreeSet<_> = Cause::all().iter().map(|cause| cause.reason()).collect();
        assert_eq!(words.len(), Cause::all().len());
        let is_word = |word: &str| word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        assert!(words.iter().all(|word| is_word(word)), "{words:?}");
    }

    #[test]
    fn what_is_said_of_a_cause_is_a_sentence_and_fits_a_field() {
        for cause in Cause::all() {
            let (message, cure) = (cause.message(), cause.cure());
            assert!(message.is_ascii() && !message.contains(['"', '\\']), "{message}");
            assert!(!message.ends_with('.') && cure.ends_with('.'), "{message} {cure}");
            assert_eq!(Cause::all()[cause.index()], *cause);
        }
    }
}
