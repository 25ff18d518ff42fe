//! What a route changes in a request on its way up and in a response on its way
//! down. Knows Pingora's header types, not its hooks, and not how a reply is
//! written.

mod cause;
mod order;
mod reply;
pub mod request;
pub mod response;

pub use cause::Cause;
pub use reply::Reply;
