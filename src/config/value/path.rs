//! What a path may look like, as it is matched and as it is made: paths, prefixes,
//! regexes and their replacements.

use http::uri::PathAndQuery;
use regex::{Regex, RegexBuilder};

use crate::config::section::{Scalar, Syntax};
use crate::config::yaml::{Invalid, Parsed, Yaml};
use crate::message::readings::{Readings, canonical, resolved};

const OUTPUT_PATH: Syntax =
    Syntax { kind: "path", numbers: false, pattern: Some("^/[!\"$-;=@-_a-~]*$"), examples: &["/api/"] };
/// Canonical paths have neither empty nor dot segments, nor parameters.
const MATCHED: Syntax = Syntax {
    kind: "path",
    numbers: false,
    pattern: Some("^(?!.*//)(?!.*/[.]{1,2}(/|$))/[^?#;*\\\\\\s<>\"`^{}|]*$"),
    examples: &["/api/"],
};

/// A path that the proxy makes.
pub const PATH: Scalar<String> =
    Scalar { what: "a path such as `/api`", syntax: OUTPUT_PATH, parse, print: |path| Yaml::text(path) };

/// A path that the proxy puts in front of others.
pub const PATH_PREFIX: Scalar<String> = Scalar {
    syntax: Syntax { pattern: Some("^/([!\"$-;=@-_a-~]*[!\"$-)+-;=@-_a-~])?$"), ..OUTPUT_PATH },
    parse: path_prefix,
    ..PATH
};

/// A path to compare a request's with.
pub const PATH_TO_MATCH: Scalar<String> = Scalar { syntax: MATCHED, parse: matched_path, ..PATH };

/// A path that covers everything below it.
pub const PREFIX_TO_MATCH: Scalar<String> =
    Scalar { what: "a path such as `/api/`", syntax: MATCHED, parse: matched_prefix, ..PATH };

pub const REGEX: Scalar<Regex> = Scalar {
    what: "a regex",
    syntax: Syntax { kind: "regex", numbers: true, pattern: None, examples: &["^/v[0-9]+/"] },
    parse: regex,
    print: |regex| Yaml::text(regex),
};

/// A path as it stands in a request: from its `/`, without query.
pub fn parse(text: &str) -> Parsed<String> {
    if !text.starts_with('/') {
        return Err(Invalid::with_help("a path begins with `/`", format!("write `/{text}`")));
    }
    literal(text).map(|()| text.to_owned())
}

/// What may stand in a path that the proxy makes, asked of the type that will carry it.
fn literal(text: &str) -> Parsed<()> {
    if text.contains(['?', '#']) {
        return Err(Invalid::with_help("a path has no `?` or `#` in it", "the query is matched and edited by `query`"));
    }
    let carried = PathAndQuery::try_from(format!("/{text}")).is_ok();
    if !carried || !text.bytes().all(|b| b.is_ascii_graphic()) {
        let message = "a path holds no spaces, control or non-ASCII characters, or others that need an escape";
        return Err(Invalid::with_help(message, "percent-encode them"));
    }
    Ok(())
}

/// A path which stands for everything below it.
fn path_prefix(text: &str) -> Parsed<String> {
    if !text.ends_with('*') {
        return parse(text);
    }
    let prefix = text.trim_end_matches('*');
    let help = match prefix {
        "" | "/" => "write `/`, or leave the key out".to_owned(),
        whole if whole.ends_with('/') => format!("write `{whole}`"),
        part => format!("write `{part}`, which covers `{part}/x`; `{part}x` is another path"),
    };
    Err(Invalid::with_help("a path is already a prefix", help))
}

/// A path to compare a request's with: in any other form than the canonical one it
/// would never be equal.
fn matched_path(text: &str) -> Parsed<String> {
    if let Some(why) = pattern_of_others(text) {
        return Err(why);
    }
    if !text.starts_with('/') || text.contains(['?', '#']) {
        return parse(text);
    }
    let help = match canonical(text) {
        Some(form) if Readings::of(&form).is_none_or(|readings| readings.have_dots()) => {
            let message = format!("services read `{text}` in different ways");
            return Err(Invalid::with_help(
                message,
                format!("write the path that is meant, such as `{}`", resolved(&form)),
            ));
        }
        Some(form) if form == text => return Ok(form),
        Some(form) => format!("paths are matched in their canonical form: write `{form}`"),
        None => "the proxy answers 400 to a broken escape and to a `\\`".to_owned(),
    };
    Err(Invalid::with_help(format!("no request has the path `{text}`"), help))
}

