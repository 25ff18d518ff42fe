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
    /// Ejected ones, for requests that nobody else is left for.
    spare: Vec<Arc<Server>>,
    /// Also those that get no new clients.
    sticky: HashMap<Tag, Arc<Server>>,
    /// When an ejection ends, if there is one.
    pub due: Option<Instant>,
}

impl Members {
    /// `all`: in their order. `turn`: where the round robin of the ones before had come to.
    pub fn new(all: &[Arc<Server>], balance: &Balance, turn: usize) -> Self {
        let up: Vec<&Arc<Server>> = all.iter().filter(|server| server.life.standing().is_up()).collect();
        let primary = up.iter().any(|server| !server.backup);
        let servers: Vec<Arc<Server>> = up.into_iter().filter(|s| s.backup != primary).map(Arc::clone).collect();
        let share = |server: &'_ Arc<Server>| server.weight();
        let weights: Vec<u32> = servers.iter().map(share).collect();
        let shares: Vec<Share<'_>> = servers
            .iter()
            .zip(weights)
            .map(|(server, weight)| Share { weight, load: &server.life.load, name: &server.label })
            .collect();
        let chooser = Chooser::new(balance, &shares, turn);
        let keeping = all.iter().filter(|server| server.life.standing().keeps_its_own());
        let sticky = keeping.filter_map(|s| s.stamp.as_ref().map(|stamp| (stamp.tag, Arc::clone(s)))).collect();
        let spare = all.iter().filter(|server| server.life.standing().state() == State::Ejected);
        let spare = spare.map(Arc::clone).collect();
        let due = all.iter().filter_map(|server| server.life.standing().until()).min();
        Self { servers, chooser, spare, sticky, due }
    }

    pub fn turn(&self) -> usize {
        self.chooser.turn()
    }

    /// Whose client this is.
    pub fn of_cookie(&self, value: &[u8]) -> Option<&Arc<Server>> {
        if self.sticky.is_empty() {
            return None;
        }
        self.sticky.get(<&Tag>::try_from(value).ok()?)
    }

    /// A server with room that was not tried; `None` where there is none.
    pub fn choose(&self, hash: Option<u64>, tried: &[Arc<Server>]) -> Option<&Arc<Server>> {
        if let ([only], []) = (self.servers.as_slice(), tried) {
            return only.has_room().then_some(only);
        }
        let fits = |server: &Arc<Server>| server.has_room() && is_new(server, tried);
        let is_wanted = |index: usize| self.servers.get(index).is_some_and(|s| fits(s) && s.is_warm_enough());
        if let Some(index) = self.chooser.choose(hash, is_wanted) {
            return self.servers.get(index);
        }
        // Chance or warmth left none; whoever is there is better than nobody.
        let start = fastrand::usize(..self.servers.len().max(1));
        let (before, after) = self.servers.split_at_checked(start)?;
        let found = after.iter().chain(before).find(|server| fits(server));
        found.or_else(|| self.spare_one(tried).filter(|server| server.has_room()))
    }

    /// Whether one of them was not tried.
    pub fn has_another(&self, tried: &[Arc<Server>]) -> bool {
        self.servers.iter().any(|server| is_new(server, tried)) || self.spare_one(tried).is_some()
    }

    /// Where all that get requests were tried: better one that failed before than nobody.
    fn spare_one(&self, tried: &[Arc<Server>]) -> Option<&Arc<Server>> {
        if self.servers.iter().any(|server| is_new(server, tried)) {
            return None;
        }
        self.spare.iter().find(|server| is_new(server, tried))
    }
}

fn is_new(server: &Arc<Server>, tried: &[Arc<Server>]) -> bool {
    !tried.iter().any(|t| Arc::ptr_eq(&t.life, &server.life))
}
