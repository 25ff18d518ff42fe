//! `traceparent` (W3C Trace Context): which trace a request belongs to.

use data_encoding::HEXLOWER;
use http::{HeaderMap, HeaderName};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

pub type TraceId = [u8; 16];
pub type SpanId = [u8; 8];

/// What `traceparent` says (section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    pub trace: TraceId,
    pub span: SpanId,
    pub sampled: bool,
}

/// Its parts as they are written.
struct Parts<'h> {
    trace: &'h [u8],
    parent: &'h [u8],
    flags: &'h [u8],
}

/// The id of the trace, 32 hex digits in lower case; `None` where there is no valid one (section 3.2.2).
pub fn trace_id(headers: &HeaderMap) -> Option<&[u8]> {
    Some(parts(headers)?.trace)
}

/// `None` where there is no valid one, or more than one.
pub fn parent(headers: &HeaderMap) -> Option<Parent> {
    let Parts { trace, parent, flags } = parts(headers)?;
    let [flags] = bytes(flags)?;
    let is_one = headers.get_all(&TRACEPARENT).iter().nth(1).is_none();
    is_one.then_some(Parent { trace: bytes(trace)?, span: bytes(parent)?, sampled: flags & 1 == 1 })
}

/// The field that names `span` as the parent of what the receiver does (section 3.2). Of the flags, the
/// one of level 1 is known here; the others are left at zero, as section 4.3 has it.
pub fn field(trace: TraceId, span: SpanId, sampled: bool) -> [u8; 55] {
    let digits = hex::<16, 32>(trace).into_iter().chain(*b"-").chain(hex::<8, 16>(span));
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    text.iter_mut().skip(3).zip(digits).for_each(|(place, digit)| *place = digit);
    if let Some(last) = text.last_mut().filter(|_| sampled) {
        *last = b'1';
    }
    text
}

/// In lower case; `D` is twice `N`.
pub fn hex<const N: usize, const D: usize>(bytes: [u8; N]) -> [u8; D] {
    const { assert!(D == 2 * N) };
    let mut digits = [0; D];
    HEXLOWER.encode_mut(&bytes, &mut digits);
    digits
}

fn parts(headers: &HeaderMap) -> Option<Parts<'_>> {
    let value = headers.get(&TRACEPARENT)?.as_bytes();
    let (version, rest) = value.split_at_checked(2)?;
    let (trace, rest) = rest.strip_prefix(b"-")?.split_at_checked(32)?;
    let (parent, rest) = rest.strip_prefix(b"-")?.split_at_checked(16)?;
    let (flags, rest) = rest.strip_prefix(b"-")?.split_at_checked(2)?;
    // A later version may say more behind a hyphen.
    let ends = rest.is_empty() || version != b"00" && rest.starts_with(b"-");
    let is_hex = |text: &[u8]| text.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let is_set = |text: &[u8]| is_hex(text) && text.iter().any(|b| *b != b'0');
    (ends && version != b"ff" && is_hex(version) && is_set(trace) && is_set(parent) && is_hex(flags)).then_some(Parts {
        trace,
        parent,
        flags,
    })
}

/// Of hex digits in lower case.
fn bytes<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    HEXLOWER.decode_mut(digits, &mut bytes).ok().map(|_| bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn what_is_written_is_read_again() {
        let (trace, span) = (std::array::from_fn(|i| 0xf0 + i as u8), [0, 1, 2, 0x9a, 0xbc, 0xde, 0xff, 0x10]);
        for sampled in [false, true] {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", HeaderValue::from_bytes(&field(trace, span, sampled)).unwrap());
            assert_eq!(parent(&headers), Some(Parent { trace, span, sampled }));
            headers.append("traceparent", HeaderValue::from_bytes(&field(trace, span, sampled)).unwrap());
            assert_eq!(parent(&headers), None);
        }
        let text = field([0x4b; 16], [0x0a; 8], true);
        assert_eq!(&text[..], b"00-4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b-0a0a0a0a0a0a0a0a-01");
    }

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
