//! The control socket, by which `-s` and `-u` find the running process. Each call is
//! answered on a thread of its own, which asks the supervisor and passes its answer on.

pub mod client;
pub mod old;
pub mod protocol;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc::Sender;

use crate::server::admin::Servers;
use crate::server::files::own_file::OwnFileError;
use crate::server::files::runtime_dir;
use crate::server::lifecycle::status::{Phase, Status};
use crate::server::socket_files::remove_stale_socket;
use crate::server::sockets::Sockets;
use crate::server::upgrade::offer::{NewerProcess, offer};
use protocol::{Channel, Message, Order, Outcome};

/// How long a caller may take for its one message.
const FIRST_MESSAGE: Duration = Duration::from_secs(10);
/// The number of calls at once; a further one is closed without an answer.
const MAX_CALLS: usize = 32;

/// What the threads of the control socket ask the supervisor. Each sender takes one answer.
#[derive(Debug)]
pub enum SupervisorRequest {
    Order(Order, SyncSender<Outcome>),
    /// A newer process is ready: may it accept connections?
    MayHandOver(SyncSender<Result<(), String>>),
    /// A newer process accepts connections.
    HandedOver {
        pid: u32,
        answer: SyncSender<Result<(), String>>,
    },
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
    handing_over: AtomicBool,
    /// The connection to the newer process of the hand-over that is under way.
    newer: Mutex<Option<Channel>>,
    /// Why the last hand-over came to nothing.
    failure: Mutex<Option<String>>,
    callers: AtomicUsize,
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
    fn check_file(&self, file: Option<&Path>) -> Result<(), String> {
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
        if let Some(mut newer) = newer
            && let Err(e) = newer.send(&Message::Refused { reason: reason.to_owned() })
        {
            log::debug!("upgrade: the new process does not hear it: {e}");
        }
    }

    /// Why the last hand-over came to nothing, once for each failure.
    pub fn take_failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub fn is_handing_over(&self) -> bool {
        self.handing_over.load(Ordering::Acquire)
    }
}

/// The file of the control socket. It is removed when its process ends, unless a newer
/// process took over.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    /// Device and inode of the file: another process may have put its own in the place.
    identity: Option<(u64, u64)>,
    /// Its second name, once a newer process has the place.
    beside: Option<PathBuf>,
}

impl ControlSocket {
    /// Listens on `path` and answers calls. `replace` says that the file there belongs to the
    /// process that this one has taken over from.
    ///
    /// # Errors
    /// When another process answers there, or it cannot be listened on.
    pub fn serve(path: &Path, replace: bool, control_state: Arc<ControlState>) -> Result<Self, OwnFileError> {
        let failed = |e: &dyn std::fmt::Display| {
            OwnFileError::Failed(format!("cannot listen on the control socket {}: {e}", path.display()))
        };
        runtime_dir::prepare(path, None).map_err(OwnFileError::Failed)?;
        if !replace && UnixStream::connect(path).is_ok() {
            return Err(OwnFileError::Taken(format!("another pingora-proxy answers on {}", path.display())));
        }
        if !replace {
            remove_stale_socket(path).map_err(|e| failed(&e))?;
        }
        // The socket is made beside its place and renamed, so that nobody finds it half made
        // and a replaced one is never missing.
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(beside);
        remove_stale_socket(&beside).map_err(|e| failed(&e))?;
        let listener = UnixListener::bind(&beside).map_err(|e| failed(&e))?;
        std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600))
            .and_then(|()| std::fs::rename(&beside, path))
            .and_then(|()| {
                thread::Builder::new().name("control".to_owned()).spawn(move || accept_calls(&listener, &control_state))
            })
            .map_err(|e| failed(&e))?;
        old::remove_stale(path);
        Ok(Self { path: path.to_owned(), identity: identity_of(path), beside: None })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the process within reach beside the place that a newer one is about to take.
    pub fn step_aside(&mut self) {
        let Some((_, inode)) = self.identity else { return };
        let beside = old::place_beside(&self.path, inode);
        match std::fs::hard_link(&self.path, &beside) {
            Ok(()) => self.beside = Some(beside),
            Err(e) => log::debug!("`-s status` will not know of this process: {}: {e}", beside.display()),
        }
    }

    /// Removes the files at the end of the process, where they are still the process's own.
    pub fn remove(self) {
        for path in self.beside.iter().chain([&self.path]) {
            if self.identity.is_some()
                && identity_of(path) == self.identity
                && let Err(e) = std::fs::remove_file(path)
            {
                log::warn!("cannot remove the control socket {}: {e}", path.display());
            }
        }
    }
}

