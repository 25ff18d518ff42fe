//! How the names of fields are spelled in HTTP/1. Their case means nothing (RFC 9110 section 5.1), yet a name goes on as it
//! came, for readers that know no better. A head whose names all have their usual spelling carries no spellings, and
//! costs half of what one costs that does.

use std::ops::DerefMut;

use bytes::{BufMut, Bytes, BytesMut};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, request, response};
use pingora_http::{RequestHeader, ResponseHeader};

use super::field_names;

/// Whether this is how a head spells the name that carries no spellings: each word begins with a capital letter and has
/// no other, but for names that are known to be spelled otherwise.
pub fn is_usual(spelled: &[u8]) -> bool {
    field_names::spelled(spelled).is_some() || field_names::any_case(spelled).is_none() && has_capitals(spelled)
}

/// The name that is spelled in its usual way.
pub fn usual(spelled: &[u8]) -> Option<HeaderName> {
    match field_names::spelled(spelled) {
        Some(known) => Some(known.name.clone()),
        None => HeaderName::from_bytes(spelled).ok().filter(|_| is_usual(spelled)),
    }
}

fn has_capitals(name: &[u8]) -> bool {
    let mut begins = true;
    name.iter().all(|byte| {
        let fits = if begins { !byte.is_ascii_lowercase() } else { !byte.is_ascii_uppercase() };
        begins = *byte == b'-';
        fits
    })
}

/// The name of a field in a head.
#[derive(Clone, Copy, Debug)]
pub enum SpelledName<'h> {
    Own(&'h [u8]),
    Usual(&'h HeaderName),
}

impl SpelledName<'_> {
    pub fn is(self, name: &HeaderName) -> bool {
        match self {
            Self::Own(spelled) => is(spelled, name),
            Self::Usual(own) => own == name,
        }
    }

    /// Appends it as it is spelled.
    pub fn push_to(self, out: &mut (impl BufMut + DerefMut<Target = [u8]>)) {
        let name = match self {
            Self::Own(spelled) => return out.put_slice(spelled),
            Self::Usual(name) => name,
        };
        if let Some(known) = field_names::named(name) {
            return out.put_slice(known.spelled.as_bytes());
        }
        let start = out.len();
        out.put_slice(name.as_str().as_bytes());
        let mut begins = true;
        for byte in out.get_mut(start..).unwrap_or_default() {
            if begins {
                byte.make_ascii_uppercase();
            }
            begins = *byte == b'-';
        }
    }

    /// Appends the line of a field.
    pub fn push_line(self, value: &HeaderValue, out: &mut (impl BufMut + DerefMut<Target = [u8]>)) {
        self.push_to(out);
        [b": ", value.as_bytes(), b"\r\n"].iter().for_each(|part| out.put_slice(part));
    }

    /// The same with a life of its own.
    pub fn to_bytes(self) -> Bytes {
        let mut out = BytesMut::new();
        self.push_to(&mut out);
        out.freeze()
    }

    pub fn to_text(self) -> String {
        String::from_utf8_lossy(&self.to_bytes()).into_owned()
    }
}

/// Whether a name as it was spelled is this one.
pub fn is(spelled: &[u8], name: &HeaderName) -> bool {
    spelled.eq_ignore_ascii_case(name.as_str().as_bytes())
}

/// The fields of a request in their order, as they go over the wire.
pub fn request_fields(head: &RequestHeader) -> impl Iterator<Item = (SpelledName<'_>, &HeaderValue)> {
    let own = head.case_header_iter().map(|(name, value)| (SpelledName::Own(name.as_slice()), value));
    own.chain(usual_fields((!head.has_case()).then_some(&head.headers)))
}

/// The fields of a response in their order, as they go over the wire.
pub fn response_fields(head: &ResponseHeader) -> impl Iterator<Item = (SpelledName<'_>, &HeaderValue)> {
    let own = head.case_header_iter().map(|(name, value)| (SpelledName::Own(name.as_slice()), value));
    own.chain(usual_fields((!head.has_case()).then_some(&head.headers)))
}

