//! The head of a request: read once and strictly, from bytes to what Pingora carries. It is
//! whole, well-formed and within bounds, and says in one way how its body is framed, or it is
//! refused with its reason.

use std::mem::MaybeUninit;

use http::{Method, Version};
use pingora_http::RequestHeader;

use crate::config::Limits;
use crate::downstream::framing_fields::{Framing, FramingFields};
use crate::downstream::malformed::Malformed;
use crate::downstream::target;
use crate::http1::spelling;
use crate::http1::{append_fields, usual_fields};

/// More fields than this are not looked at.
const MOST_FIELDS: usize = 256;

/// Usually as many fields are added on the way to an upstream: the table of spellings, which is
/// copied with the request, has room for them. That of the fields is enlarged by who adds them.
const ADDED_FIELDS: usize = 6;

/// How large a head may be.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// The request line, in bytes.
    line: usize,
    /// The whole head, in bytes.
    head: usize,
    fields: usize,
}

impl From<&Limits> for HeadLimits {
    fn from(limits: &Limits) -> Self {
        Self { line: limits.request_line, head: limits.request_headers, fields: limits.request_header_count }
    }
}

/// A head that can be handed on.
#[derive(Debug)]
pub struct Head {
    pub request: Box<RequestHeader>,
    /// In bytes, with its empty line.
    pub(super) length: usize,
    pub(super) body: Framing,
    /// Whether the client lets the connection go on after the response.
    pub(super) keep_alive: bool,
}

impl Head {
    /// Reads the head at the start of `bytes`; `None` while it is not whole.
    ///
    /// # Errors
    /// As soon as no further byte could make it a request that we take.
    pub fn read(bytes: &[u8], limits: HeadLimits) -> Result<Option<Self>, Malformed> {
        let line = &bytes[..memchr::memchr(b'\n', bytes).unwrap_or(bytes.len())];
        if line.strip_suffix(b"\r").unwrap_or(line).len() > limits.line {
            return Err(Malformed::LineTooLong);
        }
        let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
        let mut parsed = httparse::Request::new(&mut []);
        let status = parsed.parse_with_uninit_headers(bytes, &mut fields);
        match status.map_err(|error| from_parser(error, line))? {
            httparse::Status::Partial if bytes.len() > limits.head => Err(Malformed::HeadTooLarge),
            httparse::Status::Partial => Ok(None),
            httparse::Status::Complete(length) if length > limits.head => Err(Malformed::HeadTooLarge),
            httparse::Status::Complete(length) => {
                if !has_strict_lines(&bytes[..length]) {
                    return Err(Malformed::Syntax);
                }
                Self::of(&parsed, &bytes[..length], limits).map(Some)
            }
        }
    }

    /// `parsed` is made of `bytes`.
    fn of(parsed: &httparse::Request<'_, '_>, bytes: &[u8], limits: HeadLimits) -> Result<Self, Malformed> {
        if parsed.headers.len() > limits.fields {
            return Err(Malformed::TooManyFields);
        }
        let (method, minor) = (parsed.method.unwrap_or_default(), parsed.version.unwrap_or(1));
        if matches!(method, "CONNECT" | "TRACE") {
            return Err(Malformed::Method);
        }
        let mut framing_fields = FramingFields::default();
        parsed.headers.iter().try_for_each(|field| framing_fields.take(field.name, field.value))?;
        let target = target::carried(method, parsed.path.unwrap_or_default(), framing_fields.host)?;
        let body = framing_fields.framing(minor)?;
        if body == Framing::Chunked && has_tab(bytes, "transfer-encoding") {
            return Err(Malformed::Framing);
        }
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| Malformed::Target)?;
        let request = match usual_fields(parsed.headers, bytes, 0) {
            Some(fields) => spelling::usual_request(method, target.as_bytes(), fields).map_err(|_| Malformed::Target),
            None => with_spellings(method, target.as_bytes(), parsed.headers, bytes),
        };
        let mut request = request?;
        request.set_version(if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 });
        let keep_alive = framing_fields.keeps_alive(minor);
        Ok(Self { request: Box::new(request), length: bytes.len(), body, keep_alive })
    }
}

