//! Redirect targets: text with placeholders such as `{host}`.

use super::placeholders;
use crate::config::section::{Form, Scalar, Syntax, Value, nearest};
use crate::config::yaml::{Invalid, Parsed, Yaml};

/// Text with `{scheme}`, `{host}`, `{hostname}`, `{path}`, `{query}`, `{method}`, `{client_ip}`, `{request_id}` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(pub Vec<TemplatePart>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplatePart {
    Text(String),
    Scheme,
    /// As the client sent it, with its port.
    Host,
    /// The client's host without a port.
    Hostname,
    /// The path as the client sent it.
    Path,
    /// With its `?`, or with `&` where the target has a query already; or empty.
    Query,
    Method,
    ClientIp,
    RequestId,
}

const TARGET: Scalar<Template> = Scalar {
    what: "a target such as `https://{host}{path}{query}`",
    syntax: Syntax {
        kind: "target",
        numbers: true,
        pattern: Some(concat!(
            r"^(/|\{path\}|(https?|\{scheme\})://([A-Za-z0-9_\[-]|\{(host|hostname|method|client_ip|request_id|scheme)\}))",
            r"([!-z|~]|\{\{|\}\}|\{(scheme|host|hostname|path|query|method|client_ip|request_id)\})*$"
        )),
        examples: &["https://{host}{path}{query}", "/new{path}"],
    },
    parse: target,
    print: |template| Yaml::text(print(template)),
};

impl Value for Template {
    fn form() -> impl Form<Self> {
        TARGET
    }
}

/// Where a client is sent: a URL or a path.
fn target(text: &str) -> Parsed<Template> {
    if let Some(ours) = of_nginx(text) {
        return Err(Invalid::with_help("a target has no `$` variables", format!("write `{ours}`")));
    }
    let template = Template(placeholders::parts(text, TemplatePart::Text, placeholder)?);
    if let Some((status, to)) = text.split_once(' ').filter(|(status, _)| status.parse::<u16>().is_ok()) {
        let help = format!("write `{{ to: \"{}\", status: {status} }}`", to.trim());
        return Err(Invalid::with_help("a target has no status in it", help));
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Invalid::new("a target holds no spaces, control or non-ASCII characters: percent-encode them"));
    }
    let starts = ["/", "http://", "https://", "{scheme}://", "{path}"];
    if !starts.iter().any(|s| text.starts_with(s)) {
        return Err(Invalid::with_help(
            "a target begins with `/`, `http://`, `https://` or `{scheme}://`",
            format!("write `https://{text}`"),
        ));
    }
    if names_no_host(text) {
        return Err(Invalid::with_help(
            "behind `://` stands a host: the client's path would be taken for one",
            "write `{host}` or a name there",
        ));
    }
    Ok(template)
}

/// A target in which nginx's variables stand, with ours in their place.
fn of_nginx(text: &str) -> Option<String> {
    const VARIABLES: [(&str, &str); 11] = [
        ("$http_host", "{host}"),
        ("$server_name", "{hostname}"),
        ("$host", "{host}"),
        ("$request_uri", "{path}{query}"),
        ("$document_uri", "{path}"),
        ("$uri", "{path}"),
        ("$is_args$args", "{query}"),
        ("$scheme", "{scheme}"),
        ("$remote_addr", "{client_ip}"),
        ("$request_method", "{method}"),
        ("$request_id", "{request_id}"),
    ];
    let ours = VARIABLES.iter().fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours));
    (ours != text).then_some(ours)
}

/// `https://{path}` would lead wherever the client's path says.
fn names_no_host(text: &str) -> bool {
    let behind = ["http://", "https://", "{scheme}://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    behind.is_some_and(|rest| {
        let host = ["{host}", "{hostname}", "{method}", "{client_ip}", "{request_id}", "{scheme}"];
        let name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-[".contains(byte);
        !host.iter().any(|placeholder| rest.starts_with(placeholder)) && !rest.as_bytes().first().is_some_and(name)
    })
}

const PLACEHOLDERS: [(&str, TemplatePart); 8] = [
    ("scheme", TemplatePart::Scheme),
    ("host", TemplatePart::Host),
    ("hostname", TemplatePart::Hostname),
    ("path", TemplatePart::Path),
    ("query", TemplatePart::Query),
    ("method", TemplatePart::Method),
    ("client_ip", TemplatePart::ClientIp),
    ("request_id", TemplatePart::RequestId),
];

fn placeholder(name: &str) -> Parsed<TemplatePart> {
    if let Some((_, part)) = PLACEHOLDERS.iter().find(|(known, _)| *known == name) {
        return Ok(part.clone());
    }
    // Caddy's, such as `http.request.host` and `uri`.
    let ours = match name.rsplit('.').next().unwrap_or(name) {
        "uri" | "request_uri" => Some("{path}{query}"),
        "host" | "hostport" => Some("{host}"),
        "scheme" => Some("{scheme}"),
        "path" => Some("{path}"),
        "query" => Some("{query}"),
        "method" => Some("{method}"),
        "remote_host" | "remote_ip" | "remote" => Some("{client_ip}"),
        _ => None,
    };
    if let Some(ours) = ours {
        return Err(Invalid::with_help(format!("unknown placeholder `{{{name}}}`"), format!("write `{ours}`")));
    }
    let help = match nearest(name, PLACEHOLDERS.iter().map(|(known, _)| *known)) {
        Some(near) => format!("did you mean `{{{near}}}`?"),
        None => {
            let all: Vec<String> = PLACEHOLDERS.iter().map(|(known, _)| format!("{{{known}}}")).collect();
            format!("there are {}", all.join(", "))
        }
    };
    Err(Invalid::with_help(format!("unknown placeholder `{{{name}}}`"), help))
}

impl Template {
    /// As it is written.
    pub fn written(&self) -> String {
        print(self)
    }
}

fn print(template: &Template) -> String {
    let part = |p: &TemplatePart| match p {
        TemplatePart::Text(text) => placeholders::escaped(text),
        other => PLACEHOLDERS
            .iter()
            .find(|(_, known)| known == other)
            .map_or(String::new(), |(name, _)| format!("{{{name}}}")),
    };
    template.0.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_printed_as_they_are_read() {
        for text in ["https://{host}{path}{query}", "/a", "/{{x}}{request_id}", "{path}", "https://{hostname}"] {
            assert_eq!(print(&target(text).unwrap()), text);
        }
        let help = |text| target(text).unwrap_err().help.unwrap();
        assert_eq!(help("/{hsot}"), "did you mean `{host}`?");
        assert_eq!(help("https://$host$request_uri"), "write `https://{host}{path}{query}`");
        assert_eq!(help("https://{http.request.host}"), "write `{host}`");
        assert_eq!(help("/x{uri}"), "write `{path}{query}`");
        assert_eq!(help("301 https://a.b"), "write `{ to: \"https://a.b\", status: 301 }`");
        assert!(help("/{xyzzy}").starts_with("there are {scheme}"));
        for bad in ["/{host", "/}", "/a b", "/é", "example.com", "", "https://", "https://{path}", "{scheme}:///x"] {
            assert!(target(bad).is_err(), "{bad}");
        }
    }
}
