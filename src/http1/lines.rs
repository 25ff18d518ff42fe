//! The lines of a head, a request's or a response's, and those of a trailer section.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::chunked::MOST_TRAILERS;
use super::{field_names, spelling};

/// The fields of a head in a table with room for so many `more`, if each name has its usual spelling.
pub fn usual_fields(fields: &[httparse::Header<'_>], bytes: &[u8], more: usize) -> Option<HeaderMap> {
    // Whoever spells one name in another way often does so with the first.
    if !fields.first().is_none_or(|first| spelling::is_usual(first.name.as_bytes())) {
        return None;
    }
    let mut table = HeaderMap::try_with_capacity(fields.len() + more).ok()?;
    let head = Copy::of(bytes);
    for field in fields {
        let name = spelling::usual(field.name.as_bytes())?;
        table.try_append(name, head.value(field)?).ok()?;
    }
    Some(table)
}

/// Hands on the fields of a head with their names as they were spelled. `None`: one of them is no field to Pingora, though it was to the parser.
pub fn append_fields(
    fields: &[httparse::Header<'_>],
    bytes: &[u8],
    mut append: impl FnMut(Bytes, HeaderValue) -> Option<bool>,
) -> Option<()> {
    let head = Copy::of(bytes);
    for field in fields {
        let name = match field_names::lasting(field.name) {
            Some(name) => Bytes::from_static(name.as_bytes()),
            None => head.part(field.name.as_bytes()),
        };
        append(name, head.value(field)?)?;
    }
    Some(())
}

/// The fields of a trailer section, with its empty line. `None`: one of them is no field.
pub(super) fn trailer_fields(section: &[u8]) -> Option<HeaderMap> {
    let mut lines = [httparse::EMPTY_HEADER; MOST_TRAILERS as usize];
    let Ok(httparse::Status::Complete((_, fields))) = httparse::parse_headers(section, &mut lines) else { return None };
    let mut table = HeaderMap::try_with_capacity(fields.len()).ok()?;
    append_fields(fields, section, |name, value| table.try_append(HeaderName::from_bytes(&name).ok()?, value).ok())?;
    Some(table)
}

/// One copy of the bytes of a head, which its fields share.
struct Copy<'b> {
    bytes: &'b [u8],
    copied: Bytes,
}

impl<'b> Copy<'b> {
    fn of(bytes: &'b [u8]) -> Self {
        Self { bytes, copied: Bytes::copy_from_slice(bytes) }
    }

    /// `part` is one of the bytes.
    fn part(&self, part: &[u8]) -> Bytes {
        let start = part.as_ptr().addr() - self.bytes.as_ptr().addr();
        self.copied.slice(start..start + part.len())
    }

    fn value(&self, field: &httparse::Header<'_>) -> Option<HeaderValue> {
        // The part of an empty value may stand nowhere.
        let value = if field.value.is_empty() { Bytes::new() } else { self.part(field.value) };
        HeaderValue::from_maybe_shared(value).ok().or_else(|| unfolded(field.value))
    }
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
