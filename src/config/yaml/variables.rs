//! `${NAME}` and `${NAME:-default}` in a value: the syntax of variables.

use super::problem::Invalid;

pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Whether the whole text is one variable, whose value then says what it is.
pub fn is_one(text: &str) -> bool {
    text.starts_with("${") && text.find('}') == text.len().checked_sub(1)
}

/// Replaces every variable. `$${` stands for a literal `${`; any other `$` stands for itself.
///
/// # Errors
/// Everything that is wrong, each once.
pub fn expand(text: &str, env: Env<'_>) -> Result<String, Vec<Invalid>> {
    let mut out = String::with_capacity(text.len());
    let mut invalid: Vec<Invalid> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        if let Some(after) = from.strip_prefix("$${") {
            out.push_str("${");
            rest = after;
        } else if let Some(after) = from.strip_prefix("${") {
            let Some((inside, after)) = after.split_once('}') else {
                invalid.push(Invalid::with_help("`${` without its `}`", "a literal `${` is written `$${`"));
                return Err(invalid);
            };
            rest = after;
            match lookup(inside, env) {
                Ok(value) => out.push_str(&value),
                Err(reason) if invalid.contains(&reason) => {}
                Err(reason) => invalid.push(reason),
            }
        } else {
            out.push('$');
            rest = from.get(1..).unwrap_or("");
        }
    }
    out.push_str(rest);
    if invalid.is_empty() { Ok(out) } else { Err(invalid) }
}

fn lookup(inside: &str, env: Env<'_>) -> Result<String, Invalid> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if default.is_some_and(|default| default.contains("${")) {
        return Err(Invalid::with_help(
            format!("the default of `{name}` holds another variable"),
            format!("only text can be a default, as in `${{{name}:-text}}`"),
        ));
    }
    let valid = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !valid {
        return Err(Invalid::with_help(
            format!("`${{{inside}}}` does not name an environment variable"),
            "a literal `${` is written `$${`",
        ));
    }
    let found = env(name);
    match (found, default) {
        // As in a shell, `:-` also covers a variable that is set but empty.
        (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Invalid::with_help(
            format!("the environment variable `{name}` is not set"),
            format!("set it, or write `${{{name}:-default}}`; a literal `${{` is written `$${{`"),
        )),
    }
}

/// The opposite of `expand`: the text that expands to `value` in any environment.
pub fn escape(value: &str) -> String {
    value.replace("${", "$${")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> Result<String, String> {
        let env = |name: &str| match name {
            "A" => Some("one".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        expand(text, &env).map_err(|w| w.into_iter().filter_map(|w| w.message).collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn replaces_variables() {
        assert_eq!(with("x${A}y${A}").as_deref(), Ok("xoney".replace("y", "yone").as_str()));
        assert_eq!(with("${B:-two}").as_deref(), Ok("two"));
        assert_eq!(with("${EMPTY:-two}").as_deref(), Ok("two"));
        assert_eq!(with("${EMPTY}").as_deref(), Ok(""));
        assert_eq!(with("${B:-}").as_deref(), Ok(""));
    }

    #[test]
    fn leaves_other_dollars_alone() {
        for text in ["$", "$$", "^/a$", "$1", "a$ b"] {
            assert_eq!(with(text).as_deref(), Ok(text));
        }
        assert_eq!(with("$${A}").as_deref(), Ok("${A}"));
        assert_eq!(with("$$${A}").as_deref(), Ok("$${A}"));
    }

    #[test]
    fn says_what_is_missing() {
        assert_eq!(with("${B}"), Err("the environment variable `B` is not set".into()));
        assert!(with("${B} x ${A} y ${C} ${B}").is_err_and(|e| e.matches("is not set").count() == 2));
        assert_eq!(with("${B:-${C:-c}}"), Err("the default of `B` holds another variable".into()));
        assert!(with("${B").is_err());
        assert!(with("${}").is_err());
        assert!(with("${9}").is_err());
    }

    #[test]
    fn one_variable_is_told_from_a_text() {
        assert!(is_one("${A}") && is_one("${A:-x y}"));
        for text in ["", "$", "${A}${A}", "${A} ", "$${A}", "x${A}", "${A"] {
            assert!(!is_one(text), "{text}");
        }
    }

    #[test]
    fn escape_is_undone_by_expand() {
        for text in ["${A}", "$${A}", "$$${", "x$", "${", "$", "é${"] {
            assert_eq!(with(&escape(text)).as_deref(), Ok(text));
        }
    }
}
