//! The servers that may get requests now, with everything needed to choose one: made
//! anew whenever a server comes or goes, so that a request finds all of it ready.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::balance::{Chooser, Share};
use super::server::Server;
use super::standing::State;
use super::sticky::Tag;
use crate::config::Balance;

#[derive(Debug)]
pub struct Members {
    pub servers: Vec<Arc<Server>>,
    chooser: Chooser,
    /// For requests that nobody else is left for: backups, then ejected ones.
    spare: Vec<Arc<Server>>,
    /// Also those that get no new clients.
    sticky: HashMap<Tag, Arc<Server>>,
    /// When an ejection ends, if there is one.
    pub due: Option<Instant>,
    /// Of the servers' standings, when it was made.
    pub version: u64,
    /// All servers that there are, whatever their state.
    pub known: usize,
}

impl Members {
    /// `all`: in their order. `turn`: where the round robin of the ones before had come to.
    pub fn new(all: &[Arc<Server>], balance: &Balance, turn: usize, version: u64) -> Self {
        let (mut primaries, mut backups, mut ejected) = (Vec::new(), Vec::new(), Vec::new());
        let (mut sticky, mut due) = (HashMap::new(), None::<Instant>);
        for server in all {
            let standing = server.life.standing();
            match standing.state() {
                State::Up if server.backup => backups.push(Arc::clone(server)),
                State::Up => primaries.push(Arc::clone(server)),
                State::Ejected => ejected.push(Arc::clone(server)),
                State::Down | State::Draining | State::Disabled => {}
            }
            if let Some(stamp) = server.stamp.as_ref().filter(|_| standing.keeps_its_own()) {
                sticky.insert(stamp.tag, Arc::clone(server));
            }
            due = due.into_iter().chain(standing.until()).min();
        }
        let (servers, mut spare) = if primaries.is_empty() { (backups, primaries) } else { (primaries, backups) };
        spare.append(&mut ejected);
        let weights: Vec<u32> = servers.iter().map(|server| server.weight()).collect();
        let shares: Vec<Share<'_>> = servers
            .iter()
            .zip(weights)
            .map(|(server, weight)| Share { weight, load: &server.life.load, name: &server.label })
            .collect();
        let chooser = Chooser::new(balance, &shares, turn);
        Self { servers, chooser, spare, sticky, due, version, known: all.len() }
    }

    pub fn turn(&self) -> usize {
        self.chooser.turn()
    }

    /// Whose client this is.
    pub fn of_cookie(&self, value: &[u8]) -> Option<&Arc<Server>> {
        self.sticky.get(<&Tag>::try_from(value).ok()?)
    }

    /// Whether this server's clients may go on.
    pub fn keeps(&self, own: &Server) -> bool {
        let tag = own.stamp.as_ref().map(|stamp| stamp.tag);
        tag.and_then(|tag| self.sticky.get(&tag)).is_some_and(|kept| Arc::ptr_eq(&kept.life, &own.life))
    }

    /// A server with room that was not tried; `None` where there is none.
    pub fn choose(&self, hash: Option<u64>, tried: &[Arc<Server>]) -> Option<&Arc<Server>> {
        if let ([only], []) = (self.servers.as_slice(), tried) {
            return only.has_room().then_some(only);
        }
        let fits = |server: &Arc<Server>| server.has_room() && is_new(server, tried);
        let is_wanted = |index: usize| self.servers.get(index).is_some_and(|s| fits(s) && s.is_warm_enough(hash));
        if let Some(index) = self.chooser.choose(hash, is_wanted) {
            return self.servers.get(index);
        }
        // Chance or warmth left none; whoever is there is better than nobody.
        let start = fastrand::usize(..self.servers.len().max(1));
        let (before, after) = self.servers.split_at_checked(start)?;
        let found = after.iter().chain(before).find(|server| fits(server));
        found.or_else(|| self.spare_ones(tried).find(|server| server.has_room()))
    }

    /// Whether one was not tried, with room or not.
    pub fn has_another(&self, tried: &[Arc<Server>]) -> bool {
        self.servers.iter().any(|server| is_new(server, tried)) || self.spare_ones(tried).next().is_some()
    }

    /// Where all that get requests were tried: better one that failed before than nobody.
    fn spare_ones(&self, tried: &[Arc<Server>]) -> impl Iterator<Item = &Arc<Server>> {
        let is_needed = self.servers.iter().all(|server| !is_new(server, tried));
        self.spare.iter().filter(move |server| is_needed && is_new(server, tried))
    }
}

/// None of those that were tried.
pub fn is_new(server: &Arc<Server>, tried: &[Arc<Server>]) -> bool {
    !tried.iter().any(|t| Arc::ptr_eq(&t.life, &server.life))
}
