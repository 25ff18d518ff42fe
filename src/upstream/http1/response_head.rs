//! The head of a response: read once, from bytes to what Pingora carries, and how the body
//! behind it ends.

use std::mem::MaybeUninit;
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, Version, header};
use pingora_http::ResponseHeader;

use super::bad_response::BadResponse;
use crate::http1::spelling;
use crate::http1::{ConnectionOptions, IncomingBody, RawReason, append_fields, usual_fields};

/// A head with more fields is not read.
const MOST_FIELDS: usize = 1024;

/// As many fields are often added on the way to a client.
const ADDED_FIELDS: usize = 2;

/// A head that was read.
#[derive(Debug)]
pub struct Head {
    pub response: Box<ResponseHeader>,
    /// In bytes, with its empty line.
    pub length: usize,
}

impl Head {
    /// Reads the head at the start of `bytes`; `None` while it is not whole. `most`: a longer one,
    /// in bytes, is not read.
    ///
    /// # Errors
    /// As soon as no further byte could make it a head that we take.
    pub fn read(bytes: &[u8], most: usize) -> Result<Option<Self>, BadResponse> {
        let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
        let mut parsed = httparse::Response::new(&mut []);
        let mut parser = httparse::ParserConfig::default();
        // RFC 9112 sections 5.1 and 5.2: a proxy may mend them.
        parser.allow_spaces_after_header_name_in_responses(true);
        parser.allow_obsolete_multiline_headers_in_responses(true);
        let status = parser.parse_response_with_uninit_headers(&mut parsed, bytes, &mut fields);
        match status.map_err(of_parser)? {
            httparse::Status::Partial if bytes.len() >= most => Err(BadResponse::HeadTooLarge),
            httparse::Status::Partial => Ok(None),
            httparse::Status::Complete(length) if length > most => Err(BadResponse::HeadTooLarge),
            httparse::Status::Complete(length) => {
                let response = carried(&parsed, &bytes[..length]).ok_or(BadResponse::Syntax)?;
                Ok(Some(Self { response: Box::new(response), length }))
            }
        }
    }
}

fn of_parser(error: httparse::Error) -> BadResponse {
    match error {
        httparse::Error::TooManyHeaders => BadResponse::TooManyFields,
        httparse::Error::HeaderName
        | httparse::Error::HeaderValue
        | httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token
        | httparse::Error::Version => BadResponse::Syntax,
    }
}

/// `parsed` is made of `bytes`.
fn carried(parsed: &httparse::Response<'_, '_>, bytes: &[u8]) -> Option<ResponseHeader> {
    let status = StatusCode::from_u16(parsed.code?).ok()?;
    let mut response = match usual_fields(parsed.headers, bytes, ADDED_FIELDS) {
        Some(fields) => spelling::usual_response(status, fields),
        None => with_spellings(status, parsed.headers, bytes)?,
    };
    response.set_version(if parsed.version? == 0 { Version::HTTP_10 } else { Version::HTTP_11 });
    response.set_reason_phrase(parsed.reason).ok()?;
    // The parser hands out nothing of one with bytes outside ASCII.
    if parsed.reason == Some("")
        && let Some(reason) = RawReason::of(bytes)
    {
        response.extensions_mut().insert(reason);
    }
    Some(response)
}

fn with_spellings(status: StatusCode, fields: &[httparse::Header<'_>], bytes: &[u8]) -> Option<ResponseHeader> {
    let mut response = ResponseHeader::build(status, Some(fields.len() + ADDED_FIELDS)).ok()?;
    append_fields(fields, bytes, |name, value| response.append_header(name, value).ok())?;
    Some(response)
}

/// What a head says of the end of its body and of its connection.
#[derive(Debug, Default)]
pub(super) struct FramingFields<'h> {
    /// The last of all transfer codings.
    coding: Option<&'h [u8]>,
    length: Option<u64>,
    has_bad_length: bool,
    connection: ConnectionOptions,
}

impl<'h> FramingFields<'h> {
    /// One look at all fields is cheaper than a look-up of each.
    pub(super) fn of(head: &'h ResponseHeader) -> Self {
        let mut fields = Self::default();
        for (name, value) in &head.headers {
            if name == header::CONTENT_LENGTH {
                elements(value).for_each(|element| fields.take_length(element));
            } else if name == header::TRANSFER_ENCODING {
                fields.coding = elements(value).next_back();
            } else if name == header::CONNECTION {
                fields.connection.take(value.as_bytes());
            }
        }
        fields
    }

    /// Several lengths must be the same (RFC 9110 section 8.6).
    fn take_length(&mut self, element: &[u8]) {
        match number(element) {
            None => self.has_bad_length = true,
            Some(length) => self.has_bad_length |= *self.length.get_or_insert(length) != length,
        }
    }

    /// How the body of a final response to a request with this method ends (RFC 9112 section 6.3).
    ///
    /// # Errors
    /// When it can be read in more than one way.
    pub(super) fn body(&self, status: StatusCode, method: &Method) -> Result<IncomingBody, BadResponse> {
        if self.has_bad_length || (self.coding.is_some() && self.length.is_some()) {
            // RFC 9112 section 6.3: it may be one response in front of another.
            return Err(BadResponse::Length);
        }
        if *method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            return Ok(IncomingBody::Done);
        }
        Ok(match (self.coding, self.length) {
            (Some(last), _) if last.eq_ignore_ascii_case(b"chunked") => IncomingBody::chunked(),
            (None, Some(length)) => IncomingBody::sized(length),
            (Some(_), _) | (None, None) => IncomingBody::ToEnd,
        })
    }

    /// Whether the server lets its connection go on after the response (RFC 9112 section 9.3).
    pub(super) fn keeps_alive(&self, version: Version) -> bool {
        let is_old = version == Version::HTTP_10;
        // RFC 9112 section 6.1: HTTP/1.0 knows no transfer coding.
        self.connection.keeps_alive(!is_old) && !(is_old && self.coding.is_some())
    }
}

