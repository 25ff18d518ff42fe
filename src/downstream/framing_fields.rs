//! The fields of a request that say where it goes and where it ends, `Host`, `Content-Length`
//! and `Transfer-Encoding`, read in the one way in which they can be read, or refused; and what
//! `Connection` says of the end of the connection.

use super::malformed::Malformed;
use crate::http1::{ConnectionOptions, IncomingBody};
use crate::message::bytes::TOKEN;

/// The fields that decide where a request goes and where it ends.
#[derive(Debug, Default)]
pub struct FramingFields<'h> {
    pub host: Option<&'h [u8]>,
    length: Option<u64>,
    coding: Option<Coding>,
    connection: ConnectionOptions,
}

/// How the end of a request's body is found (RFC 9112 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length(u64),
    Chunked,
}

/// What a `Transfer-Encoding` that can be read in one way says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Chunked,
    /// Others, and `chunked` as the last: RFC 9112 section 6.1 wants 501 for them.
    Other,
}

impl Coding {
    fn of(value: &[u8]) -> Option<Self> {
        if value.eq_ignore_ascii_case(b"chunked") {
            return Some(Self::Chunked);
        }
        let mut codings = value.split(|b| *b == b',').map(<[u8]>::trim_ascii).rev();
        let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
        let is_other =
            |coding: &[u8]| !coding.is_empty() && !is_chunked(coding) && coding.iter().all(|b| TOKEN[usize::from(*b)]);
        (codings.next().is_some_and(is_chunked) && codings.all(is_other)).then_some(Self::Other)
    }
}

impl Framing {
    pub fn body(self) -> IncomingBody {
        match self {
            Self::Length(length) => IncomingBody::sized(length),
            Self::Chunked => IncomingBody::chunked(),
        }
    }
}

impl<'h> FramingFields<'h> {
    pub fn take(&mut self, name: &str, value: &'h [u8]) -> Result<(), Malformed> {
        if name.len() == 4 && name.eq_ignore_ascii_case("host") {
            let userinfo = memchr::memchr(b'@', value).is_some();
            let second = self.host.replace(value).is_some();
            return if userinfo || second { Err(Malformed::Host) } else { Ok(()) };
        }
        if name.len() == 10 && name.eq_ignore_ascii_case("connection") {
            self.connection.take(value);
            return Ok(());
        }
        let known = if is_named(name, "content-length") {
            self.length.replace(content_length(value)?).is_none()
        } else if is_named(name, "transfer-encoding") {
            Coding::of(value).is_some_and(|coding| self.coding.replace(coding).is_none())
        } else {
            return Ok(());
        };
        if known && !name.contains('_') { Ok(()) } else { Err(Malformed::Framing) }
    }

    /// How the request, of HTTP/1.`minor`, is framed.
    ///
    /// # Errors
    /// When that can be read in two ways.
    pub fn framing(&self, minor: u8) -> Result<Framing, Malformed> {
        match (self.length, self.coding) {
            // RFC 9112 section 6.1: HTTP/1.0 knows no transfer coding.
            (None, Some(Coding::Chunked)) if minor == 1 => Ok(Framing::Chunked),
            (None, Some(Coding::Other)) if minor == 1 => Err(Malformed::Coding),
            (_, Some(Coding::Chunked | Coding::Other)) => Err(Malformed::Framing),
            (length, None) => Ok(Framing::Length(length.unwrap_or(0))),
        }
    }

    /// Whether the client lets its connection go on after the response (RFC 9112 section 9.3).
    pub fn keeps_alive(&self, minor: u8) -> bool {
        self.connection.keeps_alive(minor == 1)
    }
}

/// Underscores count as dashes: CGI makes both the same variable.
fn is_named(name: &str, dashed: &str) -> bool {
    name.len() == dashed.len()
        && name.bytes().zip(dashed.bytes()).all(|(a, b)| a.eq_ignore_ascii_case(&b) || (a == b'_' && b == b'-'))
}

/// Digits and nothing else: lists, signs, blanks and leading zeros, which make a number
/// octal to some, are read differently by others.
fn content_length(value: &[u8]) -> Result<u64, Malformed> {
    let digits = value == b"0" || (value.iter().all(u8::is_ascii_digit) && !value.starts_with(b"0"));
    let text = std::str::from_utf8(value).ok().filter(|_| digits);
    text.and_then(|text| text.parse().ok()).ok_or(Malformed::Framing)
}
