//! The client's side: connections, the exchanges on them with their deadlines, and the
//! protocols' drivers, through which Pingora reads and writes.

mod connection;
mod deadline;
mod exchange;
pub mod http1;
mod registry;
mod timer;
mod timers;
mod upload;
mod wait_budget;

pub use connection::{ClientConnection, Initiator};
pub use deadline::{Overdue, Pace};
pub use exchange::Exchange;
pub use registry::{ConnectionCounts, Connections};
