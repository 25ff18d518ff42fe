//! The older process's side of an upgrade. It blocks and runs on a thread of its own.

use std::os::fd::BorrowedFd;

use super::step::STEP_TIMEOUT;
use crate::server::control::protocol::{Channel, MAX_SOCKETS, Message, VERSION};
use crate::server::sockets::Sockets;

/// Why a program of before cannot take over.
const TAKES_ONE: &str = "the new program is older than this one and takes one socket for each listener, where this \
                         process has one for each thread: clients that wait in the others would be lost; stop this \
                         process and start that program";

/// What a newer process says of itself.
#[derive(Clone, Copy, Debug)]
pub struct NewerProcess {
    /// The version of the hand-over that it speaks.
    pub version: u32,
    pub pid: u32,
    pub several_sockets: bool,
    /// Whether the end of the connection after the hand-over tells that it is dead.
    pub probation: bool,
}

/// Passes the sockets to the newer process at the other end of `channel`. `commit` is asked once that
/// process is ready, `stop` is called once it accepts, with the names of the sockets that it does not
/// use. Returns what `stop` did.
///
/// # Errors
/// Why the hand-over came to nothing; this process serves on as before.
pub fn offer<T>(
    channel: &mut Channel,
    newer: NewerProcess,
    sockets: &Sockets,
    commit: impl FnOnce() -> Result<(), String>,
    stop: impl FnOnce(Vec<String>) -> Result<T, String>,
) -> Result<T, String> {
    let gone = |stage: &'static str| move |e: std::io::Error| format!("the new process was lost {stage}: {e}");
    if newer.version != VERSION {
        let version = newer.version;
        return refuse(
            channel,
            format!("the new process speaks version {version} of the hand-over, this one {VERSION}"),
        );
    }
    if !newer.several_sockets && sockets.has_several_of_a_name() {
        return refuse(channel, TAKES_ONE.to_owned());
    }
    send_sockets(channel, sockets).map_err(gone("while it was given the listeners"))?;
    let unclaimed = ready(channel)?;
    if let Err(reason) = commit() {
        return refuse(channel, reason);
    }
    channel.send(&Message::Commit).map_err(gone("before it could commit"))?;
    expect(channel, &Message::Started, "before it accepted connections")?;
    let stopped = match stop(unclaimed) {
        Ok(stopped) => stopped,
        Err(reason) => return refuse(channel, reason),
    };
    // The newer process serves whether or not it receives this.
    if let Err(e) = channel.send(&Message::Done) {
        log::warn!("the new process did not hear that it is alone: {e}");
    }
    Ok(stopped)
}

fn send_sockets(channel: &mut Channel, sockets: &Sockets) -> std::io::Result<()> {
    let all: Vec<(&str, BorrowedFd<'_>)> = sockets.listed().collect();
    let mut batches = all.chunks(MAX_SOCKETS).peekable();
    while let Some(batch) = batches.next() {
        let names = batch.iter().map(|(name, _)| (*name).to_owned()).collect();
        let descriptors: Vec<BorrowedFd<'_>> = batch.iter().map(|(_, socket)| *socket).collect();
        channel
            .send_with(&Message::Sockets { names, more: batches.peek().is_some(), probation: true }, &descriptors)?;
    }
    Ok(())
}

/// Waits until the newer process is ready. A program of before does not say what it does not use.
fn ready(channel: &mut Channel) -> Result<Vec<String>, String> {
    const STAGE: &str = "before it was ready";
    match receive(channel, STAGE)? {
        Message::Ready => Ok(Vec::new()),
        Message::Unclaimed { names } => expect(channel, &Message::Ready, STAGE).map(|()| names),
        other => unexpected(channel, &other, STAGE),
    }
}

fn expect(channel: &mut Channel, wanted: &Message, stage: &'static str) -> Result<(), String> {
    match receive(channel, stage)? {
        message if message == *wanted => Ok(()),
        other => unexpected(channel, &other, stage),
    }
}

fn unexpected<T>(channel: &mut Channel, message: &Message, stage: &'static str) -> Result<T, String> {
    refuse(channel, format!("the new process said {message:?} {stage}"))
}

fn receive(channel: &mut Channel, stage: &'static str) -> Result<Message, String> {
    match channel.receive(STEP_TIMEOUT) {
        Ok(Message::Refused { reason }) => Err(format!("the new process gave up: {reason}")),
        Ok(message) => Ok(message),
        Err(e) if e.kind() == std::io::ErrorKind::TimedOut => {
            refuse(channel, format!("the new process said nothing for {} s {stage}", STEP_TIMEOUT.as_secs()))
        }
        Err(e) => Err(format!("the new process was lost {stage}: {e}")),
    }
}

fn refuse<T>(channel: &mut Channel, reason: String) -> Result<T, String> {
    if let Err(e) = channel.send(&Message::Refused { reason: reason.clone() }) {
        log::debug!("the new process does not hear why it is refused: {e}");
    }
    Err(reason)
}
