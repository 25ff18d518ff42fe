//! The ways in of all listeners of the process.

use std::sync::Arc;

use super::entrance::Entrance;
use super::tls::TicketKeys;
use crate::config::{ClientTimeouts, Listener};

/// A listener's place among those that the process was started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerIndex(pub usize);

/// One entrance for each listener.
#[derive(Debug)]
pub struct Entrances(Vec<Arc<Entrance>>);

impl Entrances {
    /// The listeners are those of `previous`, whatever the new configuration lists and in which
    /// order: sockets come and go with a process. One that is not listed any more stays as it was.
    ///
    /// # Errors
    /// In words, when rustls refuses what the configuration has accepted.
    pub fn compile(
        listeners: &[Listener],
        timeouts: &ClientTimeouts,
        auto: &Arc<TicketKeys>,
        previous: Option<&Self>,
    ) -> Result<Self, String> {
        let compile = |listener: &Listener| Entrance::compile(listener, timeouts, auto);
        let entrances: Result<Vec<_>, String> = match previous {
            None => listeners.iter().map(|listener| compile(listener).map(Arc::new)).collect(),
            Some(previous) => {
                let again = |before: &Arc<Entrance>| {
                    let now = listeners.iter().find(|listener| listener.address == *before.address());
                    let Some(now) = now else { return Ok(Arc::clone(before)) };
                    compile(now).map(|mut entrance| {
                        entrance.metrics = Arc::clone(&before.metrics);
                        Arc::new(entrance)
                    })
                };
                previous.0.iter().map(again).collect()
            }
        };
        entrances.map(Self)
    }

    pub fn get(&self, listener: ListenerIndex) -> Option<&Arc<Entrance>> {
        self.0.get(listener.0)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Entrance>> {
        self.0.iter()
    }
}
