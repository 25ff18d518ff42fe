//! The lines of a log that could not be written, and why.

use std::io;

#[derive(Debug)]
pub struct NotWritten {
    pub lines: u64,
    pub failure: io::Error,
}

impl NotWritten {
    pub fn all_of(lines: &[u8], failure: io::Error) -> Self {
        let lines = memchr::memchr_iter(b'\n', lines).count();
        Self { lines: u64::try_from(lines).unwrap_or(u64::MAX), failure }
    }
}
