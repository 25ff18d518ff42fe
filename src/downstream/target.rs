//! The target of a request (RFC 9112 section 3.2), in the form in which Pingora can carry it.

use std::borrow::Cow;
use std::sync::LazyLock;

use http::uri::{Authority, PathAndQuery};

use super::malformed::Malformed;
use crate::message::{host, path};

/// The target as it goes on: with the bytes that Pingora cannot carry percent-encoded.
///
/// # Errors
/// When readers could take it for different ones, or it does not fit Host.
pub(super) fn carried<'t>(method: &str, target: &'t str, host: Option<&[u8]>) -> Result<Cow<'t, str>, Malformed> {
    let escape = check(method, target, host)?;
    Ok(if escape { Cow::Owned(escaped(target, host)) } else { Cow::Borrowed(target) })
}

/// Whether the target must be escaped before Pingora reads it.
fn check(method: &str, target: &str, host: Option<&[u8]>) -> Result<bool, Malformed> {
    if target.starts_with('/') {
        return needs_escape(target);
    }
    if target == "*" {
        return if method == "OPTIONS" { Ok(false) } else { Err(Malformed::Target) };
    }
    // Absolute form (RFC 9112 section 3.2.2).
    let (scheme, rest) = target.split_once("://").ok_or(Malformed::Target)?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let known = ["http", "https"].iter().any(|s| scheme.eq_ignore_ascii_case(s));
    if !known || Authority::try_from(authority).is_err() || authority.contains('@') {
        return Err(Malformed::Target);
    }
    // Routes are chosen by one and the origin might read the other.
    let differs = host.is_some_and(|host| host != authority.as_bytes());
    if differs && !host.is_some_and(|host| is_same_host(host, authority, scheme)) {
        return Err(Malformed::HostConflict);
    }
    Ok(needs_escape(path)? || differs)
}

/// Whether Host and the authority of a target differ in the case of letters only, or by the
/// default port of the scheme (RFC 3986 section 6.2.3).
pub(super) fn is_same_host(host: &[u8], authority: &str, scheme: &str) -> bool {
    let default = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
    let (Some((name, port)), Some((wanted_name, wanted_port))) =
        (std::str::from_utf8(host).ok().and_then(host::split), host::split(authority))
    else {
        return false;
    };
    name.eq_ignore_ascii_case(wanted_name) && port.unwrap_or(default) == wanted_port.unwrap_or(default)
}

/// Refuses what readers differ on: a fragment, which is no part of a target, and bytes outside
/// ASCII, of which each reader guesses the encoding.
fn needs_escape(text: &str) -> Result<bool, Malformed> {
    let (path, query) = path::split_query(text);
    let query = query.unwrap_or_default();
    let carried =
        path.bytes().all(|b| PATH_BYTES[usize::from(b)]) && query.bytes().all(|b| QUERY_BYTES[usize::from(b)]);
    if carried {
        return Ok(false);
    }
    if text.bytes().any(|b| b == b'#' || !b.is_ascii()) { Err(Malformed::Target) } else { Ok(true) }
}

/// The target with such bytes percent-encoded, as a browser would have sent them: Pingora
/// refuses a raw `<`, `>` or `"`, which origins take. The authority of a target in absolute
/// form, which names the same as Host, becomes equal to that.
fn escaped(target: &str, host: Option<&[u8]>) -> String {
    let mut out = String::with_capacity(target.len() + 32);
    let host = host.and_then(|host| std::str::from_utf8(host).ok());
    let rest = match (authority(target), host) {
        (Some((start, end)), Some(host)) => {
            out.push_str(&target[..start]);
            out.push_str(host);
            &target[end..]
        }
        (Some(_) | None, _) => target,
    };
    let mut query = false;
    for byte in rest.bytes() {
        query |= byte == b'?';
        let carried = if query { QUERY_BYTES[usize::from(byte)] } else { PATH_BYTES[usize::from(byte)] };
        if carried || byte == b'?' {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Where the authority of a target in absolute form stands.
fn authority(target: &str) -> Option<(usize, usize)> {
    let start = target.find("://").filter(|_| !target.starts_with('/'))? + 3;
    let length = target[start..].find(['/', '?']).unwrap_or(target.len() - start);
    Some((start, start + length))
}

static PATH_BYTES: LazyLock<[bool; 256]> = LazyLock::new(|| carried_behind("/"));
static QUERY_BYTES: LazyLock<[bool; 256]> = LazyLock::new(|| carried_behind("/?"));

/// Asks the crate itself, so that we cannot differ from it.
fn carried_behind(start: &str) -> [bool; 256] {
    std::array::from_fn(|byte| {
        let Ok(byte) = u8::try_from(byte) else { return false };
        byte.is_ascii_graphic()
            && byte != b'#'
            && PathAndQuery::try_from(format!("{start}{}", char::from(byte))).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pingora_cannot_carry_is_escaped_as_browsers_do() {
        let carried = |target: &'static str| carried("GET", target, Some(b"a")).unwrap();
        let escaped = carried("/a<b`?\"c\"=<^`>{|}");
        assert_eq!(escaped, "/a%3Cb%60?%22c%22=%3C^`%3E{|}");
        assert!(matches!(carried("/a%3Cb%60?%22c%22=%3C^`%3E{|}"), Cow::Borrowed(_)));
        assert_eq!(carried("http://A:80/<?u=http://b/"), "http://a/%3C?u=http://b/");
        assert_eq!(carried("http://A"), "http://a");
        assert_eq!(carried("/<?u=http://b/"), "/%3C?u=http://b/");
    }
}
