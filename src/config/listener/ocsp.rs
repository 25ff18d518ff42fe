//! What is read of an OCSP response (RFC 6960) before it is stapled: whether it is one, for which
//! certificate, and until when it holds.

use x509_parser::der_parser::asn1_rs::{Any, FromDer, GeneralizedTime};
use x509_parser::der_parser::asn1_rs::{Class, Tag};

/// A response that a server can staple.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Staple {
    /// In seconds since 1970; `None` where the response does not say.
    pub until: Option<i64>,
    pub is_good: bool,
}

/// The response for the certificate with this serial number.
///
/// # Errors
/// In words, when it is no response or has none for that certificate.
pub fn read(der: &[u8], serial: &[u8]) -> Result<Staple, &'static str> {
    const NO_RESPONSE: &str = "this file holds no OCSP response in DER";
    let no_response = |_| NO_RESPONSE;
    let parts = sequence(der).map_err(no_response)?;
    let status = parts.first().filter(|status| status.tag() == Tag::Enumerated).ok_or(NO_RESPONSE)?;
    if status.data != [0] {
        return Err("the OCSP response says that the responder failed");
    }
    // responseBytes [0] EXPLICIT SEQUENCE { responseType, response OCTET STRING }
    let bytes = parts.get(1).and_then(|bytes| sequence(bytes.data).ok()).ok_or(NO_RESPONSE)?;
    let basic = bytes.get(1).filter(|basic| basic.tag() == Tag::OctetString).ok_or(NO_RESPONSE)?;
    let basic = sequence(basic.data).map_err(no_response)?;
    let data = basic.first().and_then(|data| all(data.data).ok()).ok_or(NO_RESPONSE)?;
    // ResponseData has optional parts in front, and `responses` is its only plain SEQUENCE.
    let responses = data.iter().find(|part| part.tag() == Tag::Sequence && part.class() == Class::Universal);
    let responses = responses.and_then(|responses| all(responses.data).ok()).ok_or(NO_RESPONSE)?;
    let single = responses.iter().filter_map(|single| all(single.data).ok());
    single
        .filter_map(|single| for_serial(&single, serial))
        .next()
        .ok_or("this OCSP response is for another certificate")
}

/// SingleResponse ::= SEQUENCE { certID, certStatus, thisUpdate, nextUpdate [0] EXPLICIT OPTIONAL, … }
fn for_serial(single: &[Any<'_>], serial: &[u8]) -> Option<Staple> {
    let [id, status, _this_update, rest @ ..] = single else { return None };
    let id = all(id.data).ok()?;
    if without_zeros(id.get(3)?.data) != without_zeros(serial) {
        return None;
    }
    let next_update = rest.iter().find(|part| part.class() == Class::ContextSpecific && part.tag() == Tag(0));
    let until = next_update.and_then(|next| GeneralizedTime::from_der(next.data).ok());
    let until = until.and_then(|(_, time)| time.utc_datetime().ok()).map(|time| time.unix_timestamp());
    Some(Staple { until, is_good: status.tag() == Tag(0) })
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// What stands in the one value that `der` is.
fn sequence(der: &[u8]) -> Result<Vec<Any<'_>>, ()> {
    match Any::from_der(der) {
        Ok(([], outer)) if outer.tag() == Tag::Sequence => all(outer.data),
        Ok(_) | Err(_) => Err(()),
    }
}

/// Each value of several.
fn all(mut der: &[u8]) -> Result<Vec<Any<'_>>, ()> {
    let mut values = Vec::new();
    while !der.is_empty() {
        let (rest, value) = Any::from_der(der).map_err(drop)?;
        values.push(value);
        der = rest;
    }
    Ok(values)
}

#[cfg(test)]
#[path = "../../../tests/support/ocsp.rs"]
pub mod made;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_for_one_certificate_and_holds_for_a_time() {
        let response = made::response(&[0, 0x91, 2], "20300101000000Z");
        assert_eq!(read(&response, &[0x91, 2]), Ok(Staple { until: Some(1_893_456_000), is_good: true }));
        assert_eq!(read(&response, &[0x91, 3]), Err("this OCSP response is for another certificate"));
        for cut in 0..response.len() {
            assert_eq!(read(&response[..cut], &[0x91, 2]), Err("this file holds no OCSP response in DER"), "{cut}");
        }
        // malformedRequest
        assert!(read(&[0x30, 3, 0x0a, 1, 1], &[1]).unwrap_err().contains("responder failed"));
        let longer = [&response[..], b"x"].concat();
        assert!(read(&longer, &[0x91, 2]).is_err());
        let read_with_change = |at: usize| {
            let mut changed = response.clone();
            changed[at] ^= 0x41;
            read(&changed, &[0x91, 2]).is_ok()
        };
        let refused = (0..response.len()).filter(|at| !read_with_change(*at)).count();
        assert!((30..response.len()).contains(&refused), "{refused}");
    }
}
