//! Values in a line of the access log that a client has chosen.

/// The bytes that are logged of one value.
const MAX_BYTES: usize = 4096;

/// The beginning of a value: the buffer of lines is bounded, so that a line must be, too.
pub fn bounded(value: &[u8]) -> &[u8] {
    value.get(..MAX_BYTES).unwrap_or(value)
}

/// Whether a character is a control character, or one that some readers take for the end of
/// a line.
pub fn is_dangerous(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}