fn identity_of(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

fn accept_calls(listener: &UnixListener, control_state: &Arc<ControlState>) {
    for stream in listener.incoming() {
        let stream = match stream {
            Ok(stream) => stream,
            Err(e) => {
                log::warn!("control socket: {e}");
                thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        if control_state.callers.fetch_add(1, Ordering::AcqRel) >= MAX_CALLS {
            control_state.callers.fetch_sub(1, Ordering::AcqRel);
            continue;
        }
        let ours = Arc::clone(control_state);
        let spawned = thread::Builder::new().name("control-call".to_owned()).spawn(move || {
            let kept_open = answer_call(stream, &ours);
            ours.callers.fetch_sub(1, Ordering::AcqRel);
            // The caller waits until the end of the process closes the connection.
            std::mem::forget(kept_open);
        });
        if let Err(e) = spawned {
            control_state.callers.fetch_sub(1, Ordering::AcqRel);
            log::warn!("control socket: {e}");
        }
    }
}

/// Returns the connection if it is to be left open.
fn answer_call(stream: UnixStream, control_state: &ControlState) -> Option<Channel> {
    let mut channel = Channel::new(stream);
    if let Err(reason) = channel.check_caller() {
        log::warn!("a call on the control socket was refused: {reason}");
        answer_with(&mut channel, &Message::Refused { reason });
        return None;
    }
    // A caller without a message only looked whether a process is here.
    let message = channel.receive(FIRST_MESSAGE).ok()?;
    let of_this_file = match &message {
        Message::Order { file, .. } | Message::Upstreams { file, .. } | Message::TakeOver { file, .. } => {
            control_state.check_file(file.as_deref())
        }
        _ => Ok(()),
    };
    let mut ending = false;
    let answer = match (of_this_file, message) {
        (Err(reason), _) => Message::Refused { reason },
        (Ok(()), Message::Order { order, .. }) => {
            ending = order.ends_the_process();
            let outcome = ask_supervisor(control_state, |answer| SupervisorRequest::Order(order, answer));
            let (ok, text) = outcome.unwrap_or_else(|reason| (false, reason));
            Message::Outcome { ok, text }
        }
        (Ok(()), Message::Upstreams { change, .. }) => {
            let told = match &change {
                Some(change) => control_state.servers.change(change),
                None => Ok(control_state.servers.report()),
            };
            let (ok, text) = told.map_or_else(|reason| (false, reason), |text| (true, text));
            Message::Outcome { ok, text }
        }
        (Ok(()), Message::TakeOver { version, pid, several_sockets, .. }) => {
            hand_over(&mut channel, control_state, NewerProcess { version, pid, several_sockets });
            return None;
        }
        (Ok(()), other) => Message::Refused { reason: format!("{other:?} is no order") },
    };
    answer_with(&mut channel, &answer);
    ending.then_some(channel)
}

fn answer_with(channel: &mut Channel, answer: &Message) {
    if let Err(e) = channel.send(answer) {
        log::debug!("a caller on the control socket did not wait for its answer: {e}");
    }
}

fn ask_supervisor<T>(
    control_state: &ControlState,
    request: impl FnOnce(SyncSender<T>) -> SupervisorRequest,
) -> Result<T, String> {
    let (sender, answer) = sync_channel(1);
    let ended = || "the process ended".to_owned();
    control_state.requests.blocking_send(request(sender)).map_err(|_| ended())?;
    answer.recv().map_err(|_| ended())
}

fn hand_over(channel: &mut Channel, control_state: &ControlState, newer: NewerProcess) {
    let pid = newer.pid;
    let sockets = control_state.sockets.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let phase = control_state.status.phase();
    let reason = match sockets {
        Some(_) if phase != Phase::Serving => phase.describe().to_owned(),
        None => phase.describe().to_owned(),
        Some(_) if control_state.handing_over.swap(true, Ordering::AcqRel) => "another upgrade is under way".to_owned(),
        Some(sockets) => {
            log::info!("upgrade: process {pid} asks for the listeners");
            *control_state.newer.lock().unwrap_or_else(PoisonError::into_inner) = channel.try_clone().ok();
            let done = offer(
                channel,
                newer,
                &sockets,
                || ask_supervisor(control_state, SupervisorRequest::MayHandOver)?,
                || ask_supervisor(control_state, |answer| SupervisorRequest::HandedOver { pid, answer })?,
            );
            match done {
                Ok(()) => log::info!("upgrade: process {pid} serves now"),
                Err(reason) => {
                    log::error!("upgrade: {reason}; this process serves on");
                    *control_state.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
                }
            }
            control_state.newer.lock().unwrap_or_else(PoisonError::into_inner).take();
            control_state.handing_over.store(false, Ordering::Release);
            return;
        }
    };
    log::warn!("upgrade: process {pid} is refused the listeners: {reason}");
    if let Err(e) = channel.send(&Message::Refused { reason }) {
        log::debug!("upgrade: process {pid} does not hear it: {e}");
    }
}
