//! Redirects of an upstream to its own address become redirects to ours: `Location`,
//! `Content-Location` and `Refresh`.

use super::path::{after_prefix, has_prefix};

/// The names of the upstream, and the name by which the client knows us.
#[derive(Clone, Copy, Debug)]
pub struct Names<'n> {
    /// The authorities, `host[:port]`, of the upstream.
    pub upstream: &'n [String],
    /// The Host that the route gives the upstream, by which that may call itself.
    pub given_host: Option<&'n str>,
    pub our_scheme: &'n str,
    /// The Host that the client sent, or what a trusted proxy says that it was.
    pub our_host: &'n str,
    /// The Host that came with the request, for an upstream that calls itself by it.
    pub asked_host: &'n str,
    pub paths: Paths<'n>,
}

/// How the paths of the upstream become ours again.
#[derive(Clone, Copy, Debug)]
pub enum Paths<'n> {
    /// They are ours, or there is no way back.
    Same,
    /// The prefix that the route stripped on the way in is put back.
    PutBack {
        prefix: &'n str,
        /// What is behind the prefix in the path that the client asked for.
        asked: &'n str,
    },
    /// The prefix that the route added on the way in is taken away.
    TakeAway(&'n str),
}

impl Paths<'_> {
    /// What the client has to ask for to reach `tail` (path, query and fragment) of the
    /// upstream; `None` where there is nothing.
    fn back(self, tail: &str) -> Option<String> {
        match self {
            Self::Same => Some(tail.to_owned()),
            Self::PutBack { prefix, asked } => {
                Some(put_back(if tail.is_empty() { "/" } else { tail }, prefix, has_prefix(asked, prefix)))
            }
            Self::TakeAway(prefix) => take_away(tail, prefix),
        }
    }

    /// The same for a reference without an authority.
    fn back_reference(self, reference: &str) -> Option<String> {
        let is_absolute = reference.starts_with('/');
        match self {
            Self::Same => None,
            Self::TakeAway(_) | Self::PutBack { .. } if is_absolute => self.back(reference).map(unlike_an_authority),
            // A browser takes `login` at `/api` for `/login`, where the upstream, asked for `/`,
            // means its own `/login`. Everywhere else both mean the same.
            Self::PutBack { prefix, asked: "" } if is_relative_path(reference) => {
                Some(put_back(below_root(reference), prefix, false))
            }
            Self::PutBack { .. } | Self::TakeAway(_) => None,
        }
    }
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
    let out = match Start::of(reference) {
        Some((start, rest)) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let (authority, tail) = rest.split_at(end);
            let origin = names.origin_for(start, authority)?;
            format!("{origin}{}", names.paths.back(tail)?)
        }
        None => names.paths.back_reference(reference)?,
    };
    (out != reference).then_some(out)
}

impl Names<'_> {
    /// Our scheme and authority in place of the upstream's; `None` where that is not its own.
    fn origin_for(&self, start: Start, authority: &str) -> Option<String> {
        // A reference to our host is the upstream's own only with our scheme: an upstream that
        // sends its users from http to https on the same host means to.
        let is_our_scheme = match start {
            Start::Http => self.our_scheme == "http",
            Start::Https => self.our_scheme == "https",
            Start::SchemeRelative => true,
        };
        let is_ours = is_our_scheme && start.is_same(authority, self.our_host);
        let other_names = [Some(self.asked_host), self.given_host].into_iter().flatten();
        let is_name =
            !start.is_same(authority, self.our_host) && { other_names }.any(|name| start.is_same(authority, name));
        if !is_ours && !is_name && !self.upstream.iter().any(|name| start.is_same(authority, name)) {
            return None;
        }
        let (our_host, _) = super::host::split(self.our_host)?;
        let to_https = start == Start::Https && self.our_scheme == "http";
        Some(match start {
            Start::SchemeRelative => format!("//{}", self.our_host),
            // By its other name it means the same; which port https has here is not known.
            Start::Https if is_name && to_https => format!("https://{our_host}"),
            Start::Http | Start::Https => format!("{}://{}", self.our_scheme, self.our_host),
        })
    }
}

