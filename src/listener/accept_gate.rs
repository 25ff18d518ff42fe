//! When the process begins and ends to accept connections.

use pingora_core::server::ShutdownWatch;
use tokio::sync::watch;

/// When accepting begins and ends.
#[derive(Debug)]
pub struct AcceptGate {
    open: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    handed_over: watch::Sender<bool>,
    failure: watch::Sender<Option<String>>,
}

impl Default for AcceptGate {
    fn default() -> Self {
        Self::new()
    }
}

impl AcceptGate {
    pub fn new() -> Self {
        Self {
            open: watch::Sender::new(false),
            stop: watch::Sender::new(false),
            handed_over: watch::Sender::new(false),
            failure: watch::Sender::new(None),
        }
    }

    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Has no connection be accepted from now on; open connections go on.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// As [`Self::stop`]; and another process has all sockets now, that of the admin endpoint
    /// too.
    pub fn hand_over(&self) {
        // In this order: a task that sees the stop looks whether it is a hand-over.
        self.handed_over.send_replace(true);
        self.stop();
    }

    /// Waits for [`Self::open`].
    pub async fn opened(&self) {
        reached(&self.open).await;
    }

    /// Waits for [`Self::stop`].
    pub async fn stopped(&self) {
        reached(&self.stop).await;
    }

    /// Says that a listener cannot be served any more.
    pub fn fail(&self, reason: String) {
        self.failure.send_replace(Some(reason));
    }

    /// Waits for [`Self::fail`] and returns its reason.
    pub async fn failed(&self) -> String {
        let mut failure = self.failure.subscribe();
        let reason = failure.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        match reason {
            Some(reason) => reason,
            // The sender is in the gate, so that it cannot be gone.
            None => std::future::pending().await,
        }
    }

    /// Waits for [`Self::hand_over`].
    pub async fn handed_over(&self) {
        reached(&self.handed_over).await;
    }

    /// The stop as Pingora wants it, which passes it to every connection.
    pub fn watch(&self) -> ShutdownWatch {
        self.stop.subscribe()
    }
}

async fn reached(flag: &watch::Sender<bool>) {
    if flag.subscribe().wait_for(|set| *set).await.is_err() {
        // The sender is in the gate, so that it cannot be gone.
        std::future::pending().await
    }
}
