//! The values that a request gives a name: of a header field, a query parameter, a cookie.
//! A name may stand there several times, and origins differ on which of its values counts and
//! where one ends. A condition asks about each of them, so that a value in front of another
//! hides nothing from a route that refuses it.

use http::{HeaderMap, header};
use percent_encoding::percent_decode;

use crate::message::query;

/// Whether one of the values passes `test`.
pub(super) trait Values {
    fn any(&self, test: &mut dyn FnMut(&[u8]) -> bool) -> bool;
}

/// Each field of the name as a whole and, as RFC 9110 section 5.3 has several fields and one
/// list mean the same, each element of its list.
pub(super) struct HeaderValues<'r>(pub &'r HeaderMap, pub &'r header::HeaderName);

impl Values for HeaderValues<'_> {
    fn any(&self, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.0.get_all(self.1).iter().map(header::HeaderValue::as_bytes).any(|value| {
            test(value)
                || memchr::memchr(b',', value).is_some()
                    && value.split(|b| *b == b',').any(|element| test(element.trim_ascii()))
        })
    }
}

/// Each pair of the name, decoded as in a form and, where it holds a `+`, with that as it is.
/// Some origins take a `;` for a `&`, others do not.
pub(super) struct QueryValues<'r>(pub &'r str, pub &'r str);

impl Values for QueryValues<'_> {
    fn any(&self, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.0.split('&').any(|piece| {
            self.in_piece(piece, test)
                || piece.contains(';') && piece.split(';').any(|piece| self.in_piece(piece, test))
        })
    }
}

impl QueryValues<'_> {
    fn in_piece(&self, piece: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let is_named =
            query::decode(name) == self.1 || name.contains('+') && percent_decode(name.as_bytes()).eq(self.1.bytes());
        is_named
            && (test(query::decode(value).as_bytes())
                || value.contains('+') && test(&percent_decode(value.as_bytes()).collect::<Vec<u8>>()))
    }
}

/// Each cookie of the name in each field: as sent, without its quotes, and decoded, as most
/// frameworks hand it on. One without a `=` counts as a name.
pub(super) struct CookieValues<'r>(pub &'r HeaderMap, pub &'r str);

impl Values for CookieValues<'_> {
    fn any(&self, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let fields = self.0.get_all(header::COOKIE).iter();
        fields.flat_map(|field| field.as_bytes().split(|b| *b == b';')).any(|pair| {
            let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
            let value = pair.get(equals + 1..).unwrap_or_default().trim_ascii();
            pair[..equals].trim_ascii() == self.1.as_bytes() && any_reading_of_cookie(value, test)
        })
    }
}

fn any_reading_of_cookie(value: &[u8], test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
    let inner = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    let bare = inner.unwrap_or(value);
    test(value)
        || inner.is_some_and(&mut *test)
        || memchr::memchr(b'%', bare).is_some() && test(&percent_decode(bare).collect::<Vec<u8>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(values: &impl Values) -> Vec<String> {
        let mut all = Vec::new();
        values.any(&mut |value| {
            all.push(String::from_utf8_lossy(value).into_owned());
            false
        });
        all
    }

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let parse = |(name, value): &(&'static str, &'static str)| {
            (header::HeaderName::from_static(name), header::HeaderValue::from_static(value))
        };
        fields.iter().map(parse).collect()
    }

    #[test]
    fn every_pair_of_a_query_counts_however_it_is_written() {
        let of = |query, name| all(&QueryValues(query, name));
        assert_eq!(of("debug=0&debug=1", "debug"), ["0", "1"]);
        assert_eq!(of("x=%64&%64ebug=%31&debug", "debug"), ["1", ""]);
        assert_eq!(of("x=1;debug=1", "debug"), ["1"]);
        assert_eq!(of("x=1;debug=1", "x"), ["1;debug=1", "1"]);
        assert_eq!(of("a+b=c+d", "a b"), ["c d", "c+d"]);
        assert_eq!(of("a+b=c", "a+b"), ["c"]);
        assert!(of("", "debug").is_empty() && of("Debug=1&xdebug=1", "debug").is_empty());
    }

    #[test]
    fn every_cookie_of_a_name_counts() {
        let fields = headers(&[("cookie", "a=0; b=2;a=1"), ("cookie", "a=\"q\"; a=%31; a ; ab=5")]);
        assert_eq!(all(&CookieValues(&fields, "a")), ["0", "1", "\"q\"", "q", "%31", "1", ""]);
        assert!(all(&CookieValues(&fields, "A")).is_empty());
    }

    #[test]
    fn every_element_of_a_field_counts() {
        let fields = headers(&[("x-role", "user, admin"), ("x-role", "guest")]);
        let name = header::HeaderName::from_static("x-role");
        assert_eq!(all(&HeaderValues(&fields, &name)), ["user, admin", "user", "admin", "guest"]);
    }
}
