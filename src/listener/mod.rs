//! The way in: worker threads that accept clients' connections and serve them. Each worker has
//! a runtime of its own and sockets of its own, and a connection stays with its worker to its
//! end, so that nothing of it is ever shared between threads.

mod accept;
mod accept_gate;
mod accept_loop;
mod threads;
mod workers;

pub use accept::{Accepted, Listener};
pub use accept_gate::AcceptGate;
pub use accept_loop::{ListeningSocket, accept_on};
pub use threads::start_workers;
pub use workers::{ServeConnection, Workers};
