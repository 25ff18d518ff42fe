//! `traces`: which requests are told to a collector of traces, and where that is.

use super::route::ServiceUrl;
use super::section::{Fields, Reader, section, words};
use super::value::{NAME, SHARE, Share};

section! {
    /// Which requests become spans, and the collector that gets them.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`traces`" pub struct Traces {
        /// Where spans are sent to, as OTLP over HTTP in JSON: a URL, or that of an upstream by its name.
        endpoint: ServiceUrl, required "http://127.0.0.1:4318/v1/traces";
        /// The share of the requests that is traced, of those for which nobody in front has decided.
        sample: Share = "1%", with SHARE;
        /// Keeps the spans of requests that the proxy or an upstream failed, and of those with a status of 500 and above, whatever was decided at their start.
        errors: bool = true;
        /// The name of this service in the traces, `service.name`.
        service: String = "pingora-proxy", with NAME;
        /// Who decides for the proxy, by the sampled flag of `traceparent`, whether a request is traced. The id of the trace is taken from anyone.
        parent: TraceParent = "trusted";
    }
    check Traces::check;
}

impl Traces {
    fn check(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        if self.sample == Share(0) && !self.errors && self.parent == TraceParent::None {
            reader.error_help(fields.span, "no request would be traced", "raise `sample`, or leave `traces` out");
        }
    }
}

words! {
    /// Whose decision is taken.
    pub enum TraceParent {
        /// That of the proxies of `trusted_proxies`.
        Trusted = "trusted",
        /// That of every client.
        Any = "any",
        /// Nobody's.
        None = "none",
    }
}
