//! Where a request goes: the servers of an upstream and whose turn it is. Must
//! not know routes, replies or the configuration file.

mod balance;
mod pool;

pub use pool::{Pick, Pool};
