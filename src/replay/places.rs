//! Where recorded requests may have come in: a log does not say by which listener.

use super::record::Record;
use crate::config::{Config, Listener};

/// The places of one listener in both configurations.
pub type Place = (usize, usize);

#[derive(Debug)]
pub struct Places {
    tls: Vec<Place>,
    plain: Vec<Place>,
}

impl Places {
    /// Listeners that treat requests alike are one. Where the new configuration has no listener of the address,
    /// another one of its kind takes its clients.
    pub fn new(old: &Config, new: &Config) -> Self {
        let of_kind = |tls: bool| {
            let mut places: Vec<(Place, (bool, bool))> = Vec::new();
            for (index, listener) in old.listeners.iter().enumerate().filter(|(_, one)| one.tls.is_some() == tls) {
                let found = successor(listener, new);
                let redirects =
                    |config: &Config, index: usize| config.listeners.get(index).is_some_and(|one| one.redirect_https);
                let kind = (listener.redirect_https, redirects(new, found));
                if !places.iter().any(|(_, other)| *other == kind) {
                    places.push(((index, found), kind));
                }
            }
            let found: Vec<Place> = places.into_iter().map(|(place, _)| place).collect();
            if found.is_empty() { vec![(0, 0)] } else { found }
        };
        Self { tls: of_kind(true), plain: of_kind(false) }
    }

    /// At least one.
    pub fn of(&self, record: &Record) -> &[Place] {
        if record.is_tls { &self.tls } else { &self.plain }
    }
}

/// The listener of the same address, or of the same kind.
fn successor(listener: &Listener, new: &Config) -> usize {
    let position = |test: &dyn Fn(&Listener) -> bool| new.listeners.iter().position(test);
    position(&|other| other.address == listener.address)
        .or_else(|| position(&|other| other.tls.is_some() == listener.tls.is_some() && !other.redirect_https))
        .or_else(|| position(&|other| other.tls.is_some() == listener.tls.is_some()))
        .unwrap_or(0)
}
