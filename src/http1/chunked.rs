//! The chunked transfer coding (RFC 9112 section 7.1). It is read strictly: what two readers
//! could understand differently is refused.

use bytes::BytesMut;

use super::chunk_extension::Part;
use crate::message::bytes::TOKEN;

/// The extensions of one chunk have at most this many bytes; nobody sends longer ones in good
/// faith.
const MOST_EXTENSION: u32 = 256;
/// The trailer section has at most this many bytes, with the ends of its lines.
const MOST_SECTION: u32 = 8 * 1024;
/// As many trailer fields are read, which is how many a head may have by default.
pub(super) const MOST_TRAILERS: u16 = 100;
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
    Extension { value: u64, length: u32, part: Part },
    SizeLf { value: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    Section { held: u32, fields: u16, line: u32, named: bool },
    SectionLf { held: u32, fields: u16, line: u32 },
    Done { held: u32 },
}

/// Follows a chunked body through the pieces it arrives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoder(At);

impl Default for Decoder {
    fn default() -> Self {
        Self(At::Size { value: 0, digits: 0 })
    }
}

impl Decoder {
    pub fn is_done(&self) -> bool {
        matches!(self.0, At::Done { .. })
    }

    /// How many of the bytes that were read are the trailer section, or what came of it; none of one
    /// without fields.
    pub fn held(&self) -> usize {
        match self.0 {
            At::Section { held, .. } | At::SectionLf { held, .. } | At::Done { held } => {
                usize::try_from(held).unwrap_or(usize::MAX)
            }
            At::Size { .. } | At::Extension { .. } | At::SizeLf { .. } => 0,
            At::Data { .. } | At::DataCr | At::DataLf => 0,
        }
    }

    /// How many of `bytes` frame the body: up to the next data, or to the end of the body.
    ///
    /// # Errors
    /// At the first byte that may not stand where it does.
    pub fn skip_framing(&mut self, bytes: &[u8]) -> Result<usize, BadChunk> {
        let mut at = 0;
        while at < bytes.len() && self.data_left() == 0 && !self.is_done() {
            self.0 = step(self.0, bytes[at])?;
            at += 1;
        }
        Ok(at)
    }

    /// How many of the next bytes are data.
    pub fn data_left(&self) -> u64 {
        if let At::Data { left } = self.0 { left } else { 0 }
    }

    /// So many bytes of data were read.
    pub fn skip_data(&mut self, count: usize) {
        let left = self.data_left().saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
        self.0 = if left == 0 { At::DataCr } else { At::Data { left } };
    }
}

/// Ends a chunked body, in front of its trailer section.
pub const LAST_CHUNK: &[u8] = b"0\r\n";

/// Writes the line in front of a chunk's data.
pub fn write_size(out: &mut BytesMut, size: usize) {
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        out.extend_from_slice(&[b"0123456789ABCDEF"[size >> (4 * digit) & 15]]);
    }
    out.extend_from_slice(b"\r\n");
}

