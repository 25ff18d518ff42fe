//! How the body of a message is framed when it is written (RFC 9112 section 6.3).

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use pingora_http::ResponseHeader;

use super::chunked::{LAST_CHUNK, write_size};
use super::output::Output;
use super::spelling::SpelledName;

/// What is still to come of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutgoingBody {
    /// No head was written yet.
    Unknown,
    Sized(u64),
    Chunked,
    /// It ends with the connection, as a tunnel does.
    ToEnd,
    Done,
}

/// A body ended before its length.
#[derive(Debug, PartialEq, Eq)]
pub struct Unfinished;

impl OutgoingBody {
    /// That of a final response to a request with this method.
    pub fn of_response(head: &ResponseHeader, method: &Method) -> Self {
        let bodyless = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if bodyless || *method == Method::HEAD {
            return Self::Done;
        }
        BodyFields::of(&head.headers).body(Self::ToEnd)
    }

    fn sized(left: u64) -> Self {
        if left == 0 { Self::Done } else { Self::Sized(left) }
    }

    pub fn is_done(self) -> bool {
        self == Self::Done
    }

    /// Frames a piece. Returns how much of it belongs to the body.
    pub fn write(&mut self, mut piece: Bytes, out: &mut Output) -> usize {
        let size = piece.len();
        if size == 0 {
            // An empty chunk would be the last.
            return 0;
        }
        match *self {
            Self::Unknown | Self::Done => return 0,
            Self::Sized(left) => {
                piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                let size = piece.len();
                *self = Self::sized(left.saturating_sub(u64::try_from(size).unwrap_or(u64::MAX)));
                out.push(piece);
                return size;
            }
            Self::Chunked => {
                write_size(out.gathered(), size);
                out.push(piece);
                out.gathered().extend_from_slice(b"\r\n");
            }
            Self::ToEnd => out.push(piece),
        }
        size
    }

    /// Ends a chunked body with these fields (RFC 9112 section 7.1.2). No other has a place for them.
    pub fn end_with(&mut self, trailers: &HeaderMap, out: &mut Output) {
        if *self != Self::Chunked {
            return;
        }
        let out = out.gathered();
        out.extend_from_slice(LAST_CHUNK);
        trailers.iter().for_each(|(name, value)| SpelledName::Usual(name).push_line(value, out));
        out.extend_from_slice(b"\r\n");
        *self = Self::Done;
    }

    /// Nothing follows.
    ///
    /// # Errors
    /// When less was written than the head says.
    pub fn finish(&mut self, out: &mut Output) -> Result<(), Unfinished> {
        match *self {
            Self::Sized(_) => return Err(Unfinished),
            Self::Chunked => self.end_with(&HeaderMap::new(), out),
            Self::ToEnd => {}
            Self::Unknown | Self::Done => return Ok(()),
        }
        *self = Self::Done;
        Ok(())
    }
}

/// What the fields of a head say of its body, and whether they ask for another protocol.
#[derive(Debug, Default)]
pub struct BodyFields<'h> {
    is_coded: bool,
    length: Option<&'h HeaderValue>,
    pub has_upgrade: bool,
}

impl<'h> BodyFields<'h> {
    /// One look at all fields is cheaper than a look-up of each.
    pub fn of(head: &'h HeaderMap) -> Self {
        let mut fields = Self::default();
        for (name, value) in head {
            if name == CONTENT_LENGTH {
                fields.length.get_or_insert(value);
            } else if name == TRANSFER_ENCODING {
                fields.is_coded = true;
            } else if name == UPGRADE {
                fields.has_upgrade = true;
            }
        }
        fields
    }

    /// Whether they say nothing of a body.
    pub fn is_silent(&self) -> bool {
        !self.is_coded && self.length.is_none()
    }

    /// The body of a request, which never ends with the connection.
    pub fn of_request(&self) -> OutgoingBody {
        self.body(OutgoingBody::Done)
    }