/// The same, for everything below it.
fn matched_prefix(text: &str) -> Parsed<String> {
    let parts: Vec<&str> = text.split([' ', ',', '|']).filter(|part| !part.is_empty()).collect();
    if parts.len() > 1 && parts.iter().all(|part| part.starts_with('/')) {
        return Err(Invalid::with_help("these are several paths", format!("write `[{}]`", parts.join(", "))));
    }
    let stars = text.trim_end_matches('*').contains('*');
    if text.starts_with('/') && stars {
        let help = format!("write `path: {{ regex: '{}' }}`", as_regex(text));
        return Err(Invalid::with_help("a `*` in a path is no wildcard", help));
    }
    if text.ends_with('*') { path_prefix(text) } else { matched_path(text) }
}

/// What other proxies take for a pattern, and how it is written here.
fn pattern_of_others(text: &str) -> Option<Invalid> {
    let begins = |help: String| Some(Invalid::with_help("a path begins with `/`", help));
    let regex = |regex: &str| begins(format!("for a regex write `path: {{ regex: '{regex}' }}`"));
    if let Some(rest) = text.strip_prefix("~*") {
        return regex(&format!("(?i){}", rest.trim_start()));
    }
    if let Some(rest) = text.strip_prefix('~') {
        return regex(rest.trim_start());
    }
    if let Some(rest) = text.strip_prefix("^~") {
        return begins(format!("write `{}`, which wins over a regex anyway", rest.trim_start()));
    }
    if let Some(rest) = text.strip_prefix('=') {
        return begins(format!("for this path alone write `path: {{ exact: {} }}`", rest.trim_start()));
    }
    if text.starts_with('^') || text.starts_with('(') {
        return regex(text);
    }
    if let Some(suffix) = text.strip_prefix('*').filter(|suffix| !suffix.contains('*') && !suffix.is_empty()) {
        return regex(&format!("{}$", regex::escape(suffix)));
    }
    if let Some((_, rest)) = text.split_once("://") {
        let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/");
        return begins(format!("write `{path}`; the name stands in `host`"));
    }
    if text.starts_with('/') && (text.contains('{') || text.contains('<') && text.contains('>')) {
        let help = format!("for any segment there write `path: {{ regex: '{}' }}`", as_regex(text));
        return Some(Invalid::with_help("a path has no placeholders", help));
    }
    None
}

/// A path in which `*`, `{name}`, `<name>` or `:name` stands for any segment.
pub fn as_regex(path: &str) -> String {
    let segment = |segment: &str| match segment {
        "**" => ".*".to_owned(),
        "*" => "[^/]+".to_owned(),
        named if named.starts_with(['{', '<', ':']) => "[^/]+".to_owned(),
        other => regex::escape(other).replace(r"\*", "[^/]*"),
    };
    format!("^{}", path.split('/').map(segment).collect::<Vec<_>>().join("/"))
}

fn regex(text: &str) -> Parsed<Regex> {
    RegexBuilder::new(text).size_limit(1 << 20).build().map_err(|e| match e {
        regex::Error::Syntax(long) => {
            let reason = long.lines().rev().find_map(|l| l.trim().strip_prefix("error: ")).unwrap_or("syntax");
            Invalid::new(format!("this regex does not compile: {reason}"))
        }
        _ => Invalid::new("this regex does not compile: it is too large"),
    })
}

/// Whether a replacement makes a path, and the groups it names exist: a missing one would
/// silently be nothing.
pub fn check_replacement(pattern: &Regex, with: &str) -> Parsed<()> {
    if let Some(at) = with.find('\\').filter(|at| with[at + 1..].starts_with(|c: char| c.is_ascii_digit())) {
        let ours = format!("{}${}", &with[..at], &with[at + 1..]);
        return Err(Invalid::with_help("a group of the regex is written with a `$`", format!("write `{ours}`")));
    }
    let mut rest = with;
    while let Some((text, after)) = rest.split_once('$') {
        literal(text)?;
        if let Some(after) = after.strip_prefix('$') {
            rest = after;
            continue;
        }
        let (name, after) = group(after);
        let known = match name.parse::<usize>() {
            Ok(number) => number < pattern.captures_len(),
            Err(_) => name.is_empty() || pattern.capture_names().flatten().any(|n| n == name),
        };
        if !known {
            let digits: String = name.chars().take_while(char::is_ascii_digit).collect();
            let help = match digits.parse::<usize>() {
                Ok(n) if n < pattern.captures_len() => Some(format!("for group {n}, write `$${{{n}}}`")),
                _ => None,
            };
            return Err(Invalid { message: Some(format!("the regex has no group `{name}`")), help });
        }
        rest = after;
    }
    literal(rest)
}

