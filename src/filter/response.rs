//! The response as the client gets it: hop-by-hop fields stay behind, then the
//! edits of the route. Local replies pass through the same function.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use pingora::{Error, ErrorType};
use pingora_http::ResponseHeader;

use super::order::{self, Unwanted};
use crate::config::{HeaderEdits, ResponseEdits, SameSite, SecurePolicy, SetCookieEdits};
use crate::downstream::Date;
use crate::message::cookie::{SetCookieRewrite, rewrite_set_cookie};
use crate::message::hop::Connection;
use crate::message::location::{Names, rewrite, rewrite_refresh};

/// What an upstream's response holds, of what is seldom there: one look at all names is
/// cheaper than a look-up of each.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// `Connection`, or a field that ends at this hop whatever that says.
    hop_by_hop: bool,
    /// A field that names places or cookies of the upstream.
    references: bool,
    pub transfer_encoding: bool,
}

impl Seen {
    pub fn in_fields(headers: &HeaderMap) -> Self {
        let mut seen = Self::default();
        for name in headers.keys() {
            match name.as_str() {
                "location" | "content-location" | "refresh" | "set-cookie" => seen.references = true,
                "transfer-encoding" => seen.transfer_encoding = true,
                "connection" | "upgrade" => seen.hop_by_hop = true,
                _ => seen.hop_by_hop |= Connection::Plain.ends(name, headers),
            }
        }
        seen
    }
}

/// Fields that ended at this hop. Keeps the order of the others.
pub fn strip_hop_by_hop(response: &mut ResponseHeader, seen: Seen) -> pingora::Result<()> {
    if !seen.hop_by_hop {
        return Ok(());
    }
    let keep_upgrade = matches!(response.status.as_u16(), 101 | 426);
    let connection = Connection::of(&response.headers);
    // Pingora writes its own over that of a final response, in its place.
    let overwritten = connection == Connection::Plain && !response.status.is_informational();
    retain(response, |name, headers| match name.as_str() {
        "connection" => keep_upgrade || overwritten,
        "upgrade" => keep_upgrade,
        _ => !connection.ends(name, headers),
    })
}

/// Takes one field away.
pub fn remove(response: &mut ResponseHeader, gone: &HeaderName) -> pingora::Result<()> {
    retain(response, |name, _| name != gone)
}

/// Drops fields and leaves the others in their order (see `request::retain`).
fn retain(response: &mut ResponseHeader, keep: impl Fn(&HeaderName, &HeaderMap) -> bool) -> pingora::Result<()> {
    match order::unwanted(&response.headers, &keep) {
        Unwanted::None => return Ok(()),
        Unwanted::Last(names) => names.iter().rev().for_each(|name| drop(response.remove_header(name))),
        Unwanted::Between => *response = rebuilt(response, keep)?,
    }
    Ok(())
}

fn rebuilt(
    response: &ResponseHeader,
    keep: impl Fn(&HeaderName, &HeaderMap) -> bool,
) -> pingora::Result<ResponseHeader> {
    let mut kept = ResponseHeader::build(response.status, Some(response.headers.len()))?;
    kept.set_version(response.version);
    if response.get_reason_phrase() != response.status.canonical_reason() {
        kept.set_reason_phrase(response.get_reason_phrase())?;
    }
    for (name, value) in response.case_header_iter() {
        if HeaderName::from_bytes(name.as_slice()).is_ok_and(|n| keep(&n, &response.headers)) {
            kept.append_header(name.clone(), value.clone())?;
        }
    }
    Ok(kept)
}

/// What the edits need to know of the request.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'o> {
    pub names: Names<'o>,
    /// Whether the client came over TLS.
    pub secure: bool,
}

/// The names in an upstream's response, as the client knows them. `origin` is asked for
/// when there are any.
pub fn rename<'o>(
    response: &mut ResponseHeader,
    seen: Seen,
    edits: &ResponseEdits,
    origin: impl FnOnce() -> Origin<'o>,
) -> pingora::Result<()> {
    if !seen.references {
        return Ok(());
    }
    let origin = origin();
    if edits.rewrite_location {
        rewrite_redirects(response, &origin.names)?;
    }
    rewrite_cookies(response, &edits.set_cookie, origin.secure)
}

/// One more, after whatever the upstream sets.
pub fn add_cookie(response: &mut ResponseHeader, cookie: Option<HeaderValue>) -> pingora::Result<()> {
    if let Some(cookie) = cookie {
        response.append_header("Set-Cookie", cookie)?;
    }
    Ok(())
}

