//! The folder in which the process keeps its own files, and to which nobody else can write.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::unistd::Uid;

use crate::config::Ids;

/// The folder that a service manager made (`RuntimeDirectory=` in systemd); without one
/// /run/pingora-proxy for root, and for other users a folder in `$XDG_RUNTIME_DIR`, or one
/// in the temporary folder that has the user's number in its name. It stays what it was at the
/// start when the process becomes another user, so that the next process finds what is in it.
pub fn default_dir() -> PathBuf {
    FOUND.get_or_init(|| all().into_iter().next().unwrap_or_default()).clone()
}

static FOUND: OnceLock<PathBuf> = OnceLock::new();

/// Has the folder of the older process be this one's, too, whatever the environment says. It has
/// no effect once a folder was asked for.
pub fn adopt(folder: &Path) {
    FOUND.get_or_init(|| folder.to_owned());
}

/// Every folder that the process's own may be, for this user and the environments that it may be
/// started in: that of this environment first.
pub fn all() -> Vec<PathBuf> {
    let named = |variable| std::env::var_os(variable).map(PathBuf::from).filter(|folder| folder.is_absolute());
    // systemd lists all folders of a unit.
    let listed = std::env::var_os("RUNTIME_DIRECTORY").and_then(|list| std::env::split_paths(&list).next());
    folders(listed.filter(|folder| folder.is_absolute()), named("XDG_RUNTIME_DIR"), Uid::effective())
}

fn folders(listed: Option<PathBuf>, session: Option<PathBuf>, uid: Uid) -> Vec<PathBuf> {
    const NAME: &str = "pingora-proxy";
    const OF_ROOT: &str = "/run/pingora-proxy";
    let mut all: Vec<PathBuf> = listed.into_iter().collect();
    if uid.is_root() {
        all.push(OF_ROOT.into());
    } else {
        all.extend(session.map(|folder| folder.join(NAME)));
        // Without a session's environment, as in a job of cron, the temporary folder is the first.
        let (of_session, temporary) =
            (format!("/run/user/{uid}/{NAME}"), std::env::temp_dir().join(format!("{NAME}-{uid}")));
        all.extend([temporary, of_session.into(), OF_ROOT.into()]);
    }
    let mut once = Vec::new();
    for folder in all {
        if !once.contains(&folder) {
            once.push(folder);
        }
    }
    once
}

/// Makes the folder of `file`, for its owner alone, where it is missing. A folder of the
/// process's own is given to the user that the process becomes.
///
/// # Errors
/// When it cannot be made, or others could put files into it.
pub fn prepare(file: &Path, identity: Option<Ids>) -> Result<(), String> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let wrong = |e: &dyn std::fmt::Display| format!("cannot use the folder {}: {e}", folder.display());
    let give = || match identity {
        Some(to) => std::os::unix::fs::chown(folder, Some(to.uid), Some(to.gid)).map_err(|e| wrong(&e)),
        None => Ok(()),
    };
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => return give(),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(wrong(&e)),
    }
    let found = std::fs::metadata(folder).map_err(|e| wrong(&e))?;
    let uid = Uid::effective();
    if !found.is_dir() {
        return Err(wrong(&"it is no folder"));
    }
    if !uid.is_root() && found.uid() != uid.as_raw() && found.uid() != 0 {
        return Err(wrong(&format!("it belongs to user {}", found.uid())));
    }
    // The sticky bit keeps others from replacing what is not theirs.
    let mode_bits = found.permissions().mode() & 0o1002;
    if mode_bits == 0o002 {
        return Err(wrong(&"everybody can write to it"));
    }
    if folder == default_dir() { give() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_folder_of_every_environment_is_known() {
        let names = |listed: Option<&str>, session: Option<&str>, uid: u32| {
            let all = folders(listed.map(PathBuf::from), session.map(PathBuf::from), Uid::from_raw(uid));
            all.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>()
        };
        let temporary = std::env::temp_dir().join("pingora-proxy-7").display().to_string();
        let (session, root) = ("/run/user/7/pingora-proxy", "/run/pingora-proxy");
        assert_eq!(names(None, None, 0), [root]);
        assert_eq!(names(Some("/run/x"), Some("/s"), 0), ["/run/x", root]);
        assert_eq!(names(None, None, 7), [&temporary, session, root]);
        assert_eq!(names(None, Some("/run/user/7"), 7), [session, &temporary, root]);
        assert_eq!(names(Some("/run/x"), Some("/s"), 7), ["/run/x", "/s/pingora-proxy", &temporary, session, root]);
    }

    #[test]
    fn a_folder_that_everybody_writes_to_is_refused() {
        let outer = tempfile::tempdir().unwrap();
        let base = outer.path().join("own");
        let inside = base.join("x.sock");
        prepare(&inside, None).unwrap();
        assert_eq!(std::fs::metadata(&base).unwrap().permissions().mode() & 0o777, 0o700);
        prepare(&inside, None).unwrap();
        std::fs::set_permissions(&base, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(prepare(&inside, None).unwrap_err().contains("everybody can write to it"));
        std::fs::remove_dir(&base).unwrap();
        assert!(prepare(Path::new("/dev/null/x"), None).is_err());
    }
}
