//! Fields that end at this hop (RFC 9110 section 7.6.1), in both directions. That is a
//! rule of HTTP and no choice of a route's, so these functions stand in no chain: they
//! are called for every message, before its filters are run.

use std::cell::{Cell, RefCell};
use std::sync::Once;

use http::Version;
use http::header::{self, HeaderName, HeaderValue};
use pingora_http::{RequestHeader, ResponseHeader};

use super::fields::Edited;
use super::rare_fields::RareFields;
use crate::config::Underscores;
use crate::message::hop::{self, ConnectionField, FieldKind};

/// Takes away what ends at this hop, and what an untrusted remote says of the client.
///
/// `upgrade` is what [`asks_for_upgrade`] said of the request. `takes_trailers`: those of the response go on to a
/// client that says `TE: trailers`, and so the proxy says it, too (RFC 9110 section 6.5.1).
pub fn strip_request(
    request: &mut Edited<'_, RequestHeader>,
    trusted: bool,
    upgrade: bool,
    takes_trailers: bool,
    underscores: Underscores,
) {
    let connection = ConnectionField::of(&request.headers);
    // `retain` may ask about a field twice.
    let (dropped, te) = (RefCell::new(Vec::new()), Cell::new(false));
    request.retain(|name, headers| match FieldKind::of(name.as_str()) {
        FieldKind::Switch => upgrade,
        FieldKind::Te => {
            te.set(takes_trailers && hop::takes_trailers(headers));
            false
        }
        FieldKind::EndsHere => false,
        FieldKind::Frame => true,
        FieldKind::TellsOfTheClient | FieldKind::Other if has_underscore(name) && !may_pass(name, underscores) => {
            note(&mut dropped.borrow_mut(), name);
            false
        }
        kind @ FieldKind::TellsOfTheClient => trusted && !connection.ends(kind, name, headers),
        kind @ FieldKind::Other => !connection.ends(kind, name, headers),
    });
    tell_of_dropped(&dropped.into_inner());
    if upgrade {
        // The other fields that Connection named went with it.
        request.set("Connection", HeaderValue::from_static("Upgrade"));
    } else if te.get() && request.version != Version::HTTP_10 {
        // `TE` is of one hop, and `Connection` has to say so (RFC 9110 section 10.1.4).
        request.set("TE", HeaderValue::from_static("trailers"));
        request.set("Connection", HeaderValue::from_static("TE"));
    }
}

pub fn has_underscore(name: &HeaderName) -> bool {
    memchr::memchr(b'_', name.as_str().as_bytes()).is_some()
}

/// Whether a field with an underscore in its name goes on. CGI and WSGI fold `_` and `-`: a field
/// that is the proxy's to write, or that ends here, does not pass in disguise either.
fn may_pass(name: &HeaderName, underscores: Underscores) -> bool {
    let dashed = name.as_str().replace('_', "-");
    underscores == Underscores::Keep && !hop::tells_of_the_client(&dashed) && !hop::ends_here(&dashed)
}

fn note(names: &mut Vec<HeaderName>, name: &HeaderName) {
    if !names.contains(name) {
        names.push(name.clone());
    }
}

/// So that an operator who misses a field finds out: once at a level that is logged by default,
/// and each time at another.
fn tell_of_dropped(names: &[HeaderName]) {
    static TOLD: Once = Once::new();
    let Some(first) = names.first() else { return };
    log::debug!("dropped header fields with an underscore in their names: {names:?}");
    TOLD.call_once(|| {
        log::warn!(
            "dropped the header field `{first}` of a request: its name has an underscore, see `headers.underscores`; \
             further ones are logged at level `debug`"
        );
    });
}

/// Whether the client asks for another protocol that may be forwarded. HTTP/2 is not
/// one: what follows such a switch could not be seen.
pub fn asks_for_upgrade(request: &RequestHeader) -> bool {
    let Some(upgrade) = request.headers.get(header::UPGRADE) else {
        return false;
    };
    let mut protocols = upgrade.as_bytes().split(|b| *b == b',').map(|p| p.trim_ascii().to_ascii_lowercase());
    let http = protocols.any(|p| p.starts_with(b"h2") || p.starts_with(b"http/"));
    !http && request.version == Version::HTTP_11 && hop::connection_has(&request.headers, b"upgrade")
}

/// Takes away what ends at this hop, from an interim response as from a final one.
pub fn strip_response(response: &mut Edited<'_, ResponseHeader>, rare: RareFields) {
    if !rare.hop_by_hop {
        return;
    }
    let keep_upgrade = matches!(response.status.as_u16(), 101 | 426);
    let connection = ConnectionField::of(&response.headers);
    // Pingora overwrites the `Connection` of a final response and leaves it in its place.
    let overwritten = connection == ConnectionField::Plain && !response.status.is_informational();
    response.retain(|name, headers| match name.as_str() {
        "connection" => keep_upgrade || overwritten,
        "upgrade" => keep_upgrade,
        _ => !connection.is_hop_by_hop(name, headers),
    });
}

