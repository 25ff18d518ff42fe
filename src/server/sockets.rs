//! The listening sockets: opened, or inherited from an older process or a service manager,
//! before anything starts, and kept so that a newer process can have them. Pingora would
//! bind them in a task of its own and panic there.

use std::fs::Permissions;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use listenfd::ListenFd;
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use super::socket_files::{is_refused, remove_stale_socket};
use super::tcp;
use crate::config::{Address, Listener, is_ipv6_only};

/// Bytes of a response that the kernel holds for a client before it takes more of us, where it
/// would hold megabytes otherwise. It takes more once half of them are gone, so that a
/// client that reads 32 KiB within `timeouts.write_idle` is told from one that stopped reading.
/// Accepted sockets inherit it from the listening one.
const UNSENT: u32 = 64 * 1024;

/// The connections that may wait to be accepted until the accept loop asks for more.
const BACKLOG: i32 = 128;

/// The sockets of one listener at most: as many as `server.threads` allows threads.
const MAX_SOCKETS: usize = 1024;

/// One open socket with the name by which newer and older processes know it. Several have
/// the same name: those of the threads, at one address.
#[derive(Debug)]
pub struct NamedSocket {
    pub name: String,
    pub socket: OwnedFd,
}

/// What a socket is for: two sockets of one address are told apart by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketUse {
    Listener(Address),
    Admin(Address),
}

impl SocketUse {
    pub fn name(&self) -> String {
        match self {
            Self::Listener(address) => address.to_string(),
            Self::Admin(address) => format!("admin {address}"),
        }
    }

    fn address(&self) -> &Address {
        match self {
            Self::Listener(address) | Self::Admin(address) => address,
        }
    }
}

/// The inherited sockets that nobody has claimed yet.
#[derive(Debug, Default)]
pub struct InheritedSockets(Vec<NamedSocket>);

impl InheritedSockets {
    pub fn new(sockets: impl IntoIterator<Item = (String, OwnedFd)>) -> Self {
        Self(sockets.into_iter().map(|(name, socket)| NamedSocket { name, socket }).collect())
    }

    /// The sockets that a service manager passed (`LISTEN_FDS`), named by the addresses to
    /// which they are bound.
    ///
    /// # Errors
    /// When one of them is no listening socket.
    pub fn from_service_manager() -> Result<Self, String> {
        let mut passed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for index in 0..passed.len() {
            let wrong = |e: io::Error| format!("socket {index} from the service manager: {e}");
            let tcp = passed.take_tcp_listener(index);
            let (name, socket) = match tcp {
                Ok(Some(listener)) => {
                    let address = Address::Tcp(listener.local_addr().map_err(wrong)?);
                    (address.to_string(), OwnedFd::from(listener))
                }
                Ok(None) => continue,
                Err(_) => {
                    let Some(listener) = passed.take_unix_listener(index).map_err(wrong)? else { continue };
                    let address = listener.local_addr().map_err(wrong)?;
                    let path = address.as_pathname().unwrap_or(Path::new("")).to_owned();
                    (Address::Unix(path).to_string(), OwnedFd::from(listener))
                }
            };
            sockets.push((name, socket));
        }
        Ok(Self::new(sockets))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn claim(&mut self, wanted: &SocketUse) -> Option<OwnedFd> {
        let place = self.0.iter().position(|named| named.name == wanted.name());
        // A service manager does not say what a socket is for.
        let place = place.or_else(|| self.0.iter().position(|named| named.name == wanted.address().to_string()));
        place.map(|place| self.0.swap_remove(place).socket)
    }

    /// Claims the socket if it is inherited, and opens it otherwise: `ipv6_only` says whether
    /// `[::]` leaves IPv4 to another one.
    ///
    /// # Errors
    /// When it cannot be listened on.
    pub fn open(&mut self, wanted: &SocketUse, ipv6_only: bool) -> Result<NamedSocket, String> {
        // No client reaches a unix socket whose file is gone.
        let claimed = self.claim(wanted).filter(|_| match wanted.address() {
            Address::Tcp(_) => true,
            Address::Unix(path) => path.exists(),
        });
        let socket = match claimed {
            Some(socket) => socket,
            None => bind(wanted, ipv6_only).map_err(|reason| cannot_listen(wanted.address(), &reason))?,
        };
        set_options(wanted, &socket).map_err(|e| format!("{}: {e}", wanted.name()))?;
        Ok(NamedSocket { name: wanted.name(), socket })
    }

    /// Claims or opens the sockets of a listener, one for each of `threads` where the system
    /// allows it. Those that an older process had more are kept: connections may wait there.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_listener(
        &mut self,
        listener: &Address,
        ipv6_only: bool,
        threads: usize,
    ) -> Result<Vec<NamedSocket>, String> {
        let wanted = SocketUse::Listener(listener.clone());
        let mut open = vec![self.open(&wanted, ipv6_only)?];
        while let Some(socket) = self.claim(&wanted) {
            set_options(&wanted, &socket).map_err(|e| format!("{listener}: {e}"))?;
            open.push(NamedSocket { name: wanted.name(), socket });
        }
        if let Address::Tcp(_) = listener {
            // A process that is another user by now, or may not have a low port, has to make do
            // with the sockets that there are. The threads share out their connections.
            while open.len() < threads.min(MAX_SOCKETS)
                && let Ok(socket) = bind_beside(&open[0].socket, &wanted)
            {
                open.push(NamedSocket { name: wanted.name(), socket });
            }
        }
        Ok(open)
    }

