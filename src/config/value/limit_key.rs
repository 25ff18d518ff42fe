//! Which requests are counted together: `client_ip`, `header:x-api-key`, `cookie:id`, `claim:sub`
//! or `route`.

use http::HeaderName;

use super::{cookie, header};
use crate::config::section::{Form, Scalar, Syntax, Value};
use crate::config::yaml::{Invalid, Parsed, Yaml};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitKey {
    /// By the client's address; of IPv6 by its first 64 bits.
    ClientIp,
    Header(HeaderName),
    Cookie(String),
    /// A claim of the token by which the client was let in.
    Claim(String),
    /// All requests of the route.
    Route,
}

impl std::fmt::Display for LimitKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ClientIp => f.write_str("client_ip"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Claim(name) => write!(f, "claim:{name}"),
            Self::Route => f.write_str("route"),
        }
    }
}

impl Value for LimitKey {
    fn form() -> impl Form<Self> {
        LIMIT_KEY
    }
}

const LIMIT_KEY: Scalar<LimitKey> = Scalar {
    what: "what is counted by, such as `client_ip`",
    syntax: Syntax {
        kind: "key of a limit",
        numbers: true,
        pattern: Some(
            r"^(client_ip|route|(header|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]+|claim:[\x21\x23-\x5b\x5d-\x7e]+)$",
        ),
        examples: &["client_ip", "header:x-api-key", "cookie:id", "claim:sub", "route"],
    },
    parse,
    print: |key| Yaml::text(key),
};

fn parse(text: &str) -> Parsed<LimitKey> {
    match text.split_once(':') {
        None if text == "client_ip" => return Ok(LimitKey::ClientIp),
        None if text == "route" => return Ok(LimitKey::Route),
        Some(("header", name)) => return header::name(name).map(|field| LimitKey::Header(field.name)),
        Some(("cookie", name)) => return cookie::name(name).map(LimitKey::Cookie),
        Some(("claim", name)) => return claim(name),
        Some(_) | None => {}
    }
    Err(Invalid::with_help(
        format!("`{text}` is nothing to count by"),
        "`client_ip`, `header:name`, `cookie:name`, `claim:name` or `route`",
    ))
}

/// Plain text: the name goes into a field of the response.
fn claim(name: &str) -> Parsed<LimitKey> {
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\');
    if name.is_empty() || !name.bytes().all(plain) {
        return Err(Invalid::new(format!("`{name}` is not a claim's name")));
    }
    Ok(LimitKey::Claim(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_printed_as_they_are_read() {
        for text in ["client_ip", "route", "header:x-api-key", "cookie:sid", "claim:https://a/b", "claim:sub"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        for bad in ["", "ip", "header:", "header:a b", "cookie:a;b", "claim:", "claim:a\"", "claim:é", "route:x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
