//! Redirects of an upstream to its own address become redirects to ours: `Location`,
//! `Content-Location` and `Refresh`.

/// The names of the upstream, and the name by which the client knows us.
#[derive(Clone, Copy, Debug)]
pub struct Names<'n> {
    /// The authorities, `host[:port]`, of the upstream.
    pub upstream: &'n [String],
    pub our_scheme: &'n str,
    /// The Host that the client sent, or what a trusted proxy says that it was.
    pub our_host: &'n str,
    /// The Host that came with the request, for an upstream that calls itself by it.
    pub asked_host: &'n str,
    /// The prefix that the route stripped on the way in, put back on the way out.
    pub stripped: Option<&'n str>,
}

/// How a reference to another authority begins (RFC 3986 section 4.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    Http,
    Https,
    /// `//host/x`: the scheme is that of the request.
    SchemeRelative,
}

impl Start {
    fn of(reference: &str) -> Option<(Self, &str)> {
        [("http://", Self::Http), ("https://", Self::Https), ("//", Self::SchemeRelative)]
            .into_iter()
            .find_map(|(prefix, start)| strip_ascii_prefix(reference, prefix).map(|rest| (start, rest)))
    }

    /// Whether two authorities after it are the same.
    fn is_same(self, a: &str, b: &str) -> bool {
        match self {
            Self::Http => same_authority(a, b, 80),
            Self::Https => same_authority(a, b, 443),
            Self::SchemeRelative => same_authority(a, b, 80) || same_authority(a, b, 443),
        }
    }
}

/// The rewritten URI reference, or `None` when it is not the upstream's own or
/// is already right.
pub fn rewrite(reference: &str, names: &Names<'_>) -> Option<String> {
    let Some((start, rest)) = Start::of(reference) else {
        let path = put_back(reference.starts_with('/').then_some(reference)?, names.stripped?);
        return (path != reference).then_some(path);
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    // A reference to our host is the upstream's own only with our scheme: an upstream that
    // sends its users from http to https on the same host means to.
    let our_scheme = match start {
        Start::Http => names.our_scheme == "http",
        Start::Https => names.our_scheme == "https",
        Start::SchemeRelative => true,
    };
    let ours = our_scheme && start.is_same(authority, names.our_host);
    let inner = names.asked_host != names.our_host && start.is_same(authority, names.asked_host);
    if !ours && !inner && !names.upstream.iter().any(|name| start.is_same(authority, name)) {
        return None;
    }
    if names.our_host.is_empty() {
        return None;
    }
    let tail = match names.stripped {
        Some(prefix) => put_back(if tail.is_empty() { "/" } else { tail }, prefix),
        None => tail.to_owned(),
    };
    let (scheme, colon) = if start == Start::SchemeRelative { ("", "") } else { (names.our_scheme, ":") };
    let out = format!("{scheme}{colon}//{}{tail}", names.our_host);
    (out != reference).then_some(out)
}

/// `Refresh: 5; url=http://...`: only the URL is rewritten.
pub fn rewrite_refresh(field: &str, names: &Names<'_>) -> Option<String> {
    let at = field.to_ascii_lowercase().find("url=")? + 4;
    let (head, tail) = field.split_at(at);
    let url = tail.trim_matches(|c| c == '"' || c == '\'');
    let rewritten = rewrite(url, names)?;
    Some(format!("{head}{}", tail.replacen(url, &rewritten, 1)))
}

fn put_back(reference: &str, prefix: &str) -> String {
    let end = reference.find(['?', '#']).unwrap_or(reference.len());
    if super::path::has_prefix(&reference[..end], prefix) {
        return reference.to_owned();
    }
    let slash = if reference.starts_with('/') { "" } else { "/" };
    format!("{prefix}{slash}{reference}")
}

fn strip_ascii_prefix<'s>(text: &'s str, prefix: &str) -> Option<&'s str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

fn same_authority(a: &str, b: &str, default_port: u16) -> bool {
    match (super::host::split(a), super::host::split(b)) {
        (Some((host_a, port_a)), Some((host_b, port_b))) => {
            host_a.eq_ignore_ascii_case(host_b) && port_a.unwrap_or(default_port) == port_b.unwrap_or(default_port)
        }
        (Some(_) | None, Some(_) | None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rewritten(reference: &str, stripped: Option<&str>) -> Option<String> {
        with_names(stripped, |names| rewrite(reference, names))
    }

    fn with_names<T>(stripped: Option<&str>, then: impl FnOnce(&Names<'_>) -> T) -> T {
        let upstream = ["127.0.0.1:3000".to_owned(), "app:3000".to_owned()];
        let (our_host, asked_host) = ("example.com:8080", "example.com:8080");
        then(&Names { upstream: &upstream, our_scheme: "http", our_host, asked_host, stripped })
    }

    #[test]
    fn the_upstreams_own_address_becomes_ours() {
        for (from, to) in [
            ("http://127.0.0.1:3000/x?y#z", Some("http://example.com:8080/x?y#z")),
            ("HTTP://APP:3000", Some("http://example.com:8080")),
            ("https://example.com:8080/x", None),
            ("http://example.com:8080/x", None),
            ("http://elsewhere/x", None),
            ("http://127.0.0.1:3001/", None),
            ("/x", None),
            ("x/y", None),
            ("//app:3000/x", Some("//example.com:8080/x")),
            ("//APP:3000", Some("//example.com:8080")),
            ("//app/x", None),
            ("//example.com:8080/x", None),
            ("//elsewhere/x", None),
            ("///x", None),
        ] {
            assert_eq!(rewritten(from, None).as_deref(), to, "{from}");
        }
    }

    #[test]
    fn the_name_that_a_proxy_before_us_asked_for_becomes_ours() {
        with_names(None, |names| {
            let names = Names { asked_host: "inner.example", our_scheme: "https", ..*names };
            for (from, to) in [
                ("http://inner.example/x", Some("https://example.com:8080/x")),
                ("//inner.example/x", Some("//example.com:8080/x")),
                ("http://example.com:8080/x", None),
            ] {
                assert_eq!(rewrite(from, &names).as_deref(), to, "{from}");
            }
        });
    }

    #[test]
    fn a_stripped_prefix_is_put_back() {
        assert_eq!(rewritten("/login", Some("/api")).as_deref(), Some("/api/login"));
        assert_eq!(rewritten("/api/login", Some("/api")), None);
        assert_eq!(rewritten("/api?x=1", Some("/api")), None);
        assert_eq!(rewritten("/?x=1", Some("/api")).as_deref(), Some("/api/?x=1"));
        assert_eq!(rewritten("http://app:3000", Some("/api")).as_deref(), Some("http://example.com:8080/api/"));
        assert_eq!(rewritten("//example.com:8080/x", Some("/api")).as_deref(), Some("//example.com:8080/api/x"));
        assert_eq!(rewritten("//elsewhere/x", Some("/api")), None);
        assert_eq!(rewritten("x/y", Some("/api")), None);
    }

    #[test]
    fn refresh_keeps_its_delay() {
        assert_eq!(
            with_names(None, |names| rewrite_refresh("5; URL='http://app:3000/x'", names)).as_deref(),
            Some("5; URL='http://example.com:8080/x'")
        );
        assert_eq!(
            with_names(None, |names| rewrite_refresh("5;url=//app:3000/x", names)).as_deref(),
            Some("5;url=//example.com:8080/x")
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(s in ".{0,60}") {
            rewritten(&s, Some("/a"));
            with_names(None, |names| rewrite_refresh(&s, names));
        }
    }
}