fn with_spellings(
    method: Method,
    target: &[u8],
    fields: &[httparse::Header<'_>],
    bytes: &[u8],
) -> Result<RequestHeader, Malformed> {
    let request = RequestHeader::build(method, target, Some(fields.len() + ADDED_FIELDS));
    let mut request = request.map_err(|_| Malformed::Target)?;
    append_fields(fields, bytes, |name, value| request.append_header(name, value).ok()).ok_or(Malformed::Syntax)?;
    Ok(request)
}

fn from_parser(error: httparse::Error, line: &[u8]) -> Malformed {
    match error {
        // The target is no UTF-8.
        httparse::Error::Token if !line.is_ascii() => Malformed::Target,
        httparse::Error::TooManyHeaders => Malformed::TooManyFields,
        httparse::Error::Version if names_later_version(line) => Malformed::Version,
        httparse::Error::HeaderName
        | httparse::Error::HeaderValue
        | httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token
        | httparse::Error::Version => Malformed::Syntax,
    }
}

/// `HTTP/2.0` and the like, except for HTTP/2's own preface: that client speaks
/// another protocol and would not read a 505.
fn names_later_version(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    let version = line.rsplit(|b| *b == b' ').next().unwrap_or_default();
    !line.starts_with(b"PRI * ") && matches!(version, [b'H', b'T', b'T', b'P', b'/', b'2'..=b'9', b'.', b'0'..=b'9'])
}

/// RFC 9112 section 2.2 allows a bare LF for a line's end; readers that disagree on it see
/// different messages.
fn has_strict_lines(head: &[u8]) -> bool {
    // Without an early end, so that the compiler makes vector code of it.
    let pairs = head.iter().zip(head.iter().skip(1));
    let bare = pairs.fold(false, |bare, (before, byte)| bare | ((*byte == b'\n') & (*before != b'\r')));
    !bare && !head.starts_with(b"\n")
}

/// Whether a tab stands around the value of a field, which RFC 9110 section 5.6.3 allows: some readers
/// take it for a part of the value, and see another framing.
fn has_tab(head: &[u8], name: &str) -> bool {
    raw_field(head, name).is_some_and(|value| value.contains(&b'\t'))
}

/// The value of a field in the bytes of a head, well-formed or not.
pub fn field<'h>(head: &'h [u8], name: &str) -> Option<&'h [u8]> {
    raw_field(head, name).map(<[u8]>::trim_ascii)
}

