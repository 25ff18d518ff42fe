//! What filters are told of a request, and what they may change, phase by phase.

use std::borrow::Cow;
use std::net::IpAddr;

use http::HeaderValue;
use pingora_http::{RequestHeader, ResponseHeader};

use super::cause::Cause;
use super::fields::Edited;
use super::findings::Findings;
use super::rare_fields::RareFields;
use crate::downstream::ClientConnection;
use crate::message::forwarded::believed_host;
use crate::message::path::split_query;
use crate::message::request_id::RequestId;

/// The client's request, with what admission found out about it.
#[derive(Clone, Copy, Debug)]
pub struct FilterRequest<'r> {
    /// As the client sent it.
    pub head: &'r RequestHeader,
    /// The target in origin form, where what goes upstream is not what came.
    pub normalized_target: Option<&'r str>,
    /// As the client sent it; empty for an HTTP/1.0 request without one.
    pub host: &'r HeaderValue,
    /// How the client came, as far as is believed: `http` or `https`.
    pub scheme: &'static str,
    /// Who the request is from, after trusted proxies have been believed.
    pub client_ip: Option<IpAddr>,
    /// Whether the forwarding fields of the request are believed.
    pub remote_trusted: bool,
    pub request_id: &'r RequestId,
}

impl<'r> FilterRequest<'r> {
    /// Path and query, in origin form.
    pub fn target(&self) -> &'r str {
        self.normalized_target.unwrap_or_else(|| std::str::from_utf8(self.head.raw_path()).unwrap_or("/"))
    }

    /// Admission has checked that the host is ASCII.
    pub fn host(&self) -> &'r str {
        self.host.to_str().unwrap_or("")
    }

    /// The host by which the client knows the proxy: as a trusted proxy forwards it, or else the
    /// request's own Host.
    pub fn known_as(&self) -> &'r str {
        let field = |name: &str| self.head.headers.get(name).map(HeaderValue::as_bytes);
        let believed = self.remote_trusted.then(|| believed_host(field("x-forwarded-host"), field("forwarded")));
        believed.flatten().unwrap_or_else(|| self.host())
    }

    pub fn is_secure(&self) -> bool {
        self.scheme == "https"
    }
}

/// A request about which filters decide.
#[derive(Debug)]
pub struct FilterContext<'r> {
    pub request: FilterRequest<'r>,
    /// What they found out, for later phases.
    pub findings: &'r mut Findings,
}

/// The request that is about to be sent to an upstream.
#[derive(Debug)]
pub struct UpstreamRequestContext<'r> {
    pub request: FilterRequest<'r>,
    pub client: &'r ClientConnection,
    /// The name of the chosen server, where it has one.
    pub authority: Option<&'r str>,
    /// How the upstream is reached: `http` or `https`.
    pub scheme: &'static str,
    /// The id that the upstream is told of, if it is.
    pub told_id: Option<HeaderValue>,
    /// A copy of the client's, without what ends at this hop.
    pub upstream: Edited<'r, RequestHeader>,
    target: Option<Target<'r>>,
}

/// Path and query of a target in origin form, apart so that each is edited by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<'r> {
    pub path: Cow<'r, str>,
    /// Without its `?`.
    pub query: Option<Cow<'r, str>>,
}

impl<'r> Target<'r> {
    pub fn of(target: &'r str) -> Self {
        let (path, query) = split_query(target);
        Self { path: path.into(), query: query.map(Cow::Borrowed) }
    }

    pub fn joined(self) -> Cow<'r, str> {
        let Some(query) = self.query else { return self.path };
        let mut out = String::with_capacity(self.path.len() + 1 + query.len());
        out.push_str(&self.path);
        out.push('?');
        out.push_str(&query);
        Cow::Owned(out)
    }
}

impl<'r> UpstreamRequestContext<'r> {
    pub fn new(
        request: FilterRequest<'r>,
        client: &'r ClientConnection,
        (scheme, authority): (&'static str, Option<&'r str>),
        upstream: Edited<'r, RequestHeader>,
    ) -> Self {
        Self { request, client, authority, scheme, told_id: None, upstream, target: None }
    }

