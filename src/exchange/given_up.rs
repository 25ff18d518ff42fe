//! A request that nobody finishes, as when its client left or its task panicked: whoever knew of it
//! leaves word, and the driver's side adds what it has seen.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use pingora_http::RequestHeader;

/// What the client's side has seen of the request.
#[derive(Debug)]
pub struct GivenUp<'r> {
    pub request: &'r RequestHeader,
    /// Of the response, if one has begun.
    pub status: Option<u16>,
    /// Of the request's body.
    pub bytes_in: usize,
    /// Of the response's body.
    pub bytes_out: usize,
}

type Word = Box<dyn FnOnce(&GivenUp<'_>) + Send>;

/// What is to be done once a request was given up.
#[derive(Default)]
pub struct LastWord(Mutex<Option<Word>>);

impl LastWord {
    pub fn leave(&self, word: impl FnOnce(&GivenUp<'_>) + Send + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(word));
    }

    /// To be called at the end of every exchange; does nothing for one that was finished.
    pub fn say<'r>(&self, given_up: impl FnOnce() -> GivenUp<'r>) {
        let word = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(word) = word {
            word(&given_up());
        }
    }
}

impl fmt::Debug for LastWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LastWord")
    }
}
