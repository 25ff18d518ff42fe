//! The place of the control socket: taken, left to a newer process, taken back, removed.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use super::calls::accept_calls;
use super::old;
use super::state::ControlState;
use crate::server::files::own_file::OwnFileError;
use crate::server::files::runtime_dir;
use crate::server::socket_files::{is_refused, remove_stale_socket};

/// The file of the control socket. It is removed when its process ends, unless a newer
/// process took over.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    /// Device and inode of the file: another process may have put its own in the place.
    identity: Option<(u64, u64)>,
    /// Its second name, once a newer process has the place.
    beside: Option<PathBuf>,
}

impl ControlSocket {
    /// Listens on `path` and answers calls. `replace` says that the file there belongs to the
    /// process that this one has taken over from.
    ///
    /// # Errors
    /// When another process answers there, or it cannot be listened on.
    pub fn serve(path: &Path, replace: bool, control_state: Arc<ControlState>) -> Result<Self, OwnFileError> {
        let failed = |e: &dyn std::fmt::Display| {
            OwnFileError::Failed(format!("cannot listen on the control socket {}: {e}", path.display()))
        };
        runtime_dir::prepare(path, None).map_err(OwnFileError::Failed)?;
        if !replace && UnixStream::connect(path).is_ok() {
            return Err(OwnFileError::Taken(format!("another pingora-proxy answers on {}", path.display())));
        }
        if !replace {
            remove_stale_socket(path).map_err(|e| failed(&e))?;
        }
        // The socket is made beside its place and renamed, so that nobody finds it half made
        // and a replaced one is never missing.
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(beside);
        remove_stale_socket(&beside).map_err(|e| failed(&e))?;
        let listener = UnixListener::bind(&beside).map_err(|e| failed(&e))?;
        std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600))
            .and_then(|()| std::fs::rename(&beside, path))
            .and_then(|()| {
                thread::Builder::new().name("control".to_owned()).spawn(move || accept_calls(&listener, &control_state))
            })
            .map_err(|e| failed(&e))?;
        old::remove_stale(path);
        Ok(Self { path: path.to_owned(), identity: identity_of(path), beside: None })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the process within reach beside the place that a newer one is about to take.
    pub fn step_aside(&mut self) {
        let Some((_, inode)) = self.identity else { return };
        let beside = old::place_beside(&self.path, inode);
        match std::fs::hard_link(&self.path, &beside) {
            Ok(()) => self.beside = Some(beside),
            Err(e) => log::debug!("`-s status` will not know of this process: {}: {e}", beside.display()),
        }
    }

    /// Whether the process is reached in its place, and nowhere else.
    pub fn is_at_home(&self) -> bool {
        self.beside.is_none() && self.is_in_place()
    }

    fn is_in_place(&self) -> bool {
        self.identity.is_some() && identity_of(&self.path) == self.identity
    }

    /// Takes the place again that [`Self::step_aside`] has left to a process that is dead now.
    ///
    /// # Errors
    /// When another process answers there, or the files cannot be changed.
    pub fn return_to_place(&mut self) -> Result<(), OwnFileError> {
        let failed = |e: io::Error| {
            OwnFileError::Failed(format!("cannot take the control socket {} back: {e}", self.path.display()))
        };
        if !self.is_in_place() && self.path.exists() && !is_refused(&self.path) {
            return Err(OwnFileError::Taken(format!("another pingora-proxy answers on {}", self.path.display())));
        }
        let moved = match &self.beside {
            // The newer process had another place: both names are this process's own, and a rename
            // would leave both.
            Some(beside) if self.is_in_place() => std::fs::remove_file(beside),
            Some(beside) => std::fs::rename(beside, &self.path),
            None if self.is_in_place() => Ok(()),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        moved.map_err(failed)?;
        self.beside = None;
        Ok(())
    }

    /// Removes the files at the end of the process, where they are still the process's own.
    pub fn remove(self) {
        for path in self.beside.iter().chain([&self.path]) {
            if self.identity.is_some()
                && identity_of(path) == self.identity
                && let Err(e) = std::fs::remove_file(path)
            {
                log::warn!("cannot remove the control socket {}: {e}", path.display());
            }
        }
    }
}

fn identity_of(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}
