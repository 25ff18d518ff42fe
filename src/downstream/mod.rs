//! The client's side of a connection: what is one request and where it ends, what
//! is known of the peer, when written bytes leave. Pingora reads and writes through
//! it and sees requests that were well-formed. Must not know routes or hooks.

mod alarm;
mod answer;
mod chunk;
mod connections;
mod deadline;
mod describe;
mod head;
mod peer;
mod stream;
mod upload;
mod wait;

pub use answer::Date;
pub use chunk::BadChunk;
pub use connections::{Activity, Census, Connections};
pub use deadline::Overdue;
pub use head::{Head, Malformed, escaped, field};
pub use peer::Peer;
pub use stream::ClientStream;
pub use upload::followed;
pub use wait::{Arrival, Deadlines};
