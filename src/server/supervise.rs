//! The life of the process after its start: what signals and orders set off. Pingora
//! asks once when to shut down; by the time this answers, nothing is left to wait for.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::sync::mpsc::Receiver;

use super::control::{ControlSocket, Desk, Outcome, Request};
use super::ending::{Course, count};
use super::folder::Own;
use super::handover::{Order, Takeover};
use super::pid_file::{PidFile, Refused};
use super::respawn::Respawn;
use super::service::Gate;
use super::signals::{Asked, Signals, reap};
use super::sockets::{self, Sockets};
use super::status::{Phase, Status};
use super::watch::FileWatch;
use super::{Ended, daemon, notify};
use crate::config::{Address, Config};
use crate::downstream::{ConnectionCounts, Connections};
use crate::observe::ErrorFile;
use crate::proxy::HttpService;
use crate::runtime::Live;

/// For a listener that cannot be served to end the process.
const SETTLE: Duration = Duration::from_millis(20);

/// Everything that the life of the process is about.
pub struct Process {
    pub config: Config,
    /// What HUP reads again.
    pub file: Option<PathBuf>,
    pub live: Arc<Live>,
    pub service: Arc<HttpService>,
    pub connections: Arc<Connections>,
    pub gate: Arc<Gate>,
    pub status: Arc<Status>,
    pub sockets: Arc<Mutex<Option<Arc<Sockets>>>>,
    pub desk: Arc<Desk>,
    pub requests: Receiver<Request>,
    pub takeover: Option<Takeover>,
    /// The control socket of the older process.
    pub replaces: Option<PathBuf>,
    /// Whether the files of unix sockets are somebody else's.
    pub keeps_files: bool,
    /// Listeners of the older process that this one has not.
    pub unwanted: Vec<Address>,
    pub pid_file: Option<Own>,
    pub control: Option<Own>,
    pub error_file: Option<ErrorFile>,
    pub respawn: Option<Respawn>,
}

/// What Pingora asks.
pub struct Supervisor {
    process: Mutex<Option<Process>>,
    ended: Arc<Mutex<Ended>>,
}

impl Supervisor {
    pub fn new(process: Process, ended: Arc<Mutex<Ended>>) -> Self {
        Self { process: Mutex::new(Some(process)), ended }
    }
}

#[async_trait]
impl ShutdownSignalWatch for Supervisor {
    async fn recv(&self) -> ShutdownSignal {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(process) = process {
            let ended = match Running::start(process).await {
                Ok(mut running) => running.until_the_end().await,
                Err(reason) => Ended::Failed(reason),
            };
            *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = ended;
        }
        ShutdownSignal::FastShutdown
    }
}

/// The process, from its start to its end. What it does on the way stands in `orders`
/// and `ending`.
pub(super) struct Running {
    pub(super) process: Process,
    signals: Signals,
    /// The configuration of the last reload.
    pub(super) config: Config,
    pub(super) course: Course,
    pub(super) pid_file: Option<PidFile>,
    pub(super) control: Option<ControlSocket>,
    /// QUIT came, and this is how long it waits.
    pub(super) gives_way_until: Option<Instant>,
    /// Set while a new process is being started.
    pub(super) upgrading: Arc<AtomicBool>,
    /// Those who wait for the end.
    pub(super) waiting: Vec<SyncSender<Outcome>>,
    pub(super) watched: Option<FileWatch>,
    /// How many had to end at `drain.tunnels`.
    pub(super) tunnels_cut: Option<ConnectionCounts>,
}

