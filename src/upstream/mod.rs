//! Where a request goes: the servers of an upstream, which of them are well, and whose
//! turn it is. Must not know routes, replies or the configuration file.
//!
//! A [`Pool`] has a [`roster`] of servers; [`members`] are those that may get requests,
//! ready to be chosen by a [`balance`]. What is learnt of a server ([`standing`]) comes
//! from requests and from what [`watch`] does beside them.

mod balance;
mod budget;
mod command;
mod connections;
mod lane;
mod load;
mod lots;
mod members;
mod pool;
mod probe;
mod queue;
mod report;
mod resolve;
mod roster;
mod server;
mod standing;
mod sticky;
mod watch;

pub use command::{Change, Command};
pub use lots::Lots;
pub use pool::{Pick, Pool, Shortage, Wish};
pub use report::Reports;
pub use resolve::Resolver;
pub use server::Server;
pub use standing::State;
pub use sticky::CookieKey;
pub use watch::settle;

/// For an operator to read.
fn in_words(time: std::time::Duration) -> String {
    if time.subsec_millis() == 0 { format!("{} s", time.as_secs()) } else { format!("{} ms", time.as_millis()) }
}