fn usual_fields(fields: Option<&HeaderMap>) -> impl Iterator<Item = (SpelledName<'_>, &HeaderValue)> {
    fields.into_iter().flatten().map(|(name, value)| (SpelledName::Usual(name), value))
}

/// A request whose fields have their usual spelling.
///
/// # Errors
/// When the target is none that Pingora can carry.
pub fn usual_request(method: Method, target: &[u8], fields: HeaderMap) -> pingora::Result<RequestHeader> {
    if let Some(uri) = origin_form(target) {
        let mut parts: request::Parts = http::Request::new(()).into_parts().0;
        (parts.method, parts.uri, parts.headers) = (method, uri, fields);
        return Ok(parts.into());
    }
    let mut parts = request::Parts::from(RequestHeader::build_no_case(method, target, Some(0))?);
    parts.headers = fields;
    let mut request = RequestHeader::from(parts);
    if !target.starts_with(b"/") {
        // It may be more than a URI's path, of which alone the parts know.
        request.set_raw_path(target)?;
    }
    Ok(request)
}

/// A target that the parts of a request carry as it is.
fn origin_form(target: &[u8]) -> Option<Uri> {
    let is_plain = target.starts_with(b"/") && target.iter().all(|byte| byte.is_ascii() && *byte != b'#');
    is_plain.then(|| PathAndQuery::try_from(target).ok()).flatten().map(Uri::from)
}

/// A response whose fields have their usual spelling.
pub fn usual_response(status: StatusCode, fields: HeaderMap) -> ResponseHeader {
    let mut parts: response::Parts = http::Response::new(()).into_parts().0;
    (parts.status, parts.headers) = (status, fields);
    parts.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_one_usual_spelling() {
        for spelled in ["Host", "X-Forwarded-For", "A", "X-1-B", "X--Y", "Dash-", "X_y", "TE", "ETag", "sec-ch-ua"] {
            assert!(is_usual(spelled.as_bytes()), "{spelled}");
            let name = HeaderName::from_bytes(spelled.as_bytes()).unwrap();
            assert_eq!(SpelledName::Usual(&name).to_text(), spelled);
            assert_eq!(SpelledName::Usual(&name).to_bytes(), spelled);
        }
        for other in ["host", "HOST", "hOST", "X-forwarded-For", "X-_Y", "Te", "Etag", "etag", "Sec-Ch-Ua", "X_Y"] {
            assert!(!is_usual(other.as_bytes()), "{other}");
            let name = HeaderName::from_bytes(other.as_bytes()).unwrap();
            assert!(SpelledName::Usual(&name).to_text() != other, "{other}");
        }
    }

    #[test]
    fn a_head_keeps_its_target_its_fields_and_their_order() {
        let fields = [("b", "1"), ("a", "2"), ("b", "3")];
        let map: HeaderMap =
            fields.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect();
        for target in ["/a?b=c", "/a?b|c^d", "/", "*", "http://h.test/x?y", "/\u{e9}", "?q"] {
            let request = usual_request(Method::OPTIONS, target.as_bytes(), map.clone()).unwrap();
            assert_eq!((request.method.as_str(), request.raw_path()), ("OPTIONS", target.as_bytes()));
        }
        let request = usual_request(Method::GET, b"/", map.clone()).unwrap();
        let response = usual_response(StatusCode::NOT_FOUND, map);
        let text =
            |(name, value): (SpelledName<'_>, &HeaderValue)| format!("{}: {}", name.to_text(), value.to_str().unwrap());
        let of_request: Vec<String> = request_fields(&request).map(text).collect();
        assert_eq!(of_request, ["B: 1", "B: 3", "A: 2"]);
        assert_eq!(response_fields(&response).map(text).collect::<Vec<_>>(), of_request);
        assert_eq!(response.status, 404);
        let mut spelled = RequestHeader::build("GET", b"/", None).unwrap();
        spelled.append_header("eTAG", "x").unwrap();
        assert_eq!(request_fields(&spelled).map(text).collect::<Vec<_>>(), ["eTAG: x"]);
        assert!(request_fields(&spelled).all(|(name, _)| name.is(&http::header::ETAG)));
    }
}
