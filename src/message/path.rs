//! The path of a request: its canonical form, prefixes by segment, and the edits of
//! `request.path`, which keep the bytes as they were sent.
//!
//! Escapes are normalised here and not by `percent-encoding`, whose decoder lets a bad escape
//! pass and turns `%2F` into a slash.

use std::borrow::Cow;

use percent_encoding::percent_encode_byte;

use super::bytes::alphanumeric_or;

/// Whether `prefix` covers `path` by whole segments: `/api` and `/api/` cover
/// `/api`, `/api/` and `/api/x`, but not `/apix`.
pub fn has_prefix(path: &str, prefix: &str) -> bool {
    after_prefix(path, prefix).is_some()
}

/// The rest of `path` after `prefix`: it is empty or begins with `/`.
pub fn after_prefix<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let rest = path.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// `path` without `prefix`, never empty; `path` itself when the prefix does not cover it.
pub fn strip_prefix<'p>(path: &'p str, prefix: &str) -> &'p str {
    match after_prefix(path, prefix) {
        Some("") => "/",
        Some(rest) => rest,
        None => path,
    }
}

/// `prefix` in front of `path`, with one slash between them.
pub fn add_prefix(path: &str, prefix: &str) -> String {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let mut out = String::with_capacity(prefix.len() + path.len());
    out.push_str(prefix);
    out.push_str(path);
    out
}

/// Splits a target in origin form at its first `?`, which belongs to neither part.
pub fn split_query(target: &str) -> (&str, Option<&str>) {
    match memchr::memchr(b'?', target.as_bytes()) {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    }
}

/// A path as it is matched and as it is sent to the upstream.
#[derive(Debug, PartialEq, Eq)]
pub struct Resolved<'p> {
    /// The canonical path, on which routes and access rules match.
    pub matched: Cow<'p, str>,
    /// The path as it was sent; the canonical path where that held dot segments, so that the
    /// origin cannot read another path than the one that was matched.
    pub upstream_path: Cow<'p, str>,
}

/// Resolves a path; `None` when it has no canonical form (see [`canonical`]).
pub fn resolve(path: &str) -> Option<Resolved<'_>> {
    let bytes = path.as_bytes();
    let plain = has_plain_segments(bytes);
    if plain && bytes.iter().fold(true, |plain, b| plain & PLAIN[usize::from(*b)]) {
        return Some(Resolved { matched: Cow::Borrowed(path), upstream_path: Cow::Borrowed(path) });
    }
    let normal = normal_escapes(path)?;
    if plain && matches!(normal, Cow::Borrowed(_)) && memchr::memchr(b';', bytes).is_none() && !hides_dots(path) {
        return Some(Resolved { matched: normal, upstream_path: Cow::Borrowed(path) });
    }
    let matched = canonical_of(&normal)?;
    let dotted = normal.split('/').any(is_dots);
    let upstream_path = if dotted { Cow::Owned(matched.clone()) } else { Cow::Borrowed(path) };
    Some(Resolved { matched: Cow::Owned(matched), upstream_path })
}

/// Whether no segment is empty or begins with a dot.
fn has_plain_segments(path: &[u8]) -> bool {
    memchr::memchr_iter(b'/', path).all(|at| !matches!(path.get(at + 1), Some(b'.' | b'/')))
}

/// The bytes that a path may hold unescaped (RFC 3986 section 3.3), without `;`, with which
/// parameters begin.
static PLAIN: [bool; 256] = alphanumeric_or(b"/-._~!$&'()*+,=:@");

