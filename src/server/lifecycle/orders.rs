//! What the running process does by order: it reloads, opens its logs anew, starts the
//! process that takes over.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use super::process::{RunningProcess, reply};
use super::reload::InForceParts;
use super::stage::Stage;
use super::status::Phase;
use super::{notify, reload};
use crate::config::{self, Source};
use crate::server::admin::stats::stats;
use crate::server::control::protocol::{InForce, Outcome, Question};
use crate::server::files::config_watch::ConfigWatch;
use crate::server::journal::Who;
use crate::server::upgrade::respawn::UpgradeProgress;
use crate::server::upgrade::step::STEP_TIMEOUT;

impl RunningProcess {
    pub(super) fn reload(&mut self, by: &Who) -> Outcome {
        let file = match self.source_to_reload() {
            Ok(file) => file,
            Err(reason) => {
                self.process.status.reload_refused();
                self.process.status.journal.reload_refused(by, &reason);
                log::error!("reload: {reason}");
                return (false, reason);
            }
        };
        let file = file.as_path();
        notify::reloading();
        // A change of the file while it is read counts as one since the reload.
        let seen = ConfigWatch::new(file);
        let in_force = InForceParts { live: &self.process.live, admin: self.process.admin.as_deref() };
        let outcome = match reload::reload(file, &self.process.config, &self.config, in_force) {
            Ok(reloaded) => {
                let changes =
                    config::changes(&self.config, &reloaded.config).into_iter().map(|change| change.words).collect();
                self.config = reloaded.config;
                let generation = self.process.status.reloaded();
                let journal = &self.process.status.journal;
                journal.reloaded(self.config.clone(), generation, by, changes, &reloaded.warnings);
                let mut text = format!("{}configuration {generation} is in force", reloaded.warnings);
                self.reload_left = (!reloaded.waiting.is_empty())
                    .then(|| format!("; these wait for an upgrade (`-s upgrade`): {}", reloaded.waiting.join(", ")));
                text.push_str(self.reload_left.as_deref().unwrap_or_default());
                log::info!("reload: {text}");
                (true, text)
            }
            Err(problems) => {
                let generation = self.process.status.generation();
                self.process.status.reload_refused();
                self.process.status.journal.reload_refused(by, &problems);
                log::error!("reload: configuration {generation} stays in force\n{}", problems.trim_end());
                self.reload_left = Some("; the last reload was refused (`-t` says why)".to_owned());
                (false, problems)
            }
        };
        notify::reloaded(if outcome.0 { "serving" } else { "serving; the last reload failed" });
        self.watched = self.config.server.reload_on_change.then_some(seen);
        outcome
    }

    pub(super) fn tell(&self, question: Question) -> Outcome {
        match question {
            Question::Configuration => {
                let in_force = InForce {
                    yaml: config::to_yaml(&self.config),
                    source: self.process.source.as_ref().map(|source| source.name().to_owned()),
                    generation: self.process.status.generation(),
                    pid: std::process::id(),
                };
                serde_json::to_string(&in_force).map_or_else(|e| (false, e.to_string()), |text| (true, text))
            }
            Question::Recent(count) => match self.process.live.pin().access.recent() {
                Some(recent) => {
                    let lines = recent.last(count).lines;
                    (true, lines.iter().map(|(_, line)| String::from_utf8_lossy(line) + "\n").collect())
                }
                None => (false, "the process keeps no requests in memory (`log.access.recent`)".to_owned()),
            },
            Question::Stats => serde_json::to_string(&stats(&self.process.figures()))
                .map_or_else(|e| (false, e.to_string()), |text| (true, text)),
        }
    }

    /// # Errors
    /// Why there is nothing that could be read again.
    fn source_to_reload(&self) -> Result<PathBuf, String> {
        match &self.process.source {
            Some(Source::File(path)) => Ok(path.clone()),
            Some(Source::Input(_)) => Err("the configuration came from standard input, which cannot be read again; \
                                           `pingora-proxy -c - -u < FILE` puts another one in force without losing a request"
                .to_owned()),
            None => Err("there is no configuration file to reload".to_owned()),
        }
    }

