//! Which route takes a request: a table compiled once, asked without allocation,
//! at a cost that does not grow with the number of routes. Must not know
//! upstreams, actions or Pingora; a route is an index here.

mod condition;
mod table;

pub use condition::{Mismatch, RequestView};
pub use table::{RouteIndex, RouteTable};

pub use crate::config::rank::Rank;

#[cfg(test)]
mod reach_tests;