#[cfg(test)]
mod tests {
    use super::super::context::tests::{answered, sent};
    use super::super::fields::tests::{lines, response_lines};
    use super::*;

    fn stripped(fields: &[(&'static str, &'static str)], trusted: bool) -> RequestHeader {
        sent("/", fields, |cx| {
            let upgrade = asks_for_upgrade(&cx.upstream);
            strip_request(&mut cx.upstream, trusted, upgrade, false, Underscores::Drop);
        })
    }

    #[test]
    fn names_with_underscores_pass_where_the_operator_says_so() {
        let fields = [
            ("X_User", "1"),
            ("X-User", "2"),
            ("X_Forwarded_For", "6.6.6.6"),
            ("X-Forwarded_Proto", "https"),
            ("X_Real-IP", "6.6.6.6"),
            ("Keep_Alive", "5"),
            ("Proxy_Connection", "x"),
            ("_", "3"),
        ];
        let kept = |underscores, trusted| {
            let up = sent("/", &fields, |cx| strip_request(&mut cx.upstream, trusted, false, false, underscores));
            lines(&up)
        };
        assert_eq!(kept(Underscores::Drop, true), ["X-User: 2"]);
        for trusted in [false, true] {
            assert_eq!(kept(Underscores::Keep, trusted), ["X_User: 1", "X-User: 2", "_: 3"]);
        }
    }

    #[test]
    fn order_and_case_survive_removed_fields() {
        for (connection, last) in [("x-gone", ("Z", "4")), ("x-gone", ("TE", "trailers"))] {
            let up = stripped(
                &[
                    ("HOST", "a"),
                    ("Connection", connection),
                    ("X-One", "1"),
                    ("x-two", "2"),
                    ("X-One", "3"),
                    ("X-Gone", "1"),
                    ("x_y", "1"),
                    last,
                ],
                false,
            );
            let mut expected = vec!["HOST: a", "X-One: 1", "X-One: 3", "x-two: 2"];
            expected.extend((last.0 == "Z").then_some("Z: 4"));
            assert_eq!(lines(&up), expected);
        }
        let up = stripped(&[("A", "1"), ("b", "2"), ("Connection", "keep-alive"), ("Keep-Alive", "5")], false);
        assert_eq!(lines(&up), ["A: 1", "b: 2"]);
    }

    #[test]
    fn te_goes_on_where_it_is_of_trailers_and_they_do() {
        let kept = |takes_trailers, te| {
            let up = sent("/", &[("Connection", "te"), ("TE", te), ("X", "1"), ("Trailer", "A")], |cx| {
                strip_request(&mut cx.upstream, false, false, takes_trailers, Underscores::Drop);
            });
            lines(&up)
        };
        assert_eq!(kept(true, "gzip, Trailers"), ["X: 1", "Trailer: A", "TE: trailers", "Connection: TE"]);
        assert_eq!(kept(true, "gzip"), ["X: 1", "Trailer: A"]);
        assert_eq!(kept(false, "trailers"), ["X: 1", "Trailer: A"]);
    }

    #[test]
    fn upgrades_pass_unless_to_http_2() {
        let ask = |connection, to| lines(&stripped(&[("connection", connection), ("Upgrade", to), ("X", "1")], false));
        assert_eq!(ask("keep-alive, Upgrade", "websocket"), ["Connection: Upgrade", "Upgrade: websocket", "X: 1"]);
        assert_eq!(ask("upgrade, x", "tcp"), ["Connection: Upgrade", "Upgrade: tcp"]);
        assert_eq!(ask("Upgrade, HTTP2-Settings", "h2c"), ["X: 1"]);
        assert_eq!(ask("Upgrade", "websocket, HTTP/2.0"), ["X: 1"]);
        assert_eq!(ask("keep-alive", "websocket"), ["X: 1"]);
    }

    #[test]
    fn an_untrusted_remote_is_not_believed() {
        let fields = [
            ("X-Forwarded-For", "6.6.6.6"),
            ("X-Real-IP", "6.6.6.6"),
            ("X-Forwarded-Prefix", "/p"),
            ("Forwarded", "for=6.6.6.6"),
            ("X_Forwarded_For", "6.6.6.6"),
        ];
        assert!(lines(&stripped(&fields, false)).is_empty());
        assert_eq!(lines(&stripped(&fields, true)).len(), 4);
    }

    #[test]
    fn fields_of_a_response_leave_and_order_stays() {
        let fields =
            [("X-A", "1"), ("Connection", "X-Hop"), ("x-hop", "1"), ("Keep-Alive", "5"), ("eTag", "e"), ("Z", "2")];
        let r = answered(&fields, |cx| {
            let rare = RareFields::in_fields(&cx.response.headers);
            strip_response(&mut cx.response, rare);
        });
        assert_eq!(response_lines(&r), ["X-A: 1", "eTag: e", "Z: 2"]);
    }
}
