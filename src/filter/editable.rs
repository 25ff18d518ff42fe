//! The heads of messages as edits see them: a name that is spelled in its own way stays so, others cost no spelling.

use bytes::Bytes;
use http::Version;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use pingora::{ErrorType, OrErr};
use pingora_http::{IntoCaseHeaderName, RequestHeader, ResponseHeader};

use crate::http1::field_names::Known;
use crate::http1::spelling::{self, SpelledName, usual_request, usual_response};

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

    fn remove(&mut self, name: &HeaderName);

    /// The same head with those fields only that `keep` wants.
    ///
    /// # Errors
    /// When a part of this head is invalid.
    fn with_fields(&self, keep: impl Fn(&HeaderName, &HeaderMap) -> bool) -> pingora::Result<Self>;

    /// As [`Self::with_fields`], with the spelling of each name.
    ///
    /// # Errors
    /// As there.
    fn spelled(&self, keep: impl Fn(&HeaderName, &HeaderMap) -> bool) -> pingora::Result<Self>;

    /// Whether each name has its usual spelling and another could be wanted, which HTTP/2 knows nothing of.
    fn is_unspelled(&self) -> bool;

    /// Has the head carry spellings if this name has one of its own.
    ///
    /// # Errors
    /// When a part of this head is invalid.
    fn keep_spelling(&mut self, name: &[u8]) -> pingora::Result<()> {
        if self.is_unspelled() && !spelling::is_usual(name) {
            *self = self.spelled(|_, _| true)?;
        }
        Ok(())
    }
}

impl EditableHead for RequestHeader {
    fn fields(&self) -> &HeaderMap {
        &self.headers
    }

    fn insert(&mut self, name: impl IntoCaseHeaderName, value: HeaderValue) -> pingora::Result<()> {
        let name = name.into_case_header_name();
        self.keep_spelling(name.as_slice())?;
        self.insert_header(name, value)
    }

    fn append(&mut self, name: impl IntoCaseHeaderName, value: HeaderValue) -> pingora::Result<()> {
        let name = name.into_case_header_name();
        self.keep_spelling(name.as_slice())?;
        self.append_header(name, value).map(|_| ())
    }

    fn remove(&mut self, name: &HeaderName) {
        self.remove_header(name);
    }

    fn with_fields(&self, keep: impl Fn(&HeaderName, &HeaderMap) -> bool) -> pingora::Result<Self> {
        if self.has_case() {
            return self.spelled(keep);
        }
        let mut left = usual_request(self.method.clone(), self.raw_path(), kept(&self.headers, keep))?;
        left.set_version(self.version);
        *left.extensions_mut() = self.extensions.clone();
        Ok(left)
    }

    fn spelled(&self, keep: impl Fn(&HeaderName, &HeaderMap) -> bool) -> pingora::Result<Self> {
        let mut left = Self::build(self.method.clone(), b"/", Some(self.headers.len() + ROOM))?;
        left.set_version(self.version);
        left.set_raw_path(self.raw_path())?;
        *left.extensions_mut() = self.extensions.clone();
        for (name, value) in spelled_kept(spelling::request_fields(self), &self.headers, keep) {
            left.append_header(name, value)?;
        }
        Ok(left)
    }

    fn is_unspelled(&self) -> bool {
        !self.has_case() && self.version != Version::HTTP_2
    }
}

impl EditableHead for ResponseHeader {
    fn fields(&self) -> &HeaderMap {
        &self.headers
    }

    fn insert(&mut self, name: impl IntoCaseHeaderName, value: HeaderValue) -> pingora::Result<()> {
        let name = name.into_case_header_name();
        self.keep_spelling(name.as_slice())?;
        self.insert_header(name, value)
    }

    fn append(&mut self, name: impl IntoCaseHeaderName, value: HeaderValue) -> pingora::Result<()> {
        let name = name.into_case_header_name();
        self.keep_spelling(name.as_slice())?;
        self.append_header(name, value).map(|_| ())
    }

    fn remove(&mut self, name: &HeaderName) {
        self.remove_header(name);
    }

