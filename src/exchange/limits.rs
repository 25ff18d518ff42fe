//! What an exchange may have of each message: how large the request's body and the head of the
//! response may be. The hooks set the bounds of the route, and the drivers count.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// No larger head of a response is ever read, whatever the route's bound.
pub(super) const MOST_RESPONSE_HEAD: usize = 1 << 20;

/// Why no more is read of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyRefused {
    /// A hook has found that it is not what its head says.
    Malformed,
    /// More of it has come than is taken.
    TooLarge,
}

impl std::fmt::Display for BodyRefused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the body is not what the head of the request says",
            Self::TooLarge => "the body is larger than it may be",
        })
    }
}

impl std::error::Error for BodyRefused {}

/// The bounds of one exchange. Until they are set, a body has none.
#[derive(Debug)]
pub struct ExchangeLimits {
    /// What may still come of the request's body, in bytes; `u64::MAX` is no bound.
    body_left: AtomicU64,
    is_malformed: AtomicBool,
    is_too_large: AtomicBool,
    response_head: AtomicUsize,
}

impl Default for ExchangeLimits {
    fn default() -> Self {
        Self {
            body_left: AtomicU64::new(u64::MAX),
            is_malformed: AtomicBool::new(false),
            is_too_large: AtomicBool::new(false),
            response_head: AtomicUsize::new(MOST_RESPONSE_HEAD),
        }
    }
}

impl ExchangeLimits {
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// How large the request's body may be, in bytes; it is set before any of it is read.
    pub fn set_request_body(&self, bytes: usize) {
        self.body_left.store(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Counts a piece of the body. Returns whether it may be handed on.
    pub fn take_of_body(&self, bytes: usize) -> bool {
        let left = self.body_left.load(Ordering::Relaxed);
        if left == u64::MAX {
            return true;
        }
        match left.checked_sub(u64::try_from(bytes).unwrap_or(u64::MAX)) {
            Some(left) => self.body_left.store(left, Ordering::Relaxed),
            None => self.is_too_large.store(true, Ordering::Relaxed),
        }
        !self.is_too_large.load(Ordering::Relaxed)
    }

    /// Has the driver of the client's connection fail with [`BodyRefused::Malformed`], since an error
    /// of the hook that sees a body would stop nothing but the reading of it.
    pub fn refuse_body(&self) {
        self.is_malformed.store(true, Ordering::Relaxed);
    }

    /// Why no more is read of the body.
    pub fn refused(&self) -> Option<BodyRefused> {
        if self.is_too_large.load(Ordering::Relaxed) {
            return Some(BodyRefused::TooLarge);
        }
        self.is_malformed.load(Ordering::Relaxed).then_some(BodyRefused::Malformed)
    }

    /// How large the head of a response may be, in bytes.
    pub fn set_response_head(&self, bytes: usize) {
        self.response_head.store(bytes, Ordering::Relaxed);
    }

    pub fn response_head(&self) -> usize {
        self.response_head.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_taken_up_to_its_bound_and_no_more() {
        let limits = ExchangeLimits::default();
        assert!(limits.take_of_body(usize::MAX) && limits.refused().is_none());
        limits.set_request_body(5);
        assert!(limits.take_of_body(3) && limits.take_of_body(2) && limits.take_of_body(0));
        assert!(!limits.take_of_body(1));
        assert_eq!(limits.refused(), Some(BodyRefused::TooLarge));
        assert!(!limits.take_of_body(0), "nothing follows what was too much");
    }
}
