//! The action `respond`: the fixed answer of a route. As with `redirect`, it stands in
//! no chain.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use super::reply::Reply;
use crate::config::FieldName;

#[derive(Debug)]
pub struct Respond {
    status: StatusCode,
    body: Bytes,
    headers: Vec<(FieldName, HeaderValue)>,
}

impl Respond {
    pub fn new(status: StatusCode, body: String, headers: Vec<(FieldName, HeaderValue)>) -> Self {
        Self { status, body: body.into(), headers }
    }

    pub fn reply(&self) -> Reply {
        Reply::Respond { status: self.status, body: self.body.clone(), headers: self.headers.clone() }
    }
}
