//! The `Destination` of WebDAV's COPY and MOVE (RFC 4918 section 10.3): a server refuses one
//! that does not name itself as it knows itself.

use super::host;

/// A `Destination` taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination<'d> {
    /// The scheme and the authority; `None` for a path alone.
    pub place: Option<(&'d str, &'d str)>,
    /// Begins with `/`.
    pub path: &'d str,
    /// With its `?`; empty where there is none.
    pub query: &'d str,
}

impl<'d> Destination<'d> {
    /// `None` for what is neither a URL of HTTP nor a path.
    pub fn of(value: &'d str) -> Option<Self> {
        let (place, rest) = match value.split_once("://") {
            Some((scheme, rest)) if is_http(scheme) => {
                let (authority, path) = rest.split_at(rest.find('/')?);
                (Some((scheme, authority)), path)
            }
            Some(_) | None => (None, value),
        };
        let (path, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
        (path.starts_with('/') && !path.starts_with("//")).then_some(Self { place, path, query })
    }

    /// Whether it leads to this host, or to none.
    pub fn leads_to(&self, host: &str) -> bool {
        let Some((scheme, authority)) = self.place else { return true };
        let default = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
        match (host::split(authority), host::split(host)) {
            (Some((a, a_port)), Some((b, b_port))) => {
                a.eq_ignore_ascii_case(b) && a_port.unwrap_or(default) == b_port.unwrap_or(default)
            }
            _ => false,
        }
    }
}

fn is_http(scheme: &str) -> bool {
    ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_a_url_or_a_path() {
        let of = |value| Destination::of(value).map(|d| (d.place, d.path, d.query));
        assert_eq!(of("https://a:1/b/c?d"), Some((Some(("https", "a:1")), "/b/c", "?d")));
        assert_eq!(of("/b?c://d"), Some((None, "/b", "?c://d")));
        for none in ["", "b", "ftp://a/b", "//a/b", "http://a"] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn the_default_port_of_its_scheme_is_no_difference() {
        let leads = |value, host| Destination::of(value).unwrap().leads_to(host);
        assert!(leads("https://A/b", "a") && leads("https://a/b", "a:443") && leads("/b", "x"));
        assert!(leads("http://a:8080/b", "a:8080"));
        assert!(!leads("https://a/b", "a:8443") && !leads("http://b/", "a"));
    }
}
