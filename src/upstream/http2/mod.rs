//! HTTP/2 towards an upstream: requests that share a connection, and the connections of a worker.

mod begin;
mod body_writer;
mod connection;
mod driver;
mod fault;
mod pool;
mod request_head;
mod response_head;
mod session;
mod shared;
#[cfg(test)]
mod tests;
mod upload_queue;

pub(super) use begin::begin;
pub use fault::Http2Fault;
pub(super) use pool::{Dialing, Pool, Turn};
pub use session::Session;
