//! When the process begins and ends to accept connections.

use pingora_core::server::ShutdownWatch;
use tokio::sync::watch;

/// When accepting begins and ends.
#[derive(Debug)]
pub struct AcceptGate {
    open: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    handed_over: watch::Sender<bool>,
}

impl AcceptGate {
    pub fn new() -> Self {
        Self {
            open: watch::Sender::new(false),
            stop: watch::Sender::new(false),
            handed_over: watch::Sender::new(false),
        }
    }

    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// No connection is accepted from now on; those that there are go on.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Another process has all sockets now, that of the admin endpoint too.
    pub fn hand_over(&self) {
        // In this order: who is stopped looks whether it is for that.
        self.handed_over.send_replace(true);
        self.stop();
    }

    /// Waits for [`Self::open`].
    pub async fn opened(&self) {
        reached(&self.open).await;
    }

    /// Waits for [`Self::hand_over`].
    pub async fn handed_over(&self) {
        reached(&self.handed_over).await;
    }

    /// For Pingora, which hands it to every connection.
    pub fn watch(&self) -> ShutdownWatch {
        self.stop.subscribe()
    }
}

async fn reached(flag: &watch::Sender<bool>) {
    if flag.subscribe().wait_for(|set| *set).await.is_err() {
        // Never: the sender stands beside us.
        std::future::pending().await
    }
}