    pub(super) fn reopen(&self) -> Outcome {
        let access = self.process.live.load().access.reopen().map_err(|e| format!("access log: {e}"));
        let errors = self.process.error_log.reopen();
        match access.and(errors.map_err(|e| format!("error log: {e}"))) {
            Ok(()) => {
                log::info!("the logs were opened anew");
                (true, "the logs were opened anew".to_owned())
            }
            Err(reason) => {
                log::error!("the old log is written on: {reason}");
                (false, format!("the old log is written on: {reason}"))
            }
        }
    }

    /// Starts a newer process; the caller gets the outcome when it is known.
    pub(super) fn upgrade(&mut self, who: Who, answer: Option<SyncSender<Outcome>>) {
        let refused = if std::process::id() == 1 {
            Some("process 1 of a container cannot hand over, its end would end the container; start a second container with -u".to_owned())
        } else if self.upgrading.load(Ordering::Acquire) || self.process.control_state.is_handing_over() {
            Some("another upgrade is under way".to_owned())
        } else if !matches!(self.stage, Stage::Serving) {
            Some(self.process.status.phase().describe().to_owned())
        } else if self.control.is_none() {
            Some("this process has no control socket (`server.upgrade_sock`)".to_owned())
        } else {
            None
        };
        let status = Arc::clone(&self.process.status);
        let tell = move |outcome: Outcome| {
            status.journal.note(&who, "upgrade", &outcome.1);
            match &outcome {
                (true, text) => log::info!("upgrade: {text}"),
                (false, text) => log::error!("upgrade: {text}; this process serves on"),
            }
            if let Some(answer) = answer {
                reply(&answer, outcome);
            }
        };
        let (respawn, control) = match (refused, &self.process.respawn, &self.control) {
            (None, Some(respawn), Some(control)) => (respawn.clone(), control.path().to_owned()),
            (None, _, _) => return tell((false, "an upgrade needs a configuration file".to_owned())),
            (Some(reason), _, _) => return tell((false, reason)),
        };
        self.upgrading.store(true, Ordering::Release);
        let (control_state, upgrading) = (Arc::clone(&self.process.control_state), Arc::clone(&self.upgrading));
        let last = Arc::clone(&self.last_started);
        // The failure of an earlier upgrade says nothing of this one.
        drop(control_state.take_failure());
        std::thread::spawn(move || {
            let upgraded = respawn.upgrade(&control, &last, |pid| match control_state.take_failure() {
                Some(reason) => UpgradeProgress::Failed(reason),
                // It may be dead already, and this process serve again.
                None if control_state.newest().is_some_and(|(newest, _)| newest == pid) => UpgradeProgress::HandedOver,
                None if control_state.status.phase() == Phase::HandedOver => UpgradeProgress::HandedOver,
                None if control_state.is_handing_over() => UpgradeProgress::UnderWay,
                None => UpgradeProgress::Starting,
            });
            upgrading.store(false, Ordering::Release);
            match upgraded {
                Ok(child) => {
                    tell((
                        true,
                        describe_upgrade(child.id(), control_state.newest().and_then(|(_, probation)| probation)),
                    ));
                    last.wait(child);
                }
                Err(reason) => tell((false, reason)),
            }
        });
    }

    pub(super) fn await_takeover(&mut self) {
        if matches!(self.stage, Stage::Serving) {
            self.takeover_deadline = Some(Instant::now() + STEP_TIMEOUT);
            log::info!("QUIT: waiting for a process that was started with -u");
        }
    }

    /// Begins to look at the configuration's file, if that is configured.
    pub(super) fn watch_file(&mut self) {
        if self.config.server.reload_on_change && self.process.file().is_none() {
            log::warn!("`server.reload_on_change` has no effect: there is no file to look at");
        }
        let watched = self.process.file().filter(|_| self.config.server.reload_on_change);
        self.watched = watched.map(ConfigWatch::new);
    }
}

fn describe_upgrade(newer: u32, probation: Option<Duration>) -> String {
    let watches = probation.map_or(String::new(), |time| format!("watches it for {} s and ", time.as_secs_f64()));
    format!("process {newer} serves now, process {} {watches}ends when its clients are done", std::process::id())
}
