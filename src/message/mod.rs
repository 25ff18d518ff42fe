//! Pure functions on HTTP values: host, path, query, cookies, hop-by-hop fields, forwarding
//! fields, redirects.

mod bytes;
pub mod client;
pub mod cookie;
pub mod forwarded;
pub mod hash;
pub mod hop;
pub mod host;
pub mod location;
pub mod path;
pub mod query;
