//! The key that signs the cookies of sticky upstreams. It is kept in the process's own
//! folder, so that a reload, an upgrade and a restart know their clients again.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

use super::runtime_dir;
use crate::config::{Config, Ids};
use crate::upstream::CookieKey;

const FILE: &str = "sticky.key";
const LENGTH: usize = 32;

/// Makes the folder of the key while the process may, for the user that it becomes.
pub fn prepare_folder(identity: Ids) {
    let path = runtime_dir::default_dir().join(FILE);
    if let Err(reason) = runtime_dir::prepare(&path, Some(identity)) {
        // Where a key is needed, `find` says so in the log, which is not open yet.
        log::debug!("sticky: {reason}");
    }
}

/// The key in the folder, which is made where there is none; a key for this process alone
/// where it cannot be kept. The key is empty where no upstream needs one.
pub fn find(config: &Config) -> CookieKey {
    let sticky = config.upstreams.iter().filter_map(|upstream| upstream.sticky.as_ref());
    if sticky.filter(|sticky| sticky.secret.is_none()).count() == 0 {
        return CookieKey::new(Vec::new());
    }
    let path = runtime_dir::default_dir().join(FILE);
    let kept = runtime_dir::prepare(&path, None).and_then(|()| kept(&path).map_err(|e| e.to_string()));
    CookieKey::new(kept.unwrap_or_else(|reason| {
        log::warn!(
            "sticky: the key {} cannot be kept ({reason}): after this process, clients change servers",
            path.display()
        );
        fresh().unwrap_or_default()
    }))
}

fn kept(path: &Path) -> io::Result<Vec<u8>> {
    let key = fresh()?;
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => file.write_all(&key).map(|()| key),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let mut found = Vec::new();
            let read = OpenOptions::new().read(true).open(path)?.take(1024).read_to_end(&mut found)?;
            match read {
                LENGTH.. => Ok(found),
                _ => Err(io::Error::other("it is too short; remove it")),
            }
        }
        Err(e) => Err(e),
    }
}

fn fresh() -> io::Result<Vec<u8>> {
    let mut key = vec![0; LENGTH];
    SystemRandom::new().fill(&mut key).map_err(|_| io::Error::other("no random bytes"))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stays_and_a_broken_one_is_not_used() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path();
        let path = folder.join(FILE);
        let first = kept(&path).unwrap();
        assert_eq!((first.len(), kept(&path).unwrap()), (LENGTH, first));
        std::fs::write(&path, "short").unwrap();
        assert!(kept(&path).is_err());
    }
}