/// Those of a field that is a list.
fn elements(value: &HeaderValue) -> impl DoubleEndedIterator<Item = &[u8]> {
    value.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii)
}

fn number(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()
}

/// How long a connection may wait for another request, if the server says how long it keeps one
/// (`Keep-Alive: timeout=`): a little less, since a request that crosses its end would be lost.
pub fn idle_limit(head: &ResponseHeader) -> Option<Duration> {
    let field = head.headers.get("keep-alive")?.to_str().ok()?;
    let timeout = field.split(',').find_map(|part| part.trim().strip_prefix("timeout="))?;
    let theirs = u64::from(timeout.trim().parse::<u32>().ok()?) * 1000;
    Some(Duration::from_millis(theirs.saturating_sub(1000).max(theirs / 2).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Head>, BadResponse> {
        Head::read(text.as_bytes(), 1 << 20)
    }

    fn with(fields: &str) -> ResponseHeader {
        *read(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).unwrap().unwrap().response
    }

    fn body(fields: &str) -> Result<IncomingBody, BadResponse> {
        FramingFields::of(&with(fields)).body(StatusCode::OK, &Method::GET)
    }

    #[test]
    fn a_head_ends_at_its_empty_line() {
        let head = "HTTP/1.0 404 Not here\r\nA: 1\r\nx-OWN : 2\r\n\r\n";
        for end in 0..head.len() {
            assert!(matches!(read(&head[..end]), Ok(None)), "{end}");
        }
        let whole = read(&format!("{head}body")).unwrap().unwrap();
        assert_eq!(whole.length, head.len());
        let response = whole.response;
        assert_eq!((response.status.as_u16(), response.get_reason_phrase()), (404, Some("Not here")));
        assert_eq!((response.version, response.headers["x-own"].as_bytes()), (Version::HTTP_10, &b"2"[..]));
    }

    #[test]
    fn what_cannot_be_read_is_told_apart() {
        assert_eq!(read("HTTP/2 200 OK\r\n\r\n").unwrap_err(), BadResponse::Syntax);
        assert_eq!(read("HTTP/1.1 200 OK\r\na\0: 1\r\n\r\n").unwrap_err(), BadResponse::Syntax);
        assert_eq!(with(&"a: 1\r\n".repeat(MOST_FIELDS)).headers.len(), MOST_FIELDS);
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: 1\r\n".repeat(MOST_FIELDS + 1));
        assert_eq!(read(&many).unwrap_err(), BadResponse::TooManyFields);
        let large = "HTTP/1.1 200 OK\r\na: b\r\n\r\n";
        assert!(Head::read(large.as_bytes(), large.len()).unwrap().is_some());
        for end in large.len() - 1..=large.len() {
            let read = Head::read(&large.as_bytes()[..end], large.len() - 1);
            assert_eq!(read.unwrap_err(), BadResponse::HeadTooLarge, "{end}");
        }
    }

    #[test]
    fn the_head_says_where_the_body_ends() {
        for (fields, expected) in [
            ("Content-Length: 5\r\n", Ok(IncomingBody::Sized(5))),
            ("Content-Length: 005\r\ncontent-length: 5, 5\r\n", Ok(IncomingBody::Sized(5))),
            ("Content-Length: 0\r\n", Ok(IncomingBody::Done)),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", Err(BadResponse::Length)),
            ("Content-Length: 5,\r\n", Err(BadResponse::Length)),
            ("Content-Length: +5\r\n", Err(BadResponse::Length)),
            ("Content-Length: 18446744073709551616\r\n", Err(BadResponse::Length)),
            ("Transfer-Encoding: gzip, Chunked\r\n", Ok(IncomingBody::chunked())),
            ("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n", Err(BadResponse::Length)),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n", Ok(IncomingBody::ToEnd)),
            ("", Ok(IncomingBody::ToEnd)),
        ] {
            assert_eq!(body(fields), expected, "{fields}");
        }
        let sized = with("Content-Length: 5\r\n");
        for (status, method) in [(200, Method::HEAD), (204, Method::GET), (304, Method::GET)] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(FramingFields::of(&sized).body(status, &method), Ok(IncomingBody::Done));
        }
    }

    #[test]
    fn the_server_says_how_long_its_connection_may_wait() {
        for (field, millis) in [
            ("timeout=5", Some(4000)),
            ("max=100, timeout=2", Some(1000)),
            ("timeout=1", Some(500)),
            ("timeout=0", Some(1)),
            ("max=5", None),
            ("timeout=soon", None),
        ] {
            let limit = idle_limit(&with(&format!("Keep-Alive: {field}\r\n")));
            assert_eq!(limit, millis.map(Duration::from_millis), "{field}");
        }
    }

    #[test]
    fn the_server_says_whether_its_connection_goes_on() {
        for (version, fields, goes_on) in [
            ("1.1", "", true),
            ("1.1", "Connection: x, Close\r\n", false),
            ("1.0", "", false),
            ("1.0", "Connection: keep-alive\r\n", true),
            ("1.0", "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n", false),
        ] {
            let head = read(&format!("HTTP/{version} 200 OK\r\n{fields}\r\n")).unwrap().unwrap();
            assert_eq!(
                FramingFields::of(&head.response).keeps_alive(head.response.version),
                goes_on,
                "{version} {fields}"
            );
        }
    }
}