fn rewrite_redirects(response: &mut ResponseHeader, names: &Names<'_>) -> pingora::Result<()> {
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        if let Some(to) = text(response, &name).and_then(|reference| rewrite(reference, names)) {
            replace(response, name, value(to)?)?;
        }
    }
    if let Some(to) = text(response, &header::REFRESH).and_then(|field| rewrite_refresh(field, names)) {
        replace(response, header::REFRESH, value(to)?)?;
    }
    Ok(())
}

/// Another value under the name as the origin spelled it, in the place of the first.
fn replace(response: &mut ResponseHeader, name: HeaderName, value: HeaderValue) -> pingora::Result<()> {
    let spelled = response.case_header_iter().find(|(spelled, _)| is(spelled.as_slice(), &name));
    match spelled.map(|(spelled, _)| spelled.clone()) {
        Some(spelled) => response.insert_header(spelled, value),
        None => response.insert_header(name, value),
    }
}

fn is(spelled: &[u8], name: &HeaderName) -> bool {
    spelled.eq_ignore_ascii_case(name.as_str().as_bytes())
}

/// The `Date` of an upstream's response, as it came.
pub fn date(response: &ResponseHeader) -> Option<Date> {
    let (name, value) = response.case_header_iter().find(|(name, _)| is(name.as_slice(), &header::DATE))?;
    Some(Date { name: name.as_slice().try_into().ok()?, value: value.clone() })
}

/// A rewritten value is made of what was one and of a checked host.
fn value(text: String) -> pingora::Result<HeaderValue> {
    HeaderValue::try_from(text).map_err(|e| Error::because(ErrorType::InvalidHTTPHeader, "rewritten field", e))
}

/// Several equal lengths, or one with leading zeros, become the one that was meant:
/// who stands behind us may read another one (RFC 9112 section 6.3). Pingora has
/// refused those that differ.
pub fn settle_length(response: &mut ResponseHeader) -> pingora::Result<()> {
    let mut lengths = response.headers.get_all(header::CONTENT_LENGTH).iter().map(HeaderValue::as_bytes);
    let Some(first) = lengths.next() else {
        return Ok(());
    };
    let is_canonical = first == b"0" || (first.iter().all(u8::is_ascii_digit) && !first.starts_with(b"0"));
    if is_canonical && lengths.next().is_none() {
        return Ok(());
    }
    let number = first.split(|b| *b == b',').next().and_then(|text| std::str::from_utf8(text.trim_ascii()).ok());
    let Some(number) = number.and_then(|text| text.parse::<u64>().ok()) else {
        return Err(Error::explain(ErrorType::InvalidHTTPHeader, "a length that is no number").into_up());
    };
    replace(response, header::CONTENT_LENGTH, HeaderValue::from(number))
}

fn text<'r>(response: &'r ResponseHeader, name: &HeaderName) -> Option<&'r str> {
    response.headers.get(name).and_then(|v| std::str::from_utf8(v.as_bytes()).ok())
}

fn rewrite_cookies(response: &mut ResponseHeader, edits: &SetCookieEdits, secure: bool) -> pingora::Result<()> {
    let how = SetCookieRewrite {
        domains: &edits.domain,
        paths: &edits.path,
        secure: match edits.secure {
            SecurePolicy::Keep => None,
            SecurePolicy::Auto => (!secure).then_some(false),
            SecurePolicy::Always => Some(true),
            SecurePolicy::Never => Some(false),
        },
        http_only: edits.http_only,
        same_site: edits.same_site.map(|s| match s {
            SameSite::Strict => "Strict",
            SameSite::Lax => "Lax",
            SameSite::None => "None",
        }),
    };
    let mut changed = false;
    let fields = response.case_header_iter().filter(|(name, _)| is(name.as_slice(), &header::SET_COOKIE));
    let rewritten: Vec<(_, HeaderValue)> = fields
        .map(|(name, value)| {
            let value = match rewrite_set_cookie(value.as_bytes(), &how) {
                Some(bytes) => {
                    changed = true;
                    pingora_http::header_value_from_raw(bytes)
                }
                None => value.clone(),
            };
            (name.clone(), value)
        })
        .collect();
    if !changed {
        return Ok(());
    }
    let mut rewritten = rewritten.into_iter();
    // insert_header drops the other values and keeps the place of the first.
    if let Some((name, value)) = rewritten.next() {
        response.insert_header(name, value)?;
    }
    for (name, value) in rewritten {
        response.append_header(name, value)?;
    }
    Ok(())
}

