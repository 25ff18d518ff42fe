//! What of a request tells clients apart: `header:x-user`, `cookie:id`, `query:id`, `path`
//! or `client_ip`.

use http::HeaderName;

use super::{cookie, header};
use crate::config::section::{Form, Scalar, Syntax, Value};
use crate::config::yaml::{Invalid, Parsed, Yaml};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    ClientIp,
    Header(HeaderName),
    Cookie(String),
    Query(String),
    Path,
}

const KEY_SOURCE: Scalar<KeySource> = Scalar {
    what: "what tells clients apart, such as `header:x-user`",
    syntax: Syntax {
        kind: "key",
        numbers: true,
        pattern: Some("^(path|client_ip|(header|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]+|query:.+)$"),
        examples: &["header:x-user", "cookie:id", "query:id", "path", "client_ip"],
    },
    parse,
    print: |source| Yaml::text(print(source)),
};

impl Value for KeySource {
    fn form() -> impl Form<Self> {
        KEY_SOURCE
    }
}

fn parse(text: &str) -> Parsed<KeySource> {
    match text.split_once(':') {
        None if text == "path" => return Ok(KeySource::Path),
        None if text == "client_ip" => return Ok(KeySource::ClientIp),
        Some(("header", name)) => return header::name(name).map(|field| KeySource::Header(field.name)),
        Some(("cookie", name)) => return cookie::name(name).map(KeySource::Cookie),
        Some(("query", name)) if !name.is_empty() => return Ok(KeySource::Query(name.to_owned())),
        Some(_) | None => {}
    }
    Err(Invalid::with_help(
        format!("`{text}` does not tell clients apart"),
        "`header:name`, `cookie:name`, `query:name`, `path` or `client_ip`",
    ))
}

fn print(source: &KeySource) -> String {
    let of = |kind: &str, name: &str| format!("{kind}:{name}");
    match source {
        KeySource::ClientIp => "client_ip".to_owned(),
        KeySource::Path => "path".to_owned(),
        KeySource::Header(name) => of("header", name.as_str()),
        KeySource::Cookie(name) => of("cookie", name),
        KeySource::Query(name) => of("query", name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_clients_apart_is_printed_as_it_is_read() {
        for text in ["client_ip", "path", "header:x-user", "cookie:sid", "query:id"] {
            assert_eq!(print(&parse(text).unwrap()), text);
        }
        for bad in ["", "header:", "cookie:a b", "query:", "ip", "path:x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
