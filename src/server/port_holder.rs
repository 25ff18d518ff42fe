//! Who listens on a TCP port, as Linux tells: the kernel's tables name sockets, and the
//! descriptors of the processes name theirs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use nix::unistd::{Uid, User};

/// One listening socket of the kernel's tables.
#[derive(Debug, PartialEq, Eq)]
struct Listening {
    address: IpAddr,
    user: u32,
    inode: u64,
}

/// Whether any process listens on this port.
pub fn is_listened_on(port: u16) -> bool {
    !listening_on(port).is_empty()
}

/// The process that keeps others from listening at `address`, in words: its id and program, or
/// only its user where this process may not know more.
pub fn describe(address: SocketAddr) -> Option<String> {
    let excludes = |other: IpAddr| {
        let unspecified = other.is_unspecified() || address.ip().is_unspecified();
        other == address.ip() || unspecified
    };
    let held = listening_on(address.port()).into_iter().find(|socket| excludes(socket.address))?;
    if let Some((pid, program)) = owner(held.inode) {
        return Some(format!("process {pid} ({program}) has it"));
    }
    let name = User::from_uid(Uid::from_raw(held.user)).ok().flatten().map(|user| user.name);
    let user = name.unwrap_or_else(|| held.user.to_string());
    // One that is not dumpable, as a proxy by default, is closed to its own user as well.
    let who = if held.user == Uid::effective().as_raw() { "root" } else { "that user and root" };
    Some(format!("a process of user {user} has it, which only {who} can look at"))
}

fn listening_on(port: u16) -> Vec<Listening> {
    let mut found = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let table = std::fs::read_to_string(Path::new(table)).unwrap_or_default();
        found.extend(table.lines().skip(1).filter_map(|line| listener_in(line, port)));
    }
    found
}

/// The listener of this port in a line of the kernel's table.
fn listener_in(line: &str, port: u16) -> Option<Listening> {
    const LISTENS: &str = "0A";
    let columns: Vec<&str> = line.split_whitespace().collect();
    let (address, found) = columns.get(1)?.rsplit_once(':')?;
    if u16::from_str_radix(found, 16).ok()? != port || *columns.get(3)? != LISTENS {
        return None;
    }
    Some(Listening {
        address: address_of(address)?,
        user: columns.get(7)?.parse().ok()?,
        inode: columns.get(9)?.parse().ok()?,
    })
}

/// An address as the table has it: words of 32 bits, each in the machine's byte order.
fn address_of(hex: &str) -> Option<IpAddr> {
    let mut bytes = Vec::new();
    for at in (0..hex.len()).step_by(8) {
        let word = u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?;
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(v4) => Some(Ipv4Addr::from(v4).into()),
        Err(_) => <[u8; 16]>::try_from(bytes.as_slice()).ok().map(|v6| Ipv6Addr::from(v6).into()),
    }
}

/// The first process that has the socket among its descriptors.
fn owner(inode: u64) -> Option<(u32, String)> {
    let wanted = format!("socket:[{inode}]");
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    for (pid, path) in
        processes.filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())))
    {
        let Ok(descriptors) = std::fs::read_dir(path.join("fd")) else { continue };
        let is_it = |link: &Path| std::fs::read_link(link).is_ok_and(|target| target == Path::new(&wanted));
        if descriptors.flatten().any(|entry| is_it(&entry.path())) {
            let program = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
            return Some((pid, program.trim().to_owned()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_tells_who_listens() {
        let loopback = format!("{:08X}", u32::from_ne_bytes([127, 0, 0, 1]));
        let line = format!(
            "   0: {loopback}:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000    33        0 4711"
        );
        let found = Listening { address: Ipv4Addr::LOCALHOST.into(), user: 33, inode: 4711 };
        assert_eq!(listener_in(&line, 80), Some(found));
        assert_eq!(listener_in(&line, 81), None);
        assert_eq!(listener_in(&line.replace(" 0A ", " 01 "), 80), None);
        assert_eq!(listener_in("", 80), None);
        let v6 = address_of(&format!("{:024}{:08X}", 0, u32::from_ne_bytes([0, 0, 0, 1])));
        assert_eq!(v6, Some(Ipv6Addr::LOCALHOST.into()));
        assert_eq!(address_of("xyz"), None);
    }

    #[test]
    fn a_socket_of_this_process_is_its_own() {
        let open = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = open.local_addr().unwrap();
        assert!(is_listened_on(address.port()));
        let expected = format!("process {} (", std::process::id());
        assert!(describe(address).is_some_and(|text| text.starts_with(&expected)));
        let all = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
        assert!(describe(all).is_some_and(|text| text.starts_with(&expected)));
    }
}
