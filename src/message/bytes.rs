//! Tables of the bytes that a token or a part of a URI may hold, made at compile time.

/// The bytes of a token (RFC 9110 section 5.6.2).
pub static TOKEN: [bool; 256] = alphanumeric_or(b"!#$%&'*+-.^_`|~");

/// Whether each byte is an ASCII letter, a digit or one of `marks`.
pub const fn alphanumeric_or(marks: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_letters_digits_and_the_marks_alone() {
        let table = alphanumeric_or(b"-~");
        for byte in 0..=u8::MAX {
            let expected = matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'~');
            assert_eq!(table[usize::from(byte)], expected, "{byte:#04x}");
        }
    }
}
