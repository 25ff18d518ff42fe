//! What the threads of the control socket share, and how they ask the supervisor.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::Sender;

use super::protocol::{Channel, Message, Order, Outcome, Question};
use crate::server::admin::Servers;
use crate::server::journal::Who;
use crate::server::lifecycle::status::Status;
use crate::server::sockets::Sockets;
use crate::server::upgrade::probation::{OlderOnWatch, ProbationEnd};

/// What the threads of the control socket ask the supervisor. Each sender takes one answer.
#[derive(Debug)]
pub enum SupervisorRequest {
    Order(Order, Who, SyncSender<Outcome>),
    Question(Question, SyncSender<Outcome>),
    /// A newer process is ready: may it accept connections?
    MayHandOver(SyncSender<Result<(), String>>),
    /// A newer process accepts connections. The answer is the length of its probation, if it has one.
    HandedOver(HandOver, SyncSender<Result<Option<Duration>, String>>),
    /// The probation of the newer process is over.
    ProbationEnded {
        pid: u32,
        end: ProbationEnd,
    },
}

/// What is known of the process that accepts connections now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOver {
    pub pid: u32,
    /// The names of the sockets that it does not use.
    pub unclaimed: Vec<String>,
    /// Whether the end of the connection tells that it is dead.
    pub probation: bool,
}

/// What the threads of the control socket share.
#[derive(Debug)]
pub struct ControlState {
    pub requests: Sender<SupervisorRequest>,
    /// The configuration that the process was started with.
    pub file: Option<PathBuf>,
    /// `None` once the sockets are closed or handed over.
    pub sockets: Arc<Mutex<Option<Arc<Sockets>>>>,
    pub status: Arc<Status>,
    pub servers: Arc<Servers>,
    pub(super) handing_over: AtomicBool,
    /// The process that this one has taken over from, while it watches this one.
    older: Mutex<Option<OlderOnWatch>>,
    /// The process that was last given the listeners, and how long it is watched.
    newest: Mutex<Option<(u32, Option<Duration>)>>,
    /// The connection to the newer process of the hand-over that is under way.
    pub(super) newer: Mutex<Option<Channel>>,
    /// Why the last hand-over came to nothing.
    pub(super) failure: Mutex<Option<String>>,
    pub(super) callers: AtomicUsize,
}

impl ControlState {
    pub fn new(
        requests: Sender<SupervisorRequest>,
        file: Option<PathBuf>,
        sockets: Arc<Mutex<Option<Arc<Sockets>>>>,
        status: Arc<Status>,
        servers: Arc<Servers>,
    ) -> Self {
        Self {
            requests,
            file,
            sockets,
            status,
            servers,
            handing_over: AtomicBool::new(false),
            older: Mutex::default(),
            newest: Mutex::default(),
            newer: Mutex::default(),
            failure: Mutex::default(),
            callers: AtomicUsize::new(0),
        }
    }

    /// The number of callers that have not had their answer yet.
    pub fn callers(&self) -> usize {
        self.callers.load(Ordering::Acquire)
    }

    /// Whether this process runs with the configuration `file`; `None` means any process.
    ///
    /// # Errors
    /// With the file that the process runs with.
    pub(super) fn check_file(&self, file: Option<&Path>) -> Result<(), String> {
        let own = self.file.as_deref();
        if file.is_none() || own == file {
            return Ok(());
        }
        let own = own.map_or("no file".to_owned(), |own| own.display().to_string());
        Err(format!("the process that answers runs with {own}; give each its own `server.upgrade_sock`"))
    }

    /// Refuses the hand-over that is under way, because this process is about to end: the
    /// newer process must not take it for dead.
    pub fn refuse_newer(&self, reason: &str) {
        let newer = self.newer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(newer) = newer
            && let Err(e) = newer.send(&Message::Refused { reason: reason.to_owned() })
        {
            log::debug!("upgrade: the new process does not hear it: {e}");
        }
    }

    /// Why the last hand-over came to nothing, once for each failure.
    pub fn take_failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Notes the process that watches this one.
    pub fn is_watched_by(&self, older: Option<OlderOnWatch>) {
        *self.older.lock().unwrap_or_else(PoisonError::into_inner) = older;
    }

    /// Whether an older process serves again if this one dies.
    pub fn is_watched(&self) -> bool {
        self.older.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(|older| !older.is_over())
    }

    /// Closes the connection to an older process that watches no more.
    pub fn forget_older(&self) {
        self.older.lock().unwrap_or_else(PoisonError::into_inner).take_if(|older| older.is_over());
    }

    /// Tells the process that watches this one that it is not needed any more.
    pub fn release_older(&self, reason: &str) {
        if let Some(older) = self.older.lock().unwrap_or_else(PoisonError::into_inner).take() {
            older.release(reason);
        }
    }

    /// Notes that process `pid` has the listeners now, and how long it is watched.
    pub fn note_hand_over(&self, pid: u32, probation: Option<Duration>) {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some((pid, probation));
    }

    /// The process that was last given the listeners, which may be dead by now, and how long it is
    /// watched.
    pub fn newest(&self) -> Option<(u32, Option<Duration>)> {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_handing_over(&self) -> bool {
        self.handing_over.load(Ordering::Acquire)
    }
}

/// # Errors
/// When the process has ended.
pub(super) fn ask_supervisor<T>(
    control_state: &ControlState,
    request: impl FnOnce(SyncSender<T>) -> SupervisorRequest,
) -> Result<T, String> {
    let (sender, answer) = sync_channel(1);
    let ended = || "the process ended".to_owned();
    control_state.requests.blocking_send(request(sender)).map_err(|_| ended())?;
    answer.recv().map_err(|_| ended())
}
