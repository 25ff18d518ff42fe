//! How many interim responses a request may have.

use super::http1::BadResponse;

/// An upstream that answers with ever more of them is broken.
const MOST: u8 = 16;

/// Those to one request.
#[derive(Debug, Default)]
pub(super) struct InterimResponses(u8);

impl InterimResponses {
    /// Counts one more.
    ///
    /// # Errors
    /// When that is one too many.
    pub fn take(&mut self) -> Result<(), BadResponse> {
        self.0 = self.0.saturating_add(1);
        if self.0 > MOST { Err(BadResponse::TooManyInterim) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_are_taken_and_no_more() {
        let mut count = InterimResponses::default();
        assert!((0..MOST).all(|_| count.take().is_ok()));
        assert!((0..1000).all(|_| count.take() == Err(BadResponse::TooManyInterim)));
    }
}
