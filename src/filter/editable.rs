//! The heads of messages as edits see them: a name that is spelled in its own way stays so, others cost no spelling.

use bytes::Bytes;
use http::Version;
use http::header::{HeaderMap, HeaderName, HeaderValue, MaxSizeReached};
use pingora::{ErrorType, OrErr};
use pingora_http::{IntoCaseHeaderName, RequestHeader, ResponseHeader};

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

    /// Whether [`Self::edit_table`] leaves nothing out: each name has its usual spelling, and the parts of the head are
    /// all that there is of it.
    fn is_its_parts(&self) -> bool;

    /// Edits the fields of a head that is its parts; no name is parsed.
    ///
    /// # Errors
    /// When there are too many fields.
    fn edit_table(&mut self, edit: impl FnOnce(&mut HeaderMap) -> Result<(), MaxSizeReached>) -> pingora::Result<()>;

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

    /// The parts know nothing of a target that is no path.
    fn is_its_parts(&self) -> bool {
        !self.has_case() && self.raw_path().starts_with(b"/") && self.raw_path_is_utf8()
    }

    fn edit_table(&mut self, edit: impl FnOnce(&mut HeaderMap) -> Result<(), MaxSizeReached>) -> pingora::Result<()> {
        let ends = self.send_end_stream();
        let empty = Self::from(http::Request::new(()).into_parts().0);
        let mut parts = http::request::Parts::from(std::mem::replace(self, empty));
        let result = edit(&mut parts.headers);
        *self = parts.into();
        if let Some(ends) = ends {
            self.set_send_end_stream(ends);
        }
        result.or_err(ErrorType::InvalidHTTPHeader, "too many fields")
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

    /// The parts know nothing of a reason that is not the usual one.
    fn is_its_parts(&self) -> bool {
        !self.has_case() && self.get_reason_phrase() == self.status.canonical_reason()
    }

    fn edit_table(&mut self, edit: impl FnOnce(&mut HeaderMap) -> Result<(), MaxSizeReached>) -> pingora::Result<()> {
        let empty = Self::from(http::Response::new(()).into_parts().0);
        let mut parts = http::response::Parts::from(std::mem::replace(self, empty));
        let result = edit(&mut parts.headers);
        *self = parts.into();
        result.or_err(ErrorType::InvalidHTTPHeader, "too many fields")
    }
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
