//! `response.security`: what browsers shall guard a page against.

use std::time::Duration;

use http::HeaderValue;

use crate::config::section::{or_null, or_word, section, words};
use crate::config::value::{DURATION, HEADER_VALUE};

section! {
    /// Fields by which browsers guard a page. Where the upstream says one of them itself, its own stands; `response.header` replaces either.
    #[derive(Clone, Debug)]
    "`security`" pub struct Security {
        /// For how long browsers use HTTPS alone for the host (`Strict-Transport-Security`, RFC 6797); sent to clients that came by HTTPS.
        hsts: Option<Duration> = "8760h", with or_word("off", "No such field is sent.", DURATION);
        /// Whether browsers shall believe `Content-Type` instead of guessing (`X-Content-Type-Options: nosniff`).
        nosniff: bool = true;
        /// Which pages may show this one in a frame (`X-Frame-Options`).
        frame: FramePolicy = "sameorigin";
        /// What other servers are told of the page that a request comes from (`Referrer-Policy`).
        referrer: ReferrerPolicy = "strict-origin-when-cross-origin";
        /// The text of `Content-Security-Policy`; none fits every page, so there is none by default.
        csp: Option<HeaderValue> = null, with or_null(HEADER_VALUE);
    }
}

words! {
    /// Who may show a page in a frame.
    pub enum FramePolicy {
        /// No page.
        Deny = "deny",
        /// Pages of the same origin.
        SameOrigin = "sameorigin",
        /// No such field is sent.
        Off = "off",
    }
}

impl FramePolicy {
    /// The value of the field.
    pub const fn field(self) -> Option<&'static str> {
        match self {
            Self::Deny => Some("DENY"),
            Self::SameOrigin => Some("SAMEORIGIN"),
            Self::Off => None,
        }
    }
}

/// Declares the policies of the standard of that name, whose words are the field's values.
macro_rules! policies {
    ($($(#[doc = $doc:literal])* $policy:ident = $word:literal),*) => {
        words! {
            /// What is told of the page that a request comes from.
            pub enum ReferrerPolicy {
                $($(#[doc = $doc])* $policy = $word,)*
                /// No such field is sent.
                Off = "off",
            }
        }

        impl ReferrerPolicy {
            /// The value of the field.
            pub const fn field(self) -> Option<&'static str> {
                match self {
                    $(Self::$policy => Some($word),)*
                    Self::Off => None,
                }
            }
        }
    };
}

policies! {
    /// Nothing.
    NoReferrer = "no-referrer",
    /// Nothing to other origins.
    SameOrigin = "same-origin",
    /// The origin alone.
    Origin = "origin",
    /// The origin alone, and nothing from HTTPS to HTTP.
    StrictOrigin = "strict-origin",
    /// All of it; the origin alone to other origins.
    OriginWhenCrossOrigin = "origin-when-cross-origin",
    /// The same, and nothing from HTTPS to HTTP.
    StrictOriginWhenCrossOrigin = "strict-origin-when-cross-origin",
    /// All of it; nothing from HTTPS to HTTP.
    NoReferrerWhenDowngrade = "no-referrer-when-downgrade"
}
