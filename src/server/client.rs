//! What the command line asks of a running process: orders, its servers, its health.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::admin::{self, Stats};
use super::control::client::{send_message, send_order};
use super::control::old;
use super::control::protocol::{InForce, Message, Order, Question};
use super::find::{self, Running};
use crate::config::{AdminAddress, Config, OwnFilePlace};
use crate::upstream::OperatorCommand;

/// For what is done in an order: a drain may take its time.
const ORDER_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// For what is only asked.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Gives an order to a running process and waits for its outcome, in words.
///
/// # Errors
/// When no process answers.
pub fn order(running: &Running, order: Order) -> Result<(bool, String), String> {
    send_order(&running.path, running.file.as_deref(), order, ORDER_TIMEOUT)
}

/// The report of the running process's upstreams, as JSON; or, with a `change`, the outcome
/// of that.
///
/// # Errors
/// When no process answers.
pub fn upstreams(running: &Running, change: Option<OperatorCommand>) -> Result<(bool, String), String> {
    let message = Message::Upstreams { change, file: running.file.clone() };
    send_message(&running.path, &message, ANSWER_TIMEOUT, false)
}

/// The configuration that is in force in the running process.
///
/// # Errors
/// When no process answers, or one of a version that does not tell it.
pub fn in_force(running: &Running) -> Result<InForce, String> {
    let text = ask(running, Question::Configuration)?;
    serde_json::from_str(&text).map_err(|e| format!("what the running process says is not understood: {e}"))
}

/// So many of the newest lines of the running process's access log, in JSON, the oldest of them first.
///
/// # Errors
/// When no process answers, or it keeps no lines.
pub fn recent(running: &Running, count: usize) -> Result<String, String> {
    ask(running, Question::Recent(count))
}

/// The figures of the running process.
///
/// # Errors
/// When no process answers, or one of a version that does not tell them.
pub fn stats(running: &Running) -> Result<Stats, String> {
    let text = ask(running, Question::Stats)?;
    serde_json::from_str(&text).map_err(|e| format!("what the running process says is not understood: {e}"))
}

fn ask(running: &Running, question: Question) -> Result<String, String> {
    let message = Message::Ask { question, file: running.file.clone() };
    match send_message(&running.path, &message, ANSWER_TIMEOUT, false)? {
        (true, text) => Ok(text),
        (false, reason) => Err(reason),
    }
}

/// What each older process says of itself that has handed over to this one and is not done yet.
pub fn older_processes(running: &Running) -> Vec<String> {
    let ask = |path: PathBuf| send_order(&path, None, Order::Status, ANSWER_TIMEOUT).ok();
    old::sockets_beside(&running.path).into_iter().filter_map(ask).map(|(_, text)| text).collect()
}

/// Whether the process of this configuration is ready, or at least `live`, asked as a
/// probe would. Where the configuration does not name the admin endpoint's address, another
/// process may have it, and where that speaks TLS, whoever asks may have no certificate to show: then
/// the control socket is asked, which says the same.
///
/// # Errors
/// Why it is neither.
pub fn check_health(config: &Config, file: &Path, live: bool) -> Result<(), String> {
    match &config.admin.address {
        AdminAddress::At(address) if config.admin.tls.is_none() => {
            admin::ask(address, if live { "/health" } else { "/ready" })
        }
        AdminAddress::At(_) | AdminAddress::Auto | AdminAddress::Off => {
            let order = if live { Order::Status } else { Order::Ready };
            let places: (&OwnFilePlace, &OwnFilePlace) = (&config.server.upgrade_sock, &config.server.pid_file);
            match self::order(&find::find(places, Some(file))?, order)? {
                (true, _) => Ok(()),
                (false, text) => Err(format!("not ready: {text}")),
            }
        }
    }
}
