//! Becoming another user, once everything that needs root is open.

use nix::unistd::{Gid, Uid, User, initgroups, setgid, setgroups, setuid};

use crate::config::Ids;

/// Drops groups, group and user, in this order, for all threads. Does nothing where
/// the process is that user already.
///
/// # Errors
/// When the system refuses, or root could be had back.
pub fn drop_privileges(ids: Ids) -> Result<(), String> {
    let (uid, gid) = (Uid::from_raw(ids.uid), Gid::from_raw(ids.gid));
    if !Uid::effective().is_root() {
        // The configuration is refused where another user is named and we are not root.
        return Ok(());
    }
    let wrong = |what: &str| {
        let what = what.to_owned();
        move |e: nix::Error| format!("cannot {what}: {e}")
    };
    let name = User::from_uid(uid).ok().flatten().and_then(|user| std::ffi::CString::new(user.name).ok());
    match name.filter(|_| !uid.is_root()) {
        Some(name) => initgroups(&name, gid).map_err(wrong("take the user's groups"))?,
        None => setgroups(&[gid]).map_err(wrong("drop the groups"))?,
    }
    setgid(gid).map_err(wrong(&format!("become group {gid}")))?;
    setuid(uid).map_err(wrong(&format!("become user {uid}")))?;
    if !uid.is_root() && setuid(Uid::from_raw(0)).is_ok() {
        return Err("root could be had back after it was given up".to_owned());
    }
    Ok(())
}
