//! The heads of messages as edits see them: a name that is spelled in its own way stays so, others cost no spelling.

use http::Version;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use pingora::{ErrorType, OrErr};
use pingora_http::{IntoCaseHeaderName, RequestHeader, ResponseHeader};

use crate::http1::field_names::Known;
use crate::http1::spelling::{self, usual_request, usual_response};

/// A head that is made anew has room for so many more fields.
const ROOM: usize = 4;

/// The head of a message, whose fields can be edited.
pub trait EditableHead: Sized {
    fn fields(&self) -> &HeaderMap;

    /// # Errors
    /// When the name is none.
    fn insert(&mut self, name: impl IntoCaseHeaderName, value: HeaderValue) -> pingora::Result<()>;

    /// # Errors
    /// When the name is none, or when there are too many fields.
    fn append(&mut self, name: impl IntoCaseHeaderName, value: HeaderValue) -> pingora::Result<()>;

    /// Appends names that have their usual spelling to the table of a head that has no others; `None`: this one has.
    ///
    /// # Errors
    /// When there are too many fields.
    fn append_to_table(&mut self, fields: &[(&'static Known, HeaderValue)]) -> Option<pingora::Result<()>>;

    fn remove(&mut self, name: &HeaderName);

    /// The same head with those fields only that `keep` wants.
    ///
    /// # Errors
    /// When a part of this head is invalid.
    fn with_fields(&self, keep: impl Fn(&HeaderName, &HeaderMap) -> bool) -> pingora::Result<Self>;
}

impl EditableHead for RequestHeader {
    fn fields(&self) -> &HeaderMap {
        &self.headers
    }

    fn insert(&mut self, name: impl IntoCaseHeaderName, value: HeaderValue) -> pingora::Result<()> {
        let name = name.into_case_header_name();
        if !self.has_case() && needs_spellings(self.version, name.as_slice()) {
            *self = spelled_request(self, |_, _| true)?;
        }
        self.insert_header(name, value)
    }

    fn append(&mut self, name: impl IntoCaseHeaderName, value: HeaderValue) -> pingora::Result<()> {
        let name = name.into_case_header_name();
        if !self.has_case() && needs_spellings(self.version, name.as_slice()) {
            *self = spelled_request(self, |_, _| true)?;
        }
        self.append_header(name, value).map(|_| ())
    }

    fn append_to_table(&mut self, fields: &[(&'static Known, HeaderValue)]) -> Option<pingora::Result<()>> {
        // The parts know nothing of another target.
        if self.has_case() || !self.raw_path().starts_with(b"/") || !self.raw_path_is_utf8() {
            return None;
        }
        let ends = self.send_end_stream();
        let empty = RequestHeader::from(http::Request::new(()).into_parts().0);
        let mut parts = http::request::Parts::from(std::mem::replace(self, empty));
        let result = append_each(&mut parts.headers, fields);
        *self = parts.into();
        if let Some(ends) = ends {
            self.set_send_end_stream(ends);
        }
        Some(result)
    }

    fn remove(&mut self, name: &HeaderName) {
        self.remove_header(name);
    }

    fn with_fields(&self, keep: impl Fn(&HeaderName, &HeaderMap) -> bool) -> pingora::Result<Self> {
        if self.has_case() {
            return spelled_request(self, keep);
        }
        let mut left = usual_request(self.method.clone(), self.raw_path(), kept(&self.headers, keep))?;
        left.set_version(self.version);
        *left.extensions_mut() = self.extensions.clone();
        Ok(left)
    }
}

impl EditableHead for ResponseHeader {
    fn fields(&self) -> &HeaderMap {
        &self.headers
    }

    fn insert(&mut self, name: impl IntoCaseHeaderName, value: HeaderValue) -> pingora::Result<()> {
        let name = name.into_case_header_name();
        if !self.has_case() && needs_spellings(self.version, name.as_slice()) {
            *self = spelled_response(self, |_, _| true)?;
        }
        self.insert_header(name, value)
    }

    fn append(&mut self, name: impl IntoCaseHeaderName, value: HeaderValue) -> pingora::Result<()> {
        let name = name.into_case_header_name();
        if !self.has_case() && needs_spellings(self.version, name.as_slice()) {
            *self = spelled_response(self, |_, _| true)?;
        }
        self.append_header(name, value).map(|_| ())
    }

    /// Seldom are there several.
    fn append_to_table(&mut self, _: &[(&'static Known, HeaderValue)]) -> Option<pingora::Result<()>> {
        None
    }

    fn remove(&mut self, name: &HeaderName) {
        self.remove_header(name);
    }

    fn with_fields(&self, keep: impl Fn(&HeaderName, &HeaderMap) -> bool) -> pingora::Result<Self> {
        if self.has_case() {
            return spelled_response(self, keep);
        }
        let mut left = usual_response(self.status, kept(&self.headers, keep));
        copy_line(self, &mut left)?;
        Ok(left)
    }
}

fn append_each(table: &mut HeaderMap, fields: &[(&'static Known, HeaderValue)]) -> pingora::Result<()> {
    let result = table.try_reserve(fields.len() + ROOM).and_then(|()| {
        fields.iter().try_for_each(|(known, value)| table.try_append(known.name.clone(), value.clone()).map(|_| ()))
    });
    result.or_err(ErrorType::InvalidHTTPHeader, "too many fields")
}

/// A head of HTTP/2 has one spelling for each name; others keep that of each name that is not the usual one.
fn needs_spellings(version: Version, name: &[u8]) -> bool {
    version != Version::HTTP_2 && !spelling::is_usual(name)
}

fn kept(fields: &HeaderMap, keep: impl Fn(&HeaderName, &HeaderMap) -> bool) -> HeaderMap {
    let mut kept = HeaderMap::with_capacity(fields.len() + ROOM);
    for (name, value) in fields.iter().filter(|(name, _)| keep(name, fields)) {
        kept.append(name, value.clone());
    }
    kept
}

fn spelled_request(
    head: &RequestHeader,
    keep: impl Fn(&HeaderName, &HeaderMap) -> bool,
) -> pingora::Result<RequestHeader> {
    let mut kept = RequestHeader::build(head.method.clone(), b"/", Some(head.headers.len() + ROOM))?;
    kept.set_version(head.version);
    kept.set_raw_path(head.raw_path())?;
    *kept.extensions_mut() = head.extensions.clone();
    for (name, value) in spelling::request_fields(head) {
        let name = name.to_bytes();
        if HeaderName::from_bytes(&name).is_ok_and(|own| keep(&own, &head.headers)) {
            kept.append_header(name, value.clone())?;
        }
    }
    Ok(kept)
}

fn spelled_response(
    head: &ResponseHeader,
    keep: impl Fn(&HeaderName, &HeaderMap) -> bool,
) -> pingora::Result<ResponseHeader> {
    let mut kept = ResponseHeader::build(head.status, Some(head.headers.len() + ROOM))?;
    copy_line(head, &mut kept)?;
    for (name, value) in spelling::response_fields(head) {
        let name = name.to_bytes();
        if HeaderName::from_bytes(&name).is_ok_and(|own| keep(&own, &head.headers)) {
            kept.append_header(name, value.clone())?;
        }
    }
    Ok(kept)
}

fn copy_line(from: &ResponseHeader, to: &mut ResponseHeader) -> pingora::Result<()> {
    to.set_version(from.version);
    *to.extensions_mut() = from.extensions.clone();
    if from.get_reason_phrase() != from.status.canonical_reason() {
        to.set_reason_phrase(from.get_reason_phrase())?;
    }
    Ok(())
}
