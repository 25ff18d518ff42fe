//! What clients are told of a limit, in `RateLimit` and `RateLimit-Policy`
//! (draft-ietf-httpapi-ratelimit-headers-10).

use std::fmt::Write as _;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use http::{HeaderName, HeaderValue};

use crate::config::LimitKey;
use crate::filter::findings::Findings;
use crate::limit::{Decision, Quota};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Rounded up, so that a client that waits for them has waited long enough.
pub fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// What clients are told of a limit.
#[derive(Debug)]
pub struct Policy {
    /// A text of RFC 9651, with its quotes.
    name: String,
    field: HeaderValue,
}

impl Policy {
    pub fn new(key: &LimitKey, same_key: usize, quota: &Quota) -> Self {
        let name = match same_key {
            0 => format!("\"{key}\""),
            others => format!("\"{key}.{}\"", others + 1),
        };
        let (window, requests) = quota.window();
        let field = HeaderValue::try_from(format!("{name};q={requests};w={window}"));
        // The names that a key can have are plain text.
        Self { field: field.unwrap_or_else(|_| HeaderValue::from_static("")), name }
    }

    pub fn tell(&self, findings: &mut Findings, decision: Decision) {
        findings.tell_client(RATE_LIMIT_POLICY, self.field.clone());
        if let Some(field) = self.left(decision) {
            findings.tell_client(RATE_LIMIT, field);
        }
    }

    /// Tells what is left in the place of what was told before.
    pub fn correct(&self, findings: &mut Findings, decision: Decision) {
        if let Some(field) = self.left(decision) {
            findings.correct_client(&RATE_LIMIT, &self.name, &field);
        }
    }

    fn left(&self, decision: Decision) -> Option<HeaderValue> {
        let mut text = BytesMut::with_capacity(self.name.len() + 32);
        text.put_slice(self.name.as_bytes());
        // Writing to a buffer that grows cannot fail.
        write!(text, ";r={};t={}", decision.remaining, seconds(decision.wait)).unwrap_or_default();
        HeaderValue::from_maybe_shared(text.freeze()).ok()
    }
}
