//! `mirror`: copies of requests to another upstream.

use super::upstream_ref::UpstreamRef;
use crate::config::section::section;
use crate::config::value::PERCENT;

section! {
    /// Sends copies of requests to another upstream and ignores its answers.
    #[derive(Clone, Debug)]
    "`mirror`" pub struct Mirror {
        /// Where copies of requests go; its responses are not read.
        upstream: UpstreamRef, required "shadow";
        /// The percentage of requests to copy.
        share: u8 = "100%", with PERCENT;
    }
}
