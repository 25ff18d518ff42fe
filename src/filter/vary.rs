//! `Vary`: caches learn of one more field of the request that an answer depends on (RFC 9110
//! section 12.5.5).

use http::header::{self, HeaderValue};
use pingora_http::ResponseHeader;

use super::fields::Edited;

/// Adds `name` where the response does not say so yet: the fields of that name become one.
pub fn vary_by(response: &mut Edited<'_, ResponseHeader>, name: &'static str) {
    let said = response.headers.get_all(header::VARY);
    let mut elements = said.iter().flat_map(|value| value.as_bytes().split(|b| *b == b',')).map(<[u8]>::trim_ascii);
    if elements.any(|element| element == b"*" || element.eq_ignore_ascii_case(name.as_bytes())) {
        return;
    }
    let mut all = said.iter().map(HeaderValue::as_bytes).filter(|value| !value.is_empty()).collect::<Vec<_>>();
    if all.is_empty() {
        return response.replace(header::VARY, HeaderValue::from_static(name));
    }
    all.push(name.as_bytes());
    match HeaderValue::from_bytes(&all.join(&b", "[..])) {
        Ok(value) => response.replace(header::VARY, value),
        Err(e) => response.fail(&e),
    }
}

#[cfg(test)]
mod tests {
    use super::super::context::tests::answered;
    use super::super::fields::tests::response_lines;
    use super::*;

    #[test]
    fn a_field_is_said_once() {
        let varied = |fields: &[(&'static str, &'static str)]| {
            response_lines(&answered(fields, |cx| vary_by(&mut cx.response, "Origin")))
        };
        assert_eq!(varied(&[]), ["vary: Origin"]);
        assert_eq!(varied(&[("Vary", "")]), ["Vary: Origin"]);
        assert_eq!(varied(&[("VARY", "Accept-Encoding"), ("A", "1")]), ["VARY: Accept-Encoding, Origin", "A: 1"]);
        assert_eq!(varied(&[("Vary", "a"), ("vary", "b,c")]), ["Vary: a, b,c, Origin"]);
        for said in ["*", "origin", "a , Origin", "a,*"] {
            assert_eq!(varied(&[("Vary", said)]), [format!("Vary: {said}")]);
        }
    }
}
