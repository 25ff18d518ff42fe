//! One answer of the endpoint: its status, what kind of text it is, and the text.

use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use serde::Serialize;

/// JSON, unless it says something else.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    kind: &'static str,
    body: Vec<u8>,
    fields: Vec<(HeaderName, &'static str)>,
}

impl Answer {
    /// A text that is JSON already.
    pub fn json_text(status: StatusCode, text: String) -> Self {
        let mut body = text.into_bytes();
        body.push(b'\n');
        Self::of_kind("application/json", body).with_status(status)
    }

    pub fn json(value: &impl Serialize) -> Self {
        match serde_json::to_string(value) {
            Ok(text) => Self::json_text(StatusCode::OK, text),
            Err(e) => Self::message(StatusCode::INTERNAL_SERVER_ERROR, &e.to_string()),
        }
    }

    /// What came of the request, in words.
    pub fn message(status: StatusCode, text: &str) -> Self {
        let body = serde_json::json!({ "ok": status.is_success(), "message": text });
        Self::json_text(status, body.to_string())
    }

    /// A text of another kind.
    pub fn of_kind(kind: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status: StatusCode::OK, kind, body: body.into(), fields: Vec::new() }
    }

    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub fn with_field(mut self, name: HeaderName, value: &'static str) -> Self {
        self.fields.push((name, value));
        self
    }

    /// The response to a request of this method.
    pub fn into_response(self, method: &Method) -> Response<Vec<u8>> {
        let length = self.body.len();
        let mut response = Response::new(if method == Method::HEAD { Vec::new() } else { self.body });
        *response.status_mut() = self.status;
        let fields = response.headers_mut();
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        fields.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        fields.insert(header::CONTENT_LENGTH, length.into());
        for (name, value) in self.fields {
            fields.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
