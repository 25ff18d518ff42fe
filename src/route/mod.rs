//! Which route takes a request: a table that is compiled once and searched without
//! allocation, at a cost that does not grow with the number of routes. A route is an index
//! here.

mod condition;
mod table;
mod values;

pub use condition::{Mismatch, RequestView};
pub use table::{RouteIndex, RouteTable};

pub use crate::config::rank::Rank;

#[cfg(test)]
mod reach_tests;
