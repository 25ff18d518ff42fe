//! How a TCP address is bound, and why the system refuses one.

use std::io;
use std::net::SocketAddr;

use nix::unistd::Uid;
use socket2::{Domain, Socket, Type};

use super::port_holder;

/// A socket at the address, which does not listen yet. `ipv6_only` is for `[::]`, whatever the
/// system's default is.
///
/// # Errors
/// When the system refuses.
pub fn bind(address: SocketAddr, ipv6_only: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A port is free again as soon as its process is gone.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(ipv6_only)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Why the system refuses a TCP address.
pub fn describe_refusal(address: SocketAddr, e: &io::Error) -> String {
    if e.kind() == io::ErrorKind::AddrInUse {
        return port_holder::describe(address).map_or_else(|| e.to_string(), |holder| format!("{e}: {holder}"));
    }
    let first = first_unprivileged_port();
    if e.kind() != io::ErrorKind::PermissionDenied || address.port() >= first {
        return e.to_string();
    }
    let user = Uid::effective();
    format!("a port under {first} needs root or CAP_NET_BIND_SERVICE, which this process of user {user} does not have")
}

fn first_unprivileged_port() -> u16 {
    let set = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    set.ok().and_then(|port| port.trim().parse().ok()).unwrap_or(1024)
}
