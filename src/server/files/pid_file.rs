//! The pid file. It is locked for as long as its process lives, so that a stale one is
//! found without trusting the number in it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::own_file::OwnFileError;
use super::runtime_dir;

#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    file: File,
}

impl PidFile {
    /// Locks the file and writes our id into it.
    ///
    /// # Errors
    /// When another process holds it, or it cannot be written.
    pub fn take(path: &Path) -> Result<Self, OwnFileError> {
        let failed = |e: &dyn std::fmt::Display| {
            OwnFileError::Failed(format!("cannot write the pid file {}: {e}", path.display()))
        };
        runtime_dir::prepare(path, None).map_err(OwnFileError::Failed)?;
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(|e| failed(&e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let other = read(&mut file).map_or_else(String::new, |pid| format!(" (process {pid})"));
                let text = format!("another pingora-proxy{other} holds the pid file {}", path.display());
                return Err(OwnFileError::Taken(text));
            }
            Err(TryLockError::Error(e)) => return Err(failed(&e)),
        }
        write_id(&mut file, std::process::id()).map_err(|e| failed(&e))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Leaves the file to the process that takes over. It names that one from now on, because
    /// whoever asked for the upgrade is about to hear that it is done.
    pub fn hand_over(mut self, successor: u32) {
        if let Err(e) = write_id(&mut self.file, successor).and_then(|()| self.file.unlock()) {
            log::warn!("cannot leave the pid file {} to process {successor}: {e}", self.path.display());
        }
    }

    /// Removes the file at the end of the process.
    pub fn remove(self) {
        if let Err(e) = std::fs::remove_file(&self.path) {
            log::warn!("cannot remove the pid file {}: {e}", self.path.display());
        }
    }
}

/// The id in a pid file whose process lives; `None` for a stale file.
pub fn living(path: &Path) -> Option<u32> {
    let mut file = File::open(path).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => read(&mut file),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

/// Writes over what stands there, so that nobody ever reads an empty file.
fn write_id(file: &mut File, id: u32) -> io::Result<()> {
    let text = format!("{id}\n");
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.set_len(u64::try_from(text.len()).unwrap_or(u64::MAX))
}

fn read(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_pid_file_is_told_from_a_true_one() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path();
        let path = folder.join("p.pid");
        std::fs::write(&path, "1\n").unwrap();
        assert_eq!(living(&path), None);
        let held = PidFile::take(&path).unwrap();
        assert_eq!(living(&path), Some(std::process::id()));
        let refused = PidFile::take(&path).unwrap_err();
        assert!(matches!(&refused, OwnFileError::Taken(text) if text.contains(&std::process::id().to_string())));
        held.hand_over(7);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "7\n");
        PidFile::take(&path).unwrap().remove();
        assert!(!path.exists());
    }
}
