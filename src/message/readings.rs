//! The readings of a path: what different origins take one and the same path for. Some resolve
//! dot segments, some merge slashes or take what follows two of them for an authority, some
//! decode `%2F` before they split it, some take `\` for a slash, some drop `;` parameters, in any
//! order. A rule that looks at one reading only is evaded by another.

use std::borrow::Cow;

use super::path_escapes::{is_plain, normal};

/// All readings of a path together have at most so many bytes, or three times the path's own:
/// following more would cost more than any honest path is worth.
const MOST_BYTES: usize = 32 * 1024;

/// What an origin may do to a path before it looks at it; `None` where it finds nothing to do.
type Step = fn(&str) -> Option<String>;

/// Slashes are merged before anybody could take them for the beginning of an authority, which
/// matters where the first step that finds something to do is taken.
const STEPS: [Step; 7] = [
    decode_slashes,
    decode_backslashes,
    decode_semicolons,
    drop_parameters,
    merge_slashes,
    drop_authority,
    resolve_dots,
];

/// A path as it was sent, in the form that routes match: its escapes are [`normal`].
#[derive(Debug, PartialEq, Eq)]
pub struct SentPath<'p> {
    pub text: Cow<'p, str>,
    /// Whether every origin reads it as it was sent.
    pub has_one_reading: bool,
}

impl<'p> SentPath<'p> {
    /// `None` when the path has no [`normal`] form.
    pub fn of(path: &'p str) -> Option<Self> {
        if has_simple_segments(path) && is_plain(path) {
            return Some(Self { text: Cow::Borrowed(path), has_one_reading: true });
        }
        let text = normal(path)?;
        let has_one_reading = STEPS.iter().all(|step| step(&text).is_none());
        Some(Self { text, has_one_reading })
    }
}

/// Whether no segment is empty or begins with a dot.
fn has_simple_segments(path: &str) -> bool {
    let bytes = path.as_bytes();
    memchr::memchr_iter(b'/', bytes).all(|at| !matches!(bytes.get(at + 1), Some(b'.' | b'/')))
}

/// Every reading of a path.
#[derive(Debug, PartialEq, Eq)]
pub struct Readings {
    /// As it was sent first, then what any of the steps in any order makes of it.
    pub texts: Vec<String>,
    /// Whether one of them leads above the root: what an edit puts in front would be left.
    pub leaves_root: bool,
}

impl Readings {
    /// `sent`: a path in its [`normal`] form. `None` when they are more than [`MOST_BYTES`].
    pub fn of(sent: &str) -> Option<Self> {
        let mut texts = vec![sent.to_owned()];
        let mut left = MOST_BYTES.max(sent.len() * 3).saturating_sub(sent.len());
        let mut at = 0;
        while let Some(text) = texts.get(at) {
            for reading in STEPS.map(|step| step(text)).into_iter().flatten() {
                if !texts.contains(&reading) {
                    left = left.checked_sub(reading.len())?;
                    texts.push(reading);
                }
            }
            at += 1;
        }
        let leaves_root = texts.iter().any(|text| leaves_root(text));
        Some(Self { texts, leaves_root })
    }

    /// Whether one of them has dot segments.
    pub fn have_dots(&self) -> bool {
        self.texts.iter().any(|text| text.split('/').any(is_dots))
    }
}

/// Whether a path, as it was sent, has dot segments both plain and as `%2e`: who resolves them
/// before decoding and who resolves them afterwards end at different places.
pub fn mixes_spellings_of_dots(path: &str) -> bool {
    let path = path.to_ascii_lowercase().replace("%2f", "/").replace("%5c", "/").replace("%3b", ";");
    let (mut plain, mut encoded) = (false, false);
    for segment in path.split('/').filter_map(|segment| segment.split(';').next()) {
        if is_dots(&segment.replace("%2e", ".")) {
            *if is_dots(segment) { &mut plain } else { &mut encoded } = true;
        }
    }
    plain && encoded
}

