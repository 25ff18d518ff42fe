//! `dns`: who is asked for the names of servers.

use std::net::SocketAddr;
use std::time::Duration;

use super::section::{list, section};
use super::value::NAMESERVER;

section! {
    /// How the names of servers are looked up.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`dns`" pub struct Dns {
        /// `IP` or `IP:port`; by default the system's.
        nameservers: Vec<SocketAddr> = [], with list("addresses such as `10.0.0.53`", NAMESERVER);
        /// How long one query may take.
        timeout: Duration = "2s";
    }
}
