//! Listeners: checked before anything starts, because Pingora panics in a task
//! of its own when it cannot bind and leaves a process that serves nobody.

use std::net::TcpListener;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;

use pingora_core::listeners::{L4BufferSettings, ListenerConfig};
use pingora_core::services::listening::Service;

use crate::config::{Address, Listener};

/// How an address is written in messages.
pub fn describe(address: &Address) -> String {
    match address {
        Address::Tcp(address) => address.to_string(),
        Address::Unix(path) => format!("unix:{}", path.display()),
    }
}

/// # Errors
/// The first address that cannot be listened on, and why.
pub fn check(listeners: &[Listener]) -> Result<(), String> {
    // Held until all are taken: two addresses may overlap.
    let mut taken = Vec::new();
    for listener in listeners {
        let refused = |reason: String| format!("cannot listen on {}: {reason}", describe(&listener.address));
        match &listener.address {
            Address::Tcp(address) => {
                taken.push(TcpListener::bind(address).map_err(|e| refused(e.to_string()))?);
            }
            Address::Unix(path) => {
                if UnixStream::connect(path).is_ok() {
                    return Err(refused("another process serves there".to_owned()));
                }
                // Pingora removes whatever stands there.
                if std::fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket()) {
                    return Err(refused("a file that is no socket stands there".to_owned()));
                }
                let folder = path.parent().filter(|p| p.is_dir());
                folder.ok_or_else(|| refused("its folder does not exist".to_owned()))?;
            }
        }
    }
    Ok(())
}

/// `downstream` gathers what is read and written; Pingora's own buffers would cost
/// each idle connection 64 KiB and hold back the first bytes of a slow response.
fn unbuffered(listener: ListenerConfig) -> ListenerConfig {
    listener.l4_buffer(L4BufferSettings::default().read(0).write(0))
}

/// # Errors
/// When a socket path is not UTF-8, which Pingora cannot take.
pub fn add<A>(service: &mut Service<A>, listeners: &[Listener]) -> Result<(), String> {
    for listener in listeners {
        match &listener.address {
            Address::Tcp(address) => service.add_listener(unbuffered(ListenerConfig::tcp(address.to_string()))),
            Address::Unix(path) => {
                let path = path.to_str().ok_or_else(|| format!("{}: not UTF-8", path.display()))?;
                service.add_listener(unbuffered(ListenerConfig::uds(path)));
            }
        }
    }
    Ok(())
}
