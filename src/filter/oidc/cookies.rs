//! The cookies of logins: their names, where they are in a request, and how they are set.

use http::{HeaderMap, HeaderValue, header};

use crate::message::cookie;

/// Browsers take such a cookie over HTTPS only, for this host alone (RFC 6265bis section 4.1.3.2): nobody
/// else on the domain can set it.
const HOST_PREFIX: &str = "__Host-";
/// Between the name and the beginning of an attempt's state.
const ATTEMPT: &str = "_login_";
/// How much of the state is in the name of its cookie, so that several attempts have several.
const STATE_IN_NAME: usize = 12;

/// The names over HTTPS, and over HTTP.
#[derive(Clone, Debug)]
pub struct CookieNames {
    secure: Names,
    plain: Names,
}

#[derive(Clone, Debug)]
pub struct Names {
    pub session: String,
    attempt: String,
    is_secure: bool,
}

impl CookieNames {
    pub fn new(name: &str) -> Self {
        let names = |prefix: &str| Names {
            session: format!("{prefix}{name}"),
            attempt: format!("{prefix}{name}{ATTEMPT}"),
            is_secure: !prefix.is_empty(),
        };
        Self { secure: names(HOST_PREFIX), plain: names("") }
    }

    pub fn of(&self, is_secure: bool) -> &Names {
        if is_secure { &self.secure } else { &self.plain }
    }

    /// Whether a cookie is of a login, whichever scheme it was set for.
    pub fn holds(&self, name: &[u8]) -> bool {
        let is_of = |names: &Names| name == names.session.as_bytes() || name.starts_with(names.attempt.as_bytes());
        is_of(&self.secure) || is_of(&self.plain)
    }
}

impl Names {
    /// The name of the cookie of an attempt; `None` where this is no state.
    pub fn of_attempt(&self, state: &str) -> Option<String> {
        let start = state.get(..STATE_IN_NAME)?;
        let is_plain = start.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        is_plain.then(|| format!("{}{start}", self.attempt))
    }

    /// The cookies of attempts that a request has, with their values.
    pub fn attempts<'r>(&'r self, headers: &'r HeaderMap) -> impl Iterator<Item = (&'r str, &'r [u8])> {
        let is_attempt = |(name, value): (&'r [u8], &'r [u8])| {
            let name = std::str::from_utf8(name).ok()?;
            let rest = name.strip_prefix(&self.attempt)?;
            // One that was not set here is not named in a field of ours.
            let is_plain =
                rest.len() == STATE_IN_NAME && rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
            is_plain.then_some((name, value))
        };
        pairs(headers).filter_map(is_attempt)
    }

    /// The field that sets a cookie, for so many seconds.
    pub fn set(&self, name: &str, value: &str, seconds: u64) -> Option<HeaderValue> {
        let secure = if self.is_secure { "; Secure" } else { "" };
        let field = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::try_from(field).ok()
    }

    /// The field that takes a cookie away.
    pub fn clear(&self, name: &str) -> Option<HeaderValue> {
        self.set(name, "", 0)
    }
}

/// The values of the cookies of this name, in all fields: HTTP/2 splits them (RFC 9113 section 8.2.3).
pub fn values<'r>(headers: &'r HeaderMap, name: &'r str) -> impl Iterator<Item = &'r [u8]> {
    headers.get_all(header::COOKIE).iter().flat_map(|field| cookie::all(field.as_bytes(), name))
}

/// The names in one field.
pub fn names(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    field.split(|byte| *byte == b';').map(|pair| pair.split(|byte| *byte == b'=').next().unwrap_or(pair).trim_ascii())
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    let fields = headers.get_all(header::COOKIE).iter();
    fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b';')).filter_map(|pair| {
        let (name, value) = pair.split_at_checked(memchr::memchr(b'=', pair)?)?;
        Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_of_logins_are_known_by_their_names() {
        let names = CookieNames::new("s");
        for ours in ["s", "__Host-s", "s_login_abc", "__Host-s_login_"] {
            assert!(names.holds(ours.as_bytes()), "{ours}");
        }
        for other in ["S", "ss", "s_", "s_logi", "__Secure-s", "", "__Host-", "s_Login_x"] {
            assert!(!names.holds(other.as_bytes()), "{other}");
        }
        let secure = names.of(true);
        assert_eq!(secure.of_attempt("0123456789abcdef").as_deref(), Some("__Host-s_login_0123456789ab"));
        assert_eq!(
            (secure.of_attempt("0123"), secure.of_attempt("0123456789;="), secure.of_attempt("é123456789ab")),
            (None, None, None)
        );
        let set = secure.set("__Host-s", "v", 60).unwrap();
        assert_eq!(set, "__Host-s=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(names.of(false).clear("s").unwrap(), "s=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn attempts_are_found_in_every_field() {
        let names = CookieNames::new("s");
        let mut headers = HeaderMap::new();
        for field in ["a=1; s_login_0123456789ab=x=y", "s_login_short=1", "s_login_ba9876543210=; b"] {
            headers.append(header::COOKIE, HeaderValue::from_static(field));
        }
        let found: Vec<_> = names.of(false).attempts(&headers).collect();
        assert_eq!(found, [("s_login_0123456789ab", &b"x=y"[..]), ("s_login_ba9876543210", b"")]);
        assert_eq!(names.of(true).attempts(&headers).count(), 0);
    }
}
