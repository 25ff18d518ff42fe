//! HTTP/1 towards an upstream: a request and its response on a connection that Pingora made and
//! keeps in its pool. Why it is not Pingora's own session: `docs/decisions/0002-upstream-session.md`.

mod bad_response;
mod body_writer;
mod connection;
mod connector;
mod idle_pool;
mod response_head;
mod session;
mod upload_queue;

pub use bad_response::BadResponse;
pub use connector::{Connector, session_of_our_own};
pub use response_head::idle_limit;
