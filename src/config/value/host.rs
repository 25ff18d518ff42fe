//! Host names, and the patterns that routes match them by.

use crate::config::section::{Scalar, Syntax, shown};
use crate::config::yaml::{Invalid, Parsed, Yaml};

/// What a route's `host` may hold; lower case, without port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    Exact(String),
    /// `*.example.com` holds `example.com`: one or more labels stand before it.
    Suffix(String),
    /// `*`
    Any,
}

pub const HOST_PATTERN: Scalar<HostPattern> = Scalar {
    what: "a host such as `example.com`",
    syntax: Syntax {
        kind: "host",
        numbers: true,
        pattern: Some(r"^(?!(_|default_server)$)([*]|([*][.])?[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\])$"),
        examples: &["example.com", "*.example.com"],
    },
    parse: pattern,
    print: |pattern| Yaml::text(pattern.to_string()),
};

/// As an operator writes it.
impl std::fmt::Display for HostPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Suffix(suffix) => write!(f, "*.{suffix}"),
            Self::Any => f.write_str("*"),
        }
    }
}

fn pattern(text: &str) -> Parsed<HostPattern> {
    if text == "*" {
        return Ok(HostPattern::Any);
    }
    if let Some((_, rest)) = text.split_once("://") {
        let host = rest.split(['/', ':']).next().unwrap_or(rest);
        return Err(Invalid::with_help("a host is a name, not a URL", format!("write `{host}`")));
    }
    if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'))
        && inner.parse::<std::net::Ipv6Addr>().is_ok()
    {
        return Ok(HostPattern::Exact(text.to_ascii_lowercase()));
    }
    if let Some((host, port)) = text.rsplit_once(':')
        && port.bytes().all(|b| b.is_ascii_digit())
    {
        return Err(Invalid::with_help("a host is matched without its port", format!("write `{host}`")));
    }
    if let Some(rest) = text.strip_prefix("*.") {
        return dns_name(rest).map(HostPattern::Suffix);
    }
    if let Some(domain) = text.strip_prefix('.').filter(|domain| dns_name(domain).is_ok()) {
        let help = format!("write `[\"*.{domain}\", {domain}]`, or one of the two");
        return Err(Invalid::with_help(format!("`{text}` is not a host name"), help));
    }
    if let Some(regex) = text.strip_prefix('~') {
        let help = format!(
            "write its names, as in `\"*.example.com\"`, or match the header: `header: {{ host: {{ regex: '{}' }} }}`",
            regex.trim_start_matches(['*', ' '])
        );
        return Err(Invalid::with_help("a host is not matched by a regex", help));
    }
    let names: Vec<&str> = text.split([' ', ',', '|']).filter(|name| !name.is_empty()).collect();
    if names.len() > 1 && names.iter().all(|name| pattern(name).is_ok()) {
        let help = format!("write `[{}]`", names.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", "));
        return Err(Invalid::with_help("these are several hosts", help));
    }
    if text == "_" || text.eq_ignore_ascii_case("default_server") {
        return Err(Invalid::with_help(format!("`{text}` is not a host name"), "for every host, leave `host` out"));
    }
    if text.contains('*') {
        return Err(Invalid::with_help(
            format!("`{text}` is not a host pattern"),
            "`*` stands alone or in front, as in `*.example.com`",
        ));
    }
    dns_name(text).map(HostPattern::Exact)
}

/// A name as DNS has it, in lower case.
pub fn dns_name(text: &str) -> Parsed<String> {
    if !text.is_ascii() {
        return Err(Invalid::with_help(format!("`{text}` is not a host name"), "write it in its `xn--` form"));
    }
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    if text.len() <= 253 && text.split('.').all(label) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(Invalid::new(format!("`{text}` is not a host name")))
}