fn step(at: At, byte: u8) -> Result<At, BadChunk> {
    match (at, byte) {
        (At::Size { value, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if digits < MOST_DIGITS => {
            let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
            Ok(At::Size { value: value * 16 + digit, digits: digits + 1 })
        }
        (At::Size { value, digits: 1.. }, b'\r') => Ok(At::SizeLf { value }),
        (At::Size { value, digits: 1.. }, _) => {
            let part = Part::Gap.next(byte).ok_or(BadChunk)?;
            Ok(At::Extension { value, length: 0, part })
        }
        (At::Extension { value, part, .. }, b'\r') if part.is_whole() => Ok(At::SizeLf { value }),
        (At::Extension { value, length, part }, _) if length < MOST_EXTENSION => {
            let part = part.next(byte).ok_or(BadChunk)?;
            Ok(At::Extension { value, length: length + 1, part })
        }
        (At::SizeLf { value: 0 }, b'\n') => Ok(At::Section { held: 0, fields: 0, line: 0, named: false }),
        (At::SizeLf { value }, b'\n') => Ok(At::Data { left: value }),
        (At::DataCr, b'\r') => Ok(At::DataLf),
        (At::DataLf, b'\n') => Ok(At::Size { value: 0, digits: 0 }),
        (At::Section { held: 0, .. }, b'\r') => Ok(At::SectionLf { held: 0, fields: 0, line: 0 }),
        (At::Section { held, fields, line, named }, b'\r') if named || line == 0 => {
            Ok(At::SectionLf { held: held + 1, fields, line })
        }
        // A name, a colon and a value, as in a head (RFC 9112 section 7.1.2).
        (At::Section { held, fields, line: line @ 1.., named: false }, b':') => {
            Ok(At::Section { held: held + 1, fields, line, named: true })
        }
        (At::Section { fields: MOST_TRAILERS, line: 0, .. }, _) => Err(BadChunk),
        (At::Section { held, fields, line, named }, _) if held < MOST_SECTION && may_stand_in_field(byte, named) => {
            Ok(At::Section { held: held + 1, fields: fields + u16::from(line == 0), line: line + 1, named })
        }
        (At::SectionLf { held: 0, .. }, b'\n') => Ok(At::Done { held: 0 }),
        (At::SectionLf { held, line: 0, .. }, b'\n') => Ok(At::Done { held: held + 1 }),
        (At::SectionLf { held, fields, .. }, b'\n') => {
            Ok(At::Section { held: held + 1, fields, line: 0, named: false })
        }
        (
            At::Size { .. }
            | At::Extension { .. }
            | At::SizeLf { .. }
            | At::Data { .. }
            | At::DataCr
            | At::DataLf
            | At::Section { .. }
            | At::SectionLf { .. }
            | At::Done { .. },
            _,
        ) => Err(BadChunk),
    }
}

fn may_stand_in_field(byte: u8, in_value: bool) -> bool {
    if in_value { matches!(byte, b'\t' | b' '..=b'~' | 0x80..) } else { TOKEN[usize::from(byte)] }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes belong to the body.
    fn advance(decoder: &mut Decoder, bytes: &[u8]) -> Result<usize, BadChunk> {
        let mut at = 0;
        while at < bytes.len() && !decoder.is_done() {
            at += decoder.skip_framing(&bytes[at..])?;
            let data = usize::try_from(decoder.data_left()).unwrap().min(bytes.len() - at);
            if data > 0 {
                decoder.skip_data(data);
                at += data;
            }
        }
        Ok(at)
    }

    /// The length of the body, whole and byte by byte.
    fn end_of(bytes: &[u8]) -> Result<usize, BadChunk> {
        let mut whole = Decoder::default();
        let result = advance(&mut whole, bytes);
        let mut slow = Decoder::default();
        let single: Result<usize, BadChunk> = bytes.iter().map(|b| advance(&mut slow, &[*b])).sum();
        assert_eq!(result, single);
        result.map(|n| if whole.is_done() { n } else { usize::MAX })
    }

    #[test]
    fn the_size_of_a_chunk_is_written_as_it_is_read() {
        for size in [1, 15, 16, 255, 256, 65_536, 0xABCDEF, usize::MAX] {
            let mut out = BytesMut::new();
            write_size(&mut out, size);
            assert_eq!(out, format!("{size:X}\r\n"));
        }
    }

    #[test]
    fn the_end_is_found_and_what_follows_left() {
        assert_eq!(end_of(b"0\r\n\r\nGET /"), Ok(5));
        assert_eq!(end_of(b"3\r\nabc\r\n000\r\n\r\nX"), Ok(15));
        assert_eq!(end_of(b"1;a=\"b\"\r\n!\r\n0\r\nX-T: 1\r\nY: 2\r\n\r\nZ"), Ok(31));
        assert_eq!(end_of(b"a\r\n0123456789\r\n0\r\n"), Ok(usize::MAX));
    }

    /// RFC 9112 section 7.1.1.
    #[test]
    fn extensions_follow_their_grammar() {
        for good in ["a", "a=b", "a=\"b\"", "a=\"\"", " a = b ;c", "\ta\t=\t\"b;\\\"\\\\\"", "a;b=1;c=\"x y=;\u{e9}\""]
        {
            assert!(end_of(format!("1;{good}\r\n!\r\n").as_bytes()).is_ok(), "{good}");
        }
        assert!(end_of(b"1 \t;a\r\n").is_ok());
        for bad in [
            "",
            " ",
            ";",
            "a;",
            "a=",
            "a==b",
            "=b",
            "bad[=x",
            "a=b c",
            "a b",
            "a ",
            "a=b ",
            "a=\"b",
            "a=\"b\"c",
            "a=\"\\",
            "a=\"\x07\"",
            "\u{e9}",
            "a=\u{e9}",
        ] {
            assert_eq!(end_of(format!("1;{bad}\r\n!\r\n").as_bytes()), Err(BadChunk), "{bad}");
        }
    }

    #[test]
    fn a_trailer_is_a_field() {
        assert_eq!(end_of(b"0\r\nX-T:\r\nY: a:b \xe9\r\n\r\n"), Ok(21));
        for bad in ["GET / HTTP/1.1", "X", ": 1", " X: 1", "X : 1", "\u{e9}: 1"] {
            assert_eq!(end_of(format!("0\r\n{bad}\r\n\r\n").as_bytes()), Err(BadChunk), "{bad}");
        }
    }

    #[test]
    fn what_could_be_read_two_ways_is_refused() {
        let long = [b"1;".to_vec(), vec![b'x'; 300]].concat();
        let trailer = [b"0\r\nA: ".to_vec(), vec![b'x'; 9000]].concat();
        let lines = |count: u16| format!("0\r\n{}\r\n", "A:\r\n".repeat(count.into()));
        assert!(end_of(lines(MOST_TRAILERS).as_bytes()).is_ok());
        assert_eq!(end_of(lines(MOST_TRAILERS + 1).as_bytes()), Err(BadChunk));
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
