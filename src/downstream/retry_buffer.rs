//! The beginning of a request's body, kept for a retry.

use bytes::Bytes;

/// As much as `retry.body_buffer` may ask for.
const MOST: usize = 64 * 1024;

/// What was read of a body, while that is little enough to be sent again.
#[derive(Debug, Default)]
pub(super) struct RetryBuffer {
    bytes: Vec<u8>,
    is_truncated: bool,
}

impl RetryBuffer {
    pub fn keep(&mut self, piece: &[u8]) {
        if self.is_truncated {
            return;
        }
        if self.bytes.len() + piece.len() > MOST {
            *self = Self { bytes: Vec::new(), is_truncated: true };
        } else {
            self.bytes.extend_from_slice(piece);
        }
    }

    /// Whether the body was too long to be kept.
    pub fn is_truncated(&self) -> bool {
        self.is_truncated
    }

    /// What was read of the body; `None` when that was nothing, or too much.
    pub fn kept(&self) -> Option<Bytes> {
        (!self.bytes.is_empty()).then(|| Bytes::copy_from_slice(&self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_kept_whole_or_not_at_all() {
        let mut buffer = RetryBuffer::default();
        assert_eq!((buffer.kept(), buffer.is_truncated()), (None, false));
        buffer.keep(b"one");
        buffer.keep(b"two");
        assert_eq!(buffer.kept().as_deref(), Some(&b"onetwo"[..]));
        buffer.keep(&[0; MOST - 6]);
        assert_eq!(buffer.kept().map(|kept| kept.len()), Some(MOST));
        buffer.keep(b"x");
        buffer.keep(b"y");
        assert_eq!((buffer.kept(), buffer.is_truncated()), (None, true));
    }
}
