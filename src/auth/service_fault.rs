//! Why a service that is asked whether a request may pass did not say.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceFault {
    /// No server of it is up, or its name has no address.
    Down,
    Unreachable,
    TimedOut,
    Invalid,
    TooLong,
}

impl ServiceFault {
    /// Each of them once, in their order.
    pub const ALL: &[Self] = &[Self::Down, Self::Unreachable, Self::TimedOut, Self::Invalid, Self::TooLong];

    /// The word that logs and metrics have for it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Down => "auth_forward_down",
            Self::Unreachable => "auth_forward_unreachable",
            Self::TimedOut => "auth_forward_timeout",
            Self::Invalid => "auth_forward_invalid",
            Self::TooLong => "auth_forward_too_long",
        }
    }

    /// What an operator can do about it.
    pub const fn cure(self) -> &'static str {
        match self {
            Self::Down | Self::Unreachable => {
                "Look whether the service of `auth.forward.url` runs: without it nobody passes."
            }
            Self::TimedOut => "The service is slow: look into its log, or raise `auth.forward.timeout`.",
            Self::Invalid => "Something else than the service listens at `auth.forward.url`, or it is broken.",
            Self::TooLong => {
                "The service answers with a whole page: point `auth.forward.url` to its endpoint for proxies."
            }
        }
    }

    pub const fn message(self) -> &'static str {
        match self {
            Self::Down => "no server of the service of `auth.forward` is up",
            Self::Unreachable => "the service of `auth.forward` could not be reached, or closed the connection",
            Self::TimedOut => "the service of `auth.forward` did not answer within `auth.forward.timeout`",
            Self::Invalid => "the answer of the service of `auth.forward` is not valid HTTP",
            Self::TooLong => "the answer of the service of `auth.forward` is larger than 64 KiB",
        }
    }

    pub const fn status(self) -> u16 {
        match self {
            Self::Down => 503,
            Self::TimedOut => 504,
            Self::Unreachable | Self::Invalid | Self::TooLong => 502,
        }
    }

    /// The error type of RFC 9209 section 2.3.
    pub const fn proxy_status(self) -> &'static str {
        match self {
            Self::Down => "destination_unavailable",
            Self::Unreachable => "connection_terminated",
            Self::TimedOut => "http_response_timeout",
            Self::Invalid => "http_protocol_error",
            Self::TooLong => "http_response_body_size",
        }
    }
}
