//! Texts of the configuration as they are shown: what may be a secret in them is not.

use std::borrow::Cow;
use std::ops::Range;

/// Parts of a name that lets somebody in, wherever they stand in it.
const TELLING: [&str; 12] = [
    "auth",
    "cookie",
    "token",
    "secret",
    "passw",
    "passphrase",
    "apikey",
    "accesskey",
    "session",
    "credential",
    "signature",
    "bearer",
];
/// Whole words of such a name.
const WORDS: [&str; 11] = ["key", "pass", "pwd", "pw", "pin", "otp", "jwt", "sig", "sas", "sid", "private"];
/// Keys of the configuration itself, and one of nginx's that is told from them, that sound like that; their values are
/// names, files and addresses.
const KEYS: [&str; 19] = [
    "auth",
    "client_auth",
    "client_secret_file",
    "cookie",
    "cookie_name",
    "cookie_secret_file",
    "credentials",
    "forward_credentials",
    "jwks_file",
    "jwks_url",
    "jwt",
    "key",
    "proxy_pass",
    "secret_file",
    "session_lifetime",
    "store_password_file",
    "ticket_keys",
    "token_file",
    "users_file",
];

/// Whether the value of a field, a parameter or a cookie of this name may let somebody in.
pub fn may_be_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    TELLING.iter().any(|part| name.contains(part)) || name.split(['-', '_', '.']).any(|word| WORDS.contains(&word))
}

/// The text with an asterisk for each character of a password in a URL and of a parameter that lets somebody in.
pub fn hidden_in_urls(text: &str) -> Cow<'_, str> {
    let mut secrets = passwords(text);
    secrets.extend(parameters(text));
    without(text, secrets)
}

/// The same for a line of a file, in which values that stand at such a name are hidden, too. Columns stay as they are.
pub fn hidden(line: &str) -> Cow<'_, str> {
    let mut secrets = passwords(line);
    secrets.extend(parameters(line));
    secrets.extend(values(line));
    without(line, secrets)
}

fn without(text: &str, mut secrets: Vec<Range<usize>>) -> Cow<'_, str> {
    // A variable's name is no secret.
    secrets.retain(|secret| !secret.is_empty() && !text.get(secret.clone()).is_none_or(|part| part.starts_with("${")));
    if secrets.is_empty() {
        return Cow::Borrowed(text);
    }
    secrets.sort_by_key(|secret| secret.start);
    let (mut shown, mut copied) = (String::with_capacity(text.len()), 0);
    for secret in secrets {
        // Two may overlap: a password in a URL that is a value.
        let start = secret.start.max(copied);
        shown.push_str(text.get(copied..start).unwrap_or_default());
        let hidden = text.get(start..secret.end.max(start)).unwrap_or_default();
        shown.extend(hidden.chars().map(|_| '*'));
        copied = secret.end.max(start);
    }
    shown.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(shown)
}

/// Of `scheme://user:password@`.
fn passwords(text: &str) -> Vec<Range<usize>> {
    let password = |(scheme, mark): (usize, &str)| {
        let start = scheme + mark.len();
        let rest = text.get(start..)?;
        let end = rest.find(['/', ' ', '"', '\'', ',', '}']).unwrap_or(rest.len());
        let (login, _) = rest.get(..end)?.rsplit_once('@')?;
        let (user, password) = login.split_once(':')?;
        let at = start + user.len() + 1;
        Some(at..at + password.len())
    };
    text.match_indices("://").filter_map(password).collect()
}

/// Of `?name=value`, `&name=value` and `;name=value`.
fn parameters(text: &str) -> Vec<Range<usize>> {
    let mut walked = 0;
    let value = |(at, _): (usize, &str)| {
        if at < walked {
            return None;
        }
        let rest = text.get(at + 1..)?;
        let (name, rest) = rest.split_at(rest.find(|c: char| c.is_whitespace() || "=?&;".contains(c))?);
        let rest = rest.strip_prefix('=')?;
        if !may_be_secret(name) {
            return None;
        }
        let start = at + 1 + name.len() + 1;
        let ends = |c: char| c.is_whitespace() || "&;#\"'{}[],".contains(c);
        let length = if rest.starts_with("${") { 0 } else { rest.find(ends).unwrap_or(rest.len()) };
        walked = start + length;
        Some(start..walked)
    };
    text.match_indices(['?', '&', ';']).filter_map(value).collect()
}

