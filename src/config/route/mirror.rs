//! `mirror`: copies of requests to another upstream.

use super::upstream_ref::UpstreamRef;
use crate::config::section::section;
use crate::config::value::PERCENT;

section! {
    /// Copies of requests to another upstream, whatever becomes of them.
    #[derive(Clone, Debug)]
    "`mirror`" pub struct Mirror {
        /// Where copies of requests go; its responses are not read.
        upstream: UpstreamRef, required "shadow";
        /// How many of the requests are copied, in percent.
        share: u8 = "100%", with PERCENT;
    }
}
