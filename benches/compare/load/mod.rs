//! Clients: as many requests as the proxy takes, requests at a fixed rate, streams of HTTP/2,
//! WebSocket messages, and connections that do nothing.

mod closed;
mod http;
mod idle;
mod limits;
mod outcome;
mod paced;
mod streams;
mod target;
mod tunnels;

pub use closed::{Connections, Shape, saturate};
pub use http::field;
pub use idle::{hold, repeat};
pub use limits::raise_file_limit;
pub use outcome::Outcome;
pub use paced::pace;
pub use streams::{Call, MESSAGE, Streams, multiplex};
pub use target::Target;
pub use tunnels::exchange;
