//! What the command line asks of a running process: orders, its servers, its health.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::admin;
use super::control::client::{send_message, send_order};
use super::control::protocol::{Message, Order};
use super::files::{own_file, pid_file};
use crate::config::{AdminAddress, Config, OwnFilePlace};
use crate::upstream::OperatorCommand;

/// Gives an order to the running process and waits for its outcome, in words. `places` are
/// those of the control socket and the pid file. `file` is the configuration with which the
/// process must run, where the configuration does not name the places.
///
/// # Errors
/// When no process answers; the pid file may tell more.
pub fn order(
    places: (&OwnFilePlace, &OwnFilePlace),
    file: Option<&Path>,
    order: Order,
) -> Result<(bool, String), String> {
    const ANSWER_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
    ask_process(places, file, |path, file| send_order(path, file, order, ANSWER_TIMEOUT))
}

/// The report of the running process's upstreams, as JSON; or, with a `change`, the outcome
/// of that. The rest is as with [`order`].
///
/// # Errors
/// As [`order`].
pub fn upstreams(
    places: (&OwnFilePlace, &OwnFilePlace),
    file: Option<&Path>,
    change: Option<OperatorCommand>,
) -> Result<(bool, String), String> {
    const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
    ask_process(places, file, |path, file| {
        let message = Message::Upstreams { change, file: file.map(Path::to_owned) };
        send_message(path, &message, ANSWER_TIMEOUT, false)
    })
}

fn ask_process(
    (upgrade_sock, pid_file): (&OwnFilePlace, &OwnFilePlace),
    file: Option<&Path>,
    ask: impl FnOnce(&Path, Option<&Path>) -> Result<(bool, String), String>,
) -> Result<(bool, String), String> {
    let Some(own) = own_file::locate(upgrade_sock, own_file::CONTROL_SOCKET) else {
        return Err("`server.upgrade_sock` is off: there is no way to the running process but signals".to_owned());
    };
    let file = file.filter(|_| !own.configured).map(absolute);
    ask(&own.path, file.as_deref()).map_err(|reason| {
        let file = own_file::locate(pid_file, own_file::PID_FILE).map(|own| own.path);
        match file.as_deref().map(|path| (path, path.exists(), pid_file::living(path))) {
            Some((path, _, Some(pid))) => format!("{reason}; process {pid} holds {}", path.display()),
            Some((path, true, None)) => format!("{reason}; {} is stale", path.display()),
            Some((_, false, None)) | None => reason,
        }
    })
}

/// Whether the process of this configuration is ready, or at least `live`, asked as a
/// probe would. Where the configuration does not name the admin endpoint's address, another
/// process may have it, so that the control socket is asked.
///
/// # Errors
/// Why it is neither.
pub fn check_health(config: &Config, file: &Path, live: bool) -> Result<(), String> {
    match &config.admin.address {
        AdminAddress::At(address) => admin::ask(address, if live { "/health" } else { "/ready" }),
        AdminAddress::Auto | AdminAddress::Off => {
            let order = if live { Order::Status } else { Order::Ready };
            let places = (&config.server.upgrade_sock, &config.server.pid_file);
            match self::order(places, Some(file), order)? {
                (true, _) => Ok(()),
                (false, text) => Err(format!("not ready: {text}")),
            }
        }
    }
}

/// The absolute form of a path, so that a later reload does not depend on where it is asked for.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
