//! Which proxies there are.

use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Ours(PathBuf),
    Nginx,
    Haproxy,
    Caddy,
    Pingap(PathBuf),
    Floor,
}

impl Kind {
    /// What the program says of itself; `None` where it cannot be run.
    pub fn version(&self) -> Option<String> {
        let (program, argument): (&Path, _) = match self {
            Self::Ours(path) => (path, "--version"),
            Self::Nginx => (Path::new("nginx"), "-v"),
            Self::Haproxy => (Path::new("haproxy"), "-v"),
            Self::Caddy => (Path::new("caddy"), "version"),
            Self::Pingap(path) => (path, "--version"),
            Self::Floor => return Some("Pingora 0.9.1".to_owned()),
        };
        let output = Command::new(program).arg(argument).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let number = text.split_whitespace().find(|word| word.contains('.'))?;
        Some(number.trim_start_matches("nginx/").to_owned())
    }

    /// Whether the template can have the proxy write an access log to a file.
    pub fn logs(&self) -> bool {
        match self {
            Self::Ours(_) | Self::Nginx | Self::Caddy => true,
            Self::Haproxy | Self::Pingap(_) | Self::Floor => false,
        }
    }
}
