//! Names and values of query parameters, which are kept percent-encoded.

use super::header::CONDITION;
use crate::config::section::{Scalar, Text};
use crate::config::yaml::Yaml;

/// A name or a value: any text, percent-encoded as it goes into a query.
pub const QUERY_TEXT: Scalar<String> = Scalar {
    what: "a value",
    text: Text { kind: "text", numbers: true, pattern: None, examples: &[] },
    parse: |text| Ok(encode(text)),
    print: |encoded| Yaml::text(decode(encoded)),
};

/// A value to compare a request's parameter with.
pub const MATCHED_PARAMETER: Scalar<String> = Scalar {
    what: CONDITION,
    text: QUERY_TEXT.text,
    parse: |text| Ok(text.to_owned()),
    print: |value| Yaml::text(value),
};

/// Everything but the unreserved characters of RFC 3986 section 2.3 is escaped.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((b, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|h| std::str::from_utf8(h).ok());
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) if *b == b'%' => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or(&[]);
            }
            Some(_) | None => {
                bytes.push(*b);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_text_survives() {
        assert_eq!(encode("a b&c=ü"), "a%20b%26c%3D%C3%BC");
        for text in ["a b&c=ü", "", "%41", "%", "+"] {
            assert_eq!(decode(&encode(text)), text);
        }
    }
}
