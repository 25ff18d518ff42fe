//! HTTP/1 towards an upstream: a request and its response on a connection, and the connections
//! that wait for another request. Why it is not Pingora's own session: `docs/decisions/0002-upstream-session.md`.

mod bad_response;
mod body_writer;
mod connection;
mod idle_pool;
mod response_head;
mod session;
mod upload_queue;

pub use bad_response::BadResponse;
pub(super) use connection::Connection;
pub(super) use idle_pool::IdlePool;
pub use response_head::{Head as ResponseHead, idle_limit};
pub use session::Session;