fn is_dots(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

/// The form on which routes match: dot segments are removed (RFC 3986 section 5.2.4), encoded
/// unreserved characters decoded (section 6.2.2.2), all other escapes in upper case (section
/// 6.2.2.1), bytes that a URI cannot hold escaped, empty segments and `;` parameters removed,
/// so that neither `/a/%2e%2e/admin` nor `//admin;x` gets past a route for `/admin`.
///
/// `None` when origins may read the path in two ways: it holds a `%` without two hex digits,
/// an encoded NUL, CR or LF, a backslash, or dots as `..;` or `..%2f`.
pub fn canonical(path: &str) -> Option<String> {
    canonical_of(&normal_escapes(path)?)
}

fn canonical_of(decoded: &str) -> Option<String> {
    if !decoded.starts_with('/') {
        return Some(decoded.to_owned());
    }
    let mut out: Vec<&str> = Vec::new();
    let mut ends_open = false;
    for segment in decoded.split('/').skip(1) {
        let name = segment.split(';').next().unwrap_or(segment);
        if !is_dots(segment) && (is_dots(name) || hides_dots(name)) {
            return None;
        }
        ends_open = is_dots(name) || name.is_empty();
        match name {
            "" | "." => {}
            ".." => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    let mut text = String::with_capacity(decoded.len());
    for segment in &out {
        text.push('/');
        text.push_str(segment);
    }
    if ends_open || text.is_empty() {
        text.push('/');
    }
    Some(text)
}

/// Whether an origin that decodes `%2F` before it splits the path would see dot segments.
fn hides_dots(segment: &str) -> bool {
    segment.contains("%2F") && segment.split('/').flat_map(|s| s.split("%2F")).any(is_dots)
}

/// Normalises the escapes of a path. The path is borrowed when each of its escapes is needed
/// and in upper case.
fn normal_escapes(path: &str) -> Option<Cow<'_, str>> {
    let bytes = path.as_bytes();
    let mut out = Vec::new();
    // The bytes up to here are copied; those from here to `at` need no change.
    let mut kept = 0;
    let mut at = 0;
    while let Some(&b) = bytes.get(at) {
        if b == b'\\' {
            return None;
        }
        if PLAIN[usize::from(b)] || b == b';' {
            at += 1;
            continue;
        }
        let (value, length) = if b == b'%' {
            let code = bytes.get(at + 1..at + 3)?;
            (hex_digit(code[0])? << 4 | hex_digit(code[1])?, 3)
        } else {
            (b, 1)
        };
        if matches!(value, 0 | b'\r' | b'\n') {
            return None;
        }
        let wanted = if is_unreserved(value) { &[value] } else { percent_encode_byte(value).as_bytes() };
        if bytes.get(at..at + length) != Some(wanted) {
            out.reserve(bytes.len() - kept + 2);
            out.extend_from_slice(&bytes[kept..at]);
            out.extend_from_slice(wanted);
            kept = at + length;
        }
        at += length;
    }
    if kept == 0 {
        return Some(Cow::Borrowed(path));
    }
    out.extend_from_slice(&bytes[kept..]);
    String::from_utf8(out).ok().map(Cow::Owned)
}

fn is_unreserved(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-._~".contains(&b)
}

fn hex_digit(b: u8) -> Option<u8> {
    char::from(b).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prefixes_cover_whole_segments() {
        for (path, prefix, covered) in [
            ("/api", "/api", true),
            ("/api", "/api/", true),
            ("/api/", "/api", true),
            ("/api/x", "/api/", true),
            ("/apix", "/api", false),
            ("/", "/api", false),
            ("/any", "/", true),
        ] {
            assert_eq!(has_prefix(path, prefix), covered, "{path} {prefix}");
        }
    }

    #[test]
    fn stripping_leaves_an_absolute_path() {
        assert_eq!(strip_prefix("/api", "/api"), "/");
        assert_eq!(strip_prefix("/api/", "/api"), "/");
        assert_eq!(strip_prefix("/api/x%2Fy", "/api/"), "/x%2Fy");
        assert_eq!(strip_prefix("/other", "/api"), "/other");
        assert_eq!(add_prefix("/x", "/v1/"), "/v1/x");
        assert_eq!(split_query("/a?b?c"), ("/a", Some("b?c")));
    }

    #[test]
    fn disguised_paths_have_one_canonical_form() {
        for (path, form) in [
            ("/a/../b", "/b"),
            ("/a/%2e%2E/admin", "/admin"),
            ("/%61dmin", "/admin"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/..", "/"),
            ("/a%2fb", "/a%2Fb"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/café", "/caf%C3%A9"),
            ("/a<{b}|`^\">", "/a%3C%7Bb%7D%7C%60%5E%22%3E"),
            ("/a%3b%2C/b", "/a%3B%2C/b"),
            ("/a//b", "/a/b"),
            ("//admin;x", "/admin"),
            ("/a/;x", "/a/"),
            ("*", "*"),
            ("/.well-known/x", "/.well-known/x"),
        ] {
            assert_eq!(canonical(path).as_deref(), Some(form), "{path}");
        }
        for bad in
            ["/%", "/%0", "/%zz", "/%00", "/%0d%0a", "/a\\b", "/x/..;/b", "/x/..%2fb", "/x/%2e%2e%2Fb", "/x/b%2F.."]
        {
            assert_eq!(canonical(bad), None, "{bad}");
        }
        let kept = resolve("/%7euser/a%2Fb").unwrap();
        assert_eq!((kept.matched.as_ref(), kept.upstream_path.as_ref()), ("/~user/a%2Fb", "/%7euser/a%2Fb"));
        let lower = resolve("/caf%c3%a9").unwrap();
        assert_eq!((lower.matched.as_ref(), lower.upstream_path.as_ref()), ("/caf%C3%A9", "/caf%c3%a9"));
        let dotted = resolve("/a/%2e%2e/b").unwrap();
        assert_eq!((dotted.matched.as_ref(), dotted.upstream_path.as_ref()), ("/b", "/b"));
    }

    #[test]
    fn a_canonical_path_is_not_copied() {
        for path in ["/", "/a/b", "/caf%C3%A9/x%2Fy", "/a.b/~c", "*"] {
            let resolved = resolve(path).unwrap();
            assert!(matches!(resolved.matched, Cow::Borrowed(p) if p == path), "{path}");
            assert!(matches!(resolved.upstream_path, Cow::Borrowed(p) if p == path), "{path}");
        }
    }

    proptest! {
        #[test]
        fn canonical_is_stable(s in "/([ -~é]|[./;]|%2[eEfF]|%[2-7][0-9a-fA-F]){0,40}") {
            let once = canonical(&s);
            if let Some(once) = &once {
                prop_assert!(once.starts_with('/'));
                prop_assert!(!once.split('/').any(|p| p == ".."));
                prop_assert_eq!(canonical(once), Some(once.clone()));
            }
            // The fast path of `resolve` has the same result.
            prop_assert_eq!(resolve(&s).map(|r| r.matched.into_owned()), once);
            strip_prefix(&s, "/a");
        }
    }
}
