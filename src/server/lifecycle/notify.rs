//! What the process tells its service manager (`NOTIFY_SOCKET`, systemd's `Type=notify`, and
//! `Type=notify-reload` where it is known).

use sd_notify::NotifyState;

fn tell(states: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(states) {
        log::warn!("the service manager cannot be told: {e}");
    }
}

pub fn ready() {
    tell(&[NotifyState::MainPid(std::process::id()), NotifyState::Ready]);
}

pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(e) => log::warn!("the service manager cannot be told: {e}"),
    }
}

/// Says that a reload is over, well or not.
pub fn reloaded(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Says that this process is the service again, after another one was.
pub fn took_back(status: &str) {
    tell(&[NotifyState::MainPid(std::process::id()), NotifyState::Ready, NotifyState::Status(status)]);
}

/// Says that another process is the service now.
pub fn handed_over(pid: u32) {
    tell(&[NotifyState::MainPid(pid)]);
}
