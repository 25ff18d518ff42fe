//! The life of the process after its start. Pingora asks the [`Supervisor`] once when to
//! shut down; it answers when nothing is left to wait for, and in the meantime acts on
//! signals and orders.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};

use super::process::{ProcessContext, RunningProcess, describe_counts, reply};
use super::signals::{SignalAction, Signals, reap};
use super::stage::{Ended, Stage};
use super::status::Phase;
use super::{daemon, notify};
use crate::server::announce;
use crate::server::control::protocol::Order;
use crate::server::control::{ControlSocket, SupervisorRequest};
use crate::server::files::own_file::{OwnFile, OwnFileError};
use crate::server::files::pid_file::PidFile;
use crate::server::files::server_states;
use crate::server::journal::Who;
use crate::server::socket_files;
use crate::server::upgrade::takeover::Takeover;
use crate::telemetry::{contained_panics, lost_error_lines, lost_lines};

/// How long a listener that cannot be served takes to end the process.
const LISTENER_GRACE: Duration = Duration::from_millis(20);
/// What a process says of itself while an older one watches it.
const ON_PROBATION: &str = "; on probation: the process before it serves again if this one dies";

/// What Pingora waits on for the end of the process.
pub struct Supervisor {
    process: Mutex<Option<ProcessContext>>,
    ended: Arc<Mutex<Ended>>,
}

impl Supervisor {
    pub fn new(process: ProcessContext, ended: Arc<Mutex<Ended>>) -> Self {
        Self { process: Mutex::new(Some(process)), ended }
    }
}

#[async_trait]
impl ShutdownSignalWatch for Supervisor {
    async fn recv(&self) -> ShutdownSignal {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(process) = process {
            let ended = match RunningProcess::start(process).await {
                Ok(mut running) => running.until_the_end().await,
                Err(reason) => Ended::Failed(reason),
            };
            *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = ended;
        }
        ShutdownSignal::FastShutdown
    }
}

impl RunningProcess {
    /// Probes this process, takes over from an older one, and begins to accept.
    async fn start(mut process: ProcessContext) -> Result<Self, String> {
        let signals = Signals::listen().map_err(|e| format!("cannot listen to signals: {e}"))?;
        let takeover = process.takeover.take();
        let after_takeover = takeover.is_some();
        if let Err(reason) = process.service.probe(&process.gate.watch()).await {
            if let Some(takeover) = takeover {
                takeover.give_up(&reason);
            }
            return Err(reason);
        }
        if let Some(takeover) = takeover {
            take_over(&mut process, takeover).await?;
        }
        let (pid_file, control) = own_files(&process, after_takeover)?;
        process.gate.open();
        process.status.enter(Phase::Serving);
        log::info!("{}", announce::commands(process.source.as_ref(), control.is_some()));
        notify::ready();
        daemon::tell_parent();
        let mut running = Self {
            config: process.config.clone(),
            process,
            signals,
            stage: Stage::Serving,
            pid_file,
            control,
            takeover_deadline: None,
            upgrading: Arc::default(),
            last_started: Arc::default(),
            held: None,
            files_due: None,
            taken_back: None,
            awaiting_end: Vec::new(),
            watched: None,
            tunnels_cut: None,
            reload_left: None,
        };
        running.watch_file();
        Ok(running)
    }

    async fn until_the_end(&mut self) -> Ended {
        let ended = loop {
            if let Some(ended) = self.advance() {
                break ended;
            }
            let tick = self.stage.tick();
            tokio::select! {
                asked = self.signals.next() => {
                    if let Some(ended) = self.signalled(asked) {
                        break ended;
                    }
                }
                Some(request) = self.process.requests.recv() => {
                    if let Some(ended) = self.requested(request).await {
                        break ended;
                    }
                }
                reason = self.process.gate.failed() => break Ended::Failed(reason),
                () = tokio::time::sleep(tick) => self.check_timers(),
            }
        };
        self.finish(&ended).await;
        ended
    }

    fn signalled(&mut self, asked: SignalAction) -> Option<Ended> {
        match asked {
            SignalAction::Reload => drop(self.reload(&Who::Signal("HUP"))),
            SignalAction::Reopen => drop(self.reopen()),
            SignalAction::Upgrade => self.upgrade(Who::Signal("USR2"), None),
            SignalAction::AwaitTakeover => self.await_takeover(),
            SignalAction::Drain if matches!(self.stage, Stage::Serving | Stage::HandedOver { .. }) => {
                self.process.status.journal.note(&Who::Signal("TERM"), "drain", "begun");
                self.drain();
            }
            SignalAction::Drain | SignalAction::End => {
                let name = if asked == SignalAction::End { "INT" } else { "TERM" };
                self.process.status.journal.note(&Who::Signal(name), "stop", "the process ends");
                return Some(self.outcome_if_ended_now());
            }
            SignalAction::Reap => reap(),
        }
        None
    }

