//! Which running process is meant: where its control socket may stand, and whether it runs with
//! the configuration that was named.

use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::Uid;

use super::control::client::send_order;
use super::control::protocol::Order;
use super::files::{own_file, pid_file, runtime_dir};
use crate::config::{INPUT, OwnFilePlace};

/// How long a process may take to say that it is the one.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// A running process that answers on its control socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    pub path: PathBuf,
    /// The configuration with which it must run, where others might answer there.
    pub file: Option<PathBuf>,
    /// The user of the process, where it is another one and was found by a search.
    pub stranger: Option<u32>,
}

/// The absolute form of a path, so that a later reload does not depend on where it is asked for.
/// Standard input stays what it is.
pub fn absolute(path: &Path) -> PathBuf {
    if path == Path::new(INPUT) {
        return path.to_owned();
    }
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Finds the process of the configuration `file`, or any process where no file is named.
/// `places` are those of its control socket and its pid file.
///
/// # Errors
/// In words: where was looked, and what was found there.
pub fn find((control, pid_file): (&OwnFilePlace, &OwnFilePlace), file: Option<&Path>) -> Result<Running, String> {
    match control {
        OwnFilePlace::Off => {
            Err("`server.upgrade_sock` is off: there is no way to the running process but signals".to_owned())
        }
        // Nobody else shares the place, so that whoever answers is the one.
        OwnFilePlace::At(path) => match UnixStream::connect(path) {
            Ok(_) => Ok(Running { path: path.clone(), file: None, stranger: None }),
            Err(e) => {
                let hint = pid_file_hint(pid_file);
                Err(format!("no running process answers on {}: {e}{hint}", path.display()))
            }
        },
        OwnFilePlace::Auto => search(file).map_err(|reason| format!("{reason}{}", pid_file_hint(pid_file))),
    }
}

/// Looks in every place that can be a process's own, and then wherever there is a control socket.
fn search(file: Option<&Path>) -> Result<Running, String> {
    let file = file.map(absolute);
    // Without a file's name only the place tells one process from another.
    let searches = file.as_deref().is_some_and(|file| file != Path::new(INPUT));
    let mut looked = Vec::new();
    for folder in runtime_dir::all().into_iter().take(if searches { usize::MAX } else { 1 }) {
        let path = folder.join(own_file::CONTROL_SOCKET);
        match probe(&path, file.as_deref()) {
            Ok(()) => return Ok(Running { path, file, stranger: None }),
            Err(reason) => looked.push((path, reason)),
        }
    }
    let known: Vec<PathBuf> = looked.iter().map(|(path, _)| path.clone()).collect();
    let mut answering = Vec::new();
    for path in bound_sockets().into_iter().filter(|path| searches && !known.contains(path)) {
        match probe(&path, file.as_deref()) {
            Ok(()) => answering.push(path),
            Err(reason) => looked.push((path, reason)),
        }
    }
    match answering.as_slice() {
        [path] => Ok(Running { path: path.clone(), file, stranger: stranger(path) }),
        [] => Err(describe(file.as_deref(), &looked)),
        several => Err(format!(
            "several processes run with it: {}; give each its own `server.upgrade_sock`",
            several.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
        )),
    }
}

/// The user to whom a socket belongs, if that is another one.
fn stranger(path: &Path) -> Option<u32> {
    let found = std::fs::metadata(path).ok()?.uid();
    (found != Uid::effective().as_raw()).then_some(found)
}

/// Whether the process behind the socket runs with `file`; `None` is any process.
fn probe(path: &Path, file: Option<&Path>) -> Result<(), String> {
    match send_order(path, file, Order::Status, PROBE_TIMEOUT)? {
        (true, _) => Ok(()),
        (false, reason) => Err(reason),
    }
}

/// What the search came to. A place where nothing stands is named, and one that answers says why
/// it is not the one.
fn describe(file: Option<&Path>, looked: &[(PathBuf, String)]) -> String {
    let of = match file {
        Some(file) if file == Path::new(INPUT) => " with a configuration from standard input".to_owned(),
        Some(file) => format!(" with {}", file.display()),
        None => String::new(),
    };
    let mut text = format!("no running process answers{of}; this was looked at:");
    for (path, reason) in looked {
        let reason = reason.strip_prefix("no running process answers on ").unwrap_or(reason);
        let place = path.display().to_string();
        let reason = reason.strip_prefix(&place).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(reason);
        text.push_str(&format!("\n  {place}: {reason}"));
    }
    if file.is_none_or(|file| file == Path::new(INPUT)) {
        text.push_str("\nwith `-c FILE` it is looked for elsewhere, too");
    }
    text
}

/// What the pid file knows, for somebody whose process does not answer.
fn pid_file_hint(place: &OwnFilePlace) -> String {
    let file = own_file::locate(place, own_file::PID_FILE).map(|own| own.path);
    match file.as_deref().map(|path| (path, path.exists(), pid_file::living(path))) {
        Some((path, _, Some(pid))) => format!("; process {pid} holds {}", path.display()),
        Some((path, true, None)) => format!("; {} is stale", path.display()),
        Some((_, false, None)) | None => String::new(),
    }
}

/// The control sockets of this machine with the usual name, wherever they stand, as Linux tells.
/// A socket is bound under the name `upgrade.sock.PID` before it is put into its place.
fn bound_sockets() -> Vec<PathBuf> {
    let table = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let mut found: Vec<PathBuf> = table.lines().filter_map(control_socket_in).collect();
    found.sort();
    found.dedup();
    found
}

/// The place of the control socket in a line of the kernel's table.
fn control_socket_in(line: &str) -> Option<PathBuf> {
    let path = line.get(line.find('/')?..)?;
    let (place, pid) = path.rsplit_once('.')?;
    let place = Path::new(place);
    let is_number = !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit());
    let is_ours = place.file_name()?.to_str()? == own_file::CONTROL_SOCKET;
    (is_number && is_ours).then(|| place.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_names_control_sockets() {
        let line =
            "0000000000000000: 00000002 00000000 00010000 0001 01 27353 /run/user/7/pingora-proxy/upgrade.sock.411";
        assert_eq!(control_socket_in(line), Some(PathBuf::from("/run/user/7/pingora-proxy/upgrade.sock")));
        for other in [
            line.replace("upgrade.sock.411", "upgrade.sock"),
            line.replace("upgrade.sock.411", "upgrade.sock.x"),
            line.replace("upgrade.sock.411", "other.sock.411"),
            "0000000000000000: 00000003 00000000 00000000 0001 03 27353".to_owned(),
            "Num RefCount Protocol Flags Type St Inode Path".to_owned(),
        ] {
            assert_eq!(control_socket_in(&other), None, "{other}");
        }
    }

    #[test]
    fn a_search_says_where_it_looked() {
        let looked = [
            (PathBuf::from("/a"), "no running process answers on /a: gone".to_owned()),
            (PathBuf::from("/b"), "other".to_owned()),
        ];
        assert_eq!(
            describe(Some(Path::new("/p.yaml")), &looked),
            "no running process answers with /p.yaml; this was looked at:\n  /a: gone\n  /b: other"
        );
    }
}
