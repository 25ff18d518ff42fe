//! Addresses: where something listens, and where an upstream's server is. No name is resolved
//! here.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::yaml::{Invalid, Parsed};

/// Where something listens, or where an upstream server is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    Tcp(SocketAddr),
    /// An absolute path.
    Unix(PathBuf),
}

impl std::fmt::Display for Address {
    /// As it is written in the file and named in messages.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(socket) => write!(f, "{socket}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Where a server is, or where to ask for that.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServerPlace {
    At(Address),
    Named(Named),
}

/// A name that is looked up again each `refresh`, off the request path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Named {
    pub name: String,
    pub kind: Lookup,
    pub refresh: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// One server, which is reached at any address of the name.
    One { port: u16 },
    /// Each A and AAAA record is a server.
    Each { port: u16 },
    /// Each target of the SRV records of the best priority is a server.
    Services,
}

/// `unix:/path`; `None` where the text has another form.
pub fn unix(text: &str) -> Option<Parsed<Address>> {
    let path = text.strip_prefix("unix:")?;
    // sun_path holds 108 bytes with its final zero, 104 on some systems.
    const LONGEST: usize = 103;
    Some(if !Path::new(path).is_absolute() {
        Err(Invalid::with_help("a Unix socket's path must be absolute", "write it as `unix:/run/app.sock`"))
    } else if path.starts_with("//") {
        let path = path.trim_start_matches('/');
        Err(Invalid::with_help("a Unix socket is named by its path, not by a URL", format!("write `unix:/{path}`")))
    } else if path.len() > LONGEST || path.contains('\0') {
        Err(Invalid::new(format!("a Unix socket's path is at most {LONGEST} bytes long")))
    } else {
        Ok(Address::Unix(PathBuf::from(path)))
    })
}

// `parse` alone would also take `+80`.
pub fn number(text: &str) -> Result<u16, ()> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().map_err(|_| ()) } else { Err(()) }
}

pub fn nonzero(port: u16) -> Parsed<()> {
    if port == 0 { Err(Invalid::new("a server's port cannot be 0")) } else { Ok(()) }
}
