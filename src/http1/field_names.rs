//! The names of fields that are often sent, in the spellings of browsers and of other
//! programs: one that is known costs a request no reference to the bytes of its head.

/// The same name with a life of its own; `None` for one that is seldom sent.
pub fn usual(name: &str) -> Option<&'static str> {
    let usual = USUAL.get(name.len())?;
    usual.iter().copied().find(|usual| *usual == name)
}

/// By their length.
const USUAL: [&[&str]; 26] = [
    &[],
    &[],
    &["TE", "te"],
    &["DNT"],
    &["Host", "host"],
    &["Range", "range"],
    &["Accept", "accept", "Cookie", "cookie", "Origin", "origin", "Expect"],
    &["Referer", "referer", "Upgrade", "upgrade"],
    &[],
    &[],
    &["User-Agent", "user-agent", "Connection", "connection"],
    &["traceparent"],
    &["Content-Type", "content-type", "X-Request-Id", "x-request-id"],
    &["Authorization", "authorization", "If-None-Match", "if-none-match", "Cache-Control", "cache-control"],
    &["Content-Length", "content-length", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-Dest", "Sec-Fetch-User"],
    &["Accept-Encoding", "accept-encoding", "Accept-Language", "accept-language", "X-Forwarded-For"],
    &["Content-Encoding", "content-encoding", "X-Requested-With"],
    &["If-Modified-Since", "if-modified-since", "Transfer-Encoding", "transfer-encoding", "Sec-WebSocket-Key"],
    &[],
    &[],
    &[],
    &["Sec-WebSocket-Version"],
    &[],
    &[],
    &["Sec-WebSocket-Extensions"],
    &["Upgrade-Insecure-Requests"],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_name_is_found_as_it_is_spelled_and_no_other() {
        for (length, names) in USUAL.iter().enumerate() {
            for name in *names {
                assert_eq!((name.len(), usual(name)), (length, Some(*name)));
            }
        }
        for other in ["", "HOST", "x", "Accept-encoding", "A-Name-That-Is-Longer-Than-All-Of-Them"] {
            assert_eq!(usual(other), None, "{other}");
        }
    }
}
