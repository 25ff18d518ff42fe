//! The files of the process's own, which are the pid file and the control socket: where
//! each is, and why it cannot be taken.

use std::path::PathBuf;

use super::runtime_dir;
use crate::config::OwnFilePlace;

pub const PID_FILE: &str = "pingora-proxy.pid";
pub const CONTROL_SOCKET: &str = "upgrade.sock";

/// A file of the process's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnFile {
    pub path: PathBuf,
    /// Whether the configuration names the file. The process does without one that is not
    /// named when another process has it.
    pub configured: bool,
}

/// Where the file is; `None` where the configuration switches it off.
pub fn locate(place: &OwnFilePlace, name: &str) -> Option<OwnFile> {
    match place {
        OwnFilePlace::Off => None,
        OwnFilePlace::At(path) => Some(OwnFile { path: path.clone(), configured: true }),
        OwnFilePlace::Auto => Some(OwnFile { path: runtime_dir::default_dir().join(name), configured: false }),
    }
}

/// Why the process cannot take its file.
#[derive(Debug, PartialEq, Eq)]
pub enum OwnFileError {
    /// Another process has the file.
    Taken(String),
    Failed(String),
}

impl std::fmt::Display for OwnFileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Taken(text) | Self::Failed(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_configuration_names_is_taken_as_it_is() {
        assert_eq!(locate(&OwnFilePlace::Off, PID_FILE), None);
        let named = locate(&OwnFilePlace::At("/x/y.pid".into()), PID_FILE).unwrap();
        assert_eq!(named, OwnFile { path: "/x/y.pid".into(), configured: true });
        let found = locate(&OwnFilePlace::Auto, CONTROL_SOCKET).unwrap();
        assert!(!found.configured && found.path.ends_with("upgrade.sock"));
    }
}
