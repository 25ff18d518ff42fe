//! The files of unix sockets: who may connect, who owns them, and when they are removed.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::config::{Address, Ids, Listener};

/// Whether a socket's file can stand there.
///
/// # Errors
/// When something else stands there.
pub fn check_place(path: &Path) -> Result<(), String> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => Err("a file that is no socket stands there".to_owned()),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Removes the socket file that a process left behind, and nothing else.
///
/// # Errors
/// When something else stands there, or a process serves there.
pub fn remove_stale_socket(path: &Path) -> Result<(), String> {
    check_place(path)?;
    match std::fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => match path.parent() {
            Some(folder) if folder.is_dir() => Ok(()),
            Some(_) | None => Err("its folder does not exist".to_owned()),
        },
        Err(e) => Err(e.to_string()),
        Ok(_) if UnixStream::connect(path).is_ok() => Err("another process serves there".to_owned()),
        Ok(_) => std::fs::remove_file(path).map_err(|e| e.to_string()),
    }
}

/// Whether nobody listens at a unix socket's file. A full queue is not waited for.
pub fn is_refused(path: &Path) -> bool {
    let connected = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    connected().is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
}

/// Gives the files of unix sockets to the user that the process becomes. Their groups stay,
/// which a service manager may have chosen.
///
/// # Errors
/// When the system refuses.
pub fn chown_socket_files<'a>(addresses: impl Iterator<Item = &'a Address>, to: Ids) -> Result<(), String> {
    for path in addresses.filter_map(unix_path) {
        std::os::unix::fs::chown(path, Some(to.uid), None)
            .map_err(|e| format!("cannot give {} away: {e}", path.display()))?;
    }
    Ok(())
}

/// Lets everybody connect to unix sockets. Pingora does so when it begins to accept, and
/// panics where it may not.
///
/// # Errors
/// When the system refuses.
pub fn allow_everybody(listeners: &[Listener]) -> Result<(), String> {
    for path in listeners.iter().filter_map(|listener| unix_path(&listener.address)) {
        std::fs::set_permissions(path, Permissions::from_mode(0o666))
            .map_err(|e| format!("cannot open unix:{} to everybody: {e}", path.display()))?;
    }
    Ok(())
}

fn unix_path(address: &Address) -> Option<&Path> {
    match address {
        Address::Unix(path) => Some(path),
        Address::Tcp(_) => None,
    }
}

/// Removes the file of a listener on a unix socket, at the end of its last process.
pub fn remove_file(address: &Address) {
    if let Address::Unix(path) = address
        && let Err(e) = std::fs::remove_file(path)
        && e.kind() != io::ErrorKind::NotFound
    {
        log::warn!("cannot remove {}: {e}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_a_socket_that_nobody_serves_is_removed() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path();
        let path = folder.join("x");
        std::fs::write(&path, "keep me").unwrap();
        assert_eq!(remove_stale_socket(&path).unwrap_err(), "a file that is no socket stands there");
        std::fs::remove_file(&path).unwrap();
        let served = UnixListener::bind(&path).unwrap();
        assert_eq!(remove_stale_socket(&path).unwrap_err(), "another process serves there");
        assert!(!is_refused(&path));
        drop(served);
        assert!(is_refused(&path));
        remove_stale_socket(&path).unwrap();
        assert!(!path.exists());
        assert_eq!(remove_stale_socket(&folder.join("none/x")).unwrap_err(), "its folder does not exist");
    }
}
