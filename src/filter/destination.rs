//! The `Destination` of WebDAV's COPY and MOVE: it names the upstream as the upstream knows
//! itself, and changes its path as the route changes paths.

use http::header::{self, HeaderName, HeaderValue};

use super::chain::{Chain, UpstreamRequestFilter};
use super::context::UpstreamRequestContext;
use super::path::edited;
use crate::config::{PathEdit, Route};
use crate::message::destination::Destination;
use crate::message::path::has_prefix;
use crate::message::path_escapes::normal;
use crate::message::readings::Readings;

const DESTINATION: HeaderName = HeaderName::from_static("destination");

#[derive(Debug)]
struct DestinationFilter(Option<PathEdit>);

pub fn add(route: &Route, chain: &mut Chain) -> Result<(), String> {
    chain.upstream_request.push(Box::new(DestinationFilter(route.request.path.clone())));
    Ok(())
}

impl UpstreamRequestFilter for DestinationFilter {
    fn on_upstream_request(&self, cx: &mut UpstreamRequestContext<'_>) {
        if !matches!(cx.request.head.method.as_str(), "COPY" | "MOVE") {
            return;
        }
        let Some(value) = cx.request.head.headers.get(&DESTINATION) else { return };
        let Some(destination) = value.to_str().ok().and_then(Destination::of) else { return };
        if !destination.leads_to(cx.request.known_as()) {
            // The upstream says that it is another server (RFC 4918 section 9.8.5).
            return;
        }
        let Some(path) = self.path(destination.path) else {
            // It leads out of what the route shows of the upstream, which refuses a request
            // without one.
            return cx.upstream.retain(|name, _| name != DESTINATION);
        };
        let place = destination.place.map(|_| {
            let host = cx.upstream.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
            format!("{}://{host}", cx.scheme)
        });
        let value = format!("{}{path}{}", place.unwrap_or_default(), destination.query);
        match HeaderValue::try_from(value) {
            Ok(value) => cx.upstream.set("Destination", value),
            Err(e) => cx.upstream.fail(&e),
        }
    }
}

impl DestinationFilter {
    /// The path for the upstream; `None` where the route does not lead to it.
    fn path(&self, path: &str) -> Option<String> {
        let Some(edit) = &self.0 else { return Some(path.to_owned()) };
        let is_plain = normal(path).and_then(|path| Readings::of(&path)).is_some_and(|readings| !readings.have_dots());
        let is_shown = match edit {
            PathEdit::StripPrefix(prefix) => has_prefix(path, prefix),
            PathEdit::AddPrefix(_) => true,
            // Nobody knows which path such a one would come from.
            PathEdit::Replace(_) | PathEdit::Regex { .. } => false,
        };
        (is_plain && is_shown).then(|| edited(path, edit).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::context::FilterRequest;
    use super::super::context::tests::{asked, edited};
    use super::*;
    use pingora_http::RequestHeader;

    fn sent(method: &str, destination: &'static str, edit: Option<PathEdit>) -> Option<String> {
        let mut head = RequestHeader::build(method, b"/dav/a", None).unwrap();
        head.append_header("Host", "h").unwrap();
        head.append_header("Destination", destination).unwrap();
        let mut upstream = head.clone();
        upstream.insert_header("Host", "up:81").unwrap();
        asked("/dav/a", |cx| {
            let request = FilterRequest { head: &head, ..*cx };
            edited(request, None, &mut upstream, |cx| DestinationFilter(edit).on_upstream_request(cx)).unwrap();
        });
        upstream.headers.get(DESTINATION).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_destination_of_ours_becomes_one_of_the_upstreams() {
        let strip = || Some(PathEdit::StripPrefix("/dav".to_owned()));
        assert_eq!(sent("MOVE", "https://h/dav/b?c", None).as_deref(), Some("http://up:81/dav/b?c"));
        assert_eq!(sent("COPY", "http://H:80/dav/b", strip()).as_deref(), Some("http://up:81/b"));
        assert_eq!(sent("COPY", "/dav/b", strip()).as_deref(), Some("/b"));
        assert_eq!(sent("COPY", "/b", Some(PathEdit::AddPrefix("/x".to_owned()))).as_deref(), Some("/x/b"));
    }

    #[test]
    fn another_servers_stays_and_what_leads_out_of_the_route_goes() {
        let strip = || Some(PathEdit::StripPrefix("/dav".to_owned()));
        assert_eq!(sent("MOVE", "https://other/dav/b", strip()).as_deref(), Some("https://other/dav/b"));
        assert_eq!(sent("PUT", "https://h/dav/b", strip()).as_deref(), Some("https://h/dav/b"));
        for out in ["https://h/admin", "/admin", "/dav/../admin", "/dav/%2e%2e/admin"] {
            assert_eq!(sent("MOVE", out, strip()), None, "{out}");
        }
        assert_eq!(sent("MOVE", "/b", Some(PathEdit::Replace("/c".to_owned()))), None);
    }
}
