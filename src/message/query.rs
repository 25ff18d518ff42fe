//! The query string: the value of a name, and the edits of `request.query`. Pairs that no
//! edit names keep their bytes and their order.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The raw pairs, in order. An empty piece (`a=1&&b`) is kept as an empty name.
fn pieces(query: &str) -> impl Iterator<Item = &str> {
    query.split('&')
}

fn split_piece(piece: &str) -> (&str, &str) {
    piece.split_once('=').unwrap_or((piece, ""))
}

/// Decodes `+` and `%XX` as in a form. Bytes that are no UTF-8 are replaced.
pub fn decode(text: &str) -> Cow<'_, str> {
    match memchr::memchr2(b'%', b'+', text.as_bytes()) {
        None => Cow::Borrowed(text),
        Some(_) if memchr::memchr(b'+', text.as_bytes()).is_none() => percent_decode_str(text).decode_utf8_lossy(),
        Some(_) => {
            // A `+` is replaced first, because `%2B` becomes one.
            let spaced = text.replace('+', " ");
            let decoded = percent_decode_str(&spaced).decode_utf8_lossy();
            if let Cow::Owned(decoded) = decoded { Cow::Owned(decoded) } else { Cow::Owned(spaced) }
        }
    }
}

/// All characters but the unreserved ones of RFC 3986 section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encodes a name or a value for a query.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// The decoded value of the first pair of that name.
pub fn get<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    pieces(query).map(split_piece).find(|(n, _)| decode(n) == name).map(|(_, value)| decode(value))
}

/// The decoded values of all pairs of that name, in their order.
pub fn all<'q>(query: &'q str, name: &str) -> impl Iterator<Item = Cow<'q, str>> {
    pieces(query).map(split_piece).filter(move |(n, _)| decode(n) == name).map(|(_, value)| decode(value))
}

/// The same where `;` separates pairs as `&` does, which some origins hold.
pub fn all_by_any<'q>(query: &'q str, name: &str) -> impl Iterator<Item = Cow<'q, str>> {
    let pairs = query.split(['&', ';']).map(split_piece);
    pairs.filter(move |(n, _)| decode(n) == name).map(|(_, value)| decode(value))
}

/// Removes every pair of the names in `remove` and in `set`, also those that are pairs only where `;`
/// separates them, then appends `set` and `add`. All of them are encoded; names are compared decoded.
/// `None` when nothing is left.
pub fn edit(
    query: Option<&str>,
    remove: &[String],
    set: &[(String, String)],
    add: &[(String, String)],
) -> Option<String> {
    let mut out = String::with_capacity(query.map_or(0, str::len) + 16);
    let mut push = |piece: &str, value: Option<&str>| {
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(piece);
        if let Some(value) = value {
            out.push('=');
            out.push_str(value);
        }
    };
    let is_gone = |piece: &str| {
        let name = decode(split_piece(piece).0);
        remove.iter().any(|r| decode(r) == name) || set.iter().any(|(n, _)| decode(n) == name)
    };
    for piece in query.into_iter().flat_map(pieces).filter(|piece| !is_gone(piece)) {
        if !piece.contains(';') || !piece.split(';').any(is_gone) {
            push(piece, None);
            continue;
        }
        let kept: Vec<&str> = piece.split(';').filter(|piece| !is_gone(piece)).collect();
        if !kept.is_empty() {
            push(&kept.join(";"), None);
        }
    }
    for (name, value) in set.iter().chain(add) {
        push(name, Some(value));
    }
    (!out.is_empty()).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pair(n: &str, v: &str) -> (String, String) {
        (n.into(), v.into())
    }

    #[test]
    fn values_are_found_by_their_decoded_name() {
        assert_eq!(get("a=1&b%20c=x+y", "b c").as_deref(), Some("x y"));
        assert_eq!(get("a", "a").as_deref(), Some(""));
        assert_eq!(get("a=1", "b"), None);
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode("1%2B1+%+f+%zz"), "1+1 % f %zz");
    }

    #[test]
    fn some_separate_pairs_by_a_semicolon() {
        let (by_one, by_any) = (|q| all(q, "t").collect::<Vec<_>>(), |q| all_by_any(q, "t").collect::<Vec<_>>());
        assert_eq!((by_one("a;t=1&t=2"), by_any("a;t=1&t=2")), (vec!["2".into()], vec!["1".into(), "2".into()]));
        assert_eq!((by_one("t=1;t=2"), by_any("t=1;t=2")), (vec!["1;t=2".into()], vec!["1".into(), "2".into()]));
    }

    #[test]
    fn edits_leave_other_bytes_alone() {
        let out = edit(Some("a=%7e&utm=1&&b=+&utm=2"), &["utm".into()], &[], &[]);
        assert_eq!(out.as_deref(), Some("a=%7e&&b=+"));
        let out = edit(Some("k=1&x=2"), &[], &[pair("k", "9")], &[pair("z", "%26")]);
        assert_eq!(out.as_deref(), Some("x=2&k=9&z=%26"));
        assert_eq!(edit(Some("k=1"), &["k".into()], &[], &[]), None);
        assert_eq!(edit(Some("k[]=1&k%5B%5d=2&x"), &["k%5B%5D".into()], &[], &[]).as_deref(), Some("x"));
        assert_eq!(edit(None, &[], &[], &[pair("a", "b")]).as_deref(), Some("a=b"));
        for (query, left) in [
            ("a=1;k=2;b", Some("a=1;b")),
            ("a;k=1&%6b=2;c=3&d;;e", Some("a&d;;e")),
            ("k;k=1;k", None),
            (";k", Some("")),
        ] {
            assert_eq!(
                edit(Some(query), &["k".into()], &[], &[]).as_deref().unwrap_or_default(),
                left.unwrap_or_default(),
                "{query}"
            );
        }
        assert_eq!(encode("a b&c=é"), "a%20b%26c%3D%C3%A9");
    }

    proptest! {
        #[test]
        fn encoding_comes_back(s in ".{0,40}") {
            let encoded = encode(&s);
            prop_assert_eq!(decode(&encoded), s.as_str());
        }

        #[test]
        fn an_edit_that_names_nothing_changes_nothing(s in "[ -~&&[^&]]{1,5}(&[ -~&&[^&]]{1,5}){0,4}") {
            let edited = edit(Some(&s), &[], &[], &[]);
            prop_assert_eq!(edited.as_deref(), Some(s.as_str()));
        }
    }
}
