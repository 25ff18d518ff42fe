//! The action `redirect`: the answer of a route that sends its clients elsewhere. It
//! keeps the contract of a filter but stands in no chain, because a route has exactly
//! one action, which comes after all filters and after the steps that await.

use std::fmt::Write as _;

use http::StatusCode;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::cause::Cause;
use super::context::FilterRequest;
use super::reply::Reply;
use crate::config::{Template, TemplatePart};
use crate::message::host;
use crate::message::path::split_query;

#[derive(Debug)]
pub struct Redirect {
    to: Template,
    status: StatusCode,
}

impl Redirect {
    pub fn new(to: Template, status: StatusCode) -> Self {
        Self { to, status }
    }

    pub fn reply(&self, request: &FilterRequest<'_>) -> Reply {
        match filled(&self.to, request) {
            Ok(location) => Reply::Redirect { location, status: self.status },
            Err(cause) => Reply::Error(cause),
        }
    }
}

/// What no URI holds as it is (RFC 3986 appendix A). Brackets stay: queries are full of them,
/// and every reader takes them.
const NOT_IN_URI: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

/// `{scheme}` and the rest filled in from the request. What the client sent is escaped, and
/// leads to no other site than the one that the operator wrote.
///
/// # Errors
/// For a target with a host, when the request has none: `https:///x` leads to a host `x`.
fn filled(template: &Template, cx: &FilterRequest<'_>) -> Result<String, Cause> {
    let (path, query) = split_query(cx.target());
    let mut out = String::with_capacity(64);
    for part in &template.0 {
        match part {
            TemplatePart::Text(text) => out.push_str(text),
            TemplatePart::Scheme => out.push_str(cx.scheme),
            TemplatePart::Host => out.push_str(checked(cx.host())?),
            TemplatePart::Hostname => {
                out.push_str(checked(host::split(cx.host()).map_or("", |(hostname, _)| hostname))?);
            }
            // The asterisk of OPTIONS stands for the server as a whole.
            TemplatePart::Path if path == "*" => out.push('/'),
            TemplatePart::Path => out.extend(utf8_percent_encode(path, NOT_IN_URI)),
            TemplatePart::Query => push_query(&mut out, query),
            TemplatePart::Method => out.extend(utf8_percent_encode(cx.head.method.as_str(), NOT_IN_URI)),
            TemplatePart::ClientIp => match cx.client_ip {
                // Writing to a String cannot fail.
                Some(ip) => write!(out, "{ip}").unwrap_or_default(),
                None => out.push_str("unix"),
            },
            TemplatePart::RequestId => write!(out, "{}", cx.request_id).unwrap_or_default(),
        }
    }
    Ok(on_this_site(template, out))
}

fn checked(host: &str) -> Result<&str, Cause> {
    if host.is_empty() { Err(Cause::HostMissing) } else { Ok(host) }
}

/// The query behind the one `?` of the target, whether the operator wrote that or not.
fn push_query(out: &mut String, query: Option<&str>) {
    let Some(query) = query else {
        // A `?` that was written in front of the query introduces nothing.
        return out.truncate(out.strip_suffix('?').map_or(out.len(), str::len));
    };
    match out.contains('?') {
        true if out.ends_with(['?', '&']) => {}
        true => out.push('&'),
        false => out.push('?'),
    }
    out.extend(utf8_percent_encode(query, NOT_IN_URI));
}

/// RFC 3986 section 4.2: what begins with two slashes names a host. A path of the client's may
/// not do that.
fn on_this_site(template: &Template, location: String) -> String {
    let meant = matches!(template.0.first(), Some(TemplatePart::Text(text)) if text.starts_with("//"));
    if meant || !location.starts_with("//") {
        return location;
    }
    format!("/{}", location.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use TemplatePart::{ClientIp, Host, Hostname, Method, Path, Query, RequestId, Scheme, Text};
    use http::HeaderValue;

    use super::super::context::tests::asked;
    use super::*;

    fn to(parts: Vec<TemplatePart>, target: &str) -> String {
        asked(target, |cx| filled(&Template(parts), cx)).unwrap()
    }

    fn text(text: &str) -> TemplatePart {
        Text(text.into())
    }

    const EXAMPLE: &str = "00000000-0000-7000-8000-000000000000";

    #[test]
    fn every_part_is_filled_in() {
        let parts = vec![Scheme, text("://"), Host, Path, Query, text("#"), Method, ClientIp, RequestId];
        assert_eq!(to(parts.clone(), "/x?y=1"), format!("http://h/x?y=1#GET1.2.3.4{EXAMPLE}"));
        assert_eq!(to(parts, "/x"), format!("http://h/x#GET1.2.3.4{EXAMPLE}"));
    }

    #[test]
    fn a_path_of_the_clients_names_no_host() {
        for target in ["//evil.test/x", "///evil.test/x"] {
            assert_eq!(to(vec![Path, text("/")], target), "/evil.test/x/");
            assert_eq!(to(vec![text("/"), Path], target), "/evil.test/x");
            assert_eq!(to(vec![text("/a"), Path], target), format!("/a{target}"));
            assert_eq!(to(vec![text("https://"), Host, Path], target), format!("https://h{target}"));
            assert_eq!(to(vec![text("//cdn"), Path], target), format!("//cdn{target}"));
        }
    }

    #[test]
    fn a_query_has_one_question_mark() {
        let asked_for = |target: &str| to(vec![Path, text("?"), Query], target);
        assert_eq!(asked_for("/x?y=1"), "/x?y=1");
        assert_eq!(asked_for("/x?y=?"), "/x?y=?");
        assert_eq!(asked_for("/x"), "/x");
        assert_eq!(to(vec![text("/a?from=old"), Query], "/x?y=1"), "/a?from=old&y=1");
        assert_eq!(to(vec![text("/a?from=old"), Query], "/x"), "/a?from=old");
        assert_eq!(to(vec![text("/a?from=old&"), Query], "/x?y=1"), "/a?from=old&y=1");
    }

    #[test]
    fn a_location_is_a_uri() {
        let target = "/é%2F{x}|^`?q={\"a\":[1]}|\\";
        let location = asked("/", |cx| {
            filled(&Template(vec![Path, Query]), &FilterRequest { normalized_target: Some(target), ..*cx })
        });
        assert_eq!(location.unwrap(), "/%C3%A9%2F%7Bx%7D%7C%5E%60?q=%7B%22a%22:[1]%7D%7C%5C");
    }

    #[test]
    fn a_host_is_told_with_and_without_its_port() {
        let with_host = |sent: &str, part: TemplatePart| {
            asked("/x", |cx| {
                let host = HeaderValue::from_str(sent).unwrap();
                filled(&Template(vec![text("https://"), part, Path]), &FilterRequest { host: &host, ..*cx })
            })
        };
        assert_eq!(with_host("h:8080", Host).unwrap(), "https://h:8080/x");
        assert_eq!(with_host("h:8080", Hostname).unwrap(), "https://h/x");
        assert_eq!(with_host("[::1]:8080", Hostname).unwrap(), "https://[::1]/x");
        assert_eq!(with_host("", Host), Err(Cause::HostMissing));
        assert_eq!(with_host("", Hostname), Err(Cause::HostMissing));
    }
}
