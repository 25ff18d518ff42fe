//! What a path may look like, as it is matched and as it is made: paths, prefixes,
//! regexes and their replacements.

use http::uri::PathAndQuery;
use regex::{Regex, RegexBuilder};

use crate::config::section::{Scalar, Syntax};
use crate::config::yaml::{Invalid, Parsed, Yaml};
use crate::message::readings::canonical;

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
        let help = if text.starts_with('^') { "{ regex: ".to_owned() + text + " }" } else { format!("/{text}") };
        return Err(Invalid::with_help("a path begins with `/`", format!("write `{help}`")));
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
    if let Some(prefix) = text.strip_suffix('*') {
        return Err(Invalid::with_help("a path is already a prefix", format!("write `{prefix}`")));
    }
    parse(text)
}

/// A path to compare a request's with: in any other form than the canonical one it
/// would never be equal.
fn matched_path(text: &str) -> Parsed<String> {
    if !text.starts_with('/') || text.contains(['?', '#']) {
        return parse(text);
    }
    let help = match canonical(text) {
        Some(form) if form == text => return Ok(form),
        Some(form) => format!("paths are matched in their canonical form: write `{form}`"),
        None => "the proxy answers 400 to a broken escape and to a `\\`".to_owned(),
    };
    Err(Invalid::with_help(format!("no request has the path `{text}`"), help))
}

/// The same, for everything below it.
fn matched_prefix(text: &str) -> Parsed<String> {
    if text.ends_with('*') { path_prefix(text) } else { matched_path(text) }
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
}
