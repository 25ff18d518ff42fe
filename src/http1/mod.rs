//! What both sides of the proxy share of HTTP/1: buffers for reading and writing, how names of fields
//! are spelled, and how bodies are framed. Which message a body belongs to is the business of `downstream` and `upstream`.

mod chunk_extension;
mod chunked;
mod connection_options;
pub mod field_names;
mod incoming;
mod input;
mod lines;
mod outgoing;
mod output;
mod reason;
pub mod spelling;

pub use chunked::BadChunk;
pub use connection_options::ConnectionOptions;
pub use incoming::IncomingBody;
pub use input::{Input, READ};
pub use lines::{append_fields, usual_fields};
pub use outgoing::{BodyFields, OutgoingBody, Unfinished};
pub use output::Output;
pub use reason::RawReason;