    async fn requested(&mut self, request: SupervisorRequest) -> Option<Ended> {
        match request {
            SupervisorRequest::Order(Order::Status, _, answer) => reply(&answer, (true, self.describe())),
            SupervisorRequest::Order(Order::Ready, _, answer) => {
                reply(&answer, (matches!(self.stage, Stage::Serving), self.describe()));
            }
            SupervisorRequest::Order(Order::Reload, who, answer) => reply(&answer, self.reload(&who)),
            SupervisorRequest::Order(Order::Reopen, _, answer) => reply(&answer, self.reopen()),
            SupervisorRequest::Order(Order::Upgrade, who, answer) => self.upgrade(who, Some(answer)),
            SupervisorRequest::Order(Order::Quit, who, answer) => {
                self.process.status.journal.note(&who, "drain", "begun");
                self.awaiting_end.push(answer);
                if matches!(self.stage, Stage::Serving) {
                    self.drain();
                }
            }
            SupervisorRequest::Order(Order::Stop, who, answer) => {
                self.process.status.journal.note(&who, "stop", "the process ends");
                self.awaiting_end.push(answer);
                return Some(self.outcome_if_ended_now());
            }
            SupervisorRequest::Question(question, answer) => reply(&answer, self.tell(question)),
            SupervisorRequest::MayHandOver(answer) => reply(&answer, self.may_hand_over()),
            SupervisorRequest::HandedOver(newer, answer) => {
                let allowed = self.may_hand_over();
                reply(&answer, allowed.map(|()| self.hand_over(&newer)));
            }
            SupervisorRequest::ProbationEnded { pid, end } => self.probation_ended(pid, end).await,
        }
        None
    }

    fn describe(&self) -> String {
        let counts = self.process.connections.counts();
        let status = &self.process.status;
        let told = |what: &str, count: u64| if count == 0 { String::new() } else { format!("; {what}: {count}") };
        let panics = told("requests lost to a panic", contained_panics());
        let lines = told("access log lines lost", lost_lines());
        let messages = told("error log lines lost", lost_error_lines());
        let watched = if self.process.control_state.is_watched() { ON_PROBATION } else { "" };
        format!(
            "process {}: {}, configuration {}, up {} s; {}{}{watched}{panics}{lines}{messages}{}{}",
            std::process::id(),
            status.phase().describe(),
            status.generation(),
            status.started.elapsed().as_secs(),
            describe_counts(counts),
            self.stage.describe(Instant::now()),
            self.reload_left.as_deref().unwrap_or_default(),
            self.taken_back.as_deref().unwrap_or_default()
        )
    }

    /// Checks what sends no event: whether the file has changed, whether the time that QUIT gives a
    /// newer process is over, whether an older one still watches this one, and whether the files of a
    /// dead one can be had.
    fn check_timers(&mut self) {
        if !matches!(self.stage, Stage::Serving) {
            return;
        }
        if self.takeover_deadline.is_some_and(|until| Instant::now() >= until) {
            self.takeover_deadline = None;
            log::error!("QUIT: no process asked for the listeners; start one with -u. This process serves on");
        }
        self.take_files_back();
        self.process.control_state.forget_older();
        let changed = self.watched.as_mut().zip(self.process.file());
        if changed.is_some_and(|(watch, file)| watch.has_changed(file)) {
            self.reload(&Who::File);
        }
    }
}

async fn take_over(process: &mut ProcessContext, takeover: Takeover) -> Result<(), String> {
    let unclaimed = std::mem::take(&mut process.unclaimed);
    let committed = blocking(move || takeover.ready(unclaimed)).await?;
    process.gate.open();
    // A listener that cannot be served has ended the process by then.
    tokio::time::sleep(LISTENER_GRACE).await;
    let started = blocking(move || committed.started()).await;
    match started {
        Ok(older) => process.control_state.is_watched_by(older),
        Err(reason) => {
            answer_last_requests(process).await;
            return Err(reason);
        }
    }
    if !process.keeps_files {
        process.unwanted.iter().for_each(socket_files::remove_file);
    }
    Ok(())
}

/// The older process serves on after all; clients that came here meanwhile get their answers.
async fn answer_last_requests(process: &ProcessContext) {
    process.gate.hand_over();
    process.connections.close_after_responses();
    let end = Instant::now() + process.config.server.drain.timeout;
    tokio::time::sleep(LISTENER_GRACE).await;
    while process.connections.counts().requests > 0 && Instant::now() < end {
        tokio::time::sleep(LISTENER_GRACE).await;
    }
}

/// Runs a blocking call of the takeover off the threads that serve.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|e| e.to_string())?
}

/// Takes the pid file and the control socket. The process does without one that the
/// configuration does not name when another process has it, and without either once clients
/// depend on this process.
fn own_files(process: &ProcessContext, serving: bool) -> Result<(Option<PidFile>, Option<ControlSocket>), String> {
    let go_without = |own: &OwnFile, refused: OwnFileError| -> Result<(), String> {
        if own.configured && !serving {
            return Err(refused.to_string());
        }
        log::warn!("{refused}; this process goes on without it");
        Ok(())
    };
    let mut files = (None, None);
    if let Some(own) = &process.control {
        let replaces = process.replaces.as_ref() == Some(&own.path);
        match ControlSocket::serve(&own.path, replaces, Arc::clone(&process.control_state)) {
            Ok(control) => {
                process.control_state.servers.keep_in(server_states::place_for(&own.path));
                files.1 = Some(control);
            }
            Err(refused) => go_without(own, refused)?,
        }
    }
    if let Some(own) = &process.pid_file {
        match PidFile::take(&own.path) {
            Ok(pid_file) => files.0 = Some(pid_file),
            Err(refused) => go_without(own, refused)?,
        }
    }
    Ok(files)
}
