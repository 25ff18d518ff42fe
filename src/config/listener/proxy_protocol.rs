//! `listeners[].proxy_protocol`: who is believed when it says who the client is.

use ipnet::IpNet;

use crate::config::section::{Reader, list, section};
use crate::config::value::{Address, Networks};
use crate::config::yaml::Span;

section! {
    /// The PROXY protocol, version 1 and 2.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`proxy_protocol`" pub struct ProxyProtocol {
        /// The networks of the load balancers, whose connections must begin with a PROXY header. Anyone else is a client that connects directly. On a unix socket it is left out: every connection must begin with a header.
        from: Vec<IpNet> = [], with list("networks such as `10.0.0.0/8`", Networks);
    }
}

impl ProxyProtocol {
    /// `is_written`: whether a network is written, even if it is none.
    pub(super) fn check(&self, reader: &mut Reader<'_>, span: Span, address: &Address, is_written: bool) {
        match address {
            Address::Tcp(_) if !is_written => {
                let help = "name the load balancers: `proxy_protocol: { from: [\"10.0.0.0/8\"] }`";
                reader.error_help(span, "`proxy_protocol` needs `from`: nobody is believed", help);
            }
            Address::Tcp(_) => {
                if let Some(all) = self.from.iter().find(|network| network.prefix_len() == 0) {
                    let help = "name the load balancers only".to_owned();
                    let message = format!("`{all}` has every client say which address it has");
                    reader.warn(span, message, Some(help));
                }
            }
            Address::Unix(_) if is_written => {
                let help = "write `proxy_protocol: {}`: every connection begins with a PROXY header then";
                reader.error_help(span, "`from` has no effect on a unix socket: its peers have no address", help);
            }
            Address::Unix(_) => {}
        }
    }
}