/// The rest of the line in which a field stands.
fn raw_field<'h>(head: &'h [u8], name: &str) -> Option<&'h [u8]> {
    head.split(|b| *b == b'\n').skip(1).find_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        line[..colon].eq_ignore_ascii_case(name.as_bytes()).then(|| &line[colon + 1..])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { request_line: 8192, request_headers: 32768, request_header_count: 100, ..Limits::NARROW };

    fn read(text: &str) -> Result<Option<Head>, Malformed> {
        Head::read(text.as_bytes(), (&LIMITS).into())
    }

    fn with(fields: &str) -> Result<Framing, Malformed> {
        read(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).map(|head| head.unwrap().body)
    }

    fn target(text: &str) -> Result<(), Malformed> {
        read(&format!("GET {text} HTTP/1.1\r\nHost: a\r\n\r\n")).map(|_| ())
    }

    #[test]
    fn a_head_ends_at_its_empty_line() {
        let head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let read_head = read(&format!("{head}GET /two")).unwrap().unwrap();
        assert_eq!((read_head.length, read_head.body), (head.len(), Framing::Length(0)));
        for end in 0..head.len() {
            assert!(matches!(read(&head[..end]), Ok(None)), "{end}");
        }
    }

    /// Order, spelling and bytes outside ASCII stay as they are, of usual names and others.
    #[test]
    fn a_head_is_carried_as_it_came() {
        let lines = ["HOST: a", "accept: */*", "Accept: x", "X-Odd_na.me: \u{e9} 1", "Empty:", "uSER-aGENT: \t u"];
        let text = format!("PATCH /a?b HTTP/1.0\r\n{}\r\n\r\n", lines.join("\r\n"));
        let request = read(&text).unwrap().unwrap().request;
        assert_eq!(
            (request.method.as_str(), request.raw_path(), request.version),
            ("PATCH", &b"/a?b"[..], Version::HTTP_10)
        );
        let mut out = Vec::new();
        spelling::request_fields(&request).for_each(|(name, value)| name.push_line(value, &mut out));
        let expected = "HOST: a\r\naccept: */*\r\nAccept: x\r\nX-Odd_na.me: \u{e9} 1\r\nEmpty: \r\nuSER-aGENT: u\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    /// RFC 9112 section 9.3.
    #[test]
    fn the_client_says_whether_its_connection_goes_on() {
        for (version, fields, keep_alive) in [
            ("1.1", "", true),
            ("1.1", "Connection: close\r\n", false),
            ("1.1", "connection: x, Close\r\n", false),
            ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
            ("1.1", "Connection: closed\r\n", true),
            ("1.0", "", false),
            ("1.0", "Connection: Keep-Alive\r\n", true),
            ("1.0", "Connection: x, keep-alive\r\n", true),
            ("1.0", "Connection: keep-alive, close\r\n", false),
        ] {
            let head = read(&format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n")).unwrap().unwrap();
            assert_eq!(head.keep_alive, keep_alive, "{version} {fields:?}");
        }
    }

    #[test]
    fn framing_is_read_one_way_or_refused() {
        assert_eq!(with("Content-Length: 12\r\n"), Ok(Framing::Length(12)));
        assert_eq!(with("TRANSFER-encoding: Chunked\r\n"), Ok(Framing::Chunked));
        for fields in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: -0\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: 1 0\r\n",
            "Content-Length: 01\r\n",
            "Content-Length: 00\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length:\r\n",
            "Content_Length: 1\r\n",
            "Transfer-Encoding: gzip\r\n",
            "Transfer-Encoding: gzip, chunked, chunked\r\n",
            "Transfer-Encoding: gzip, \r\n",
            "Transfer-Encoding: gzip;q=1, chunked\r\n",
            "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\nContent-Length: 3\r\n",
            "Transfer-Encoding: ,chunked\r\n",
            "Transfer-Encoding: chunked;x\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding:\tchunked\r\n",
            "Transfer-Encoding: chunked\t\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer_Encoding: chunked\r\n",
        ] {
            assert_eq!(with(fields), Err(Malformed::Framing), "{fields}");
        }
        assert_eq!(with("Transfer-Encoding: gzip, Chunked\r\n"), Err(Malformed::Coding));
        for coding in ["chunked", "gzip, chunked"] {
            let old = read(&format!("POST / HTTP/1.0\r\nTransfer-Encoding: {coding}\r\n\r\n"));
            assert_eq!(old.unwrap_err(), Malformed::Framing);
        }
    }

    #[test]
    fn lines_that_readers_disagree_on_are_refused() {
        for text in [
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: 1\nY: 2\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
            "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\n: a\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / x HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\r\n\r\n",
            "GET / http/1.1\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ] {
            assert_eq!(read(text).unwrap_err(), Malformed::Syntax, "{text:?}");
        }
        assert_eq!(read("GET / HTTP/3.0\r\n\r\n").unwrap_err(), Malformed::Version);
    }

    #[test]
    fn targets_and_hosts_are_checked() {
        for good in ["/", "/a%2Fb?x={\"y\":1}|&z", "http://a", "HTTP://a/x?y"] {
            assert_eq!(target(good), Ok(()), "{good}");
        }
        for bad in ["/a#b", "/a?b#c", "/\u{e9}", "/?q=\u{e9}", "*", "a", "ftp://a/", "http://u@a/", "http:///x", "://a"]
        {
            assert_eq!(target(bad), Err(Malformed::Target), "{bad}");
        }
        for other in ["http://b/", "http://a:81/", "https://a:80/", "http://a./"] {
            assert_eq!(target(other), Err(Malformed::HostConflict), "{other}");
        }
        for same in ["http://A/", "http://a:80/", "https://a:443/", "http://a:/"] {
            assert_eq!(target(same), Ok(()), "{same}");
        }
        assert_eq!(with("Host: b\r\n"), Err(Malformed::Host));
        assert_eq!(read("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n").unwrap_err(), Malformed::Host);
        assert_eq!(read("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n").unwrap_err(), Malformed::Method);
    }

    #[test]
    fn bounds_are_kept() {
        let line = format!("GET /{}", "x".repeat(9000));
        assert_eq!(read(&line).unwrap_err(), Malformed::LineTooLong);
        let large = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(40_000));
        assert_eq!(read(&large).unwrap_err(), Malformed::HeadTooLarge);
        assert_eq!(with(&"X: 1\r\n".repeat(100)), Err(Malformed::TooManyFields));
        assert_eq!(with(&"X: 1\r\n".repeat(300)), Err(Malformed::TooManyFields));
        assert!(with(&"X: 1\r\n".repeat(99)).is_ok());
    }

    /// RFC 9112 section 3: method, target and version; the line's end is not counted.
    #[test]
    fn a_line_may_be_as_long_as_its_limit() {
        let limits = Limits { request_line: 16, ..LIMITS };
        let read = |text: &str| Head::read(text.as_bytes(), (&limits).into()).map(|head| head.is_some());
        assert_eq!(read("GET /xx HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(true));
        assert_eq!(read("GET /xx HTTP/1.1\r"), Ok(false));
        assert_eq!(read("GET /xxx HTTP/1.1\r\nHost: a\r\n\r\n").unwrap_err(), Malformed::LineTooLong);
        assert_eq!(read("GET /xxxxxxxxxxxx").unwrap_err(), Malformed::LineTooLong);
    }

    #[test]
    fn a_field_is_found_in_any_head() {
        assert_eq!(field(b"GARBAGE\r\nA: 1\r\naccept:  text/html \r\n", "accept"), Some(&b"text/html"[..]));
        assert_eq!(field(b"", "accept"), None);
    }
}
