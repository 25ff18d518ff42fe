//! Whether start-up could listen where the configuration says, as `-t` asks. What is listened
//! on already is no problem: that is the running process, which hands its sockets over, or a
//! service manager.

use std::io;

use super::port_holder::is_listened_on;
use super::{socket_files, sockets, tcp};
use crate::config::{Address, AdminAddress, Config, is_ipv6_only};

/// # Errors
/// With a line for each address that start-up could not listen on.
pub fn check_listening(config: &Config) -> Result<(), String> {
    let listeners = config.listeners.iter().map(|listener| ("", &listener.address));
    let admin = match &config.admin.address {
        AdminAddress::At(address) => Some(("admin: ", address)),
        AdminAddress::Auto | AdminAddress::Off => None,
    };
    let refused = listeners.chain(admin).filter_map(|(key, address)| {
        let reason = check(address, is_ipv6_only(address, &config.listeners)).err()?;
        Some(format!("{key}{}", sockets::cannot_listen(address, &reason)))
    });
    let refused: Vec<String> = refused.collect();
    if refused.is_empty() { Ok(()) } else { Err(refused.join("\n")) }
}

fn check(address: &Address, ipv6_only: bool) -> Result<(), String> {
    match address {
        Address::Unix(path) => socket_files::check_place(path),
        Address::Tcp(tcp) => match tcp::bind(*tcp, ipv6_only) {
            Ok(_) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::AddrInUse || is_listened_on(tcp.port()) => Ok(()),
            Err(e) => Err(tcp::describe_refusal(*tcp, &e)),
        },
    }
}
