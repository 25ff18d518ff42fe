//! Cookies (RFC 6265): reading and editing `Cookie`, rewriting `Set-Cookie`. A cookie that
//! no edit names keeps its bytes; fields are not split, merged or decoded.

/// How one `Set-Cookie` is to be changed. Lists that are empty and members that are `None`
/// change nothing.
///
/// What a browser would refuse is not made: a change that a cookie does not bear is left out for
/// that cookie, and what depends on an attribute goes with it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetCookieRewrite<'r> {
    pub domains: &'r [(String, String)],
    pub paths: &'r [(String, String)],
    /// `Some(false)` removes Secure, and `SameSite=None` and Partitioned with it; `Some(true)`
    /// adds Secure.
    pub secure: Option<bool>,
    pub http_only: Option<bool>,
    pub same_site: Option<&'static str>,
}

impl SetCookieRewrite<'_> {
    /// The same without what the prefix of the cookie's name forbids.
    fn for_cookie(mut self, name: &[u8]) -> Self {
        let prefix = NamePrefix::of(name);
        if prefix.is_host {
            (self.domains, self.paths) = (&[], &[]);
        }
        if prefix.needs_secure && self.secure == Some(false) {
            self.secure = None;
        }
        if prefix.needs_http_only && self.http_only == Some(false) {
            self.http_only = None;
        }
        self
    }

    /// What the cookie's SameSite becomes. Browsers refuse `None` without Secure, which the
    /// rewritten cookie has or has not.
    fn rewrite_same_site(&self, value: &[u8], is_secure: bool) -> Rewritten {
        match self.same_site {
            Some(to) if is_secure || !is_none(to.as_bytes()) => Rewritten::To(format!(" SameSite={to}").into_bytes()),
            Some(_) => Rewritten::Dropped,
            None => drop_if(self.secure == Some(false) && is_none(value)),
        }
    }
}

fn is_none(same_site: &[u8]) -> bool {
    same_site.eq_ignore_ascii_case(b"none")
}

/// What browsers demand of a cookie because of the prefix of its name, which they compare
/// without case (RFC 6265bis sections 4.1.3 and 5.7). `__Http-` and `__Host-Http-` are of its
/// successor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NamePrefix {
    pub needs_secure: bool,
    pub needs_http_only: bool,
    /// Its path is `/`, and it has no domain.
    pub is_host: bool,
}

impl NamePrefix {
    pub fn of(name: &[u8]) -> Self {
        let begins =
            |prefix: &str| name.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()));
        let is_host = begins("__Host-");
        let needs_http_only = begins("__Http-") || begins("__Host-Http-");
        Self { needs_secure: is_host || needs_http_only || begins("__Secure-"), needs_http_only, is_host }
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

/// A cookie's value without the quotes around it, as most services read it (RFC 6265 section 4.1.1).
pub fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
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
    let mut parts = field.split(|b| *b == b';');
    let how = how.for_cookie(split_attribute(parts.next().unwrap_or_default()).0);
    let secure = parts.any(|part| split_attribute(part).0.eq_ignore_ascii_case(b"secure"));
    let is_secure = how.secure.unwrap_or(secure);
    let (mut changed, mut http_only, mut same_site) = (false, false, false);
    for (index, part) in field.split(|b| *b == b';').enumerate() {
        let keep = if index == 0 {
            Rewritten::Same
        } else {
            let (name, value) = split_attribute(part);
            if name.eq_ignore_ascii_case(b"secure") || name.eq_ignore_ascii_case(b"partitioned") {
                drop_if(how.secure == Some(false))
            } else if name.eq_ignore_ascii_case(b"httponly") {
                http_only = true;
                drop_if(how.http_only == Some(false))
            } else if name.eq_ignore_ascii_case(b"samesite") {
                same_site = true;
                how.rewrite_same_site(value, is_secure)
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
            how.same_site.is_some_and(|s| is_secure || !is_none(s.as_bytes())) && !same_site,
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
    fn partitioned_goes_with_secure_and_same_site_none_stays_off_without_it() {
        let insecure = SetCookieRewrite { secure: Some(false), ..SetCookieRewrite::default() };
        let came = "s=1; SameSite=None; Secure; Path=/; Partitioned";
        assert_eq!(rewritten(came, &insecure).unwrap(), "s=1; Path=/");
        assert_eq!(rewritten("s=1; partitioned", &insecure).unwrap(), "s=1");
        let told = SetCookieRewrite { same_site: Some("None"), ..SetCookieRewrite::default() };
        assert_eq!(rewritten("s=1; Path=/", &told), None);
        assert_eq!(rewritten("s=1; secure; SameSite=Lax", &told).unwrap(), "s=1; secure; SameSite=None");
        assert_eq!(rewritten("s=1; SameSite=Lax; Secure", &told).unwrap(), "s=1; SameSite=None; Secure");
    }

    #[test]
    fn what_the_prefix_of_a_name_demands_is_not_edited_away() {
        let (domains, paths) = ([("a".to_owned(), "b".to_owned())], [("/".to_owned(), "/x/".to_owned())]);
        let how = SetCookieRewrite {
            domains: &domains,
            paths: &paths,
            secure: Some(false),
            http_only: Some(false),
            same_site: None,
        };
        let kept = "; Secure; SameSite=None; Partitioned; Path=/; Domain=a; HttpOnly";
        let is = |name: &str, left: &str| {
            assert_eq!(rewritten(&format!("{name}=1{kept}"), &how).unwrap(), format!("{name}=1{left}"));
        };
        is("__host-s", "; Secure; SameSite=None; Partitioned; Path=/; Domain=a");
        is("__SECURE-s", "; Secure; SameSite=None; Partitioned; Path=/x/; Domain=b");
        is("__Http-s", "; Secure; SameSite=None; Partitioned; Path=/x/; Domain=b; HttpOnly");
        assert_eq!(rewritten(&format!(" __Host-Http-s =1{kept}"), &how), None);
        is("s", "; Path=/x/; Domain=b");
        is("_Host-s", "; Path=/x/; Domain=b");
        let secure = SetCookieRewrite { secure: Some(true), ..SetCookieRewrite::default() };
        assert_eq!(rewritten("__Host-s=1; Path=/", &secure).unwrap(), "__Host-s=1; Path=/; Secure");
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
