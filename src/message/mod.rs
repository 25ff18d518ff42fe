//! Pure functions on HTTP values: host, path, query, cookies, hop-by-hop fields, forwarding
//! fields, redirects; and how text of strangers is shown.

pub mod alike;
pub mod bytes;
pub mod client;
pub mod cookie;
pub mod destination;
pub mod escaping;
pub mod forwarded;
pub mod hash;
pub mod hop;
pub mod host;
pub mod html;
pub mod location;
pub mod network_set;
pub mod path;
pub mod path_escapes;
pub mod query;
pub mod readings;
pub mod request_id;
pub mod trace_context;
pub mod trailers;
