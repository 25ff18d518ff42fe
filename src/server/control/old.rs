//! Where a process that has handed over stays within reach: beside the control socket that the
//! newer one has taken.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// In `upgrade.sock.old-27353`.
const MARK: &str = ".old-";

/// The place beside `path` for the socket of this inode: several processes may be on their way to
/// the end at once, and each may be process 1 of a container.
pub fn place_beside(path: &Path, inode: u64) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!("{MARK}{inode}"));
    PathBuf::from(beside)
}

/// The sockets of older processes beside `path`, the oldest first as far as the system tells.
pub fn sockets_beside(path: &Path) -> Vec<PathBuf> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let is_old = |found: &str| found.strip_prefix(name).is_some_and(|rest| rest.starts_with(MARK));
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let found = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_old)).map(|entry| entry.path());
    let modified = |path: &PathBuf| std::fs::metadata(path).and_then(|found| found.modified()).ok();
    let mut found: Vec<PathBuf> = found.collect();
    found.sort_by_cached_key(modified);
    found
}

/// Removes what processes left behind that were killed.
pub fn remove_stale(path: &Path) {
    for beside in sockets_beside(path) {
        let is_stale = UnixStream::connect(&beside).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused);
        if is_stale && let Err(e) = std::fs::remove_file(&beside) {
            log::debug!("cannot remove {}: {e}", beside.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn older_processes_are_found_beside_the_socket_until_they_are_gone() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path();
        let path = folder.join("u.sock");
        for name in ["u.sock", "u.sock.17", "other.old-1"] {
            std::fs::write(folder.join(name), "").unwrap();
        }
        let listen = |inode| UnixListener::bind(place_beside(&path, inode)).unwrap();
        let (alive, dead) = (listen(9), listen(10));
        assert_eq!(sockets_beside(&path).len(), 2);
        drop(dead);
        remove_stale(&path);
        assert_eq!(sockets_beside(&path), [folder.join("u.sock.old-9")]);
        drop(alive);
        std::fs::remove_dir_all(folder).unwrap();
        assert!(sockets_beside(&path).is_empty());
    }
}