/// A path in its [`normal`] form without parameters, empty segments and dot segments: the form
/// of a path that is written for routes.
pub fn canonical(path: &str) -> Option<String> {
    let path = normal(path)?;
    Some(settled(path.into_owned(), &[decode_semicolons, drop_parameters, merge_slashes, resolve_dots]))
}

/// A reading that nobody reads any further. `sent`: a path in its [`normal`] form.
pub fn resolved(sent: &str) -> String {
    settled(sent.to_owned(), &STEPS)
}

/// Each step shortens the text or has nothing to do, so that this ends.
fn settled(mut text: String, steps: &[Step]) -> String {
    while let Some(further) = steps.iter().find_map(|step| step(&text)) {
        text = further;
    }
    text
}

fn decode_slashes(path: &str) -> Option<String> {
    path.contains("%2F").then(|| path.replace("%2F", "/"))
}

fn decode_backslashes(path: &str) -> Option<String> {
    path.contains("%5C").then(|| path.replace("%5C", "/"))
}

fn decode_semicolons(path: &str) -> Option<String> {
    path.contains("%3B").then(|| path.replace("%3B", ";"))
}

fn merge_slashes(path: &str) -> Option<String> {
    path.contains("//").then(|| {
        let mut merged = String::with_capacity(path.len());
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            merged.push('/');
            merged.push_str(segment);
        }
        if path.ends_with('/') {
            merged.push('/');
        }
        merged
    })
}

fn drop_parameters(path: &str) -> Option<String> {
    memchr::memchr(b';', path.as_bytes())?;
    let mut kept = String::with_capacity(path.len());
    for (at, segment) in path.split('/').enumerate() {
        if at > 0 {
            kept.push('/');
        }
        kept.push_str(segment.split(';').next().unwrap_or(segment));
    }
    Some(kept)
}

/// RFC 3986 section 4.2: a reference that begins with two slashes has an authority, and URL
/// libraries that are given a target take it for such a reference.
fn drop_authority(path: &str) -> Option<String> {
    let behind = path.strip_prefix("//")?.trim_start_matches('/');
    Some(behind.find('/').map_or("/", |at| &behind[at..]).to_owned())
}

fn is_dots(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

/// RFC 3986 section 5.2.4: an empty segment is one that `..` can take away.
fn resolve_dots(path: &str) -> Option<String> {
    let mut segments = path.strip_prefix('/')?.split('/');
    if !segments.clone().any(is_dots) {
        return None;
    }
    let mut kept = Vec::new();
    for segment in segments.clone() {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            name => kept.push(name),
        }
    }
    if segments.next_back().is_some_and(is_dots) {
        kept.push("");
    }
    Some(format!("/{}", kept.join("/")))
}

