//! The newer process's side of an upgrade. Blocks.

use std::os::unix::net::UnixStream;
use std::path::Path;

use super::ONE_STEP;
use super::wire::{Channel, Message, VERSION};
use crate::server::sockets::{Inherited, Named};

/// The listeners have come over; the older process still serves.
#[derive(Debug)]
pub struct Takeover(Channel);

/// The older process waits for us to accept.
#[derive(Debug)]
pub struct Committed(Channel);

impl Takeover {
    /// Asks the process behind `control` for its listeners.
    ///
    /// # Errors
    /// When there is none, or it refuses.
    pub fn begin(control: &Path) -> Result<(Self, Inherited), String> {
        let stream = UnixStream::connect(control).map_err(|e| {
            format!(
                "no running process answers on {} ({e}): there is nothing to take over; start without -u",
                control.display()
            )
        })?;
        let mut channel = Channel::new(stream);
        channel.check_server()?;
        let ask = Message::TakeOver { version: VERSION, pid: std::process::id() };
        channel.send(&ask).map_err(|e| format!("the running process was lost: {e}"))?;
        let mut sockets = Vec::new();
        loop {
            let message = next(&mut channel)?;
            let Message::Sockets { names, more } = message else {
                return Err(unexpected(&message));
            };
            let descriptors = channel.descriptors(names.len());
            if names.len() != descriptors.len() {
                return Err(format!("{} listeners were named and {} came", names.len(), descriptors.len()));
            }
            sockets.extend(names.into_iter().zip(descriptors).map(|(name, socket)| Named { name, socket }));
            if !more {
                return Ok((Self(channel), Inherited::new(sockets)));
            }
        }
    }

    /// Everything is started: asks to be let in.
    ///
    /// # Errors
    /// When the older process has changed its mind, or is gone.
    pub fn ready(mut self) -> Result<Committed, String> {
        self.0.send(&Message::Ready).map_err(|e| format!("the running process was lost: {e}"))?;
        match next(&mut self.0)? {
            Message::Commit => Ok(Committed(self.0)),
            other => Err(unexpected(&other)),
        }
    }

    /// Tells the older process why this one ends.
    pub fn give_up(mut self, reason: &str) {
        if let Err(e) = self.0.send(&Message::Refused { reason: reason.to_owned() }) {
            log::debug!("the running process does not hear why: {e}");
        }
    }
}

impl Committed {
    /// This process accepts connections: waits until the older one does no more.
    ///
    /// # Errors
    /// When it is not known whether the older one has stopped; it then serves on.
    pub fn started(mut self) -> Result<(), String> {
        self.0.send(&Message::Started).map_err(|e| format!("the running process was lost: {e}"))?;
        match next(&mut self.0)? {
            Message::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }
}

fn next(channel: &mut Channel) -> Result<Message, String> {
    match channel.receive(ONE_STEP) {
        Ok(Message::Refused { reason }) => Err(format!("the running process refused: {reason}")),
        Ok(message) => Ok(message),
        Err(e) => Err(format!("the running process did not answer: {e}")),
    }
}

fn unexpected(message: &Message) -> String {
    format!("the running process said {message:?} where that has no meaning")
}
