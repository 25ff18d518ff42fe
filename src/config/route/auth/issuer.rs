//! The issuer of a provider: the URL by which it calls itself (OpenID Connect Discovery section 2).

use crate::config::section::{Scalar, Syntax};
use crate::config::yaml::{Invalid, Parsed, Yaml, hidden_in_urls};
use crate::message::host;

pub const ISSUER: Scalar<String> = Scalar {
    what: "an issuer such as `https://id.example.com`",
    syntax: Syntax {
        kind: "URL",
        numbers: false,
        pattern: Some(r"^https?://[^/?#@\s]+(/[^?#\s]*)?$"),
        examples: &["https://id.example.com", "https://id.example.com/realms/staff"],
    },
    parse,
    print: |issuer| Yaml::text(issuer),
};

fn parse(text: &str) -> Parsed<String> {
    let wrong = |help: &str| Err(Invalid::with_help(format!("`{}` is no issuer", hidden_in_urls(text)), help));
    let example = "it is a URL such as `https://id.example.com`";
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return wrong(example);
    };
    if rest.contains(['?', '#', '@']) {
        return wrong("it has no query, no fragment and no user");
    }
    if rest.contains("/.well-known/") {
        return wrong("write it without `/.well-known/openid-configuration`, which is put behind it");
    }
    let path = rest.find('/').map_or("", |at| rest.get(at..).unwrap_or_default());
    if host::split(authority_of(text)).is_none() || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return wrong(example);
    }
    Ok(text.to_owned())
}

/// `host[:port]` of a URL.
pub fn authority_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}
