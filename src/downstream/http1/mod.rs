//! HTTP/1: where a request begins and ends, what of it is well-formed, and when written
//! bytes leave. Pingora gets one request at a time, as a [`RequestDriver`].

mod connection;
mod departure;
mod lent;
mod next_request;
mod request_driver;
mod request_head;
mod response_head;
#[cfg(test)]
mod tests;
mod tunnel;

pub use connection::Connection;
pub use lent::Slot;
pub use next_request::{Arrival, HeadTimeouts};
pub use request_driver::RequestDriver;
pub use request_head::{Head, HeadLimits, field};
