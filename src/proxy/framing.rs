//! The framing fields of an upstream's response, `Content-Length` and `Transfer-Encoding`: they
//! go on in one canonical form, so that client and proxy find the same end of its body (RFC
//! 9112 section 6.3).

use http::Version;
use http::header::{self, HeaderValue};
use pingora::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;

use super::error::Refusal;
use crate::filter::Edited;

/// Several equal lengths, or one with leading zeros, become the one that was meant.
/// Pingora has refused those that differ.
///
/// # Errors
/// When the length is no number.
pub fn settle_length(response: &mut ResponseHeader) -> Result<()> {
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
    let mut edited = Edited::new(response);
    edited.replace(header::CONTENT_LENGTH, HeaderValue::from(number));
    Ok(edited.outcome().map_err(Refusal::of)?)
}

/// Whether the client's connection can be used again after a response that has a
/// `Transfer-Encoding`, for a client of that version.
///
/// # Errors
/// When the coding is another than `chunked`.
pub fn settle_coding(response: &mut ResponseHeader, client: Version) -> Result<bool> {
    let Some(coding) = response.headers.get(header::TRANSFER_ENCODING) else { return Ok(true) };
    if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Err(Error::explain(ErrorType::InvalidHTTPHeader, "unknown transfer coding").into_up());
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
        assert!(settle_coding(&mut response(&[("transfer-encoding", "gzip")]), Version::HTTP_11).is_err());
    }
}
