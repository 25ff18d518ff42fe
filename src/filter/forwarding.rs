//! What the proxy tells of itself and of the client: its mark, the id of the request, and the forwarding
//! fields: `X-Forwarded-For`, `-Proto` and `-Host`, and `Forwarded` (RFC 7239). These are continued from a
//! trusted remote and set for anyone else, of whom `hop_by_hop` left nothing.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use pingora_http::RequestHeader;

use super::chain::{Chain, UpstreamRequestFilter};
use super::client_cert;
use super::context::UpstreamRequestContext;
use super::fields::Edited;
use super::loops;
use crate::config::Route;
use crate::http1::field_names::Known;
use crate::message::forwarded::{forwarded, forwarded_for};

static X_FORWARDED_FOR: Known = Known { spelled: "X-Forwarded-For", name: HeaderName::from_static("x-forwarded-for") };
static X_FORWARDED_PROTO: Known =
    Known { spelled: "X-Forwarded-Proto", name: HeaderName::from_static("x-forwarded-proto") };
static X_FORWARDED_HOST: Known =
    Known { spelled: "X-Forwarded-Host", name: HeaderName::from_static("x-forwarded-host") };
pub static X_REQUEST_ID: Known = Known { spelled: "X-Request-Id", name: HeaderName::from_static("x-request-id") };
static FORWARDED: Known = Known { spelled: "Forwarded", name: header::FORWARDED };

#[derive(Debug)]
struct Forwarding;

pub fn add(_: &Route, chain: &mut Chain) -> Result<(), String> {
    chain.upstream_request.push(Box::new(Forwarding));
    Ok(())
}

impl UpstreamRequestFilter for Forwarding {
    fn on_upstream_request(&self, cx: &mut UpstreamRequestContext<'_>) {
        if cx.request.remote_trusted {
            append_to_list(cx)
        } else {
            start_list(cx)
        }
        client_cert::pass_on(cx);
    }
}

fn start_list(cx: &mut UpstreamRequestContext<'_>) {
    let id = new_id(cx);
    let (client, host, upstream) = (cx.client, cx.request.host, &mut cx.upstream);
    let element = forwarded([].into_iter(), &client.forwarded_for_param, cx.request.host(), client.scheme());
    let Some(element) = made(upstream, element) else { return };
    upstream.append_all([
        Some((&loops::FIELD, loops::own_mark())),
        id,
        Some((&X_FORWARDED_FOR, client.forwarded_for.clone())),
        Some((&X_FORWARDED_PROTO, HeaderValue::from_static(client.scheme()))),
        (!host.is_empty()).then(|| (&X_FORWARDED_HOST, host.clone())),
        Some((&FORWARDED, element)),
    ]);
}

/// The id that the upstream is told of, unless the client has sent one: then that is replaced.
fn new_id(cx: &mut UpstreamRequestContext<'_>) -> Option<(&'static Known, HeaderValue)> {
    let id = cx.told_id.take()?;
    if cx.upstream.headers.contains_key(&X_REQUEST_ID.name) {
        cx.upstream.set(X_REQUEST_ID.spelled, id);
        return None;
    }
    Some((&X_REQUEST_ID, id))
}

fn append_to_list(cx: &mut UpstreamRequestContext<'_>) {
    let id = new_id(cx);
    cx.upstream.append_all([Some((&loops::FIELD, loops::own_mark())), id]);
    let (client, host, upstream) = (cx.client, cx.request.host, &mut cx.upstream);
    let addresses = upstream.headers.get_all(&X_FORWARDED_FOR.name).iter().map(HeaderValue::as_bytes);
    let addresses = forwarded_for(addresses, client.forwarded_for.as_bytes());
    if let Some(addresses) = made(upstream, addresses) {
        upstream.set("X-Forwarded-For", addresses);
    }
    if !upstream.headers.contains_key(&X_FORWARDED_PROTO.name) {
        upstream.set("X-Forwarded-Proto", HeaderValue::from_static(client.scheme()));
    }
    if !upstream.headers.contains_key(&X_FORWARDED_HOST.name) && !host.is_empty() {
        upstream.set("X-Forwarded-Host", host.clone());
    }
    let elements = upstream.headers.get_all(&header::FORWARDED).iter().map(HeaderValue::as_bytes);
    let elements = forwarded(elements, &client.forwarded_for_param, cx.request.host(), client.scheme());
    if let Some(elements) = made(upstream, elements) {
        upstream.set("Forwarded", elements);
    }
}

/// A value that is made of addresses and a checked host, and of what a trusted remote sent
/// as a value.
fn made(upstream: &mut Edited<'_, RequestHeader>, bytes: Vec<u8>) -> Option<HeaderValue> {
    HeaderValue::from_maybe_shared(Bytes::from(bytes)).inspect_err(|e| upstream.fail(e)).ok()
}

#[cfg(test)]
mod tests {
    use super::super::context::tests::sent;
    use super::super::fields::tests::lines;
    use super::*;

    const CAME: [(&str, &str); 3] =
        [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Proto", "https"), ("Forwarded", "for=6.6.6.6")];

    #[test]
    fn a_list_starts_with_an_untrusted_remote() {
        let up = sent("/", &[("A", "1")], |cx| Forwarding.on_upstream_request(cx));
        let mark = format!("CDN-Loop: {}", loops::own_mark().to_str().unwrap());
        assert_eq!(
            lines(&up),
            [
                "A: 1",
                &mark,
                "X-Forwarded-For: 1.2.3.4",
                "X-Forwarded-Proto: http",
                "X-Forwarded-Host: h",
                "Forwarded: for=1.2.3.4;host=h;proto=http"
            ]
        );
    }

    #[test]
    fn a_list_is_continued_from_a_trusted_remote() {
        let up = sent("/", &CAME, |cx| {
            cx.request.remote_trusted = true;
            Forwarding.on_upstream_request(cx);
        });
        let mark = format!("CDN-Loop: {}", loops::own_mark().to_str().unwrap());
        assert_eq!(
            lines(&up),
            [
                "X-Forwarded-For: 6.6.6.6, 1.2.3.4",
                "X-Forwarded-Proto: https",
                "Forwarded: for=6.6.6.6, for=1.2.3.4;host=h;proto=http",
                &mark,
                "X-Forwarded-Host: h"
            ]
        );
    }

    #[test]
    fn the_id_goes_up_in_the_place_of_the_clients() {
        for trusted in [false, true] {
            for (came, expected) in [(&[("A", "1")][..], 2), (&[("x-request-id", "theirs"), ("A", "1")][..], 0)] {
                let up = sent("/", came, |cx| {
                    cx.request.remote_trusted = trusted;
                    cx.told_id = Some(HeaderValue::from_static("ours"));
                    Forwarding.on_upstream_request(cx);
                });
                assert_eq!(
                    lines(&up).iter().position(|line| line == "X-Request-Id: ours"),
                    Some(expected),
                    "{trusted}"
                );
                assert_eq!(up.headers.get_all(&X_REQUEST_ID.name).iter().count(), 1, "{trusted}");
            }
        }
    }
}
