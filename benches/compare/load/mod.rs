//! Clients: as many requests as the proxy takes, requests at a fixed rate, WebSocket
//! messages, and connections that do nothing.

mod closed;
mod http;
mod idle;
mod limits;
mod outcome;
mod paced;
mod tunnels;

pub use closed::{Shape, saturate};
pub use http::field;
pub use idle::{hold, repeat};
pub use limits::raise_file_limit;
pub use outcome::Outcome;
pub use paced::pace;
pub use tunnels::exchange;
