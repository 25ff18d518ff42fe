//! Values that a client chose, on their way into a line.

/// Of one value in a line.
const MAX_BYTES: usize = 4096;

/// Clients choose these; the queue is bounded in lines, so a line must be too.
pub fn bounded(value: &[u8]) -> &[u8] {
    value.get(..MAX_BYTES).unwrap_or(value)
}

/// Control characters, and those that some readers take for the end of a line.
pub fn is_dangerous(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}