impl Running {
    /// Probes, lets clients in, and takes over from an older process.
    async fn start(mut process: Process) -> Result<Self, String> {
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
            take_over(&process, takeover).await?;
        }
        let (pid_file, control) = own_files(&process, after_takeover)?;
        process.gate.open();
        process.status.enter(Phase::Serving);
        notify::ready();
        daemon::serving();
        let mut running = Self {
            config: process.config.clone(),
            process,
            signals,
            course: Course::Serving,
            pid_file,
            control,
            gives_way_until: None,
            upgrading: Arc::default(),
            waiting: Vec::new(),
            watched: None,
            tunnels_cut: None,
        };
        running.watch_file();
        Ok(running)
    }

    async fn until_the_end(&mut self) -> Ended {
        let ended = loop {
            if let Some(ended) = self.due() {
                break ended;
            }
            let tick = self.course.tick();
            tokio::select! {
                asked = self.signals.next() => {
                    if let Some(ended) = self.signalled(asked) {
                        break ended;
                    }
                }
                Some(request) = self.process.requests.recv() => {
                    if let Some(ended) = self.requested(request) {
                        break ended;
                    }
                }
                () = tokio::time::sleep(tick) => self.look_around(),
            }
        };
        self.finish(&ended).await;
        ended
    }

    fn signalled(&mut self, asked: Asked) -> Option<Ended> {
        match asked {
            Asked::Reload => drop(self.reload()),
            Asked::Reopen => drop(self.reopen()),
            Asked::Upgrade => self.upgrade(None),
            Asked::GiveWay => self.give_way(),
            Asked::Drain if matches!(self.course, Course::Serving | Course::HandedOver { .. }) => self.drain(),
            Asked::Drain | Asked::End => return Some(self.cut()),
            Asked::Reap => reap(),
        }
        None
    }

    fn requested(&mut self, request: Request) -> Option<Ended> {
        match request {
            Request::Do(Order::Status, answer) => reply(&answer, (true, self.describe())),
            Request::Do(Order::Ready, answer) => {
                reply(&answer, (matches!(self.course, Course::Serving), self.describe()));
            }
            Request::Do(Order::Reload, answer) => reply(&answer, self.reload()),
            Request::Do(Order::Reopen, answer) => reply(&answer, self.reopen()),
            Request::Do(Order::Upgrade, answer) => self.upgrade(Some(answer)),
            Request::Do(Order::Quit, answer) => {
                self.waiting.push(answer);
                if matches!(self.course, Course::Serving) {
                    self.drain();
                }
            }
            Request::Do(Order::Stop, answer) => {
                self.waiting.push(answer);
                return Some(self.cut());
            }
            Request::MayHandOver(answer) => reply(&answer, self.may_hand_over()),
            Request::HandedOver { pid, answer } => {
                let allowed = self.may_hand_over();
                if allowed.is_ok() {
                    self.hand_over(pid);
                }
                reply(&answer, allowed);
            }
        }
        None
    }

    fn describe(&self) -> String {
        let counts = self.process.connections.counts();
        let status = &self.process.status;
        format!(
            "process {}: {}, configuration {}, up {} s; {}",
            std::process::id(),
            status.phase().describe(),
            status.generation(),
            status.started.elapsed().as_secs(),
            count(counts)
        )
    }

    /// What is no event: the file may have changed, QUIT may have waited in vain.
    fn look_around(&mut self) {
        if !matches!(self.course, Course::Serving) {
            return;
        }
        if self.gives_way_until.is_some_and(|until| Instant::now() >= until) {
            self.gives_way_until = None;
            log::error!("QUIT: no process asked for the listeners; start one with -u. This process serves on");
        }
        let changed = self.watched.as_mut().zip(self.process.file.as_deref());
        if changed.is_some_and(|(watch, file)| watch.has_changed(file)) {
            self.reload();
        }
    }
}

async fn take_over(process: &Process, takeover: Takeover) -> Result<(), String> {
    let committed = blocking(move || takeover.ready()).await?;
    process.gate.open();
    // A listener that could not be served would end the process by now.
    tokio::time::sleep(SETTLE).await;
    let started = blocking(move || committed.started()).await;
    if started.is_err() {
        // The older process serves on; those who came here meanwhile get their answers.
        process.gate.retire();
        process.connections.close_after_responses();
        let end = Instant::now() + process.config.server.drain.timeout;
        tokio::time::sleep(SETTLE).await;
        while process.connections.counts().requests > 0 && Instant::now() < end {
            tokio::time::sleep(SETTLE).await;
        }
    } else if !process.keeps_files {
        process.unwanted.iter().for_each(sockets::remove_file);
    }
    started
}

/// Blocking calls of the hand-over, off the threads that serve.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|e| e.to_string())?
}

/// Pid file and control socket. What the configuration does not name is done without
/// when another process has it, and so is anything once clients depend on us.
fn own_files(process: &Process, serving: bool) -> Result<(Option<PidFile>, Option<ControlSocket>), String> {
    let settle = |own: &Own, refused: Refused| -> Result<(), String> {
        if own.asked_for && !serving {
            return Err(refused.to_string());
        }
        log::warn!("{refused}; this process goes on without it");
        Ok(())
    };
    let mut files = (None, None);
    if let Some(own) = &process.control {
        let replaces = process.replaces.as_ref() == Some(&own.path);
        match ControlSocket::serve(&own.path, replaces, Arc::clone(&process.desk)) {
            Ok(control) => files.1 = Some(control),
            Err(refused) => settle(own, refused)?,
        }
    }
    if let Some(own) = &process.pid_file {
        match PidFile::take(&own.path) {
            Ok(pid_file) => files.0 = Some(pid_file),
            Err(refused) => settle(own, refused)?,
        }
    }
    Ok(files)
}

pub(super) fn reply<T>(answer: &SyncSender<T>, outcome: T) {
    // Whoever asked may be gone.
    answer.try_send(outcome).unwrap_or_default();
}