    fn with_fields(&self, keep: impl Fn(&HeaderName, &HeaderMap) -> bool) -> pingora::Result<Self> {
        if self.has_case() {
            return self.spelled(keep);
        }
        let mut left = usual_response(self.status, kept(&self.headers, keep));
        copy_line(self, &mut left)?;
        Ok(left)
    }

    fn spelled(&self, keep: impl Fn(&HeaderName, &HeaderMap) -> bool) -> pingora::Result<Self> {
        let mut left = Self::build(self.status, Some(self.headers.len() + ROOM))?;
        copy_line(self, &mut left)?;
        for (name, value) in spelled_kept(spelling::response_fields(self), &self.headers, keep) {
            left.append_header(name, value)?;
        }
        Ok(left)
    }

    fn is_unspelled(&self) -> bool {
        !self.has_case() && self.version != Version::HTTP_2
    }
}

/// Appends names that have their usual spelling to the table of a head that has no others, opened once for all of
/// them and for `more` that are known to follow; `None`: this one has.
///
/// # Errors
/// When there are too many fields.
pub fn append_to_table(
    head: &mut RequestHeader,
    fields: &[(&'static Known, HeaderValue)],
    more: usize,
) -> Option<pingora::Result<()>> {
    // The parts know nothing of another target.
    if head.has_case() || !head.raw_path().starts_with(b"/") || !head.raw_path_is_utf8() {
        return None;
    }
    let ends = head.send_end_stream();
    let empty = RequestHeader::from(http::Request::new(()).into_parts().0);
    let mut parts = http::request::Parts::from(std::mem::replace(head, empty));
    let result = append_each(&mut parts.headers, fields, more);
    *head = parts.into();
    if let Some(ends) = ends {
        head.set_send_end_stream(ends);
    }
    Some(result)
}

/// As [`append_to_table`], of one field that replaces all others of its name, in the head of a response.
///
/// # Errors
/// When there are too many fields.
pub fn insert_into_table(
    head: &mut ResponseHeader,
    known: &'static Known,
    value: &HeaderValue,
) -> Option<pingora::Result<()>> {
    // The parts know nothing of another reason.
    if head.has_case() || head.get_reason_phrase() != head.status.canonical_reason() {
        return None;
    }
    let empty = ResponseHeader::from(http::Response::new(()).into_parts().0);
    let mut parts = http::response::Parts::from(std::mem::replace(head, empty));
    let result = parts.headers.try_insert(known.name.clone(), value.clone());
    *head = parts.into();
    Some(result.map(drop).or_err(ErrorType::InvalidHTTPHeader, "too many fields"))
}

fn append_each(table: &mut HeaderMap, fields: &[(&'static Known, HeaderValue)], more: usize) -> pingora::Result<()> {
    let result = table.try_reserve(fields.len() + more).and_then(|()| {
        fields.iter().try_for_each(|(known, value)| table.try_append(known.name.clone(), value.clone()).map(|_| ()))
    });
    result.or_err(ErrorType::InvalidHTTPHeader, "too many fields")
}

fn kept(fields: &HeaderMap, keep: impl Fn(&HeaderName, &HeaderMap) -> bool) -> HeaderMap {
    let mut kept = HeaderMap::with_capacity(fields.len() + ROOM);
    for (name, value) in fields.iter().filter(|(name, _)| keep(name, fields)) {
        kept.append(name, value.clone());
    }
    kept
}

fn spelled_kept<'h>(
    fields: impl Iterator<Item = (SpelledName<'h>, &'h HeaderValue)>,
    all: &'h HeaderMap,
    keep: impl Fn(&HeaderName, &HeaderMap) -> bool,
) -> impl Iterator<Item = (Bytes, HeaderValue)> {
    fields.filter_map(move |(name, value)| {
        let name = name.to_bytes();
        let own = HeaderName::from_bytes(&name).ok()?;
        keep(&own, all).then(|| (name, value.clone()))
    })
}

fn copy_line(from: &ResponseHeader, to: &mut ResponseHeader) -> pingora::Result<()> {
    to.set_version(from.version);
    *to.extensions_mut() = from.extensions.clone();
    if from.get_reason_phrase() != from.status.canonical_reason() {
        to.set_reason_phrase(from.get_reason_phrase())?;
    }
    Ok(())
}
