//! The action `redirect`: the answer of a route that sends its clients elsewhere. It
//! keeps the contract of a filter but stands in no chain, because a route has exactly
//! one action, which comes after all filters and after the steps that await.

use std::fmt::Write as _;

use http::StatusCode;

use super::chain::{RequestFilter, Verdict};
use super::context::FilterRequest;
use super::reply::Reply;
use crate::config::{Template, TemplatePart};
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
}

impl RequestFilter for Redirect {
    fn on_request(&self, cx: &FilterRequest<'_>) -> Verdict {
        Verdict::Reply(Reply::Redirect { location: filled(&self.to, cx), status: self.status })
    }
}

/// `{scheme}` and the rest filled in from the request.
fn filled(template: &Template, cx: &FilterRequest<'_>) -> String {
    let (path, query) = split_query(cx.target());
    let mut out = String::with_capacity(64);
    for part in &template.0 {
        match part {
            TemplatePart::Text(text) => out.push_str(text),
            TemplatePart::Scheme => out.push_str(cx.scheme),
            TemplatePart::Host => out.push_str(cx.host()),
            TemplatePart::Path => out.push_str(path),
            TemplatePart::Query => {
                if let Some(query) = query {
                    out.push('?');
                    out.push_str(query);
                }
            }
            TemplatePart::Method => out.push_str(cx.head.method.as_str()),
            TemplatePart::ClientIp => match cx.client_ip {
                // Writing to a String cannot fail.
                Some(ip) => write!(out, "{ip}").unwrap_or_default(),
                None => out.push_str("unix"),
            },
            TemplatePart::RequestId => write!(out, "{:016x}", cx.request_id).unwrap_or_default(),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::context::tests::asked;
    use super::*;

    #[test]
    fn every_part_is_filled_in() {
        use TemplatePart::{ClientIp, Host, Method, Path, Query, RequestId, Scheme, Text};
        let parts = vec![Scheme, Text("://".into()), Host, Path, Query, Text("#".into()), Method, ClientIp, RequestId];
        let to = Template(parts);
        assert_eq!(asked("/x?y=1", |cx| filled(&to, cx)), "http://h/x?y=1#GET1.2.3.4000000000000000a");
        assert_eq!(asked("/x", |cx| filled(&to, cx)), "http://h/x#GET1.2.3.4000000000000000a");
    }
}
