//! The newer process's side of an upgrade. It blocks.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::probation::OlderOnWatch;
use super::step::STEP_TIMEOUT;
use crate::server::control::protocol::{Channel, Message, VERSION};
use crate::server::sockets::InheritedSockets;

/// The sockets have been received; the older process still serves.
#[derive(Debug)]
pub struct Takeover {
    channel: Channel,
    /// Whether the older process may watch this one after the hand-over.
    probation: bool,
}

/// The older process waits until this one accepts, or is dead.
#[derive(Debug)]
pub struct Committed(Option<Takeover>);

impl Takeover {
    /// Asks the process at the other end of a control socket for its listeners, if it runs with
    /// `file`.
    ///
    /// # Errors
    /// When it refuses, or is gone.
    pub fn begin(control: UnixStream, file: Option<&Path>) -> Result<(Self, InheritedSockets), String> {
        let mut channel = Channel::new(control);
        channel.check_server()?;
        let file = file.map(Path::to_owned);
        let (version, pid) = (VERSION, std::process::id());
        let ask = Message::TakeOver { version, pid, file, several_sockets: true, probation: true };
        channel.send(&ask).map_err(|e| format!("the running process was lost: {e}"))?;
        let mut sockets = Vec::new();
        loop {
            let message = receive(&mut channel)?;
            let Message::Sockets { names, more, probation } = message else {
                return Err(unexpected(&message));
            };
            let descriptors = channel.descriptors(names.len());
            if names.len() != descriptors.len() {
                return Err(format!("{} listeners were named and {} came", names.len(), descriptors.len()));
            }
            sockets.extend(names.into_iter().zip(descriptors));
            if !more {
                return Ok((Self { channel, probation }, InheritedSockets::new(sockets)));
            }
        }
    }

    /// Says that this process is ready, with the names of the sockets that it does not use, and
    /// waits until it may accept. Where the older process has died since it passed its sockets on,
    /// it may.
    ///
    /// # Errors
    /// When the older process refuses, or does not answer.
    pub fn ready(mut self, unclaimed: Vec<String>) -> Result<Committed, String> {
        if self.probation
            && let Err(e) = self.channel.send(&Message::Unclaimed { names: unclaimed })
        {
            log::debug!("upgrade: the running process does not hear what is not used: {e}");
        }
        match exchange(&mut self.channel, &Message::Ready).map_err(String::from)? {
            Message::Commit => Ok(Committed(Some(self))),
            Message::Done => Ok(Committed(None)),
            other => Err(unexpected(&other)),
        }
    }

    /// Tells the older process why this one ends.
    pub fn give_up(self, reason: &str) {
        if let Err(e) = self.channel.send(&Message::Refused { reason: reason.to_owned() }) {
            log::debug!("the running process does not hear why: {e}");
        }
    }
}

impl Committed {
    /// Says that this process accepts connections and waits until the older one does no more.
    /// Returns that one if it may watch this process from now on.
    ///
    /// # Errors
    /// When the older process refuses after all; it serves on then.
    pub fn started(self) -> Result<Option<OlderOnWatch>, String> {
        let Some(Takeover { mut channel, probation }) = self.0 else { return Ok(None) };
        let answer = exchange(&mut channel, &Message::Started);
        let watch = probation.then(|| OlderOnWatch::new(channel));
        match answer {
            Ok(Message::Done) => Ok(watch),
            Ok(other) => Err(unexpected(&other)),
            // The older process may stop as soon as it receives this, and nobody else would
            // serve then.
            Err(NoAnswer::TimedOut) => {
                log::warn!("upgrade: the running process does not say that it has stopped; both serve until it does");
                Ok(watch)
            }
            Err(NoAnswer::Refused(reason)) => Err(reason),
        }
    }
}

/// Sends `message` and returns the answer: [`Message::Done`] where the older process is dead.
fn exchange(channel: &mut Channel, message: &Message) -> Result<Message, NoAnswer> {
    match channel.send(message).and_then(|()| channel.receive(STEP_TIMEOUT)) {
        Ok(Message::Refused { reason }) => Err(NoAnswer::Refused(format!("the running process refused: {reason}"))),
        Ok(answer) => Ok(answer),
        Err(e) if e.kind() == ErrorKind::TimedOut => Err(NoAnswer::TimedOut),
        Err(e) if matches!(e.kind(), ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
            log::warn!("upgrade: the running process is gone; this one serves alone");
            Ok(Message::Done)
        }
        Err(e) => Err(NoAnswer::Refused(format!("the running process did not answer: {e}"))),
    }
}

/// Why there is no answer.
enum NoAnswer {
    TimedOut,
    Refused(String),
}

impl From<NoAnswer> for String {
    fn from(silence: NoAnswer) -> Self {
        match silence {
            NoAnswer::TimedOut => format!("the running process said nothing for {} s", STEP_TIMEOUT.as_secs()),
            NoAnswer::Refused(reason) => reason,
        }
    }
}

fn receive(channel: &mut Channel) -> Result<Message, String> {
    match channel.receive(STEP_TIMEOUT) {
        Ok(Message::Refused { reason }) => Err(format!("the running process refused: {reason}")),
        Ok(message) => Ok(message),
        Err(e) => Err(format!("the running process did not answer: {e}")),
    }
}

fn unexpected(message: &Message) -> String {
    format!("the running process said {message:?} where that has no meaning")
}
