//! Who changes something of the process, as far as the way shows.

use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Nobody: the process started.
    Start,
    /// A signal, whose sender the system does not tell.
    Signal(&'static str),
    /// The configuration's file changed (`server.reload_on_change`).
    File,
    /// A caller on the control socket, as the kernel says.
    Control { uid: u32, pid: i32 },
    /// A caller of the admin endpoint on its unix socket, as the kernel says.
    AdminSocket { uid: u32, pid: i32 },
    /// Whoever has the token of the admin endpoint.
    AdminToken,
    /// A caller of the admin endpoint with a certificate, and whom that names.
    AdminCertificate { name: String },
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::Signal(name) => write!(f, "signal {name}"),
            Self::File => f.write_str("change of the file"),
            Self::Control { uid, pid } => write!(f, "control socket, user {uid}, process {pid}"),
            Self::AdminSocket { uid, pid } => write!(f, "admin socket, user {uid}, process {pid}"),
            Self::AdminToken => f.write_str("admin token"),
            Self::AdminCertificate { name } => write!(f, "admin certificate {name}"),
        }
    }
}
