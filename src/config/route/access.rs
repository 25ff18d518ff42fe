//! `access`: which clients a route lets in, by their address.

use ipnet::IpNet;

use crate::config::section::{list, section};
use crate::config::value::Networks;

section! {
    /// Which clients are let in, by their address; whoever is not gets 403.
    #[derive(Clone, Debug, Default)]
    "`access`" pub struct Access {
        /// Networks of clients that are let in. A list with anything in it keeps everybody else out.
        allow: Vec<IpNet> = [], with list("networks such as `10.0.0.0/8`", Networks);
        /// Networks of clients that are kept out, also where `allow` has them.
        deny: Vec<IpNet> = [], with list("networks such as `10.0.0.0/8`", Networks);
    }
}
