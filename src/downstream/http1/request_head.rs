//! The head of a request as bytes: whether it is whole, well-formed and within
//! bounds, and how its body is framed. Stricter than Pingora's parser, which reads
//! it afterwards and answers what it refuses without a word of why.

use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::LazyLock;

use http::uri::{Authority, PathAndQuery};

use super::chunked::Scanner;
use super::framing_fields::{Coding, FramingFields};
use super::malformed::Malformed;
use crate::config::HeadLimits;
use crate::message::{host, path};

/// Pingora takes no more fields than this.
const MOST_FIELDS: usize = 256;

/// How the end of a request's body is found (RFC 9112 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length(u64),
    Chunked(Scanner),
}

/// A head that can be handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// In bytes, with its empty line.
    pub length: usize,
    pub body: Framing,
    /// Pingora cannot carry its target as it is (see [`escaped`]).
    pub escape: bool,
}

impl Head {
    /// Reads the head at the start of `bytes`; `None` while it is not whole.
    ///
    /// # Errors
    /// As soon as no further byte could make it a request that we take.
    pub fn read(bytes: &[u8], limits: &HeadLimits) -> Result<Option<Self>, Malformed> {
        let line = &bytes[..memchr::memchr(b'\n', bytes).unwrap_or(bytes.len())];
        if line.strip_suffix(b"\r").unwrap_or(line).len() > limits.request_line {
            return Err(Malformed::LineTooLong);
        }
        let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
        let mut request = httparse::Request::new(&mut []);
        let parsed = request.parse_with_uninit_headers(bytes, &mut fields);
        match parsed.map_err(|error| from_parser(error, line))? {
            httparse::Status::Partial if bytes.len() > limits.request_headers => Err(Malformed::HeadTooLarge),
            httparse::Status::Partial => Ok(None),
            httparse::Status::Complete(length) if length > limits.request_headers => Err(Malformed::HeadTooLarge),
            httparse::Status::Complete(length) => {
                has_strict_lines(&bytes[..length])?;
                check(&request, limits).map(|(body, escape)| Some(Self { length, body, escape }))
            }
        }
    }
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

/// RFC 9112 section 2.2 allows a bare LF for a line's end; readers that disagree on
/// it see different requests.
fn has_strict_lines(head: &[u8]) -> Result<(), Malformed> {
    // Without an early end, so that the compiler makes vector code of it.
    let pairs = head.iter().zip(head.iter().skip(1));
    let bare = pairs.fold(false, |bare, (before, byte)| bare | ((*byte == b'\n') & (*before != b'\r')));
    if bare || head.starts_with(b"\n") { Err(Malformed::Syntax) } else { Ok(()) }
}

fn check(request: &httparse::Request<'_, '_>, limits: &HeadLimits) -> Result<(Framing, bool), Malformed> {
    if request.headers.len() > limits.request_header_count {
        return Err(Malformed::TooManyFields);
    }
    let method = request.method.unwrap_or_default();
    if matches!(method, "CONNECT" | "TRACE") {
        return Err(Malformed::Method);
    }
    let mut framing_fields = FramingFields::default();
    request.headers.iter().try_for_each(|field| framing_fields.take(field.name, field.value))?;
    let escape = check_target(method, request.path.unwrap_or_default(), framing_fields.host)?;
    match (framing_fields.length, framing_fields.coding) {
        // RFC 9112 section 6.1: HTTP/1.0 knows no transfer coding.
        (None, Some(Coding::Chunked)) if request.version == Some(1) => {
            Ok((Framing::Chunked(Scanner::default()), escape))
        }
        (None, Some(Coding::Other)) if request.version == Some(1) => Err(Malformed::Coding),
        (_, Some(Coding::Chunked | Coding::Other)) => Err(Malformed::Framing),
        (length, None) => Ok((Framing::Length(length.unwrap_or(0)), escape)),
    }
}

/// Whether the target must be escaped before Pingora reads it.
fn check_target(method: &str, target: &str, host: Option<&[u8]>) -> Result<bool, Malformed> {
    if target.starts_with('/') {
        return needs_escape(target);
    }
    if target == "*" {
        return if method == "OPTIONS" { Ok(false) } else { Err(Malformed::Target) };
    }
    // Absolute form (RFC 9112 section 3.2.2).
    let (scheme, rest) = target.split_once("://").ok_or(Malformed::Target)?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let known = ["http", "https"].iter().any(|s| scheme.eq_ignore_ascii_case(s));
    if !known || Authority::try_from(authority).is_err() || authority.contains('@') {
        return Err(Malformed::Target);
    }
    // Routes are chosen by one and the origin might read the other.
    let differs = host.is_some_and(|host| host != authority.as_bytes());
    if differs && !host.is_some_and(|host| is_same_host(host, authority, scheme)) {
        return Err(Malformed::HostConflict);
    }
    Ok(needs_escape(path)? || differs)
}

/// Whether Host and the authority of a target differ in the case of letters only, or by the
/// default port of the scheme (RFC 3986 section 6.2.3).
fn is_same_host(host: &[u8], authority: &str, scheme: &str) -> bool {
    let default = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
    let (Some((name, port)), Some((wanted_name, wanted_port))) =
        (std::str::from_utf8(host).ok().and_then(host::split), host::split(authority))
    else {
        return false;
    };
    name.eq_ignore_ascii_case(wanted_name) && port.unwrap_or(default) == wanted_port.unwrap_or(default)
}

/// Refuses what readers differ on: a fragment, which is no part of a target, and bytes outside
/// ASCII, of which each reader guesses the encoding.
fn needs_escape(text: &str) -> Result<bool, Malformed> {
    let (path, query) = path::split_query(text);
    let query = query.unwrap_or_default();
    let carried =
        path.bytes().all(|b| PATH_BYTES[usize::from(b)]) && query.bytes().all(|b| QUERY_BYTES[usize::from(b)]);
    if carried {
        return Ok(false);
    }
    if text.bytes().any(|b| b == b'#' || !b.is_ascii()) { Err(Malformed::Target) } else { Ok(true) }
}

/// The head with such bytes of its target percent-encoded, as a browser would have
/// sent them: Pingora refuses a raw `<`, `>` or `"`, which origins take. The authority of a
/// target, which names the same as Host, becomes equal to that.
pub fn escaped(head: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(head.len() + 32);
    let line = memchr::memchr(b'\r', head).unwrap_or(head.len());
    let target = memchr::memchr(b' ', head).unwrap_or(line);
    // Pingora compares the two byte by byte.
    let (authority, host) = match (authority(&head[target..line]), field(head, "host")) {
        (Some(authority), Some(host)) => (target + authority.start..target + authority.end, host),
        (Some(_) | None, _) => (target..target, &b""[..]),
    };
    out.extend_from_slice(&head[..authority.start]);
    out.extend_from_slice(host);
    let mut query = false;
    for &byte in &head[authority.end..line] {
        query |= byte == b'?';
        let carried = if query { QUERY_BYTES[usize::from(byte)] } else { PATH_BYTES[usize::from(byte)] };
        if carried || byte == b' ' || byte == b'?' {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    out.extend_from_slice(&head[line..]);
    out
}

/// Where the authority of a target in absolute form stands.
fn authority(target: &[u8]) -> Option<Range<usize>> {
    let start = memchr::memmem::find(target, b"://").filter(|_| !target.starts_with(b" /"))? + 3;
    let length = target[start..].iter().position(|b| matches!(b, b'/' | b'?' | b' '))?;
    Some(start..start + length)
}

static PATH_BYTES: LazyLock<[bool; 256]> = LazyLock::new(|| carried_behind("/"));
static QUERY_BYTES: LazyLock<[bool; 256]> = LazyLock::new(|| carried_behind("/?"));

/// Asks the crate itself, so that we cannot differ from it.
fn carried_behind(start: &str) -> [bool; 256] {
    std::array::from_fn(|byte| {
        let Ok(byte) = u8::try_from(byte) else { return false };
        byte.is_ascii_graphic()
            && byte != b'#'
            && PathAndQuery::try_from(format!("{start}{}", char::from(byte))).is_ok()
    })
}

/// The value of a field in the bytes of a head, well-formed or not.
pub fn field<'h>(head: &'h [u8], name: &str) -> Option<&'h [u8]> {
    head.split(|b| *b == b'\n').skip(1).find_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        line[..colon].eq_ignore_ascii_case(name.as_bytes()).then(|| line[colon + 1..].trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { request_line: 8192, request_headers: 32768, request_header_count: 100 };

    fn read(text: &str) -> Result<Option<Head>, Malformed> {
        Head::read(text.as_bytes(), &LIMITS)
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
        assert_eq!(
            read(&format!("{head}GET /two")),
            Ok(Some(Head { length: head.len(), body: Framing::Length(0), escape: false }))
        );
        for end in 0..head.len() {
            assert_eq!(read(&head[..end]), Ok(None), "{end}");
        }
    }

    #[test]
    fn framing_is_read_one_way_or_refused() {
        assert_eq!(with("Content-Length: 12\r\n"), Ok(Framing::Length(12)));
        assert_eq!(with("TRANSFER-encoding: Chunked\r\n"), Ok(Framing::Chunked(Scanner::default())));
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
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer_Encoding: chunked\r\n",
        ] {
            assert_eq!(with(fields), Err(Malformed::Framing), "{fields}");
        }
        assert_eq!(with("Transfer-Encoding: gzip, Chunked\r\n"), Err(Malformed::Coding));
        for coding in ["chunked", "gzip, chunked"] {
            let old = read(&format!("POST / HTTP/1.0\r\nTransfer-Encoding: {coding}\r\n\r\n"));
            assert_eq!(old, Err(Malformed::Framing));
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
            assert_eq!(read(text), Err(Malformed::Syntax), "{text:?}");
        }
        assert_eq!(read("GET / HTTP/3.0\r\n\r\n"), Err(Malformed::Version));
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
        assert_eq!(read("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), Err(Malformed::Host));
        assert_eq!(read("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), Err(Malformed::Method));
    }

    #[test]
    fn what_pingora_cannot_carry_is_escaped_as_browsers_do() {
        let head = "GE`T /a<b`?\"c\"=<^`>{|} HTTP/1.1\r\nHost: a\r\nX: <\r\n\r\n";
        assert!(read(head).unwrap().unwrap().escape);
        let expected = "GE`T /a%3Cb%60?%22c%22=%3C^`%3E{|} HTTP/1.1\r\nHost: a\r\nX: <\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&escaped(head.as_bytes())), expected);
        assert!(!read(expected).unwrap().unwrap().escape);
        let head = "GET http://A:80/<?u=http://b/ HTTP/1.1\r\nHost: a\r\n\r\n";
        assert!(read(head).unwrap().unwrap().escape);
        let expected = "GET http://a/%3C?u=http://b/ HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&escaped(head.as_bytes())), expected);
        let head = "GET /<?u=http://b/ HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(escaped(head.as_bytes()), head.replace('<', "%3C").as_bytes());
    }

    #[test]
    fn bounds_are_kept() {
        let line = format!("GET /{}", "x".repeat(9000));
        assert_eq!(read(&line), Err(Malformed::LineTooLong));
        let large = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(40_000));
        assert_eq!(read(&large), Err(Malformed::HeadTooLarge));
        assert_eq!(with(&"X: 1\r\n".repeat(100)), Err(Malformed::TooManyFields));
        assert_eq!(with(&"X: 1\r\n".repeat(300)), Err(Malformed::TooManyFields));
        assert!(with(&"X: 1\r\n".repeat(99)).is_ok());
    }

    /// RFC 9112 section 3: method, target and version; the line's end is not counted.
    #[test]
    fn a_line_may_be_as_long_as_its_limit() {
        let limits = HeadLimits { request_line: 16, ..LIMITS };
        let read = |text: &str| Head::read(text.as_bytes(), &limits).map(|head| head.is_some());
        assert_eq!(read("GET /xx HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(true));
        assert_eq!(read("GET /xx HTTP/1.1\r"), Ok(false));
        assert_eq!(read("GET /xxx HTTP/1.1\r\nHost: a\r\n\r\n"), Err(Malformed::LineTooLong));
        assert_eq!(read("GET /xxxxxxxxxxxx"), Err(Malformed::LineTooLong));
    }

    #[test]
    fn a_field_is_found_in_any_head() {
        assert_eq!(field(b"GARBAGE\r\nA: 1\r\naccept:  text/html \r\n", "accept"), Some(&b"text/html"[..]));
        assert_eq!(field(b"", "accept"), None);
    }
}
