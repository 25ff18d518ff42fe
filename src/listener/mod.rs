//! The way in: worker threads that accept clients' connections and serve them. Each worker has
//! a runtime of its own and sockets of its own, and a connection stays with its worker to its
//! end, so that nothing of it is ever shared between threads. Before its first request stands an
//! [`Entrance`]: the PROXY header, TLS, and which protocol the client speaks.

mod accept;
mod accept_gate;
mod accept_loop;
mod entrance;
mod entrances;
mod opening;
mod proxy_header;
mod threads;
mod tls;
mod workers;

pub use accept::{Accepted, Listener};
pub use accept_gate::AcceptGate;
pub use accept_loop::{ListeningSocket, accept_on};
pub use entrance::{Entered, Entrance, NotEntered, Protocol};
pub use entrances::{Entrances, ListenerIndex};
pub use proxy_header::parse as parse_proxy_header;
pub use threads::start_workers;
pub use tls::{CertificateInForce, TicketKeys};
pub use workers::{ServeConnection, Workers};
