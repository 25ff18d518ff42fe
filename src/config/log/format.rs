//! `log.access.format`: one of the usual formats, or a template of the operator's own.

use http::{HeaderName, header};

use super::field::LogField;
use crate::config::section::{Scalar, Syntax, Word, WordsOr, nearest};
use crate::config::value::placeholders;
use crate::config::yaml::{Invalid, Parsed, Yaml};

/// How a line of the access log is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessFormat {
    Json,
    Combined,
    Text,
    Template(LineTemplate),
}

/// A line with placeholders such as `{status}` and `{header:accept}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineTemplate(pub Vec<LinePart>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinePart {
    Text(String),
    Field(LogField),
    /// A field of the request's head.
    Header(HeaderName),
}

/// The words and templates that say how a line is written.
pub const FORMATS: WordsOr<AccessFormat, LineTemplate, Scalar<LineTemplate>, 3> = WordsOr {
    words: [
        (AccessFormat::Json, Word { word: "json", doc: "One JSON object." }),
        (AccessFormat::Combined, Word { word: "combined", doc: "The combined format of Apache and nginx." }),
        (AccessFormat::Text, Word { word: "text", doc: "A line for people." }),
    ],
    form: TEMPLATE,
    wrap: AccessFormat::Template,
    unwrap: |format| match format {
        AccessFormat::Template(template) => Some(template.clone()),
        AccessFormat::Json | AccessFormat::Combined | AccessFormat::Text => None,
    },
};

const TEMPLATE: Scalar<LineTemplate> = Scalar {
    what: "a template such as `'{client_ip} {status}'`",
    syntax: Syntax {
        kind: "template",
        numbers: false,
        pattern: Some(r"^([^{}]|\{\{|\}\})*\{[a-z_]+(:[^{}]+)?\}([^{}]|\{\{|\}\}|\{[a-z_]+(:[^{}]+)?\})*$"),
        examples: &["{client_ip} {method} {path} {status} {duration_ms} {header:user-agent}"],
    },
    parse: template,
    print: |template| Yaml::text(print(template)),
};

fn template(text: &str) -> Parsed<LineTemplate> {
    if !text.contains(['{', '$', '%']) {
        return Err(Invalid::unexpected(
            nearest(text, ["json", "combined", "text", "auto"]).map(|near| format!("did you mean `{near}`?")),
        ));
    }
    if let Some(ours) = of_nginx(text) {
        return Err(Invalid::with_help("a template has no `$` variables", format!("write `{ours}`")));
    }
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err(Invalid::new("a template is one line, without control characters but tabs"));
    }
    let parts = placeholders::parts(text, LinePart::Text, placeholder)?;
    if !parts.iter().any(|part| !matches!(part, LinePart::Text(_))) {
        return Err(Invalid::with_help("every line would be the same", "add for instance `{path}`"));
    }
    Ok(LineTemplate(parts))
}

fn placeholder(name: &str) -> Parsed<LinePart> {
    if let Some((_, field)) = LogField::ALL.iter().find(|(known, _)| *known == name) {
        return Ok(LinePart::Field(*field));
    }
    if let Some(header) = name.strip_prefix("header:") {
        return header_field(header);
    }
    let help = match nearest(name, LogField::ALL.iter().map(|(known, _)| *known)) {
        Some(near) => format!("did you mean `{{{near}}}`?"),
        None if HeaderName::try_from(name).is_ok_and(|_| name.contains('-')) => {
            format!("a field of the request is `{{header:{name}}}`")
        }
        None => {
            let all: Vec<String> = LogField::ALL.iter().map(|(known, _)| format!("{{{known}}}")).collect();
            format!("there are {} and {{header:NAME}}", all.join(", "))
        }
    };
    Err(Invalid::with_help(format!("unknown placeholder `{{{name}}}`"), help))
}

fn header_field(name: &str) -> Parsed<LinePart> {
    let wrong = |_| Invalid::new(format!("`{name}` is not the name of a header field"));
    let header = HeaderName::try_from(name.to_ascii_lowercase()).map_err(wrong)?;
    if [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE].contains(&header) {
        return Err(Invalid::new(format!("`{header}` is never logged: who reads the log could act as the client")));
    }
    // These two are fields, which `redact` concerns as well.
    Ok(match header {
        header::USER_AGENT => LinePart::Field(LogField::UserAgent),
        header::REFERER => LinePart::Field(LogField::Referer),
        other => LinePart::Header(other),
    })
}

/// A template in which nginx's variables stand, with ours in their place.
fn of_nginx(text: &str) -> Option<String> {
    const VARIABLES: [(&str, &str); 24] = [
        ("$remote_addr", "{client_ip}"),
        ("$remote_user", "-"),
        ("$time_local", "{ts_common}"),
        ("$time_iso8601", "{ts}"),
        ("$request_method", "{method}"),
        ("$request_uri", "{target}"),
        ("$request_time", "{duration_ms}"),
        ("$request_id", "{request_id}"),
        ("$request", "{method} {target} {proto}"),
        ("$server_protocol", "{proto}"),
        ("$status", "{status}"),
        ("$body_bytes_sent", "{bytes_out}"),
        ("$bytes_sent", "{bytes_out}"),
        ("$upstream_addr", "{upstream}"),
        ("$upstream_status", "{upstream_status}"),
        ("$upstream_connect_time", "{connect_ms}"),
        ("$upstream_header_time", "{ttfb_ms}"),
        ("$upstream_response_time", "{ttfb_ms}"),
        ("$http_user_agent", "{user_agent}"),
        ("$http_referer", "{referer}"),
        ("$http_host", "{host}"),
        ("$host", "{host}"),
        ("$scheme", "{scheme}"),
        ("$uri", "{path}"),
    ];
    let ours = VARIABLES.iter().fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours));
    (ours != text).then_some(ours)
}

fn print(template: &LineTemplate) -> String {
    let name = |field: &LogField| LogField::ALL.iter().find(|(_, known)| known == field).map_or("", |(name, _)| name);
    let part = |part: &LinePart| match part {
        LinePart::Text(text) => placeholders::escaped(text),
        LinePart::Field(field) => format!("{{{}}}", name(field)),
        LinePart::Header(header) => format!("{{header:{header}}}"),
    };
    template.0.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_printed_as_they_are_read() {
        for text in ["{client_ip}", "{{{ts}}}\t\"{header:x-a}\" é", "a {status} b {target}"] {
            assert_eq!(print(&template(text).unwrap()), text);
        }
        assert_eq!(print(&template("{header:User-Agent}{header:X-B}").unwrap()), "{user_agent}{header:x-b}");
        let help = |text| template(text).unwrap_err().help.unwrap();
        assert_eq!(help("{stats}"), "did you mean `{status}`?");
        assert_eq!(help("{x-forwarded-for}"), "a field of the request is `{header:x-forwarded-for}`");
        assert!(help("{xyzzy}").starts_with("there are {ts}, "));
        assert_eq!(help("$remote_addr \"$request\""), "write `{client_ip} \"{method} {target} {proto}\"`");
        for bad in ["{status", "status}", "{}", "{{status}}", "{status}\n", "{header:}", "{header:a b}", "{Status}"] {
            assert!(template(bad).is_err(), "{bad}");
        }
        for secret in ["{header:Cookie}", "{header:authorization}", "{header:proxy-authorization}"] {
            assert!(template(secret).unwrap_err().message.unwrap().contains("never logged"), "{secret}");
        }
    }
}
