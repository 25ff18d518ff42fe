//! The upstreams' servers as an operator sees and changes them, over the admin endpoint
//! or the control socket.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::runtime::Live;
use crate::server::files::server_states::{KeptState, KeptStates};
use crate::server::journal::{Journal, Who};
use crate::upstream::{Change, HealthStatus, OperatorCommand, Reports};

#[derive(Debug)]
pub struct Servers {
    live: Arc<Live>,
    /// The configuration that the process runs with, where it has one.
    config: Option<PathBuf>,
    /// Where the operator's word is kept. It is locked while that is written.
    file: Mutex<Option<PathBuf>>,
}

impl Servers {
    pub fn new(live: Arc<Live>, config: Option<&Path>) -> Self {
        Self { live, config: config.map(Path::to_owned), file: Mutex::new(None) }
    }

    /// Every upstream as JSON.
    pub fn report(&self) -> String {
        serde_json::to_string_pretty(&self.reports()).unwrap_or_default()
    }

    fn reports(&self) -> Reports {
        Reports { upstreams: self.live.pin().pools.iter().map(|pool| pool.report()).collect() }
    }

    /// Carries a change out and keeps it for the time after a restart; where that cannot be, the
    /// text says so.
    ///
    /// # Errors
    /// In words, when there is no such server.
    pub fn change(&self, command: &OperatorCommand, who: &Who, journal: &Journal) -> Result<String, String> {
        let done = self.apply(command).map(|text| match self.keep() {
            Ok(()) => text,
            Err(reason) => format!("{text}; a restart forgets it: {reason}"),
        });
        let (Ok(outcome) | Err(outcome)) = &done;
        journal.note(who, &described(command), outcome);
        done
    }

    fn apply(&self, command: &OperatorCommand) -> Result<String, String> {
        let snapshot = self.live.pin();
        let pool = snapshot.pools.iter().find(|pool| *pool.name == *command.upstream);
        let pool = pool.ok_or_else(|| {
            let known: Vec<&str> = snapshot.pools.iter().map(|pool| &*pool.name).collect();
            format!("there is no upstream `{}`; there are {}", command.upstream, known.join(", "))
        })?;
        pool.apply_change(&command.server, command.change)
    }

    fn keep(&self) -> Result<(), String> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*file, &self.config) {
            (Some(file), Some(config)) => KeptStates::of(config, &self.reports())
                .write(file)
                .map_err(|e| format!("cannot write {}: {e}", file.display())),
            (None, _) => Err("this process has no control socket, beside which it would be kept".to_owned()),
            (Some(_), None) => Err("this process has no configuration file".to_owned()),
        }
    }

    /// From now on the operator's word is kept in `file`.
    pub fn keep_in(&self, file: PathBuf) {
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        if let Err(reason) = self.keep() {
            log::warn!("what an operator says of servers will be forgotten in a restart: {reason}");
        }
    }

    /// Gives each server the state and the weight that the operator gave it in the older process,
    /// which sent this `report`.
    pub fn restore_from_report(&self, report: &str) {
        match serde_json::from_str::<Reports>(report) {
            Ok(report) => self.restore(KeptStates::of(Path::new(""), &report).servers),
            Err(e) => log::info!("upgrade: the servers' states are not understood: {e}"),
        }
    }

    /// The same from the file of a process that has ended.
    pub fn restore_from_file(&self, file: &Path) {
        let Some(config) = &self.config else { return };
        match KeptStates::read(file) {
            Ok(Some(kept)) => {
                let kept = kept.still_true(config, &self.reports());
                if !kept.is_empty() {
                    log::warn!("what an operator said of servers before this start holds on ({})", file.display());
                }
                self.restore(kept);
            }
            Ok(None) => {}
            Err(e) => log::warn!("what an operator said of servers is forgotten: {}: {e}", file.display()),
        }
    }

    fn restore(&self, kept: Vec<KeptState>) {
        for KeptState { upstream, server, state, weight, .. } in kept {
            let state = state.and_then(|state| match state {
                HealthStatus::Draining => Some(Change::Drain),
                HealthStatus::Disabled => Some(Change::Disable),
                HealthStatus::Up | HealthStatus::Down | HealthStatus::Ejected => None,
            });
            for change in state.into_iter().chain(weight.map(Change::Weight)) {
                let command = OperatorCommand { upstream: upstream.clone(), server: server.clone(), change };
                if let Err(reason) = self.apply(&command) {
                    log::info!("what the operator said of a server has no use any more: {reason}");
                }
            }
        }
    }
}

/// A change as the journal has it.
fn described(OperatorCommand { upstream, server, change }: &OperatorCommand) -> String {
    let verb = match change {
        Change::Enable => "enable".to_owned(),
        Change::Drain => "drain".to_owned(),
        Change::Disable => "disable".to_owned(),
        Change::Weight(weight) => format!("weight {weight}"),
    };
    format!("{verb} {server} of {upstream}")
}
