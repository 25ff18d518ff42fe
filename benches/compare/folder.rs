//! A folder of the run.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use crate::error::Result;

/// A folder that is removed when it is dropped.
#[derive(Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Result<Self> {
        let name = format!("compare-{}-{:?}", std::process::id(), Instant::now());
        let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path)?;
        // nginx's workers run as another user and write here.
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
