//! The store in which a fleet of proxies counts together: a Redis or a Valkey.

mod bounded;
mod client;
mod connect;
mod script;
mod tasks;

pub use client::Store;
pub use tasks::StoreTasks;
