//! The lines of a head, a request's or a response's.

use bytes::Bytes;
use http::HeaderValue;

use super::field_names;

/// The name of a field as it was spelled.
#[derive(Debug)]
pub enum FieldName {
    /// One that is often sent.
    Usual(&'static str),
    Other(Bytes),
}

/// Hands on the fields of a head with one copy of its `bytes`, of which `fields` are parts, that
/// they share. `None`: one of them is no field to Pingora, though it was to the parser.
pub fn append_fields(
    fields: &[httparse::Header<'_>],
    bytes: &[u8],
    mut append: impl FnMut(FieldName, HeaderValue) -> Option<bool>,
) -> Option<()> {
    let head = Bytes::copy_from_slice(bytes);
    let shared = |part: &[u8]| {
        let start = part.as_ptr().addr() - bytes.as_ptr().addr();
        head.slice(start..start + part.len())
    };
    for field in fields {
        // The part of an empty value may stand nowhere.
        let value = if field.value.is_empty() { Bytes::new() } else { shared(field.value) };
        let value = HeaderValue::from_maybe_shared(value).ok().or_else(|| unfolded(field.value))?;
        let name = match field_names::usual(field.name) {
            Some(name) => FieldName::Usual(name),
            None => FieldName::Other(shared(field.name.as_bytes())),
        };
        append(name, value)?;
    }
    Some(())
}

/// Where a value went on in another line, a blank stands instead (RFC 9112 section 5.2). Only
/// responses are parsed so that one may.
fn unfolded(value: &[u8]) -> Option<HeaderValue> {
    let has_fold = memchr::memchr(b'\n', value).is_some();
    let lines: Vec<&[u8]> = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).collect();
    has_fold.then(|| HeaderValue::from_maybe_shared(Bytes::from(lines.join(&b' '))).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folded_value_becomes_one_line() {
        assert_eq!(unfolded(b"a\r\n  b").unwrap(), "a b");
        assert_eq!(unfolded(b"a b"), None);
        assert_eq!(unfolded(b"a\n\0"), None);
    }
}
