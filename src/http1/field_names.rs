//! Names of fields that are known before they come: one that is neither is parsed nor copied, and some are spelled in ways
//! that no rule tells.

use std::sync::LazyLock;

use http::HeaderName;

/// A name that is often sent, or that is spelled in an odd way.
#[derive(Debug)]
pub struct Known {
    /// How it is usually spelled.
    pub spelled: &'static str,
    pub name: HeaderName,
}

/// The name that is spelled in its usual way.
pub fn spelled(text: &[u8]) -> Option<&'static Known> {
    find(text, |entry| entry.known.spelled.as_bytes() == text)
}

/// The name, in whatever way it is spelled.
pub fn any_case(text: &[u8]) -> Option<&'static Known> {
    find(text, |entry| entry.known.spelled.as_bytes().eq_ignore_ascii_case(text))
}

/// A name in small letters.
pub fn named(name: &HeaderName) -> Option<&'static Known> {
    let text = name.as_str();
    // Most names come from this table or have their text where one of it has.
    let own = BY_LENGTH.get(text.len())?.iter().find(|entry| entry.address == text.as_ptr().addr());
    match own {
        Some(entry) => Some(entry.known),
        None => find(text.as_bytes(), |entry| entry.known.name == *name),
    }
}

/// The same text with a life of its own, in its usual spelling or in small letters.
pub fn lasting(text: &str) -> Option<&'static str> {
    let any = any_case(text.as_bytes())?;
    [any.spelled, any.name.as_str()].into_iter().find(|own| *own == text)
}

/// A name in the table.
#[derive(Debug)]
struct Entry {
    key: u16,
    /// Where the text of the name is.
    address: usize,
    known: &'static Known,
}

/// The entry of this length that `is_same` accepts; one of another key is not looked at.
fn find(text: &[u8], is_same: impl Fn(&Entry) -> bool) -> Option<&'static Known> {
    let key = key(text);
    BY_LENGTH.get(text.len())?.iter().find(|entry| entry.key == key && is_same(entry)).map(|entry| entry.known)
}

/// Tells most names of one length apart, in whatever way they are spelled.
fn key(text: &[u8]) -> u16 {
    match text {
        [first, .., last] => u16::from_be_bytes([first | 0x20, last | 0x20]),
        [] | [_] => 0,
    }
}

static BY_LENGTH: LazyLock<[Vec<Entry>; LONGEST + 1]> = LazyLock::new(|| {
    let mut all = [const { Vec::new() }; LONGEST + 1];
    for known in &KNOWN {
        if let Some(same) = all.get_mut(known.spelled.len()) {
            let address = known.name.as_str().as_ptr().addr();
            same.push(Entry { key: key(known.spelled.as_bytes()), address, known });
        }
    }
    all
});

/// Names are made of texts that live as long as the process, so that nobody counts who uses one.
macro_rules! known {
    ($($spelled:literal,)*) => {
        [$({
            const SMALL: [u8; $spelled.len()] = small_letters($spelled);
            const NAME: &str = match std::str::from_utf8(&SMALL) {
                Ok(name) => name,
                Err(_) => $spelled,
            };
            Known { spelled: $spelled, name: HeaderName::from_static(NAME) }
        },)*]
    };
}

const fn small_letters<const N: usize>(text: &str) -> [u8; N] {
    let mut letters = [0; N];
    let mut at = 0;
    while at < N {
        letters[at] = text.as_bytes()[at].to_ascii_lowercase();
        at += 1;
    }
    letters
}

const LONGEST: usize = 32;

/// Of requests, then of responses, then odd ones that are seldom sent; of one length, the more frequent first.
static KNOWN: [Known; 84] = known![
    "Host",
    "Accept",
    "User-Agent",
    "Accept-Encoding",
    "Accept-Language",
    "Connection",
    "Cookie",
    "Content-Type",
    "Content-Length",
    "Authorization",
    "Referer",
    "Origin",
    "Cache-Control",
    "If-None-Match",
    "If-Modified-Since",
    "If-Range",
    "Range",
    "Expect",
    "TE",
    "DNT",
    "Via",
    "Upgrade",
    "Transfer-Encoding",
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Real-IP",
    "X-Request-Id",
    "X-Requested-With",
    "X-CSRF-Token",
    "traceparent",
    "tracestate",
    "Sec-Fetch-Mode",
    "Sec-Fetch-Site",
    "Sec-Fetch-Dest",
    "Sec-Fetch-User",
    "sec-ch-ua",
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Extensions",
    "Upgrade-Insecure-Requests",
    "Date",
    "Server",
    "ETag",
    "Vary",
    "Last-Modified",
    "Accept-Ranges",
    "Content-Encoding",
    "Content-Range",
    "Content-Disposition",
    "Set-Cookie",
    "Location",
    "Expires",
    "Age",
    "Allow",
    "Keep-Alive",
    "X-Powered-By",
    "X-Frame-Options",
    "WWW-Authenticate",
    "X-Content-Type-Options",
    "Strict-Transport-Security",
    "Access-Control-Allow-Origin",
    "Access-Control-Allow-Credentials",
    "NEL",
    "P3P",
    "Sec-GPC",
    "baggage",
    "CDN-Loop",
    "SourceMap",
    "Expect-CT",
    "X-API-Key",
    "Content-MD5",
    "X-Client-IP",
    "HTTP2-Settings",
    "X-UA-Compatible",
    "X-XSS-Protection",
    "CF-Connecting-IP",
    "Sec-WebSocket-Accept",
    "Sec-WebSocket-Protocol",
    "X-DNS-Prefetch-Control",
    "Access-Control-Request-Method",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_name_is_found_as_it_is_spelled_and_no_other() {
        for text in KNOWN.iter().map(|known| known.spelled) {
            let known = spelled(text.as_bytes()).unwrap();
            assert!(text.len() <= LONGEST && known.spelled == text);
            let small = text.to_ascii_lowercase();
            assert_eq!(known.name, HeaderName::from_bytes(text.as_bytes()).unwrap());
            for other in [any_case(small.as_bytes()), any_case(text.as_bytes()), named(&known.name)] {
                assert!(std::ptr::eq(other.unwrap(), known), "{text} is there twice");
            }
            assert_eq!((lasting(text), lasting(&small)), (Some(text), Some(small.as_str())));
        }
        for other in ["", "HOST", "x", "Accept-encoding", "A-Name-That-Is-Longer-Than-All-Of-Them"] {
            assert!(spelled(other.as_bytes()).is_none() && lasting(other).is_none(), "{other}");
        }
        assert!(any_case(b"hOSt").is_some() && spelled(b"host").is_none() && any_case(b"hosts").is_none());
    }
}
