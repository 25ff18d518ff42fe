//! Cookies (RFC 6265): reading and editing `Cookie`, rewriting `Set-Cookie`. A cookie that
//! no edit names keeps its bytes; fields are not split, merged or decoded.

/// How one `Set-Cookie` is to be changed. Lists that are empty and members that are `None`
/// change nothing.
#[derive(Debug, Default)]
pub struct SetCookieRewrite<'r> {
    pub domains: &'r [(String, String)],
    pub paths: &'r [(String, String)],
    /// `Some(false)` removes Secure, and `SameSite=None` with it; `Some(true)` adds Secure.
    pub secure: Option<bool>,
    pub http_only: Option<bool>,
    pub same_site: Option<&'static str>,
}

impl SetCookieRewrite<'_> {
    /// Whether the cookie may have this SameSite: browsers refuse `None` without Secure.
    fn allows(&self, same_site: &[u8]) -> bool {
        self.secure != Some(false) || !same_site.eq_ignore_ascii_case(b"none")
    }

    fn rewrite_same_site(&self, value: &[u8]) -> Rewritten {
        match self.same_site {
            Some(to) if self.allows(to.as_bytes()) => Rewritten::To(format!(" SameSite={to}").into_bytes()),
            Some(_) => Rewritten::Dropped,
            None => drop_if(!self.allows(value)),
        }
    }
}

fn trim(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii()
}

/// The values of all cookies of that name in one field value, in their order.
pub fn all<'c>(field: &'c [u8], name: &str) -> impl Iterator<Item = &'c [u8]> {
    field.split(|b| *b == b';').filter_map(move |pair| {
        let eq = memchr::memchr(b'=', pair)?;
        (trim(&pair[..eq]) == name.as_bytes()).then(|| trim(&pair[eq + 1..]))
    })
}

/// One `Cookie` field value without the cookies that `gone` names. `None` when
/// nothing is left of it.
pub fn without(field: &[u8], gone: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(field.len());
    for pair in field.split(|b| *b == b';') {
        let name = trim(pair.split(|b| *b == b'=').next().unwrap_or(pair));
        if gone(name) || trim(pair).is_empty() {
            continue;
        }
        if !out.is_empty() {
            out.extend_from_slice(b"; ");
        }
        out.extend_from_slice(trim(pair));
    }
    (!out.is_empty()).then_some(out)
}

/// The rewritten field value, or `None` when nothing changes.
pub fn rewrite_set_cookie(field: &[u8], how: &SetCookieRewrite<'_>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(field.len() + 16);
    let (mut changed, mut secure, mut http_only, mut same_site) = (false, false, false, false);
    for (index, part) in field.split(|b| *b == b';').enumerate() {
        let keep = if index == 0 {
            Rewritten::Same
        } else {
            let (name, value) = split_attribute(part);
            if name.eq_ignore_ascii_case(b"secure") {
                secure = true;
                drop_if(how.secure == Some(false))
            } else if name.eq_ignore_ascii_case(b"httponly") {
                http_only = true;
                drop_if(how.http_only == Some(false))
            } else if name.eq_ignore_ascii_case(b"samesite") {
                same_site = true;
                how.rewrite_same_site(value)
            } else if name.eq_ignore_ascii_case(b"domain") {
                rewrite_domain(value, how.domains)
            } else if name.eq_ignore_ascii_case(b"path") {
                rewrite_path(value, how.paths)
            } else {
                Rewritten::Same
            }
        };
        let bytes = match &keep {
            Rewritten::Same => part,
            Rewritten::To(bytes) => {
                changed = true;
                bytes
            }
            Rewritten::Dropped => {
                changed = true;
                continue;
            }
        };
        if index > 0 {
            out.push(b';');
        }
        out.extend_from_slice(bytes);
    }
    for (wanted, text) in [
        (how.secure == Some(true) && !secure, "; Secure".to_owned()),
        (how.http_only == Some(true) && !http_only, "; HttpOnly".to_owned()),
        (
            how.same_site.is_some_and(|s| how.allows(s.as_bytes())) && !same_site,
            how.same_site.map_or_else(String::new, |s| format!("; SameSite={s}")),
        ),
    ] {
        if wanted {
            changed = true;
            out.extend_from_slice(text.as_bytes());
        }
    }
    changed.then_some(out)
}

enum Rewritten {
    Same,
    To(Vec<u8>),
    Dropped,
}

fn drop_if(drop: bool) -> Rewritten {
    if drop { Rewritten::Dropped } else { Rewritten::Same }
}

