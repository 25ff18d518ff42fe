//! The signals that the process acts on, and what each asks for.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalAction {
    /// HUP.
    Reload,
    /// USR1.
    Reopen,
    /// USR2.
    Upgrade,
    /// QUIT, as Pingora has it: a newer process that was started with `-u` takes over.
    AwaitTakeover,
    /// TERM.
    Drain,
    /// INT.
    End,
    /// CHLD, where this is process 1.
    Reap,
}

#[derive(Debug)]
pub struct Signals {
    hangup: Signal,
    user1: Signal,
    user2: Signal,
    quit: Signal,
    terminate: Signal,
    interrupt: Signal,
    child: Option<Signal>,
}

impl Signals {
    /// Handles the signals from now on: their default, to end the process, is off.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn listen() -> io::Result<Self> {
        // The kernel gives the orphans of a container to process 1, which must wait for them.
        let first = std::process::id() == 1;
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            child: first.then(|| signal(SignalKind::child())).transpose()?,
        })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) -> SignalAction {
        let Self { hangup, user1, user2, quit, terminate, interrupt, child } = self;
        let child = async {
            match child {
                Some(child) => child.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => SignalAction::End,
            _ = terminate.recv() => SignalAction::Drain,
            _ = quit.recv() => SignalAction::AwaitTakeover,
            _ = user2.recv() => SignalAction::Upgrade,
            _ = hangup.recv() => SignalAction::Reload,
            _ = user1.recv() => SignalAction::Reopen,
            _ = child => SignalAction::Reap,
        }
    }
}

/// Waits for every child that has ended, so that none stays a zombie.
pub fn reap() {
    while let Ok(Some(_)) = rustix::process::wait(rustix::process::WaitOptions::NOHANG) {}
}
