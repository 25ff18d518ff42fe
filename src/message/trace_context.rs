//! `traceparent` (W3C Trace Context): which trace a request belongs to.

use http::HeaderMap;

/// The id of the trace, 32 hex digits in lower case; `None` where there is no valid one (section 3.2.2).
pub fn trace_id(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get("traceparent")?.as_bytes();
    let (version, rest) = value.split_at_checked(2)?;
    let (trace, rest) = rest.strip_prefix(b"-")?.split_at_checked(32)?;
    let (parent, rest) = rest.strip_prefix(b"-")?.split_at_checked(16)?;
    let (flags, rest) = rest.strip_prefix(b"-")?.split_at_checked(2)?;
    // A later version may say more behind a hyphen.
    let ends = rest.is_empty() || version != b"00" && rest.starts_with(b"-");
    let is_hex = |text: &[u8]| text.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let is_set = |text: &[u8]| is_hex(text) && text.iter().any(|b| *b != b'0');
    (ends && version != b"ff" && is_hex(version) && is_set(trace) && is_set(parent) && is_hex(flags)).then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn only_a_valid_traceparent_names_a_trace() {
        const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
        let of = |value: &str| {
            let headers: HeaderMap =
                [(http::HeaderName::from_static("traceparent"), HeaderValue::from_str(value).unwrap())]
                    .into_iter()
                    .collect();
            trace_id(&headers).map(|id| String::from_utf8(id.to_vec()).unwrap())
        };
        for good in [
            format!("00-{TRACE}-00f067aa0ba902b7-01"),
            format!("00-{TRACE}-00f067aa0ba902b7-00"),
            format!("01-{TRACE}-00f067aa0ba902b7-01-what-is-new"),
        ] {
            assert_eq!(of(&good).as_deref(), Some(TRACE), "{good}");
        }
        for bad in [
            String::new(),
            format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            format!("00-{TRACE}-00f067aa0ba902b7-01-more"),
            format!("00-{TRACE}-00f067aa0ba902b7-1"),
            format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE} -00f067aa0ba902b7-01"),
        ] {
            assert_eq!(of(&bad), None, "{bad}");
        }
    }
}
