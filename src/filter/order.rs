//! Where in a header map the fields stand that shall go.

use http::header::{HeaderMap, HeaderName};

/// Of fields that shall go.
#[derive(Debug, PartialEq, Eq)]
pub enum Unwanted {
    None,
    /// They are the last ones, in their order.
    Last(Vec<HeaderName>),
    Between,
}

/// One pass; nothing is allocated where nothing goes.
pub fn unwanted(headers: &HeaderMap, keep: impl Fn(&HeaderName, &HeaderMap) -> bool) -> Unwanted {
    let mut last = Vec::new();
    for name in headers.keys() {
        if !keep(name, headers) {
            last.push(name.clone());
        } else if !last.is_empty() {
            return Unwanted::Between;
        }
    }
    if last.is_empty() { Unwanted::None } else { Unwanted::Last(last) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_last_ones_are_told_from_others() {
        let headers: HeaderMap =
            ["a", "b", "c"].into_iter().map(|n| (HeaderName::from_static(n), HeaderValue::from_static("1"))).collect();
        let without = |gone: &'static str| unwanted(&headers, move |name, _| !gone.contains(name.as_str()));
        assert_eq!(without(""), Unwanted::None);
        assert_eq!(without("bc"), Unwanted::Last(vec![HeaderName::from_static("b"), HeaderName::from_static("c")]));
        assert_eq!(without("b"), Unwanted::Between);
    }
}
