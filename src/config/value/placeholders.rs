//! Text with placeholders such as `{host}` in it, whatever they stand for. `{{` and `}}` stand for a brace.

use crate::config::yaml::{Invalid, Parsed};

/// The parts of a text. `literal` makes one of what stands between placeholders, `placeholder` one of a name.
///
/// # Errors
/// When a brace stands alone, or `placeholder` knows no such name.
pub fn parts<P>(text: &str, literal: impl Fn(String) -> P, placeholder: impl Fn(&str) -> Parsed<P>) -> Parsed<Vec<P>> {
    let (mut parts, mut between, mut rest) = (Vec::new(), String::new(), text);
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or("");
        if (c == '{' || c == '}') && rest.starts_with(c) {
            between.push(c);
            rest = rest.get(1..).unwrap_or("");
        } else if c == '{' {
            let Some((name, after)) = rest.split_once('}') else {
                return Err(Invalid::with_help("`{` without its `}`", "a literal `{` is written `{{`"));
            };
            if !between.is_empty() {
                parts.push(literal(std::mem::take(&mut between)));
            }
            parts.push(placeholder(name)?);
            rest = after;
        } else if c == '}' {
            return Err(Invalid::with_help("`}` without its `{`", "a literal `}` is written `}}`"));
        } else {
            between.push(c);
        }
    }
    if !between.is_empty() {
        parts.push(literal(between));
    }
    Ok(parts)
}

/// What stands between placeholders, as it is written.
pub fn escaped(literal: &str) -> String {
    literal.replace('{', "{{").replace('}', "}}")
}