    /// `otherwise`: where they say nothing.
    fn body(&self, otherwise: OutgoingBody) -> OutgoingBody {
        if self.is_coded {
            return OutgoingBody::Chunked;
        }
        let length = self.length.and_then(|length| length.to_str().ok()?.parse().ok());
        length.map_or(otherwise, OutgoingBody::sized)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(status: u16, fields: &[(&'static str, &'static str)], method: &Method) -> OutgoingBody {
        let mut head = ResponseHeader::build(status, None).unwrap();
        for (name, value) in fields {
            head.append_header(*name, *value).unwrap();
        }
        OutgoingBody::of_response(&head, method)
    }

    #[test]
    fn the_head_says_how_the_body_is_framed() {
        let (length, chunked) = ([("Content-Length", "5")], [("Transfer-Encoding", "chunked")]);
        assert_eq!(body(200, &length, &Method::GET), OutgoingBody::Sized(5));
        assert_eq!(body(200, &[("Content-Length", "0")], &Method::GET), OutgoingBody::Done);
        assert_eq!(body(200, &chunked, &Method::GET), OutgoingBody::Chunked);
        assert_eq!(body(200, &[], &Method::GET), OutgoingBody::ToEnd);
        assert_eq!(body(101, &[], &Method::GET), OutgoingBody::ToEnd);
        for (status, method) in [(204, Method::GET), (304, Method::GET), (200, Method::HEAD)] {
            for fields in [&length[..], &chunked, &[]] {
                assert_eq!(body(status, fields, &method), OutgoingBody::Done);
            }
        }
    }

    /// What is written for a body in these pieces, and how much of it counts.
    fn written(mut body: OutgoingBody, pieces: &[&'static str]) -> (String, usize, Result<(), Unfinished>) {
        let mut out = Output::default();
        let count = pieces.iter().map(|piece| body.write((*piece).into(), &mut out)).sum();
        let end = body.finish(&mut out);
        assert_eq!(body.is_done(), end.is_ok());
        (String::from_utf8(out.gathered().to_vec()).unwrap(), count, end)
    }

    #[test]
    fn a_body_has_its_length_and_no_more() {
        assert_eq!(written(OutgoingBody::Sized(5), &["ab", "", "cdefg", "h"]), ("abcde".into(), 5, Ok(())));
        assert_eq!(written(OutgoingBody::Sized(5), &["ab"]), ("ab".into(), 2, Err(Unfinished)));
        assert_eq!(written(OutgoingBody::ToEnd, &["ab", "c"]), ("abc".into(), 3, Ok(())));
        assert_eq!(written(OutgoingBody::Done, &["ab"]), (String::new(), 0, Ok(())));
    }

    #[test]
    fn trailers_end_a_chunked_body_and_no_other() {
        let mut trailers = HeaderMap::new();
        for (name, value) in [("x-sum", "7"), ("etag", "e"), ("x-sum", "8")] {
            trailers.append(name, value.parse().unwrap());
        }
        for (body, expected) in [
            (OutgoingBody::Chunked, "0\r\nX-Sum: 7\r\nX-Sum: 8\r\nETag: e\r\n\r\n"),
            (OutgoingBody::Sized(5), ""),
            (OutgoingBody::ToEnd, ""),
            (OutgoingBody::Done, ""),
        ] {
            let (mut ended, mut out) = (body, Output::default());
            ended.end_with(&trailers, &mut out);
            assert_eq!(out.gathered(), expected);
            assert_eq!(ended.is_done(), !expected.is_empty() || body.is_done());
        }
    }

    #[test]
    fn a_body_of_unknown_length_is_chunked() {
        let expected = "2\r\nab\r\nB\r\n0123456789a\r\n0\r\n\r\n";
        assert_eq!(written(OutgoingBody::Chunked, &["ab", "", "0123456789a"]), (expected.into(), 13, Ok(())));
        assert_eq!(written(OutgoingBody::Chunked, &[]), ("0\r\n\r\n".into(), 0, Ok(())));
    }
}
