//! The caller's side of the control socket.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::protocol::{Channel, Message, Order, Outcome};

/// For the message of a process that did not take ours, and for its end.
const FIRST_MESSAGE: Duration = Duration::from_secs(10);

/// Gives an order to the process behind `path` and waits for its outcome.
///
/// # Errors
/// When no process answers.
pub fn send_order(path: &Path, file: Option<&Path>, order: Order, wait: Duration) -> Result<Outcome, String> {
    let message = Message::Order { order, file: file.map(Path::to_owned) };
    send_message(path, &message, wait, order.ends_the_process())
}

/// As [`send_order`], with any message. `ends` says whether the process ends of it.
///
/// # Errors
/// As [`send_order`].
pub fn send_message(path: &Path, message: &Message, wait: Duration, ends: bool) -> Result<Outcome, String> {
    let stream =
        UnixStream::connect(path).map_err(|e| format!("no running process answers on {}: {e}", path.display()))?;
    let mut channel = Channel::new(stream);
    channel.check_server()?;
    let lost = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::TimedOut => format!("the running process gave no answer for {} s", wait.as_secs()),
        std::io::ErrorKind::UnexpectedEof => "the running process ended without an answer".to_owned(),
        _ => format!("the running process was lost: {e}"),
    };
    // A caller that is a stranger is refused before its message is read, so that sending may
    // fail while a message waits for us.
    let sent = channel.send(message);
    let message = channel.receive(if sent.is_ok() { wait } else { FIRST_MESSAGE });
    match message.map_err(|e| lost(sent.err().unwrap_or(e)))? {
        Message::Outcome { ok, text } => {
            if ends {
                // Receiving fails when the process ends, which is what is waited for.
                channel.receive(FIRST_MESSAGE).err();
            }
            Ok((ok, text))
        }
        Message::Refused { reason } => Ok((false, reason)),
        other => Err(format!("the running process answered {other:?}")),
    }
}