/// The route's own fields, in an upstream's response or a local one.
pub fn edit(response: &mut ResponseHeader, edits: &HeaderEdits) -> pingora::Result<()> {
    if edits.remove.iter().any(|name| response.headers.contains_key(name)) {
        retain(response, |name, _| !edits.remove.contains(name))?;
    }
    for (name, value) in &edits.set {
        response.insert_header(name.spelled.clone(), value.clone())?;
    }
    for (name, value) in &edits.add {
        response.append_header(name.spelled.clone(), value.clone())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(fields: &[(&'static str, &'static str)]) -> ResponseHeader {
        let mut response = ResponseHeader::build(200, None).unwrap();
        for (name, value) in fields {
            response.append_header(*name, *value).unwrap();
        }
        response
    }

    #[test]
    fn hop_by_hop_fields_leave_and_order_stays() {
        let mut r = response(&[
            ("X-A", "1"),
            ("Connection", "X-Hop"),
            ("x-hop", "1"),
            ("Keep-Alive", "5"),
            ("eTag", "e"),
            ("Z", "2"),
        ]);
        r.set_reason_phrase(Some("Fine")).unwrap();
        let seen = Seen::in_fields(&r.headers);
        strip_hop_by_hop(&mut r, seen).unwrap();
        let names: Vec<_> = r.case_header_iter().map(|(n, _)| n.as_slice().to_vec()).collect();
        assert_eq!(names, [&b"X-A"[..], b"eTag", b"Z"]);
        assert_eq!(r.get_reason_phrase(), Some("Fine"));
    }

    #[test]
    fn every_set_cookie_is_rewritten_and_stays_apart() {
        let mut r = response(&[("Set-Cookie", "a=1; Secure"), ("Set-Cookie", "b=2; secure; HttpOnly")]);
        let edits = ResponseEdits {
            set_cookie: SetCookieEdits { secure: SecurePolicy::Auto, ..SetCookieEdits::default() },
            ..ResponseEdits::default()
        };
        let names = Names { upstream: &[], our_scheme: "http", our_host: "h", asked_host: "h", stripped: None };
        let seen = Seen::in_fields(&r.headers);
        rename(&mut r, seen, &edits, || Origin { names, secure: false }).unwrap();
        let values: Vec<_> = r.headers.get_all("set-cookie").iter().collect();
        assert_eq!(values, ["a=1", "b=2; HttpOnly"]);
    }

    #[test]
    fn rewritten_fields_keep_their_spelling() {
        let mut r = response(&[
            ("LOCATION", "http://app/x"),
            ("content-location", "//app/y"),
            ("set-cookie", "a=1; Secure"),
            ("SET-Cookie", "b=2"),
            ("refresh", "1; url=http://app/"),
        ]);
        let edits = ResponseEdits {
            rewrite_location: true,
            set_cookie: SetCookieEdits { secure: SecurePolicy::Auto, ..SetCookieEdits::default() },
            ..ResponseEdits::default()
        };
        let upstream = ["app".to_owned()];
        let names = Names { upstream: &upstream, our_scheme: "http", our_host: "h", asked_host: "h", stripped: None };
        let seen = Seen::in_fields(&r.headers);
        rename(&mut r, seen, &edits, || Origin { names, secure: false }).unwrap();
        let fields: Vec<_> = r
            .case_header_iter()
            .map(|(n, v)| format!("{}: {}", String::from_utf8_lossy(n.as_slice()), v.to_str().unwrap()))
            .collect();
        assert_eq!(
            fields,
            [
                "LOCATION: http://h/x",
                "content-location: //h/y",
                "set-cookie: a=1",
                "SET-Cookie: b=2",
                "refresh: 1; url=http://h/"
            ]
        );
    }

    #[test]
    fn a_length_goes_on_in_one_form() {
        for (fields, length) in [
            (&[("content-length", "3")][..], "3"),
            (&[("content-length", "0")], "0"),
            (&[("content-length", "3"), ("Content-Length", "3")], "3"),
            (&[("content-length", "3, 3")], "3"),
            (&[("content-length", "003")], "3"),
        ] {
            let mut r = response(fields);
            settle_length(&mut r).unwrap();
            assert_eq!(r.headers.get_all("content-length").iter().collect::<Vec<_>>(), [length]);
            assert_eq!(r.case_header_iter().next().unwrap().0.as_slice(), b"content-length");
        }
        assert!(settle_length(&mut response(&[("content-length", ", 3")])).is_err());
    }
}