/// `Refresh: 5; url=http://...`: only the URL is rewritten.
pub fn rewrite_refresh(field: &str, names: &Names<'_>) -> Option<String> {
    let at = field.to_ascii_lowercase().find("url=")? + 4;
    let (head, tail) = field.split_at(at);
    let url = tail.trim_matches(|c| c == '"' || c == '\'');
    let rewritten = rewrite(url, names)?;
    Some(format!("{head}{}", tail.replacen(url, &rewritten, 1)))
}

/// An upstream that knows of the prefix may have put it there, unless it has such a path of its
/// own.
fn put_back(reference: &str, prefix: &str, is_its_own: bool) -> String {
    let end = reference.find(['?', '#']).unwrap_or(reference.len());
    if !is_its_own && has_prefix(&reference[..end], prefix) {
        return reference.to_owned();
    }
    let slash = if reference.starts_with('/') { "" } else { "/" };
    format!("{prefix}{slash}{reference}")
}

fn take_away(reference: &str, prefix: &str) -> Option<String> {
    let end = reference.find(['?', '#']).unwrap_or(reference.len());
    let path = after_prefix(&reference[..end], prefix)?;
    let slash = if path.is_empty() { "/" } else { "" };
    Some(format!("{slash}{path}{}", &reference[end..]))
}

/// A path that begins with two slashes names a host (RFC 3986 section 4.2), also where a
/// browser takes a backslash for a slash and drops tabs.
fn unlike_an_authority(path: String) -> String {
    let second = path.get(1..).map(|rest| rest.trim_start_matches('\t'));
    if second.is_some_and(|rest| rest.starts_with(['/', '\\'])) { format!("/.{path}") } else { path }
}

/// Whether a reference is a path that does not begin with a slash: neither empty, nor a query
/// or fragment alone, nor with a scheme.
fn is_relative_path(reference: &str) -> bool {
    let first = reference.split(['/', '?', '#']).next().unwrap_or_default();
    !reference.is_empty() && !reference.starts_with(['?', '#']) && !first.contains(':')
}

