//! The certificates that all proxies show alike: one for each kind of key, made for the run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Result;
use crate::folder::Folder;

/// The name that the certificates are for, and that clients ask for.
pub const NAME: &str = "localhost";
/// Of a server and no CA: openssl's own would be refused by clients that look.
const REQUEST: &str = "[req]\ndistinguished_name = name\nx509_extensions = server\n[name]\n[server]\n\
                       basicConstraints = critical, CA:FALSE\nsubjectAltName = DNS:localhost\n";

/// The kind of a certificate's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// ECDSA on P-256.
    Ecdsa,
    /// RSA of 2,048 bits.
    Rsa,
}

/// The files of one certificate.
#[derive(Debug)]
pub struct Files {
    pub cert: PathBuf,
    pub key: PathBuf,
    /// Both in one file, as HAProxy reads them.
    pub both: PathBuf,
}

impl Key {
    /// The files in the folder of [`make`].
    pub fn files(self, folder: &Path) -> Files {
        let name = match self {
            Self::Ecdsa => "ecdsa",
            Self::Rsa => "rsa",
        };
        let file = |ending| folder.join(format!("{name}.{ending}"));
        Files { cert: file("crt"), key: file("key"), both: file("pem") }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Ecdsa => &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
            Self::Rsa => &["-newkey", "rsa:2048"],
        }
    }
}

/// Makes a certificate for each kind of key, in a folder that is removed with the value.
///
/// # Errors
/// When `openssl` cannot be run, in words.
pub fn make() -> Result<Folder> {
    let folder = Folder::new()?;
    let request = folder.0.join("request.cnf");
    fs::write(&request, REQUEST)?;
    for key in [Key::Ecdsa, Key::Rsa] {
        let files = key.files(&folder.0);
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-nodes", "-days", "90", "-subj", "/CN=localhost"]).args(key.arguments());
        openssl.arg("-config").arg(&request).arg("-keyout").arg(&files.key).arg("-out").arg(&files.cert);
        let made = openssl.output().map_err(|e| format!("openssl cannot be run: {e}"))?;
        if !made.status.success() {
            return Err(format!("openssl made no certificate: {}", String::from_utf8_lossy(&made.stderr)).into());
        }
        fs::write(&files.both, [fs::read(&files.cert)?, fs::read(&files.key)?].concat())?;
    }
    Ok(folder)
}
