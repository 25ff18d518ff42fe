//! Origins of pages (RFC 6454): a scheme, a host and a port that is not the scheme's own.

use super::host::dns_name;
use crate::config::section::{Form, Reader, Scalar, Shape, Syntax};
use crate::config::yaml::{Invalid, Node, Parsed, Yaml};

/// Which origins a rule is for; scheme and host in lower case, as browsers send them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginPattern {
    /// `*`
    Any,
    /// What pages without an origin of their own send, such as sandboxed frames and local files.
    Null,
    Exact(String),
    /// `https://*.example.com:8443` holds `https://` and `.example.com:8443`: one or more labels
    /// stand between the two.
    Subdomains {
        scheme: String,
        suffix: String,
    },
}

impl OriginPattern {
    /// `origin`: the value of a field Origin.
    pub fn takes(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Null => origin == "null",
            Self::Exact(exact) => origin == exact,
            Self::Subdomains { scheme, suffix } => {
                let labels = origin.strip_prefix(scheme.as_str()).and_then(|rest| rest.strip_suffix(suffix.as_str()));
                let is_label = |label: &str| {
                    !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                };
                labels.is_some_and(|labels| labels.split('.').all(is_label))
            }
        }
    }
}

/// As an operator writes it.
impl std::fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Null => f.write_str("null"),
            Self::Exact(origin) => f.write_str(origin),
            Self::Subdomains { scheme, suffix } => write!(f, "{scheme}*{suffix}"),
        }
    }
}

/// An origin, where YAML's `null` is the origin of that name as well.
#[derive(Debug)]
pub struct OriginForm;

impl Form<OriginPattern> for OriginForm {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<OriginPattern> {
        if node.is_null() { Some(OriginPattern::Null) } else { ORIGIN.read(reader, node) }
    }

    fn shape(&self) -> Shape {
        Shape::Any(vec![ORIGIN.shape(), Shape::Null])
    }

    fn print(&self, origin: &OriginPattern) -> Yaml {
        ORIGIN.print(origin)
    }
}

const ORIGIN: Scalar<OriginPattern> = Scalar {
    what: "an origin such as `https://app.example.com`",
    syntax: Syntax {
        kind: "origin",
        numbers: false,
        pattern: Some(concat!(
            r"^([*]|null|[A-Za-z][A-Za-z0-9+.-]*://([*][.][A-Za-z0-9_.-]+|[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:",
            pattern!(some_port),
            ")?)$"
        )),
        examples: &["https://app.example.com", "https://*.example.com", "*"],
    },
    parse: origin,
    print: |origin| Yaml::text(origin.to_string()),
};

fn origin(text: &str) -> Parsed<OriginPattern> {
    match text {
        "*" => return Ok(OriginPattern::Any),
        "null" => return Ok(OriginPattern::Null),
        _ => {}
    }
    let wrong = || Invalid::new(format!("`{text}` is not an origin"));
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(Invalid::with_help(format!("`{text}` is not an origin"), format!("write `https://{text}`")));
    };
    let scheme = scheme.to_ascii_lowercase();
    let is_scheme = |b: u8| b.is_ascii_alphanumeric() || b"+.-".contains(&b);
    if !scheme.starts_with(|c: char| c.is_ascii_lowercase()) || !scheme.bytes().all(is_scheme) {
        return Err(wrong());
    }
    if let Some(end) = rest.find(['/', '?', '#']) {
        let help = format!("write `{scheme}://{}`", &rest[..end]);
        return Err(Invalid::with_help("an origin has no path", help));
    }
    if rest.contains('@') {
        return Err(wrong());
    }
    let (host, port) = split_port(rest).ok_or_else(wrong)?;
    // Browsers leave the scheme's own port out.
    let port = port.filter(|port| !matches!((scheme.as_str(), port), ("http", 80) | ("https", 443)));
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    if let Some(domain) = host.strip_prefix("*.") {
        let domain = dns_name(domain)?;
        return Ok(OriginPattern::Subdomains { scheme: format!("{scheme}://"), suffix: format!(".{domain}{port}") });
    }
    if host.contains('*') {
        let help = "`*` stands alone, or for the labels in front, as in `https://*.example.com`";
        return Err(Invalid::with_help(format!("`{text}` is not an origin"), help));
    }
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = match inner.map(str::parse::<std::net::Ipv6Addr>) {
        Some(Ok(address)) => format!("[{address}]"),
        Some(Err(_)) => return Err(wrong()),
        None => dns_name(host)?,
    };
    Ok(OriginPattern::Exact(format!("{scheme}://{host}{port}")))
}

/// `None` for a port that is none.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let host_end = authority.rfind(']').map_or(0, |end| end + 1);
    match authority.get(host_end..)?.find(':') {
        Some(colon) => {
            let (host, port) = authority.split_at(host_end + colon);
            let port = &port[1..];
            let is_number = port.bytes().all(|b| b.is_ascii_digit());
            port.parse().ok().filter(|port| is_number && *port > 0).map(|port| (host, Some(port)))
        }
        None => Some((authority, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_as_browsers_send_them() {
        for (written, read) in [
            ("https://App.Example.com", "https://app.example.com"),
            ("HTTPS://a.test:443", "https://a.test"),
            ("http://a.test:80", "http://a.test"),
            ("http://a.test:443", "http://a.test:443"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("http://[0:0::1]:3000", "http://[::1]:3000"),
            ("https://*.Example.com:8443", "https://*.example.com:8443"),
            ("chrome-extension://abcdef", "chrome-extension://abcdef"),
            ("null", "null"),
            ("*", "*"),
        ] {
            assert_eq!(origin(written).unwrap().to_string(), read);
        }
        for (wrong, help) in [
            ("app.example.com", "write `https://app.example.com`"),
            ("https://a.test/", "write `https://a.test`"),
            ("https://a.test/x?y", "write `https://a.test`"),
            ("https://a.*", "`*` stands alone, or for the labels in front, as in `https://*.example.com`"),
            ("https://é.test", "write it in its `xn--` form"),
        ] {
            assert_eq!(origin(wrong).unwrap_err().help.as_deref(), Some(help), "{wrong}");
        }
        for wrong in
            ["", "://a", "1a://b", "https://", "https://u@a.test", "https://a:0", "https://a:b", "http://[::g]"]
        {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_pattern_takes_its_origins_and_no_other() {
        let takes = |pattern: &str, other: &str| origin(pattern).unwrap().takes(other);
        assert!(takes("*", "null") && takes("*", "https://a.test"));
        assert!(takes("null", "null") && !takes("https://a.test", "null"));
        assert!(takes("https://a.test", "https://a.test"));
        for other in
            ["http://a.test", "https://a.test:8443", "https://b.a.test", "https://a.test.evil", "https://A.test"]
        {
            assert!(!takes("https://a.test", other), "{other}");
        }
        assert!(takes("https://*.a.test", "https://b.a.test") && takes("https://*.a.test", "https://c.b.a.test"));
        for other in [
            "https://a.test",
            "https://.a.test",
            "https://b..a.test",
            "http://b.a.test",
            "https://ba.test",
            "https://b.a.test:8443",
            "https://evil.test/.a.test",
            "https://evil.test#.a.test",
            "https://u@b.a.test",
            "https://b.a.test.evil",
        ] {
            assert!(!takes("https://*.a.test", other), "{other}");
        }
    }
}
