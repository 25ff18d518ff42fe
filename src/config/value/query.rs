//! Names and values of query parameters, which are kept percent-encoded.

use super::header::CONDITION;
use crate::config::section::{Scalar, Syntax};
use crate::config::yaml::Yaml;
use crate::message::query::{decode, encode};

/// A name or a value: any text, percent-encoded as it goes into a query.
pub const QUERY_TEXT: Scalar<String> = Scalar {
    what: "a value",
    syntax: Syntax { kind: "text", numbers: true, pattern: None, examples: &[] },
    parse: |text| Ok(encode(text)),
    print: |encoded| Yaml::text(decode(encoded)),
};

/// A value to compare a request's parameter with.
pub const MATCHED_PARAMETER: Scalar<String> = Scalar {
    what: CONDITION,
    syntax: QUERY_TEXT.syntax,
    parse: |text| Ok(text.to_owned()),
    print: |value| Yaml::text(value),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_text_survives() {
        assert_eq!((QUERY_TEXT.parse)("a b&c=ü").as_deref(), Ok("a%20b%26c%3D%C3%BC"));
        for text in ["a b&c=ü", "", "%41", "%", "+"] {
            let printed = (QUERY_TEXT.print)(&encode(text));
            assert!(matches!(printed, Yaml::Text(printed) if printed == text), "{text}");
        }
    }
}