fn leaves_root(path: &str) -> bool {
    let mut depth = 0_usize;
    path.split('/').skip(1).any(|segment| match segment {
        "." => false,
        ".." if depth == 0 => true,
        ".." => {
            depth -= 1;
            false
        }
        _ => {
            depth += 1;
            false
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn readings(path: &str) -> Vec<String> {
        Readings::of(&normal(path).unwrap()).unwrap().texts
    }

    #[test]
    fn a_path_is_read_in_every_way() {
        for (path, read) in [
            ("/admin%2fx", "/admin/x"),
            ("/%5cadmin", "/admin"),
            ("/x/..%5cadmin", "/admin"),
            ("/x/..%2fadmin", "/admin"),
            ("/x/%2e%2e%2fadmin", "/admin"),
            ("/x/..;/admin", "/admin"),
            ("/x/..;a=b/admin", "/admin"),
            ("//admin;x", "/admin"),
            ("/;x/admin", "/admin"),
            ("/./admin", "/admin"),
            ("/x/../admin", "/admin"),
            ("/../admin", "/admin"),
            ("/a//../b", "/a/b"),
            ("/a//../b", "/b"),
            ("/admin;a%2f..%2f..%2fx", "/admin"),
            ("/admin;a%2f..%2f..%2fx", "/x"),
            ("/admin%3bx", "/admin"),
            ("/x/..;/admin/u/..%3B/..;/", "/admin/u/"),
            ("//x/admin", "/admin"),
            ("///x/admin", "/admin"),
            ("/%2fx/admin", "/admin"),
            ("//x", "/"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
        ] {
            let readings = readings(path);
            assert!(readings.iter().any(|reading| reading == read), "{path}: {readings:?}");
            assert!(!SentPath::of(path).unwrap().has_one_reading, "{path}");
        }
        assert_eq!(readings("/a;v=1/b"), ["/a;v=1/b", "/a/b"]);
    }

    #[test]
    fn dots_are_spelled_in_one_way() {
        for path in ["/x/../admin/u/%2e%2e/../", "/%2E/..", "/a/..%2f%2e%2E", "/.%2e;a/..;b", "/./%2e"] {
            assert!(mixes_spellings_of_dots(path), "{path}");
        }
        for path in ["/x/%2e%2e/y/%2e", "/x/../y/.", "/a%2eb/..", "/.hidden/%2e", "/"] {
            assert!(!mixes_spellings_of_dots(path), "{path}");
        }
    }

    #[test]
    fn most_paths_have_one_reading() {
        for path in ["/", "/a/b", "/a.b/~c", "/.well-known/x", "/...", "/a/..b", "/%7euser", "/caf%c3%a9", "*"] {
            let sent = SentPath::of(path).unwrap();
            assert!(sent.has_one_reading, "{path}");
            assert_eq!(readings(path), [sent.text], "{path}");
        }
        assert!(matches!(SentPath::of("/a/b").unwrap().text, Cow::Borrowed("/a/b")));
    }

    #[test]
    fn a_path_with_too_many_readings_is_none_to_follow() {
        let mixed = "/a;b//c%2F..%5C..;d//%2F..//e%3Bf%5C;g/../h%2F;i//..%2Fj".repeat(20);
        assert_eq!(Readings::of(&mixed), None);
        let long = format!("/{}//b;c", "a".repeat(60_000));
        assert_eq!(Readings::of(&long), None);
        let long = format!("/{}//b", "a".repeat(60_000));
        assert!(Readings::of(&long).is_some_and(|readings| readings.texts.len() == 2));
    }

    #[test]
    fn what_is_put_in_front_may_be_left() {
        let leaves = |path: &str| Readings::of(&normal(path).unwrap()).unwrap().leaves_root;
        for path in ["/../x", "/a/../../x", "/..%2fx", "/x/..;/..;/y", "/a//../../../b", "/.."] {
            assert!(leaves(path), "{path}");
        }
        for path in ["/a/../x", "/a/b/../../x", "/a/./..", "/a%2f..%2fx", "/..a/..b"] {
            assert!(!leaves(path), "{path}");
        }
    }

    #[test]
    fn a_path_for_routes_is_canonical() {
        for (path, form) in [
            ("/a/../b", "/b"),
            ("/a/%2e%2E/admin", "/admin"),
            ("/a%2fb", "/a%2Fb"),
            ("/a//b", "/a/b"),
            ("//admin;x", "/admin"),
            ("/a/;x", "/a/"),
            ("/a/..", "/"),
            ("*", "*"),
        ] {
            assert_eq!(canonical(path).as_deref(), Some(form), "{path}");
        }
        assert_eq!(resolved("/a;b//%5C..%2Fc"), "/c");
        assert_eq!(canonical("/a\\b"), None);
    }

    proptest! {
        #[test]
        fn readings_are_closed_and_end_in_one(s in "/([a-c]|[./;]|%2[eEfF]|%5[cC]|%3b){0,12}") {
            let sent = SentPath::of(&s).unwrap();
            let last = resolved(&sent.text);
            prop_assert!(last.starts_with('/') && STEPS.iter().all(|step| step(&last).is_none()));
            prop_assert!(!sent.has_one_reading || last == sent.text);
            if let Some(readings) = Readings::of(&sent.text) {
                prop_assert_eq!(sent.has_one_reading, readings.texts.len() == 1);
                prop_assert!(readings.texts.contains(&last));
                for text in &readings.texts {
                    prop_assert!(text.starts_with('/') && text.len() <= sent.text.len());
                }
            }
        }
    }
}
