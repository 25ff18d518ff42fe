//! The files of the process's own, the pid file and the control socket: where each stands,
//! and why it cannot be had.

use std::path::PathBuf;

use super::runtime_dir;
use crate::config::Place;

pub const PID_FILE: &str = "pingora-proxy.pid";
pub const CONTROL_SOCKET: &str = "upgrade.sock";

/// A file of the process's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnFile {
    pub path: PathBuf,
    /// Whether the configuration names it. One that it does not name is done without
    /// when another process has it.
    pub configured: bool,
}

/// `None` where the configuration wants none.
pub fn locate(place: &Place, name: &str) -> Option<OwnFile> {
    match place {
        Place::Off => None,
        Place::At(path) => Some(OwnFile { path: path.clone(), configured: true }),
        Place::Auto => Some(OwnFile { path: runtime_dir::default_dir().join(name), configured: false }),
    }
}

/// Why the process cannot have its file.
#[derive(Debug, PartialEq, Eq)]
pub enum OwnFileError {
    /// Another process has it; its id, if the file tells.
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
        assert_eq!(locate(&Place::Off, PID_FILE), None);
        let named = locate(&Place::At("/x/y.pid".into()), PID_FILE).unwrap();
        assert_eq!(named, OwnFile { path: "/x/y.pid".into(), configured: true });
        let found = locate(&Place::Auto, CONTROL_SOCKET).unwrap();
        assert!(!found.configured && found.path.ends_with("upgrade.sock"));
    }
}