    /// Whether the inherited `[::]` sockets leave IPv4 to others as the listeners say. An open
    /// socket cannot be changed in this.
    ///
    /// # Errors
    /// When clients on IPv4 would be lost, or IPv4 cannot be had.
    pub fn check_families(&self, listeners: &[Listener]) -> Result<(), String> {
        for address in listeners.iter().map(|listener| &listener.address) {
            let Address::Tcp(SocketAddr::V6(v6)) = address else { continue };
            let inherited = self.0.iter().find(|named| named.name == address.to_string());
            let Some(is_only) = inherited.and_then(|named| SockRef::from(&named.socket).only_v6().ok()) else {
                continue;
            };
            let ipv4 = Address::Tcp((Ipv4Addr::UNSPECIFIED, v6.port()).into());
            let has_ipv4 = self.0.iter().any(|named| named.name == ipv4.to_string());
            match (is_ipv6_only(address, listeners), is_only) {
                (true, false) if !has_ipv4 => {
                    let reason = format!("the socket of {address} takes IPv4 as well until the process is restarted");
                    return Err(cannot_listen(&ipv4, &reason));
                }
                (false, true) if has_ipv4 => {
                    let reason = format!("its socket takes no IPv4, which {ipv4} did, until the process is restarted");
                    return Err(cannot_listen(address, &reason));
                }
                (true | false, true | false) => {}
            }
        }
        Ok(())
    }

    /// The names of the sockets that nobody has claimed, each once.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.0.iter().map(|named| named.name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Closes the unix sockets whose files lead to no process any more: they were bound anew by one
    /// that is dead.
    pub fn close_unreachable(&mut self) {
        self.0.retain(|named| match address_of(&named.name) {
            Some(Address::Unix(path)) => !is_refused(&path),
            Some(Address::Tcp(_)) | None => true,
        });
    }

    /// Closes the sockets that nobody claimed and returns their addresses.
    pub fn unclaimed(self) -> Vec<Address> {
        let mut unclaimed: Vec<Address> = Vec::new();
        for address in self.0.iter().filter_map(|named| address_of(&named.name)) {
            if !unclaimed.contains(&address) {
                unclaimed.push(address);
            }
        }
        unclaimed
    }
}

/// The address of a socket of this name.
fn address_of(name: &str) -> Option<Address> {
    let address = name.strip_prefix("admin ").unwrap_or(name);
    match address.strip_prefix("unix:") {
        Some(path) => Some(Address::Unix(path.into())),
        None => address.parse().ok().map(Address::Tcp),
    }
}

fn set_options(wanted: &SocketUse, socket: &OwnedFd) -> io::Result<()> {
    if let SocketUse::Listener(Address::Tcp(_)) = wanted {
        SockRef::from(socket).set_tcp_notsent_lowat(UNSENT)?;
    }
    // tokio needs a socket that does not block.
    Ok(rustix::io::ioctl_fionbio(socket, true)?)
}

/// Another socket at the address of `first`. The first one of an address is bound without
/// SO_REUSEPORT, so that a second process is refused it. This one listens once the process
/// accepts connections: the kernel gives connections to every socket that listens.
fn bind_beside(first: &OwnedFd, wanted: &SocketUse) -> io::Result<OwnedFd> {
    let first = SockRef::from(first);
    let address = first.local_addr()?;
    first.set_reuse_port(true)?;
    let socket = Socket::new(address.domain(), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(first.only_v6()?)?;
    }
    socket.bind(&address)?;
    let socket = OwnedFd::from(socket);
    set_options(wanted, &socket)?;
    Ok(socket)
}

fn bind(wanted: &SocketUse, ipv6_only: bool) -> Result<OwnedFd, String> {
    match wanted.address() {
        Address::Tcp(address) => {
            let listening = tcp::bind(*address, ipv6_only).and_then(|socket| socket.listen(BACKLOG).map(|()| socket));
            listening.map(OwnedFd::from).map_err(|e| tcp::describe_refusal(*address, &e))
        }
        Address::Unix(path) => {
            remove_stale_socket(path)?;
            let listener = match wanted {
                SocketUse::Listener(_) => UnixListener::bind(path).map(OwnedFd::from),
                SocketUse::Admin(_) => bind_private(path),
            };
            listener.map_err(|e| e.to_string())
        }
    }
}

/// Listens on a file of mode 0600: its owner and root can connect. It has its mode before
/// anybody can connect at all.
fn bind_private(path: &Path) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

