//! The escapes of a path in one form, so that two spellings of the same path compare as equal.
//!
//! The form is made here and not by `percent-encoding`, whose decoder lets a bad escape pass
//! and turns `%2F` into a slash.

use std::borrow::Cow;

use percent_encoding::percent_encode_byte;

use super::bytes::alphanumeric_or;

/// The bytes that a segment may hold unescaped (RFC 3986 section 3.3), without `;`, with which
/// parameters begin. Every origin decodes their escapes.
const LITERAL: [bool; 256] = alphanumeric_or(b"-._~!$&'()*+,=:@");
/// The same, the slash between segments, and `;`.
static UNCHANGED: [bool; 256] = alphanumeric_or(b"/;-._~!$&'()*+,=:@");
/// The same without `;`: a path of such bytes has neither escapes nor parameters.
static PLAIN: [bool; 256] = alphanumeric_or(b"/-._~!$&'()*+,=:@");

/// Whether a path holds nothing but letters, digits and marks that mean themselves to everybody.
pub fn is_plain(path: &str) -> bool {
    path.bytes().fold(true, |plain, byte| plain & PLAIN[usize::from(byte)])
}

/// A path in which each escape is needed and in upper case: escapes of bytes that may stand
/// unescaped are decoded (RFC 3986 section 6.2.2.2), but for those of `;`, and bytes that a URI
/// cannot hold are escaped. Borrowed when nothing changes.
///
/// `None` when the path holds a backslash, a `%` without two hex digits, or a NUL, CR or LF,
/// escaped or not: origins differ on what to make of them.
pub fn normal(path: &str) -> Option<Cow<'_, str>> {
    let bytes = path.as_bytes();
    let mut out = Vec::new();
    // The bytes up to here are copied; those from here to `at` need no change.
    let mut kept = 0;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if UNCHANGED[usize::from(byte)] {
            at += 1;
            continue;
        }
        let (value, length) = unit(&bytes[at..])?;
        let wanted = wanted(&value);
        if bytes.get(at..at + length) != Some(wanted) {
            out.reserve(bytes.len() - kept + 2);
            out.extend_from_slice(&bytes[kept..at]);
            out.extend_from_slice(wanted);
            kept = at + length;
        }
        at += length;
    }
    if kept == 0 {
        return Some(Cow::Borrowed(path));
    }
    out.extend_from_slice(&bytes[kept..]);
    String::from_utf8(out).ok().map(Cow::Owned)
}

/// How many bytes of `path` spell `prefix`. A slash and a `;` divide a path where their escapes
/// do not.
pub fn length_of_prefix(path: &str, prefix: &str) -> Option<usize> {
    let (mut rest, mut left) = (path.as_bytes(), prefix.as_bytes());
    while !left.is_empty() {
        let ((ours, our_length), (theirs, their_length)) = (unit(rest)?, unit(left)?);
        let divides = matches!(ours, b'/' | b';') && our_length != their_length;
        if ours != theirs || divides {
            return None;
        }
        (rest, left) = (rest.get(our_length..)?, left.get(their_length..)?);
    }
    Some(path.len() - rest.len())
}

/// The byte that a path begins with, escaped or not, and the length of its spelling.
fn unit(bytes: &[u8]) -> Option<(u8, usize)> {
    let first = *bytes.first()?;
    let (value, length) = if first == b'%' {
        let code = bytes.get(1..3)?;
        (hex_digit(code[0])? << 4 | hex_digit(code[1])?, 3)
    } else {
        (first, 1)
    };
    (!matches!(value, 0 | b'\r' | b'\n') && first != b'\\').then_some((value, length))
}

/// The spelling of a byte that was escaped or has to be.
fn wanted(value: &u8) -> &[u8] {
    if LITERAL[usize::from(*value)] { std::slice::from_ref(value) } else { percent_encode_byte(*value).as_bytes() }
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_path_have_one_form() {
        for (path, form) in [
            ("/%61dmin", "/admin"),
            ("/%7euser", "/~user"),
            ("/%40scope%2fname", "/@scope%2Fname"),
            ("/a%3b%2C/b", "/a%3B,/b"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/café", "/caf%C3%A9"),
            ("/a%5cb%25", "/a%5Cb%25"),
            ("/a<{b}|`^\">", "/a%3C%7Bb%7D%7C%60%5E%22%3E"),
        ] {
            assert_eq!(normal(path).as_deref(), Some(form), "{path}");
            assert!(!is_plain(path));
        }
        for path in ["/", "/a/../b", "/a;v=1//b", "/caf%C3%A9/x%2Fy", "*"] {
            assert!(matches!(normal(path), Some(Cow::Borrowed(same)) if same == path), "{path}");
        }
        for bad in ["/%", "/%0", "/%zz", "/%00", "/%0d%0a", "/a\\b", "/%é"] {
            assert_eq!(normal(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_prefix_is_found_in_every_spelling() {
        for (path, prefix, length) in [
            ("/s/x", "/s", Some(2)),
            ("/%73/x", "/s", Some(4)),
            ("/caf%c3%a9/x", "/caf%C3%A9", Some(10)),
            ("/s", "/s/x", None),
            ("/t/x", "/s", None),
            ("/s%2fx", "/s/x", None),
            ("/a%2fb", "/a%2Fb", Some(6)),
            ("/a/b", "/a%2Fb", None),
            ("/a;b", "/a%3Bb", None),
            ("/~u/x", "/%7eu", Some(3)),
            ("/x", "", Some(0)),
        ] {
            assert_eq!(length_of_prefix(path, prefix), length, "{path} {prefix}");
        }
    }
}
