//! What was done to the process, for people who come later: its configurations, and each change by
//! an operator with who made it.

mod audit;
mod generations;
mod who;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use audit::Entry;
pub use generations::Generation;
pub use who::Who;

use crate::config::Config;
use crate::telemetry::AUDIT;

/// The journal of one process. It lives as long as the process does.
#[derive(Debug)]
pub struct Journal {
    /// The configuration in force.
    config: Mutex<Arc<Config>>,
    /// The newest first.
    generations: Mutex<VecDeque<Generation>>,
    /// The newest first.
    audit: Mutex<VecDeque<Entry>>,
}

impl Journal {
    /// Of a process that starts with this configuration.
    pub fn new(config: Config) -> Self {
        let first = Generation::started();
        Self {
            config: Mutex::new(Arc::new(config)),
            generations: Mutex::new(VecDeque::from([first])),
            audit: Mutex::default(),
        }
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&lock(&self.config))
    }

    /// Notes another configuration in force, with what it `changes` in words and its warnings.
    pub fn reloaded(&self, config: Config, generation: u64, by: &Who, changes: Vec<String>, warnings: &str) {
        *lock(&self.config) = Arc::new(config);
        generations::add(&mut lock(&self.generations), Generation::in_force(generation, by, changes, warnings));
        self.note(by, "reload", &format!("configuration {generation} is in force"));
    }

    /// Notes a configuration that was not put in force, and why.
    pub fn reload_refused(&self, by: &Who, reason: &str) {
        generations::add(&mut lock(&self.generations), Generation::refused(by, reason));
        self.note(by, "reload", "refused");
    }

    /// Notes a change: who made it, what it was and what came of it.
    pub fn note(&self, who: &Who, what: &str, outcome: &str) {
        let entry = Entry::new(who, what, outcome);
        log::info!("{AUDIT}{}: {}: {}", entry.who, entry.what, entry.outcome);
        audit::add(&mut lock(&self.audit), entry);
    }

    /// The newest first.
    pub fn generations(&self) -> Vec<Generation> {
        lock(&self.generations).iter().cloned().collect()
    }

    /// The newest first.
    pub fn audit(&self) -> Vec<Entry> {
        lock(&self.audit).iter().cloned().collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::generations::Outcome;
    use super::*;

    fn config() -> Config {
        crate::config::parse("p.yaml", "listeners: [':80']\nroutes: [{ respond: {} }]\n", &|_| None).unwrap().0
    }

    #[test]
    fn the_newest_stand_first_and_old_ones_are_dropped() {
        let journal = Journal::new(config());
        let signal = Who::Signal("HUP");
        journal.reload_refused(&signal, "error: no");
        journal.reloaded(config(), 2, &Who::Control { uid: 7, pid: 8 }, vec!["a changed".to_owned()], "");
        let list = journal.generations();
        let told: Vec<_> = list.iter().map(|one| (one.generation, one.outcome, one.by.as_str())).collect();
        assert_eq!(
            told,
            [
                (Some(2), Outcome::InForce, "control socket, user 7, process 8"),
                (None, Outcome::Refused, "signal HUP"),
                (Some(1), Outcome::Replaced, "start"),
            ]
        );
        assert_eq!((list[0].changes.len(), list[1].message.as_str()), (1, "error: no"));
        (0..300).for_each(|n| journal.note(&signal, "x", &n.to_string()));
        (0..60).for_each(|_| journal.reload_refused(&signal, "no"));
        let audit = journal.audit();
        assert_eq!((audit.len(), audit[60].outcome.as_str(), journal.generations().len()), (200, "299", 50));
        // What is in force is never dropped.
        assert!(journal.generations().iter().any(|one| one.outcome == Outcome::InForce));
    }
}
