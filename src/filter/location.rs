//! `response.location`: redirects of an upstream to itself come back with the name by
//! which the client knows the proxy, in `Location`, `Content-Location` and `Refresh`.

use http::header::{self, HeaderName, HeaderValue};
use pingora_http::ResponseHeader;

use super::chain::{Chain, ResponseFilter};
use super::context::{FilterRequest, Origin, ResponseContext};
use super::fields::Edited;
use crate::config::{HostPolicy, PathEdit, Route};
use crate::message::location::{Names, Paths, rewrite, rewrite_refresh};
use crate::message::path::{after_prefix, split_query};

#[derive(Debug, Default)]
struct Location {
    /// The change of the paths that a redirect takes back.
    path: Option<PathEdit>,
    /// The Host that the upstream gets, where the route names one.
    given_host: Option<String>,
}

pub fn add(route: &Route, chain: &mut Chain) -> Result<(), String> {
    if route.response.rewrite_location {
        let bare = |prefix: &str| Some(prefix.trim_end_matches('/').to_owned()).filter(|bare| !bare.is_empty());
        let path = match &route.request.path {
            Some(PathEdit::StripPrefix(prefix)) => bare(prefix).map(PathEdit::StripPrefix),
            Some(PathEdit::AddPrefix(prefix)) => bare(prefix).map(PathEdit::AddPrefix),
            // Of several paths that lead to one, nobody knows which is meant.
            Some(PathEdit::Replace(_) | PathEdit::Regex { .. }) | None => None,
        };
        let given_host = match &route.request.host {
            HostPolicy::Literal(host) => Some(host.clone()),
            // The server's own names are known as its authorities.
            HostPolicy::Upstream | HostPolicy::Preserve => None,
        };
        chain.response.push(Box::new(Location { path, given_host }));
    }
    Ok(())
}

impl Location {
    fn paths<'n>(&'n self, request: &FilterRequest<'n>) -> Paths<'n> {
        match &self.path {
            Some(PathEdit::StripPrefix(prefix)) => {
                let path = split_query(request.target()).0;
                Paths::PutBack { prefix, asked: after_prefix(path, prefix).unwrap_or(path) }
            }
            Some(PathEdit::AddPrefix(prefix)) => Paths::TakeAway(prefix),
            Some(PathEdit::Replace(_) | PathEdit::Regex { .. }) | None => Paths::Same,
        }
    }
}

impl ResponseFilter for Location {
    fn on_response(&self, cx: &mut ResponseContext<'_>) {
        let Origin::Upstream { authorities, rare } = cx.origin else { return };
        if !rare.location {
            return;
        }
        let names = Names {
            upstream: authorities,
            given_host: self.given_host.as_deref(),
            our_scheme: cx.request.scheme,
            our_host: cx.request.known_as(),
            asked_host: cx.request.host(),
            paths: self.paths(&cx.request),
        };
        for name in [header::LOCATION, header::CONTENT_LOCATION] {
            let to = text(&cx.response, &name).and_then(|reference| rewrite(reference, &names));
            replace(&mut cx.response, name, to);
        }
        let to = text(&cx.response, &header::REFRESH).and_then(|field| rewrite_refresh(field, &names));
        replace(&mut cx.response, header::REFRESH, to);
    }
}

fn text<'r>(response: &'r ResponseHeader, name: &HeaderName) -> Option<&'r str> {
    response.headers.get(name).and_then(|v| std::str::from_utf8(v.as_bytes()).ok())
}

/// A rewritten value is made of what was one and of a checked host.
fn replace(response: &mut Edited<'_, ResponseHeader>, name: HeaderName, to: Option<String>) {
    match to.map(HeaderValue::try_from) {
        Some(Ok(value)) => response.replace(name, value),
        Some(Err(e)) => response.fail(&e),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::context::tests::answered;
    use super::super::fields::tests::response_lines;
    use super::*;

    const FIELDS: [(&str, &str); 3] =
        [("LOCATION", "http://app/x"), ("content-location", "//app/y"), ("refresh", "1; url=http://app/")];

    #[test]
    fn rewritten_fields_keep_their_spelling_and_place() {
        let r = answered(&FIELDS, |cx| Location::default().on_response(cx));
        assert_eq!(
            response_lines(&r),
            ["LOCATION: http://h/x", "content-location: //h/y", "refresh: 1; url=http://h/"]
        );
        let location = |path| Location { path: Some(path), given_host: None };
        let r = answered(&FIELDS, |cx| location(PathEdit::StripPrefix("/api".into())).on_response(cx));
        assert_eq!(r.headers["location"], "http://h/api/x");
        let r = answered(&FIELDS, |cx| location(PathEdit::AddPrefix("/x".into())).on_response(cx));
        assert_eq!(r.headers["location"], "http://h/");
    }

    #[test]
    fn an_answer_of_the_proxy_itself_is_left_alone() {
        let r = answered(&FIELDS, |cx| {
            cx.origin = Origin::Local;
            Location::default().on_response(cx);
        });
        assert_eq!(r.headers["location"], "http://app/x");
    }
}
