//! `request.host`: the Host that the upstream gets.

use http::{HeaderValue, Version, header};

use super::chain::{Chain, UpstreamRequestFilter};
use super::context::UpstreamRequestContext;
use crate::config::{HostPolicy, Route};

#[derive(Debug)]
enum Host {
    Preserve,
    /// The name of the server that was chosen.
    Upstream,
    Literal(HeaderValue),
}

pub fn add(route: &Route, chain: &mut Chain) -> Result<(), String> {
    let host = match &route.request.host {
        HostPolicy::Preserve => Host::Preserve,
        HostPolicy::Upstream => Host::Upstream,
        HostPolicy::Literal(host) => Host::Literal(HeaderValue::from_str(host).map_err(|e| format!("host: {e}"))?),
    };
    chain.upstream_request.push(Box::new(host));
    Ok(())
}

impl UpstreamRequestFilter for Host {
    fn on_upstream_request(&self, cx: &mut UpstreamRequestContext<'_>) {
        // An HTTP/1.0 client need not send a Host, an HTTP/1.1 upstream must have it
        // (RFC 9112 section 3.2). Admission has refused HTTP/1.1 requests without one.
        let missing = cx.request.head.version != Version::HTTP_11 && !cx.upstream.headers.contains_key(header::HOST);
        let named = Some(cx.request.host).filter(|host| missing && !host.is_empty());
        match self {
            Self::Literal(host) => cx.upstream.set(header::HOST, host.clone()),
            Self::Upstream if cx.authority.is_some() => set_authority(cx),
            Self::Upstream | Self::Preserve => match named {
                Some(host) => cx.upstream.set(header::HOST, host.clone()),
                None if missing => set_authority(cx),
                None => {}
            },
        }
    }
}

fn set_authority(cx: &mut UpstreamRequestContext<'_>) {
    match cx.authority.map(HeaderValue::from_str) {
        Some(Ok(authority)) => cx.upstream.set(header::HOST, authority),
        Some(Err(e)) => cx.upstream.fail(&e),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::context::FilterRequest;
    use super::super::context::tests::{asked, edited, sent};
    use super::super::fields::tests::lines;
    use super::*;
    use pingora_http::RequestHeader;

    #[test]
    fn each_policy_has_its_host_in_the_same_place() {
        let host =
            |host: Host| lines(&sent("/", &[("HOST", "h"), ("A", "1")], |cx| host.on_upstream_request(cx))).join(", ");
        assert_eq!(host(Host::Preserve), "HOST: h, A: 1");
        assert_eq!(host(Host::Upstream), "Host: up, A: 1");
        assert_eq!(host(Host::Literal(HeaderValue::from_static("x"))), "Host: x, A: 1");
    }

    #[test]
    fn a_request_without_a_host_gets_one() {
        let host = |policy: Host, named: &'static str, authority: Option<&str>| {
            let mut head = RequestHeader::build("GET", b"/", None).unwrap();
            head.set_version(Version::HTTP_10);
            let (mut upstream, named) = (head.clone(), HeaderValue::from_static(named));
            let edit = |cx: &mut UpstreamRequestContext<'_>| policy.on_upstream_request(cx);
            asked("/", |cx| {
                edited(FilterRequest { head: &head, host: &named, ..*cx }, authority, &mut upstream, edit).unwrap();
            });
            upstream.headers.get(header::HOST).map(|host| host.to_str().unwrap().to_owned())
        };
        assert_eq!(host(Host::Preserve, "named", Some("up")).as_deref(), Some("named"));
        assert_eq!(host(Host::Preserve, "", Some("up")).as_deref(), Some("up"));
        assert_eq!(host(Host::Preserve, "", None), None);
        assert_eq!(host(Host::Upstream, "named", Some("up")).as_deref(), Some("up"));
        assert_eq!(host(Host::Upstream, "named", None).as_deref(), Some("named"));
    }
}
