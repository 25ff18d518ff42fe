//! The client's side: connections, the time that a client has, and the protocols' drivers,
//! through which Pingora reads and writes.

mod connection;
mod driver;
pub mod http1;
mod registry;
mod retry_buffer;
mod session;
mod timers;
mod wait_budget;
mod waits;

pub use connection::{ClientConnection, Initiator, Remote, RequestSource};
pub use registry::{ConnectionCounts, Connections};
pub use session::Session;
