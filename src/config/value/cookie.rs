//! Cookies: their names, values, domains and paths (RFC 6265).

use super::host::dns_name;
use super::{header, path};
use crate::config::section::{Scalar, Syntax};
use crate::config::yaml::{Invalid, Parsed, Yaml};

pub const COOKIE_NAME: Scalar<String> = Scalar {
    what: "a cookie's name",
    syntax: Syntax {
        kind: "cookie name",
        numbers: true,
        pattern: Some("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"),
        examples: &["session"],
    },
    parse: name,
    print: |name| Yaml::text(name),
};

/// A cookie's name is a token (RFC 6265 section 4.1.1).
pub fn name(text: &str) -> Parsed<String> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if !text.is_empty() && text.chars().all(token) {
        return Ok(text.to_owned());
    }
    Err(Invalid::new(format!("`{text}` is not a cookie name")))
}

pub const COOKIE_VALUE: Scalar<String> = Scalar {
    what: "a value",
    syntax: Syntax {
        kind: "cookie value",
        numbers: true,
        pattern: Some(r#"^[!#-+\x2d-:<-\x5b\x5d-~]*$"#),
        examples: &[],
    },
    parse: |text| {
        let octet = |c: char| c.is_ascii_graphic() && !"\",;\\".contains(c);
        if text.chars().all(octet) {
            return Ok(text.to_owned());
        }
        let message = "a cookie value cannot hold spaces, quotes, `,`, `;` or `\\`";
        Err(Invalid::with_help(message, "percent-encode it"))
    },
    print: |value| Yaml::text(value),
};

/// A value to compare a request's cookie with. Browsers send more than RFC 6265 allows, but
/// a `;` ends a value and the blanks around it are no part of it.
pub const MATCHED_COOKIE: Scalar<String> = Scalar {
    what: header::CONDITION,
    syntax: Syntax { kind: "text", numbers: true, pattern: Some(r"^([^\s;]([^;]*[^\s;])?)?$"), examples: &[] },
    parse: |text| {
        if text.contains(';') {
            let help = "it is matched as it is sent, not decoded";
            return Err(Invalid::with_help("no cookie's value has a `;` in it", help));
        }
        header::value(text).map(|_| text.to_owned()).map_err(|_| {
            Invalid::new("a cookie's value cannot begin or end with a space, or hold line breaks or control characters")
        })
    },
    print: |value| Yaml::text(value),
};

/// A domain of a cookie, without its dot.
pub const COOKIE_DOMAIN: Scalar<String> = Scalar {
    what: "a domain",
    syntax: Syntax {
        kind: "domain",
        numbers: true,
        pattern: Some("^[.]?[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*$"),
        examples: &["example.com"],
    },
    parse: domain,
    print: |domain| Yaml::text(domain),
};

/// An empty one drops the attribute.
pub const COOKIE_DOMAIN_OR_NONE: Scalar<String> = Scalar {
    syntax: Syntax {
        pattern: Some("^([.]?[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*)?$"),
        examples: &["example.com", ""],
        ..COOKIE_DOMAIN.syntax
    },
    parse: |text| if text.is_empty() { Ok(String::new()) } else { domain(text) },
    ..COOKIE_DOMAIN
};

fn domain(text: &str) -> Parsed<String> {
    dns_name(text.strip_prefix('.').unwrap_or(text))
}

pub const COOKIE_PATH: Scalar<String> = Scalar {
    what: "a path",
    syntax: Syntax { kind: "path", numbers: false, pattern: Some(r"^/[^?#;,\s]*$"), examples: &["/app/"] },
    parse: |text| {
        let path = path::parse(text)?;
        if path.contains([';', ',']) {
            return Err(Invalid::new("a cookie's path has no `;` or `,` in it"));
        }
        Ok(path)
    },
    print: |path| Yaml::text(path),
};
