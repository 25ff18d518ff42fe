//! Whether start-up could listen where the configuration says, as `-t` asks. What is listened
//! on already is no problem: that is the running process, which hands its sockets over, or a
//! service manager.

use std::io;
use std::path::Path;

use super::{socket_files, sockets};
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
        Address::Tcp(tcp) => match sockets::bind_tcp(*tcp, ipv6_only) {
            Ok(_) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::AddrInUse || is_listened_on(tcp.port()) => Ok(()),
            Err(e) => Err(sockets::describe_refusal(*tcp, &e)),
        },
    }
}

/// Whether any process listens on this port, as Linux tells.
fn is_listened_on(port: u16) -> bool {
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
        let table = std::fs::read_to_string(Path::new(table)).unwrap_or_default();
        table.lines().skip(1).any(|line| is_listener_of(line, port))
    })
}

/// Whether a line of the kernel's table is of a socket that listens on this port.
fn is_listener_of(line: &str, port: u16) -> bool {
    const LISTENS: &str = "0A";
    let mut columns = line.split_whitespace().skip(1);
    let local = columns.next().and_then(|local| local.rsplit_once(':'));
    let found = local.and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
    found == Some(port) && columns.nth(1) == Some(LISTENS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_tells_who_listens() {
        let listens = "   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1";
        assert!(is_listener_of(listens, 80));
        assert!(!is_listener_of(listens, 81));
        assert!(!is_listener_of(&listens.replace(" 0A ", " 01 "), 80));
        assert!(!is_listener_of("", 80));
        let open = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(is_listened_on(open.local_addr().unwrap().port()));
    }
}
