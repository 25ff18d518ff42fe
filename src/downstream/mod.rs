//! The client's side: connections, the time that a client has, and the protocols' drivers,
//! through which Pingora reads and writes.

mod capacity;
mod connection;
mod driver;
mod framing_fields;
pub mod http1;
pub mod http2;
mod linger;
mod malformed;
mod registry;
mod retry_buffer;
mod session;
mod target;
mod timers;
mod wait_budget;
mod waits;

pub use capacity::{Admitted, Capacity};
pub use connection::{ClientConnection, Excess, Initiator, Remote, RequestSource};
pub use malformed::Malformed;
pub use registry::{ConnectionCounts, Connections, Entering};
pub use session::Session;
