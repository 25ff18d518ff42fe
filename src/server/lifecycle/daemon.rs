//! A daemon: the process that was called starts another one, waits until that serves, and
//! ends with the outcome. It does not fork, because threads do not survive that.

use std::fs::OpenOptions;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::server::upgrade::respawn::Respawn;

/// Tells a process that it is the daemon, and where its parent waits.
const PARENT: &str = "PINGORA_PROXY_DAEMON_PARENT";
const READY: &[u8] = b"ready";
const START_TIMEOUT: Duration = Duration::from_secs(90);
const TICK: Duration = Duration::from_millis(20);

/// Whether this process is the daemon.
pub fn is_child() -> bool {
    std::env::var_os(PARENT).is_some()
}

/// Starts the process in the background and waits until it serves.
///
/// # Errors
/// When it cannot be started, or ended before it served: its own error is on stderr by
/// then.
pub fn start(respawn: &Respawn, takes_over: bool) -> Result<(), String> {
    let name = format!("pingora-proxy-daemon-{}-{:x}", std::process::id(), unguessable());
    let socket = SocketAddr::from_abstract_name(&name)
        .and_then(|address| UnixDatagram::bind_addr(&address))
        .map_err(|e| format!("cannot wait for the daemon: {e}"))?;
    socket.set_read_timeout(Some(TICK)).map_err(|e| format!("cannot wait for the daemon: {e}"))?;
    let mut command = respawn.command();
    command.args(takes_over.then_some("-u")).env(PARENT, &name).stdout(Stdio::null());
    let mut child = respawn.start(&mut command)?;
    let end = Instant::now() + START_TIMEOUT;
    let mut word = [0; 16];
    loop {
        if socket.recv(&mut word).is_ok_and(|length| &word[..length] == READY) {
            return Ok(());
        }
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            return Err(format!("the daemon ended before it served ({status})"));
        }
        if Instant::now() >= end {
            child.kill().map_err(|e| e.to_string())?;
            return Err(format!("the daemon did not serve within {} s and was ended", START_TIMEOUT.as_secs()));
        }
    }
}

fn unguessable() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

/// Leaves the terminal. The daemon does that first.
///
/// # Errors
/// When the system refuses.
pub fn leave_terminal() -> Result<(), String> {
    rustix::process::setsid().map(drop).map_err(|e| format!("cannot leave the terminal: {e}"))
}

/// Tells the parent, if one waits, that this process serves, and closes its stderr.
pub fn tell_parent() {
    let Some(name) = std::env::var_os(PARENT) else { return };
    // What was said so far is for the terminal.
    log::logger().flush();
    let told = SocketAddr::from_abstract_name(name.as_encoded_bytes()).and_then(|address| {
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        socket.send(READY)
    });
    if let Err(e) = told.map(drop).and_then(|()| let_go_of_stderr()) {
        log::debug!("nobody waits for this daemon: {e}");
    }
}

fn let_go_of_stderr() -> io::Result<()> {
    let nothing = OpenOptions::new().write(true).open("/dev/null")?;
    Ok(rustix::stdio::dup2_stderr(nothing)?)
}
