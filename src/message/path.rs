//! The path of a request: prefixes by segment, and the edits of `request.path`, which keep the
//! bytes as they were sent.

use super::path_escapes::length_of_prefix;

/// Whether `prefix` covers `path` by whole segments: `/api` and `/api/` cover
/// `/api`, `/api/` and `/api/x`, but not `/apix`.
pub fn has_prefix(path: &str, prefix: &str) -> bool {
    after_prefix(path, prefix).is_some()
}

/// The rest of `path` after `prefix`, however either is spelled: it is empty or begins with `/`.
pub fn after_prefix<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let spelled = || path.get(length_of_prefix(path, prefix)?..);
    let rest = path.strip_prefix(prefix).or_else(spelled)?;
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

#[cfg(test)]
mod tests {
    use super::*;

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
            ("/%61pi/x", "/api", true),
            ("/~u/x", "/%7eu", true),
            ("/a/b", "/a%2Fb", false),
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
        assert_eq!(strip_prefix("/%61pi/key//with/..;v=1//x", "/api"), "/key//with/..;v=1//x");
        assert_eq!(strip_prefix("/%61pi", "/api/"), "/");
        assert_eq!(strip_prefix("/%61pix", "/api"), "/%61pix");
        assert_eq!(add_prefix("/x", "/v1/"), "/v1/x");
        assert_eq!(split_query("/a?b?c"), ("/a", Some("b?c")));
    }
}
