//! The control socket, by which `-s` and `-u` find the running process. Each call is
//! answered on a thread of its own, which asks the supervisor and passes its answer on.

mod calls;
pub mod client;
mod hand_over;
pub mod old;
pub mod protocol;
mod socket;
mod state;

pub use socket::ControlSocket;
pub use state::{ControlState, HandOver, SupervisorRequest};
