//! HTTP/1: where a request begins and ends, what of it is well-formed, and when written
//! bytes leave.

mod chunked;
mod digest;
mod input;
mod next_request;
mod output;
mod request_head;
mod response_head;
mod stream;
#[cfg(test)]
mod stream_tests;

pub use chunked::BadChunk;
pub use next_request::{Arrival, HeadTimeouts};
pub use request_head::{Head, Malformed, escaped, field};
pub use stream::ClientStream;
