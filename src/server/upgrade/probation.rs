//! The time after a hand-over in which it can be undone: the connection of the hand-over stays open,
//! and its end without a word is the newer process's death.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use crate::server::control::protocol::{Channel, Message};
use crate::telemetry::before_panic_ends_process;

/// How the probation of a newer process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbationEnd {
    /// It lives.
    Passed,
    /// It needs the older process no more, for this reason.
    Released(String),
    /// It is gone, and has not said why.
    Died,
}

/// Waits for the end of the probation, in the older process. It blocks.
pub fn watch(channel: &mut Channel, time: Duration) -> ProbationEnd {
    match channel.receive(time) {
        Ok(Message::Released { reason }) => ProbationEnd::Released(reason),
        Ok(other) => ProbationEnd::Released(format!("it said {other:?}, which has no meaning here")),
        Err(e) => match e.kind() {
            ErrorKind::TimedOut => ProbationEnd::Passed,
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => ProbationEnd::Died,
            _ => ProbationEnd::Released(format!("it cannot be heard: {e}")),
        },
    }
}

/// The older process, which takes its sockets back if this one ends without a word. It is dropped
/// with the process, or once the older one has closed the connection.
#[derive(Debug)]
pub struct OlderOnWatch(Arc<Channel>);

impl OlderOnWatch {
    pub fn new(channel: Channel) -> Self {
        let channel = Arc::new(channel);
        let weak = Arc::downgrade(&channel);
        before_panic_ends_process(move || {
            if let Some(Err(e)) = weak.upgrade().map(|channel| channel.shut_down()) {
                log::debug!("upgrade: the older process watches no more: {e}");
            }
        });
        Self(channel)
    }

    /// Has the older process let go of the sockets.
    pub fn release(self, reason: &str) {
        // The older process may be gone, or its watch over.
        if let Err(e) = self.0.send(&Message::Released { reason: reason.to_owned() }) {
            log::debug!("upgrade: the older process watches no more: {e}");
        }
    }

    /// Whether the older process watches no more.
    pub fn is_over(&self) -> bool {
        self.0.is_closed()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const LATE: Duration = Duration::from_secs(20);

    fn pair() -> (Channel, OlderOnWatch) {
        let (older, newer) = UnixStream::pair().unwrap();
        (Channel::new(older), OlderOnWatch::new(Channel::new(newer)))
    }

    #[test]
    fn a_death_is_told_from_a_word_and_from_silence() {
        let (mut older, newer) = pair();
        assert_eq!(watch(&mut older, SOON), ProbationEnd::Passed);
        drop(newer);
        assert_eq!(watch(&mut older, LATE), ProbationEnd::Died);
        // As a panic does it, before the process is gone.
        let (mut older, newer) = pair();
        newer.0.shut_down().unwrap();
        assert_eq!(watch(&mut older, LATE), ProbationEnd::Died);
        let (mut older, newer) = pair();
        newer.release("it was told to end");
        assert_eq!(watch(&mut older, LATE), ProbationEnd::Released("it was told to end".to_owned()));
    }

    #[test]
    fn the_newer_process_sees_that_nobody_watches() {
        let (older, newer) = pair();
        assert!(!newer.is_over());
        drop(older);
        assert!(newer.is_over());
        newer.release("nobody hears it");
    }
}