pub fn cannot_listen(address: &Address, reason: &str) -> String {
    format!("cannot listen on {address}: {reason}")
}

/// All listening sockets of the process.
#[derive(Debug, Default)]
pub struct Sockets(Vec<NamedSocket>);

impl Sockets {
    pub fn new(sockets: Vec<NamedSocket>) -> Self {
        Self(sockets)
    }

    /// Whether a listener has more than one socket.
    pub fn has_several_of_a_name(&self) -> bool {
        self.0
            .iter()
            .enumerate()
            .any(|(place, named)| self.0.iter().skip(place + 1).any(|other| other.name == named.name))
    }

    /// The names and descriptors, in the same order.
    pub fn listed(&self) -> impl Iterator<Item = (&str, BorrowedFd<'_>)> {
        self.0.iter().map(|named| (named.name.as_str(), named.socket.as_fd()))
    }

    /// The address to which a socket is bound: the kernel has chosen the port where the
    /// configuration says 0.
    pub fn bound(&self, wanted: &SocketUse) -> Address {
        let socket = self.duplicate(wanted).map(TcpListener::from);
        match (wanted.address(), socket.and_then(|socket| socket.local_addr())) {
            (Address::Tcp(_), Ok(address)) => Address::Tcp(address),
            (address, _) => address.clone(),
        }
    }

    /// Another descriptor of the same socket, the first one of its name.
    ///
    /// # Errors
    /// When the process has no descriptors left.
    pub fn duplicate(&self, wanted: &SocketUse) -> io::Result<OwnedFd> {
        let named = self.0.iter().find(|named| named.name == wanted.name());
        named.ok_or(io::ErrorKind::NotFound)?.socket.try_clone()
    }

    /// Another descriptor of every socket but those of the names in `without`, to be claimed again.
    ///
    /// # Errors
    /// As [`Self::duplicate`].
    pub fn hold(&self, without: &[String]) -> io::Result<InheritedSockets> {
        let held = self.0.iter().filter(|named| !without.contains(&named.name));
        let duplicates = held.map(|named| named.socket.try_clone().map(|socket| (named.name.clone(), socket)));
        duplicates.collect::<io::Result<Vec<_>>>().map(InheritedSockets::new)
    }

    /// Another descriptor of each socket of a listener.
    ///
    /// # Errors
    /// As [`Self::duplicate`].
    pub fn duplicates(&self, listener: &Address) -> io::Result<Vec<OwnedFd>> {
        let name = SocketUse::Listener(listener.clone()).name();
        let named = self.0.iter().filter(|named| named.name == name);
        named.map(|named| named.socket.try_clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inherited_socket_is_used_and_the_rest_named() {
        let bound = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Tcp(bound.local_addr().unwrap());
        let other = ("127.0.0.1:1".to_owned(), TcpListener::bind("127.0.0.1:0").unwrap().into());
        let mut inherited = InheritedSockets::new([other, (address.to_string(), bound.into())]);
        let wanted = SocketUse::Listener(address.clone());
        // It could not be bound a second time.
        let opened = inherited.open(&wanted, false).unwrap();
        assert!(InheritedSockets::default().open(&wanted, false).unwrap_err().contains("Address already in use"));
        assert_eq!(inherited.unclaimed(), [Address::Tcp("127.0.0.1:1".parse().unwrap())]);
        let sockets = Sockets::new(vec![opened]);
        assert_eq!(sockets.bound(&wanted), address);
        assert!(sockets.duplicate(&wanted).is_ok());
        assert!(sockets.duplicate(&SocketUse::Admin(address)).is_err());
    }

    #[test]
    fn threads_have_a_socket_each_and_a_second_process_is_refused() {
        let any = Address::Tcp("127.0.0.1:0".parse().unwrap());
        let mut open = InheritedSockets::default().open_listener(&any, false, 3).unwrap();
        let listens = |open: &[NamedSocket]| -> Vec<bool> {
            open.iter().map(|named| SockRef::from(&named.socket).is_listener().unwrap()).collect()
        };
        assert_eq!(listens(&open), [true, false, false]);
        let address = |named: &NamedSocket| SockRef::from(&named.socket).local_addr().unwrap().as_socket().unwrap();
        let first = address(&open[0]);
        assert!(open.iter().all(|named| address(named) == first));
        let refused = InheritedSockets::default().open_listener(&Address::Tcp(first), false, 3);
        assert!(refused.unwrap_err().contains("Address already in use"));
        // A newer process keeps them all, and has more where it needs them.
        let passed =
            |open: &mut Vec<NamedSocket>| InheritedSockets::new(open.drain(..).map(|n| (first.to_string(), n.socket)));
        let mut fewer = passed(&mut open).open_listener(&Address::Tcp(first), false, 1).unwrap();
        assert_eq!(fewer.len(), 3);
        let more = passed(&mut fewer).open_listener(&Address::Tcp(first), false, 4).unwrap();
        assert_eq!(listens(&more), [true, false, false, false]);
    }
}
