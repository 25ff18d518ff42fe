//! What the process is made of while it runs.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::mpsc::Receiver;

use super::signals::Signals;
use super::stage::Stage;
use super::status::Status;
use crate::config::{Address, Config, Source};
use crate::downstream::{ConnectionCounts, Connections};
use crate::listener::AcceptGate;
use crate::proxy::HttpService;
use crate::runtime::Live;
use crate::server::admin::{AccessInForce, Figures};
use crate::server::control::protocol::Outcome;
use crate::server::control::{ControlSocket, ControlState, SupervisorRequest};
use crate::server::files::config_watch::ConfigWatch;
use crate::server::files::own_file::OwnFile;
use crate::server::files::pid_file::PidFile;
use crate::server::sockets::{InheritedSockets, Sockets};
use crate::server::upgrade::respawn::{LastStarted, Respawn};
use crate::server::upgrade::takeover::Takeover;
use crate::server::workers::Acceptors;
use crate::telemetry::ErrorLogger;

/// What a process is started with.
pub struct ProcessContext {
    pub config: Config,
    /// Where the configuration came from.
    pub source: Option<Source>,
    pub live: Arc<Live>,
    /// `None` where there is no admin endpoint.
    pub admin: Option<Arc<AccessInForce>>,
    pub service: Arc<HttpService>,
    pub connections: Arc<Connections>,
    pub acceptors: Acceptors,
    /// Of the acceptors as they are now: it is another one when the listeners come back.
    pub gate: Arc<AcceptGate>,
    pub status: Arc<Status>,
    pub sockets: Arc<Mutex<Option<Arc<Sockets>>>>,
    pub control_state: Arc<ControlState>,
    pub requests: Receiver<SupervisorRequest>,
    pub takeover: Option<Takeover>,
    /// The control socket of the older process, which this one takes the place of.
    pub replaces: Option<PathBuf>,
    /// Whether a service manager owns the files of unix sockets.
    pub keeps_files: bool,
    /// The names of the older process's sockets that this process does not use.
    pub unclaimed: Vec<String>,
    /// The addresses of the older process's listeners that this process does not have.
    pub unwanted: Vec<Address>,
    pub pid_file: Option<OwnFile>,
    pub control: Option<OwnFile>,
    pub error_log: ErrorLogger,
    pub respawn: Option<Respawn>,
}

/// The process while it runs. What it does is in `orders`, `drain` and `take_back`.
pub struct RunningProcess {
    pub process: ProcessContext,
    pub signals: Signals,
    /// The configuration of the last reload.
    pub config: Config,
    pub stage: Stage,
    pub pid_file: Option<PidFile>,
    pub control: Option<ControlSocket>,
    /// Until when QUIT waits for a newer process.
    pub takeover_deadline: Option<Instant>,
    /// Whether a new process is being started.
    pub upgrading: Arc<AtomicBool>,
    pub last_started: Arc<LastStarted>,
    /// The listeners, while a newer process is on probation.
    pub held: Option<InheritedSockets>,
    /// Until when the files of its own are taken back.
    pub files_due: Option<Instant>,
    /// Why the last upgrade was undone, for who asks later.
    pub taken_back: Option<String>,
    /// The callers that wait for the end of the process.
    pub awaiting_end: Vec<SyncSender<Outcome>>,
    pub watched: Option<ConfigWatch>,
    /// The tunnels that were ended when `drain.tunnels` was over.
    pub tunnels_cut: Option<ConnectionCounts>,
    /// What the last reload left undone, for who asks later.
    pub reload_left: Option<String>,
}

impl ProcessContext {
    pub fn figures(&self) -> Figures {
        Figures {
            live: Arc::clone(&self.live),
            connections: Arc::clone(&self.connections),
            status: Arc::clone(&self.status),
        }
    }

    /// The file that a reload reads again.
    pub fn file(&self) -> Option<&Path> {
        match &self.source {
            Some(Source::File(path)) => Some(path),
            Some(Source::Input(_)) | None => None,
        }
    }
}

/// Who hears the answer finds in the log what was said on the way to it.
pub fn reply<T>(answer: &SyncSender<T>, outcome: T) {
    log::logger().flush();
    // The caller may be gone.
    answer.try_send(outcome).unwrap_or_default();
}

pub fn describe_counts(counts: ConnectionCounts) -> String {
    format!("{} requests, {} tunnels, {} idle connections", counts.requests, counts.tunnels, counts.idle)
}
