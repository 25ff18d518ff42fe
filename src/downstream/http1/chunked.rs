//! Where a chunked body ends (RFC 9112 section 7.1), strictly: what two readers
//! could understand differently is refused. Looks at the framing only; the bytes
//! go on as they came.

/// The extensions of one chunk have at most this many bytes; nobody sends longer ones in good
/// faith.
const MOST_EXTENSION: u32 = 256;
/// All trailer fields together have at most this many bytes.
const MOST_TRAILER: u32 = 8 * 1024;
/// Fifteen hex digits fit a u64 with room to spare.
const MOST_DIGITS: u8 = 15;

/// The body is not chunked as it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadChunk;

impl std::fmt::Display for BadChunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("malformed chunk")
    }
}

impl std::error::Error for BadChunk {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Size { value: u64, digits: u8 },
    Extension { value: u64, length: u32 },
    SizeLf { value: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    Trailer { length: u32, line: u32 },
    TrailerLf { length: u32, line: u32 },
    Done,
}

/// Follows a chunked body through the pieces it arrives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scanner(At);

impl Default for Scanner {
    fn default() -> Self {
        Self(At::Size { value: 0, digits: 0 })
    }
}

impl Scanner {
    pub fn is_done(&self) -> bool {
        self.0 == At::Done
    }

    /// How many of `bytes` belong to the body: all of them until it ends.
    ///
    /// # Errors
    /// At the first byte that may not stand where it does.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<usize, BadChunk> {
        let mut at = 0;
        while at < bytes.len() && !self.is_done() {
            if let At::Data { left } = self.0 {
                let available = u64::try_from(bytes.len() - at).unwrap_or(u64::MAX);
                let step = left.min(available);
                at += usize::try_from(step).unwrap_or(0);
                self.0 = if step == left { At::DataCr } else { At::Data { left: left - step } };
            } else {
                self.0 = step(self.0, bytes[at])?;
                at += 1;
            }
        }
        Ok(at)
    }
}

fn step(at: At, byte: u8) -> Result<At, BadChunk> {
    match (at, byte) {
        (At::Size { value, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if digits < MOST_DIGITS => {
            let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
            Ok(At::Size { value: value * 16 + digit, digits: digits + 1 })
        }
        (At::Size { value, digits: 1.. }, b'\r') => Ok(At::SizeLf { value }),
        (At::Size { value, digits: 1.. }, b';') => Ok(At::Extension { value, length: 0 }),
        (At::Extension { value, .. }, b'\r') => Ok(At::SizeLf { value }),
        (At::Extension { value, length }, b'\t' | b' '..=b'~' | 0x80..) if length < MOST_EXTENSION => {
            Ok(At::Extension { value, length: length + 1 })
        }
        (At::SizeLf { value: 0 }, b'\n') => Ok(At::Trailer { length: 0, line: 0 }),
        (At::SizeLf { value }, b'\n') => Ok(At::Data { left: value }),
        (At::DataCr, b'\r') => Ok(At::DataLf),
        (At::DataLf, b'\n') => Ok(At::Size { value: 0, digits: 0 }),
        (At::Trailer { length, line }, b'\r') => Ok(At::TrailerLf { length, line }),
        (At::Trailer { length, line }, b'\t' | b' '..=b'~' | 0x80..) if length < MOST_TRAILER => {
            Ok(At::Trailer { length: length + 1, line: line + 1 })
        }
        (At::TrailerLf { line: 0, .. }, b'\n') => Ok(At::Done),
        (At::TrailerLf { length, .. }, b'\n') => Ok(At::Trailer { length, line: 0 }),
        (
            At::Size { .. }
            | At::Extension { .. }
            | At::SizeLf { .. }
            | At::Data { .. }
            | At::DataCr
            | At::DataLf
            | At::Trailer { .. }
            | At::TrailerLf { .. }
            | At::Done,
            _,
        ) => Err(BadChunk),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The length of the body, whole and byte by byte.
    fn end_of(bytes: &[u8]) -> Result<usize, BadChunk> {
        let mut whole = Scanner::default();
        let result = whole.advance(bytes);
        let mut slow = Scanner::default();
        let single: Result<usize, BadChunk> = bytes.iter().map(|b| slow.advance(&[*b])).sum();
        assert_eq!(result, single);
        result.map(|n| if whole.is_done() { n } else { usize::MAX })
    }

    #[test]
    fn the_end_is_found_and_what_follows_left() {
        assert_eq!(end_of(b"0\r\n\r\nGET /"), Ok(5));
        assert_eq!(end_of(b"3\r\nabc\r\n000\r\n\r\nX"), Ok(15));
        assert_eq!(end_of(b"1;a=\"b\"\r\n!\r\n0\r\nX-T: 1\r\nY: 2\r\n\r\nZ"), Ok(31));
        assert_eq!(end_of(b"a\r\n0123456789\r\n0\r\n"), Ok(usize::MAX));
    }

    #[test]
    fn what_could_be_read_two_ways_is_refused() {
        let long = [b"1;".to_vec(), vec![b'x'; 300]].concat();
        let trailer = [b"0\r\nA: ".to_vec(), vec![b'x'; 9000]].concat();
        let bad: [&[u8]; 14] = [
            b"+3\r\n",
            b"-1\r\n",
            b"0x3\r\n",
            b"1_0\r\n",
            b" 3\r\n",
            b"\r\n",
            b"3 \r\n",
            b"3\n",
            b"1\r\nab",
            b"1\r\na\n",
            b"10000000000000000\r\n",
            b"1;a\x00\r\n",
            b"0\r\nA\nB\r\n\r\n",
            &long,
        ];
        for bytes in bad {
            assert_eq!(end_of(bytes), Err(BadChunk), "{}", bytes.escape_ascii());
        }
        assert_eq!(end_of(&trailer), Err(BadChunk));
    }
}
