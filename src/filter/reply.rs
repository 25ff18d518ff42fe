//! An answer that the proxy gives by itself, as a value: whoever decides makes one,
//! and one place writes it.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use super::cause::Cause;
use super::code_exchange::CodeExchange;
use crate::config::FieldName;

#[derive(Debug)]
pub enum Reply {
    Error(Cause),
    Redirect {
        location: String,
        status: StatusCode,
    },
    Respond {
        status: StatusCode,
        body: Bytes,
        headers: Vec<(FieldName, HeaderValue)>,
    },
    /// The answer follows from what the provider says of the code of a login, which takes a step that waits.
    ExchangeCode(Box<CodeExchange>),
}