    /// The target, to be edited; most requests go up with the one that they came with.
    pub fn target(&mut self) -> &mut Target<'r> {
        let request = self.request;
        self.target.get_or_insert_with(|| Target::of(request.target()))
    }

    /// Gives the upstream request its target.
    ///
    /// # Errors
    /// When an edit did not succeed, or when the edited target is none.
    pub(super) fn finish(self) -> Result<(), Cause> {
        let mut upstream = self.upstream;
        let edited = self.target.map(Target::joined);
        if let Some(target) = edited.as_deref().or(self.request.normalized_target) {
            upstream.set_target(target)?;
        }
        upstream.outcome()
    }
}

/// The response that is about to be sent to the client.
#[derive(Debug)]
pub struct ResponseContext<'r> {
    pub request: FilterRequest<'r>,
    pub response: Edited<'r, ResponseHeader>,
    pub origin: Origin<'r>,
}

/// Who made a response.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'r> {
    Upstream {
        /// `host[:port]` forms under which the server is addressed.
        authorities: &'r [String],
        rare: RareFields,
    },
    /// The proxy itself.
    Local,
}

#[cfg(test)]
pub(in crate::filter) mod tests {
    use super::*;
    use crate::downstream::Remote;
    use std::sync::{Arc, LazyLock};

    static REQUEST_ID: LazyLock<RequestId> = LazyLock::new(RequestId::example);

    /// Asks `then` about a GET for `target` at the host `h`, over plain HTTP.
    pub fn asked<T>(target: &str, then: impl FnOnce(&FilterRequest<'_>) -> T) -> T {
        let head = RequestHeader::build("GET", target.as_bytes(), None).unwrap();
        then(&FilterRequest {
            head: &head,
            normalized_target: None,
            host: &HeaderValue::from_static("h"),
            scheme: "http",
            client_ip: "1.2.3.4".parse().ok(),
            remote_trusted: false,
            request_id: &REQUEST_ID,
        })
    }

    /// Has `edit` change a copy of such a request that has these fields.
    pub fn sent(
        target: &str,
        fields: &[(&'static str, &'static str)],
        edit: impl FnOnce(&mut UpstreamRequestContext<'_>),
    ) -> RequestHeader {
        asked(target, |request| {
            let mut upstream = request.head.clone();
            for (name, value) in fields {
                upstream.append_header(*name, *value).unwrap();
            }
            let outcome = edited(*request, Some("up"), &mut upstream, edit);
            assert_eq!(outcome, Ok(()));
            upstream
        })
    }

    /// Has `edit` change a request that goes to the server `authority`.
    pub fn edited(
        request: FilterRequest<'_>,
        authority: Option<&str>,
        upstream: &mut RequestHeader,
        edit: impl FnOnce(&mut UpstreamRequestContext<'_>),
    ) -> Result<(), Cause> {
        let client = ClientConnection::new(Remote::plain(request.client_ip), Arc::default());
        let mut cx = UpstreamRequestContext::new(request, &client, ("http", authority), Edited::new(upstream));
        edit(&mut cx);
        cx.finish()
    }

    /// Has `edit` change the response of an upstream `app` that has these fields.
    pub fn answered(
        fields: &[(&'static str, &'static str)],
        edit: impl FnOnce(&mut ResponseContext<'_>),
    ) -> ResponseHeader {
        let mut response = ResponseHeader::build(200, None).unwrap();
        for (name, value) in fields {
            response.append_header(*name, *value).unwrap();
        }
        let origin =
            Origin::Upstream { authorities: &["app".to_owned()], rare: RareFields::in_fields(&response.headers) };
        asked("/", |request| {
            let mut cx = ResponseContext { request: *request, response: Edited::new(&mut response), origin };
            edit(&mut cx);
            cx.response.outcome().unwrap();
        });
        response
    }

    #[test]
    fn an_edited_target_that_is_none_is_refused() {
        let mut upstream = RequestHeader::build("GET", b"/", None).unwrap();
        let refused =
            asked("/", |request| edited(*request, None, &mut upstream, |cx| cx.target().path = "/a b".into()));
        assert_eq!(refused, Err(Cause::TargetInvalid));
    }

    #[test]
    fn the_two_halves_of_a_target_are_joined_as_they_were() {
        for target in ["/a%2Fb?x=%7e&&", "/api?", "/x", "/?a?b"] {
            assert_eq!(Target::of(target).joined(), target);
        }
    }
}
