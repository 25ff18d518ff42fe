//! Text that a client, an upstream or a file has chosen, in lines that a person reads: which
//! characters of it could move a cursor, colour a terminal or write lines of their own.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Bytes that a line of a log holds as they are: printable ASCII without the quote that ends
/// a value and the backslash that begins an escape.
pub static PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        plain[byte as usize] = byte != b'"' && byte != b'\\';
        byte += 1;
    }
    plain
};

/// Appends a value with every other byte as `\xHH`, as nginx and Apache write it.
pub fn push_escaped(out: &mut Vec<u8>, value: &[u8]) {
    const HEX: [u8; 16] = *b"0123456789ABCDEF";
    for byte in value {
        if PLAIN[usize::from(*byte)] {
            out.push(*byte);
        } else {
            out.extend_from_slice(&[b'\\', b'x', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

/// Whether a character is a control character (C0, DEL or C1), one that some readers take
/// for the end of a line, or one that has a terminal show text in another order than it has.
pub fn is_dangerous(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text for a terminal or for the error log. Its own line ends and tabs stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_escaped = |c: char| is_dangerous(c) && c != '\n' && c != '\t';
    if !text.chars().any(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_escaped(c) {
            // Writing to a String cannot fail.
            write!(out, "\\u{{{:x}}}", u32::from(c)).unwrap_or_default();
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_printable_ascii_in_a_log() {
        let escaped = |value: &[u8]| {
            let mut out = Vec::new();
            push_escaped(&mut out, value);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(escaped(b"/a b?c=~"), "/a b?c=~");
        assert_eq!(escaped(b"\x1b[31m\x07\"\\\r\n\x7f"), "\\x1B[31m\\x07\\x22\\x5C\\x0D\\x0A\\x7F");
        assert_eq!(escaped("é\u{9b}".as_bytes()), "\\xC3\\xA9\\xC2\\x9B");
    }

    #[test]
    fn text_for_a_terminal_keeps_its_letters_and_lines() {
        assert!(matches!(printable("über\n\tzwei"), Cow::Borrowed(_)));
        assert_eq!(printable("a\u{1b}[2J\u{7f}\u{9b}1m\r"), "a\\u{1b}[2J\\u{7f}\\u{9b}1m\\u{d}");
        assert_eq!(printable("\u{202e}txt.exe\u{2028}"), "\\u{202e}txt.exe\\u{2028}");
    }
}
