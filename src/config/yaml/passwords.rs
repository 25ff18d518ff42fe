//! Lines of the file as they are shown with a problem: a password in a URL is not.

use std::borrow::Cow;

/// The line with an asterisk for each character of such passwords, so that columns stay.
pub fn hidden(line: &str) -> Cow<'_, str> {
    let (mut shown, mut copied) = (String::new(), 0);
    for (scheme, mark) in line.match_indices("://") {
        let start = scheme + mark.len();
        let rest = line.get(start..).unwrap_or_default();
        let end = rest.find(['/', ' ', '"', '\'', ',', '}']).unwrap_or(rest.len());
        let login = rest.get(..end).and_then(|authority| authority.rsplit_once('@'));
        let Some((user, password)) = login.and_then(|(login, _)| login.split_once(':')) else { continue };
        // A variable's name is no secret.
        if !password.starts_with("${") {
            let at = start + user.len() + 1;
            shown.push_str(line.get(copied..at).unwrap_or_default());
            shown.extend(password.chars().map(|_| '*'));
            copied = at + password.len();
        }
    }
    if copied == 0 {
        return Cow::Borrowed(line);
    }
    shown.push_str(line.get(copied..).unwrap_or_default());
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_hidden_and_nothing_else() {
        for (line, shown) in [
            ("store: 'redis://:s3cret@a:1/2'", "store: 'redis://:******@a:1/2'"),
            ("{ store: redis://ann:s3:c@ret@a, rate: 1 }", "{ store: redis://ann:********@a, rate: 1 }"),
            ("redis://:${PASSWORD}@a", "redis://:${PASSWORD}@a"),
            ("upstream: \"http://127.0.0.1:3000\"", "upstream: \"http://127.0.0.1:3000\""),
            ("a: http://x:1, b: c@d", "a: http://x:1, b: c@d"),
            ("redis://:é@a http://u:pw@b", "redis://:*@a http://u:**@b"),
            ("redis://ann@a", "redis://ann@a"),
            ("://:", "://:"),
        ] {
            assert_eq!(hidden(line), shown);
        }
    }
}
