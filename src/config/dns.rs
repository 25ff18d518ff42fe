//! `dns`: who is asked for the names of servers.

use std::net::SocketAddr;
use std::time::Duration;

use super::section::{list, section};
use super::value::NAMESERVER;

section! {
    /// Who is asked for the names of servers.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`dns`" pub struct Dns {
        /// `IP` or `IP:port`; by default the system's.
        nameservers: Vec<SocketAddr> = [], with list("addresses such as `10.0.0.53`", NAMESERVER);
        /// How long one question may take.
        timeout: Duration = "2s";
    }
}