/// Of `name: value` in YAML, in blocks and in flow style.
fn values(line: &str) -> Vec<Range<usize>> {
    let flow = line.find(['{', '[']).unwrap_or(line.len());
    let mut walked = 0;
    let value = |(colon, _): (usize, &str)| {
        if colon < walked {
            return None;
        }
        let before = line.get(..colon)?.trim_end_matches(['"', '\'']);
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || "-_.!#$%&*+^`|~".contains(c);
        let name = before.get(before.rfind(|c| !is_of_name(c)).map_or(0, |at| at + 1)..)?;
        let rest = line.get(colon + 1..)?;
        if !may_be_secret(name) || !rest.starts_with([' ', '\t']) {
            return None;
        }
        let start = colon + 1 + (rest.len() - rest.trim_start().len());
        let rest = line.get(start..)?;
        let in_flow = flow < colon;
        let length = match rest.chars().next()? {
            quote @ ('"' | '\'') => rest.get(1..)?.find(quote).map_or(rest.len(), |end| end + 2),
            '[' => rest.find(']').unwrap_or(rest.len()),
            '{' => 0,
            _ if in_flow => rest.get(..rest.find([',', '}', ']']).unwrap_or(rest.len()))?.trim_end().len(),
            _ => rest.len(),
        };
        // A field of that name has pairs, as `cookie: 'a=b'`.
        let is_key = KEYS.contains(&name) && !rest.get(..length)?.contains('=');
        if is_key {
            return None;
        }
        walked = start + length;
        Some(start..walked)
    };
    line.match_indices(':').filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_let_somebody_in_are_known() {
        for name in ["X-Api-Key", "x-pass", "PW", "x-pwd", "sid", "X-JWT", "my.otp", "sig", "Authorization", "private"]
        {
            assert!(may_be_secret(name), "{name}");
        }
        for name in ["X-Plain", "side", "design", "keyboard", "passage", "Access-Control-Allow-Origin", "q", "spin"] {
            assert!(!may_be_secret(name), "{name}");
        }
    }

    #[test]
    fn a_secret_in_a_url_is_hidden_and_nothing_else() {
        for (line, shown) in [
            ("store: 'redis://:s3cret@a:1/2'", "store: 'redis://:******@a:1/2'"),
            ("{ store: redis://ann:s3:c@ret@a, rate: 1 }", "{ store: redis://ann:********@a, rate: 1 }"),
            ("redis://:${PASSWORD}@a", "redis://:${PASSWORD}@a"),
            ("upstream: \"http://127.0.0.1:3000\"", "upstream: \"http://127.0.0.1:3000\""),
            ("a: http://x:1, b: c@d", "a: http://x:1, b: c@d"),
            ("redis://:é@a http://u:pw@b", "redis://:*@a http://u:**@b"),
            ("redis://ann@a", "redis://ann@a"),
            ("://:", "://:"),
            ("https://a/?q=1&token=abc&b=2", "https://a/?q=1&token=***&b=2"),
            ("to: '/login?key=ab;x=1#f'", "to: '/login?key=**;x=1#f'"),
            ("?token=${TOKEN}&key=x", "?token=${TOKEN}&key=*"),
            ("a?b", "a?b"),
        ] {
            assert_eq!((hidden(line), hidden_in_urls(line)), (shown.into(), shown.into()));
        }
    }

    #[test]
    fn a_value_at_a_telling_name_is_hidden_in_a_line() {
        for (line, shown) in [
            ("set: { X-Api-Key: \"S3CR3T\", x-plain: a }", "set: { X-Api-Key: ********, x-plain: a }"),
            ("  Authorization: Bearer a, b", "  Authorization: ***********"),
            ("{ 'X-Token': a b, X-P: c }", "{ 'X-Token': ***, X-P: c }"),
            ("cookie: { set: { session-id: [a, b], q: c } }", "cookie: { set: { session-id: *****], q: c } }"),
            ("X-Secret: ${SECRET}", "X-Secret: ${SECRET}"),
            ("token_file: ./token", "token_file: ./token"),
            ("auth: { basic: { users_file: ./u } }", "auth: { basic: { users_file: ./u } }"),
            ("# a key:value", "# a key:value"),
            ("sticky: { cookie: name, key: ./k.pem }", "sticky: { cookie: name, key: ./k.pem }"),
            ("set: { cookie: 'a=b', token: c, session: d }", "set: { cookie: *****, token: *, session: * }"),
            ("X-Key: \"open", "X-Key: *****"),
        ] {
            assert_eq!(hidden(line), shown);
        }
        assert_eq!(hidden_in_urls("X-Secret: a"), "X-Secret: a");
        assert_eq!(hidden("X-Key: http://u:pw@é/?key=a"), format!("X-Key: {}", "*".repeat(20)));
    }

    /// Each of them once looked at the rest of the line.
    #[test]
    fn a_long_line_is_walked_once() {
        let began = std::time::Instant::now();
        for part in ["a: b, ", "token: b, ", "?token=a", "&", "://u:p@h", "x-key: '"] {
            hidden(&part.repeat(100_000));
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
    }
}