fn split_attribute(part: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'=', part) {
        Some(eq) => (trim(&part[..eq]), trim(&part[eq + 1..])),
        None => (trim(part), b""),
    }
}

fn rewrite_domain(value: &[u8], domains: &[(String, String)]) -> Rewritten {
    // A leading dot is ignored (RFC 6265 section 5.2.3).
    let domain = value.strip_prefix(b".").unwrap_or(value);
    match domains.iter().find(|(from, _)| domain.eq_ignore_ascii_case(from.as_bytes())) {
        Some((_, to)) if to.is_empty() => Rewritten::Dropped,
        Some((_, to)) => Rewritten::To(format!(" Domain={to}").into_bytes()),
        None => Rewritten::Same,
    }
}

fn rewrite_path(value: &[u8], paths: &[(String, String)]) -> Rewritten {
    let Ok(path) = std::str::from_utf8(value) else {
        return Rewritten::Same;
    };
    let best = paths
        .iter()
        .filter_map(|(from, to)| Some((from.len(), super::path::after_prefix(path, from)?, to)))
        .max_by_key(|(length, _, _)| *length);
    match best {
        Some((_, rest, to)) => {
            let rest = rest.strip_prefix('/').unwrap_or(rest);
            let slash = if to.ends_with('/') || rest.is_empty() { "" } else { "/" };
            Rewritten::To(format!(" Path={to}{slash}{rest}").into_bytes())
        }
        None => Rewritten::Same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rewritten(field: &str, how: &SetCookieRewrite<'_>) -> Option<String> {
        rewrite_set_cookie(field.as_bytes(), how).map(|v| String::from_utf8(v).unwrap())
    }

    #[test]
    fn cookies_are_found_and_removed_by_name() {
        assert_eq!(all(b"a=1; b=x=y", "b").next(), Some(&b"x=y"[..]));
        assert_eq!(all(b"a=1", "A").next(), None);
        let left = without(b"a=1;b=2; c=3", |n| n == b"b");
        assert_eq!(left.as_deref(), Some(&b"a=1; c=3"[..]));
        assert_eq!(without(b"b=2", |n| n == b"b"), None);
    }

    #[test]
    fn attributes_are_rewritten_and_the_rest_kept() {
        let domains = [("app.internal".to_owned(), "example.com".to_owned())];
        let paths = [("/".to_owned(), "/api/".to_owned())];
        let how = SetCookieRewrite {
            domains: &domains,
            paths: &paths,
            secure: Some(false),
            same_site: Some("Lax"),
            ..SetCookieRewrite::default()
        };
        assert_eq!(
            rewritten("s=\"a b\"; Domain=.App.internal; Path=/x;  Secure; Max-Age=5", &how).unwrap(),
            "s=\"a b\"; Domain=example.com; Path=/api/x; Max-Age=5; SameSite=Lax"
        );
        assert_eq!(rewritten("s=1; Path=/", &SetCookieRewrite::default()), None);
    }

    #[test]
    fn same_site_none_goes_with_secure() {
        let insecure = SetCookieRewrite { secure: Some(false), ..SetCookieRewrite::default() };
        assert_eq!(rewritten("s=1; SameSite=none; Secure; Path=/", &insecure).unwrap(), "s=1; Path=/");
        assert_eq!(rewritten("s=1; SameSite=Lax; Secure", &insecure).unwrap(), "s=1; SameSite=Lax");
        let told = SetCookieRewrite { same_site: Some("None"), ..insecure };
        assert_eq!(rewritten("s=1; SameSite=Lax; Secure", &told).unwrap(), "s=1");
        assert_eq!(rewritten("s=1", &told), None);
        let secure = SetCookieRewrite { secure: Some(true), ..told };
        assert_eq!(rewritten("s=1", &secure).unwrap(), "s=1; Secure; SameSite=None");
    }

    #[test]
    fn an_empty_target_makes_the_cookie_host_only() {
        let domains = [("a".to_owned(), String::new())];
        let how = SetCookieRewrite { domains: &domains, ..SetCookieRewrite::default() };
        assert_eq!(rewritten("s=1; domain=a", &how).unwrap(), "s=1");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(field in proptest::collection::vec(any::<u8>(), 0..80)) {
            all(&field, "a").count();
            without(&field, |n| n == b"a");
            let how = SetCookieRewrite { secure: Some(true), http_only: Some(false), same_site: Some("Lax"), ..Default::default() };
            rewrite_set_cookie(&field, &how);
        }
    }
}