/// The name behind a `$`, and what follows it.
fn group(after: &str) -> (&str, &str) {
    if let Some(braced) = after.strip_prefix('{') {
        return braced.split_once('}').unwrap_or((braced, ""));
    }
    let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
    after.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert!(parse("/a/%20b").is_ok());
        for bad in ["a", "", "/a?b", "/a b", "/ü", "^/a", "/a`", "/<a>", "/a#"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(path_prefix("/api/*").unwrap_err().help.as_deref(), Some("write `/api/`"));
    }

    #[test]
    fn regexes_and_replacements() {
        assert_eq!(regex("(a").unwrap_err().message.unwrap(), "this regex does not compile: unclosed group");
        let r = regex("^/v([0-9]+)/(?P<rest>.*)$").unwrap();
        for good in ["/$1/$rest", "/${1}x/${rest}", "$$1x", "/", "$2"] {
            assert_eq!(check_replacement(&r, good), Ok(()), "{good}");
        }
        assert!(check_replacement(&r, "$3").is_err());
        assert_eq!(check_replacement(&r, r"/b/\1").unwrap_err().help.as_deref(), Some("write `/b/$1`"));
        for bad in ["/a b", "/$1?x", "/$1#", "/\u{7f}", "/é$1", "/$$\n", "/${rest}<", "/>${1}"] {
            assert!(check_replacement(&r, bad).is_err(), "{bad}");
        }
        assert_eq!(check_replacement(&r, "$1x").unwrap_err().help.as_deref(), Some("for group 1, write `$${1}`"));
    }

    #[test]
    fn a_path_that_no_request_has_is_refused() {
        for (text, form) in [
            ("/a//b", "/a/b"),
            ("/a/../c", "/c"),
            ("/%41", "/A"),
            ("/x;v=1", "/x"),
            ("/p//", "/p/"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/a b", "/a%20b"),
            ("/a<b", "/a%3Cb"),
        ] {
            let help = format!("paths are matched in their canonical form: write `{form}`");
            assert_eq!(matched_path(text).unwrap_err().help, Some(help), "{text}");
            assert_eq!(matched_prefix(form).as_deref(), Ok(form));
        }
        for text in ["/zz%", "/a\\b", "/%00", "a", "/a?b", "/a#"] {
            assert!(matched_path(text).is_err(), "{text}");
        }
        assert_eq!(matched_prefix("/api/*").unwrap_err().help.as_deref(), Some("write `/api/`"));
    }

    #[test]
    fn patterns_of_others_are_shown_in_our_words() {
        for (text, help) in [
            ("~ ^/api", "for a regex write `path: { regex: '^/api' }`"),
            (r"~* \.php$", r"for a regex write `path: { regex: '(?i)\.php$' }`"),
            ("^/api", "for a regex write `path: { regex: '^/api' }`"),
            ("^~ /api", "write `/api`, which wins over a regex anyway"),
            ("= /api", "for this path alone write `path: { exact: /api }`"),
            ("*.php", r"for a regex write `path: { regex: '\.php$' }`"),
            ("/a, /b", "write `[/a, /b]`"),
            ("/a|/b", "write `[/a, /b]`"),
            ("/**", "write `/`, or leave the key out"),
            ("/api/**", "write `/api/`"),
            ("/api*", "write `/api`, which covers `/api/x`; `/apix` is another path"),
            ("/a/*/b", "write `path: { regex: '^/a/[^/]+/b' }`"),
            ("/a/{id}/b", "for any segment there write `path: { regex: '^/a/[^/]+/b' }`"),
            ("http://a.b/c", "write `/c`; the name stands in `host`"),
            ("/a%2f..%2fapi", "write the path that is meant, such as `/api`"),
        ] {
            assert_eq!(matched_prefix(text).unwrap_err().help.as_deref(), Some(help), "{text}");
        }
        for (path, text) in [("/a/:id", "^/a/[^/]+"), ("/a.b/x*", r"^/a\.b/x[^/]*"), ("/a/**/b", "^/a/.*/b")] {
            assert_eq!(as_regex(path), text);
        }
    }
}