/// A relative path without the leading dots that change nothing at the root.
fn below_root(mut reference: &str) -> &str {
    while let Some(rest) = reference.strip_prefix("../").or_else(|| reference.strip_prefix("./")) {
        reference = rest;
    }
    reference
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
        let put_back = |prefix| Paths::PutBack { prefix, asked: "/a" };
        with_names(stripped.map_or(Paths::Same, put_back), |names| rewrite(reference, names))
    }

    fn with_names<T>(paths: Paths<'_>, then: impl FnOnce(&Names<'_>) -> T) -> T {
        let upstream = ["127.0.0.1:3000".to_owned(), "app:3000".to_owned()];
        let (our_host, asked_host) = ("example.com:8080", "example.com:8080");
        then(&Names { upstream: &upstream, given_host: None, our_scheme: "http", our_host, asked_host, paths })
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
            ("/\\x", None),
        ] {
            assert_eq!(rewritten(from, None).as_deref(), to, "{from}");
        }
    }

    #[test]
    fn the_name_that_a_proxy_before_us_asked_for_becomes_ours() {
        with_names(Paths::Same, |names| {
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
    fn an_added_prefix_is_taken_away() {
        with_names(Paths::TakeAway("/x"), |names| {
            for (from, to) in [
                ("/x/y?q#f", Some("/y?q#f")),
                ("/x", Some("/")),
                ("/x?q", Some("/?q")),
                ("/x/", Some("/")),
                ("/%78/y%2Fz", Some("/y%2Fz")),
                ("/xy", None),
                ("/other", None),
                ("y/z", None),
                ("?q", None),
                ("http://app:3000/x/y", Some("http://example.com:8080/y")),
                ("//example.com:8080/x/y", Some("//example.com:8080/y")),
                ("http://example.com:8080/x", Some("http://example.com:8080/")),
                // The client cannot reach it.
                ("http://app:3000/y", None),
                ("http://app:3000", None),
                ("http://elsewhere/x/y", None),
                // What is left must not name a host.
                ("/x//evil.test/", Some("/.//evil.test/")),
                ("/x/\\evil.test/", Some("/./\\evil.test/")),
                ("/x/\t/evil.test/", Some("/./\t/evil.test/")),
                ("http://app:3000/x//y", Some("http://example.com:8080//y")),
            ] {
                assert_eq!(rewrite(from, names).as_deref(), to, "{from}");
            }
        });
    }

    #[test]
    fn a_relative_reference_of_the_root_stays_below_the_prefix_that_was_asked_for() {
        with_names(Paths::PutBack { prefix: "/api", asked: "" }, |names| {
            for (from, to) in [
                ("login", Some("/api/login")),
                ("./login?x", Some("/api/login?x")),
                ("../../a/b", Some("/api/a/b")),
                ("?x", None),
                ("#x", None),
                ("", None),
                ("mailto:a@b", None),
            ] {
                assert_eq!(rewrite(from, names).as_deref(), to, "{from}");
            }
        });
        assert_eq!(rewritten("login", Some("/api")), None);
    }

    #[test]
    fn a_path_of_the_upstreams_own_that_begins_like_the_prefix_gets_it_all_the_same() {
        with_names(Paths::PutBack { prefix: "/api", asked: "/api/x" }, |names| {
            assert_eq!(rewrite("/api/x/", names).as_deref(), Some("/api/api/x/"));
            assert_eq!(rewrite("http://app:3000/api", names).as_deref(), Some("http://example.com:8080/api/api"));
            assert_eq!(rewrite("/login", names).as_deref(), Some("/api/login"));
        });
        with_names(Paths::PutBack { prefix: "/api", asked: "/%61pi/x" }, |names| {
            assert_eq!(rewrite("/%61pi/x/", names).as_deref(), Some("/api/%61pi/x/"));
        });
    }

    #[test]
    fn the_host_that_a_route_gives_the_upstream_is_the_upstreams_own() {
        with_names(Paths::Same, |names| {
            let named = |name, our_scheme| Names { given_host: Some(name), our_scheme, ..*names };
            for (name, scheme, from, to) in [
                ("app.internal", "http", "http://App.Internal/x", Some("http://example.com:8080/x")),
                ("app.internal", "http", "http://app.internal:80/x", Some("http://example.com:8080/x")),
                ("app.internal:80", "http", "http://app.internal/x", Some("http://example.com:8080/x")),
                ("app.internal", "http", "http://app.internal:81/x", None),
                ("app.internal", "https", "http://app.internal/x", Some("https://example.com:8080/x")),
                ("app.internal", "https", "https://app.internal:443", Some("https://example.com:8080")),
                ("app.internal", "http", "//app.internal/x", Some("//example.com:8080/x")),
                // It sends its users from http to https.
                ("app.internal", "http", "https://app.internal/x", Some("https://example.com/x")),
                ("example.com:8080", "https", "http://example.com:8080/x", None),
                ("example.com:8080", "http", "https://example.com:8080/x", None),
            ] {
                assert_eq!(rewrite(from, &named(name, scheme)).as_deref(), to, "{from}");
            }
        });
    }

    #[test]
    fn refresh_keeps_its_delay() {
        assert_eq!(
            with_names(Paths::Same, |names| rewrite_refresh("5; URL='http://app:3000/x'", names)).as_deref(),
            Some("5; URL='http://example.com:8080/x'")
        );
        assert_eq!(
            with_names(Paths::Same, |names| rewrite_refresh("5;url=//app:3000/x", names)).as_deref(),
            Some("5;url=//example.com:8080/x")
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(s in ".{0,60}") {
            rewritten(&s, Some("/a"));
            with_names(Paths::TakeAway("/a"), |names| rewrite(&format!("/a{s}"), names));
            with_names(Paths::Same, |names| rewrite_refresh(&s, names));
        }
    }
}
