//! The framing fields of an upstream's response, `Content-Length` and `Transfer-Encoding`: they
//! go on in one canonical form, so that client and proxy find the same end of its body (RFC
//! 9112 section 6.3).

use http::Version;
use http::header::{self, HeaderValue};
use pingora::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;

use super::error::Refusal;
use crate::filter::{Cause, Edited};

/// Several equal lengths, or one with leading zeros, become the one that was meant.
/// The upstream's session has refused those that differ. `RareFields::odd_length` says of which response to
/// ask.
///
/// # Errors
/// When the length is no number.
pub fn settle_length(response: &mut ResponseHeader) -> Result<()> {
    let Some(first) = response.headers.get(header::CONTENT_LENGTH) else { return Ok(()) };
    let number =
        first.as_bytes().split(|b| *b == b',').next().and_then(|text| std::str::from_utf8(text.trim_ascii()).ok());
    let Some(number) = number.and_then(|text| text.parse::<u64>().ok()) else {
        return Err(Error::explain(ErrorType::InvalidHTTPHeader, "a length that is no number").into_up());
    };
    let mut edited = Edited::new(response);
    edited.replace(header::CONTENT_LENGTH, HeaderValue::from(number));
    Ok(edited.outcome().map_err(Refusal::of)?)
}

/// RFC 9112 section 6.1 and RFC 9110 section 8.6: an interim response and a 204 have no body
/// and say nothing of the length of one.
pub fn drop_framing(response: &mut ResponseHeader) -> Result<()> {
    let mut edited = Edited::new(response);
    edited.retain(|name, _| name != header::CONTENT_LENGTH && name != header::TRANSFER_ENCODING);
    Ok(edited.outcome().map_err(Refusal::of)?)
}

/// Whether the client's connection can be used again after a response that has a
/// `Transfer-Encoding`, for a client of that version.
///
/// # Errors
/// When the coding is another than `chunked`.
pub fn settle_coding(response: &mut ResponseHeader, client: Version) -> Result<bool> {
    let Some(coding) = response.headers.get(header::TRANSFER_ENCODING) else { return Ok(true) };
    let is_canonical = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    let is_only = response.headers.get_all(header::TRANSFER_ENCODING).iter().nth(1).is_none();
    if !is_canonical || !is_only {
        check_codings(response)?;
        let mut edited = Edited::new(response);
        edited.replace(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        edited.outcome().map_err(Refusal::of)?;
    }
    if client != Version::HTTP_10 {
        return Ok(true);
    }
    // An HTTP/1.0 client reads to the end of the connection (RFC 9112 section 6.1).
    let mut edited = Edited::new(response);
    edited.retain(|name, _| name != header::TRANSFER_ENCODING);
    edited.outcome().map_err(Refusal::of)?;
    Ok(false)
}

/// Whether the codings come to `chunked`, once, with empty elements in front of it (RFC 9110
/// section 5.6.1.2). The upstream's session reads such a body as chunked, and one whose list ends in
/// an empty element as one without an end.
fn check_codings(response: &ResponseHeader) -> Result<()> {
    let fields = response.headers.get_all(header::TRANSFER_ENCODING).iter().map(HeaderValue::as_bytes);
    let codings: Vec<&[u8]> = fields.flat_map(|field| field.split(|b| *b == b',')).map(<[u8]>::trim_ascii).collect();
    let is_chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    match codings.split_last() {
        Some((last, rest)) if is_chunked(last) && rest.iter().all(|coding| coding.is_empty()) => Ok(()),
        Some((last, rest)) if is_chunked(last) && !rest.iter().any(is_chunked) => {
            Err(Refusal::of(Cause::UpstreamCoding).into())
        }
        Some(_) | None => {
            Err(Error::explain(ErrorType::InvalidHTTPHeader, "codings of which `chunked` is not the last").into_up())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::error::cause_of;

    fn response(fields: &[(&'static str, &'static str)]) -> ResponseHeader {
        let mut response = ResponseHeader::build(200, None).unwrap();
        for (name, value) in fields {
            response.append_header(*name, *value).unwrap();
        }
        response
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

    #[test]
    fn an_http_1_0_client_gets_no_chunks() {
        let chunked = || response(&[("transfer-encoding", "Chunked"), ("A", "1")]);
        let mut r = chunked();
        assert!(settle_coding(&mut r, Version::HTTP_11).unwrap());
        assert_eq!(r.headers.len(), 2);
        let mut r = chunked();
        assert!(!settle_coding(&mut r, Version::HTTP_10).unwrap());
        assert_eq!(r.headers.len(), 1);
        let mut r = response(&[("transfer-encoding", ", ,Chunked")]);
        assert!(settle_coding(&mut r, Version::HTTP_11).unwrap());
        assert_eq!(r.headers["transfer-encoding"], "chunked");
        for (codings, cause) in [
            (&["gzip, chunked"][..], Cause::UpstreamCoding),
            (&["gzip", "chunked"], Cause::UpstreamCoding),
            (&["gzip"], Cause::UpstreamInvalid),
            (&["chunked,"], Cause::UpstreamInvalid),
            (&["chunked", "identity"], Cause::UpstreamInvalid),
            (&["chunked, chunked"], Cause::UpstreamInvalid),
        ] {
            let fields: Vec<_> = codings.iter().map(|coding| ("transfer-encoding", *coding)).collect();
            let refused = settle_coding(&mut response(&fields), Version::HTTP_11).unwrap_err();
            assert_eq!(cause_of(&refused, false), cause, "{codings:?}");
        }
    }

    #[test]
    fn what_has_no_body_has_no_length() {
        let mut r = response(&[("A", "1"), ("Content-Length", "5"), ("Transfer-Encoding", "chunked"), ("b", "2")]);
        drop_framing(&mut r).unwrap();
        assert_eq!(r.headers.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    }
}
