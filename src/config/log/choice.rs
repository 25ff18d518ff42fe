//! Which requests the access log has a line for in any case, and what its lines hide.

use std::time::Duration;

use crate::config::section::{list, one_or_list, or_word, section};
use crate::config::value::{DURATION, STATUS_RANGE, plain};

section! {
    /// Which requests are logged in any case: one that meets one of the keys.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`always`" pub struct Always {
        /// Those that the proxy or an upstream failed, and those with a status of 500 and above.
        errors: bool = true;
        /// Those that took longer, from the head of the request to the end of the response.
        slower_than: Option<Duration> = "off", with or_word("off", "No request is too slow.", DURATION);
        /// Those with one of these statuses.
        status: Vec<(u16, u16)>, with one_or_list("a status, or from-to such as `400-499`", STATUS_RANGE);
    }
}

section! {
    /// What the lines hide.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`redact`" pub struct Redact {
        /// The parameters whose values become `[redacted]`, in the query and in that of `Referer`.
        query: Vec<String> = [], with list("names of parameters such as `token`", plain("the name of a parameter"));
        /// Addresses lose their last part: of IPv4 a /24 stays, of IPv6 a /48.
        client_ip: bool = false;
    }
}
