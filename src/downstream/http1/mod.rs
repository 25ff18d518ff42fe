//! HTTP/1: where a request begins and ends, what of it is well-formed, and when written
//! bytes leave.

mod chunked;
mod digest;
mod framing_fields;
mod input;
mod malformed;
mod next_request;
mod output;
mod request_head;
mod response_head;
mod stream;
#[cfg(test)]
mod stream_tests;

pub use chunked::BadChunk;
pub use malformed::Malformed;
pub use next_request::{Arrival, HeadTimeouts};
pub use request_head::{Head, escaped, field};
pub use stream::ClientStream;
