//! Requests that come back: an upstream that leads to this proxy, by itself or through others,
//! would have a request go round until limits end it. As with hop-by-hop fields this is no
//! choice of a route's.
//!
//! The mark is an element of `CDN-Loop` (RFC 8586), the field that was made for this. `Via`
//! would do as well, but it is not harmless: nginx, IIS and others compress nothing for a
//! request that has one. Intermediaries pass both on.

use std::sync::LazyLock;

use http::header::{HeaderName, HeaderValue};
use pingora_http::RequestHeader;

use super::fields::Edited;
use crate::http1::field_names::Known;

pub const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");
/// The field that is marked.
pub static FIELD: Known = Known { spelled: "CDN-Loop", name: CDN_LOOP };

/// How often a request may pass this process. Some chains pass one twice on purpose, by
/// different routes.
pub const MOST_PASSES: usize = 4;

/// This process's own element. Two proxies of this kind in a chain are told apart by the id.
/// It lives as long as the process, so that threads need not count who uses it.
static MARK: LazyLock<HeaderValue> = LazyLock::new(|| {
    let mark = format!("pingora-proxy;id={:016x}", fastrand::u64(..));
    HeaderValue::from_static(Box::leak(mark.into_boxed_str()))
});

/// Tells whoever gets the request next that it was here.
pub fn mark(upstream: &mut Edited<'_, RequestHeader>) {
    upstream.append(FIELD.spelled, own_mark());
}

pub fn own_mark() -> HeaderValue {
    MARK.clone()
}

/// How often a request with this `CDN-Loop` was here.
pub fn passes(field: &HeaderValue) -> usize {
    memchr::memmem::find_iter(field.as_bytes(), MARK.as_bytes()).count()
}

#[cfg(test)]
mod tests {
    use super::super::context::tests::sent;
    use super::*;

    #[test]
    fn each_pass_leaves_a_mark_and_others_keep_theirs() {
        let up = sent("/", &[("CDN-Loop", "other.test;id=1")], |cx| {
            mark(&mut cx.upstream);
            mark(&mut cx.upstream);
        });
        let counts: Vec<usize> = up.headers.get_all(CDN_LOOP).iter().map(passes).collect();
        assert_eq!(counts, [0, 1, 1]);
        let joined = format!("a, {0}, {0}", MARK.to_str().unwrap());
        assert_eq!(passes(&HeaderValue::try_from(joined).unwrap()), 2);
    }
}
