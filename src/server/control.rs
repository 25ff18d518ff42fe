//! The control socket: `-s` and `-u` find the running process here. Each call has a
//! thread of its own, which asks the supervisor and passes its answer on.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc::Sender;

use super::handover::{Channel, Message, Order, offer};
use super::sockets::{Sockets, make_way};
use super::status::{Phase, Status};
use super::{admin, folder, pid_file::Refused};
use crate::runtime::Live;

/// For the caller's first and only word.
const FIRST_WORD: Duration = Duration::from_secs(10);
/// Callers at once; more are closed.
const MOST_CALLERS: usize = 32;

/// What came of an order, in words.
pub type Outcome = (bool, String);

/// What the supervisor is asked. Each sender takes one answer.
#[derive(Debug)]
pub enum Request {
    Do(Order, SyncSender<Outcome>),
    /// A newer process is ready: may it have the connections?
    MayHandOver(SyncSender<Result<(), String>>),
    /// A newer process accepts connections.
    HandedOver {
        pid: u32,
        answer: SyncSender<Result<(), String>>,
    },
}

/// What a caller's thread needs.
#[derive(Debug)]
pub struct Desk {
    pub requests: Sender<Request>,
    /// The configuration that the process was started with.
    pub file: Option<PathBuf>,
    /// `None` once they are closed or given away.
    pub sockets: Arc<Mutex<Option<Arc<Sockets>>>>,
    pub status: Arc<Status>,
    pub live: Arc<Live>,
    handing_over: AtomicBool,
    /// The other end of the one that is under way.
    newer: Mutex<Option<Channel>>,
    /// Why the last hand-over came to nothing.
    failure: Mutex<Option<String>>,
    callers: AtomicUsize,
}

impl Desk {
    pub fn new(
        requests: Sender<Request>,
        file: Option<PathBuf>,
        sockets: Arc<Mutex<Option<Arc<Sockets>>>>,
        status: Arc<Status>,
        live: Arc<Live>,
    ) -> Self {
        Self {
            requests,
            file,
            sockets,
            status,
            live,
            handing_over: AtomicBool::new(false),
            newer: Mutex::default(),
            failure: Mutex::default(),
            callers: AtomicUsize::new(0),
        }
    }

    /// Callers that have not had their answer yet.
    pub fn callers(&self) -> usize {
        self.callers.load(Ordering::Acquire)
    }

    /// Whether this is the process of `file`; `None` is whichever answers.
    ///
    /// # Errors
    /// Which one it is.
    fn check_file(&self, file: Option<&Path>) -> Result<(), String> {
        let own = self.file.as_deref();
        if file.is_none() || own == file {
            return Ok(());
        }
        let own = own.map_or("no file".to_owned(), |own| own.display().to_string());
        Err(format!("the process that answers runs with {own}; give each its own `server.upgrade_sock`"))
    }

    /// This process is about to end: a newer one must not take it for dead.
    pub fn refuse_newer(&self, reason: &str) {
        let newer = self.newer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut newer) = newer
            && let Err(e) = newer.send(&Message::Refused { reason: reason.to_owned() })
        {
            log::debug!("upgrade: the new process does not hear it: {e}");
        }
    }

    /// Asked once for each failure.
    pub fn take_failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub fn is_handing_over(&self) -> bool {
        self.handing_over.load(Ordering::Acquire)
    }
}

/// The socket's file, removed when its process ends and nobody took over.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    /// Device and number of the file: another process may put its own in its place.
    identity: Option<(u64, u64)>,
}

impl ControlSocket {
    /// Listens on `path` and answers. `replace`: the file there belongs to the process
    /// that this one has taken over from.
    ///
    /// # Errors
    /// When another process answers there, or it cannot be listened on.
    pub fn serve(path: &Path, replace: bool, desk: Arc<Desk>) -> Result<Self, Refused> {
        let failed = |e: &dyn std::fmt::Display| {
            Refused::Failed(format!("cannot listen on the control socket {}: {e}", path.display()))
        };
        folder::prepare(path, None).map_err(Refused::Failed)?;
        if !replace && UnixStream::connect(path).is_ok() {
            return Err(Refused::Taken(format!("another pingora-proxy answers on {}", path.display())));
        }
        if !replace {
            make_way(path).map_err(|e| failed(&e))?;
        }
        // Nobody finds it half made, and a replaced one is never missing.
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(beside);
        make_way(&beside).map_err(|e| failed(&e))?;
        let listener = UnixListener::bind(&beside).map_err(|e| failed(&e))?;
        std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600))
            .and_then(|()| std::fs::rename(&beside, path))
            .and_then(|()| {
                thread::Builder::new().name("control".to_owned()).spawn(move || answer_calls(&listener, &desk))
            })
            .map_err(|e| failed(&e))?;
        Ok(Self { path: path.to_owned(), identity: identity_of(path) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// At the end of the process, if it is still its own.
    pub fn remove(self) {
        if self.identity.is_some()
            && identity_of(&self.path) == self.identity
            && let Err(e) = std::fs::remove_file(&self.path)
        {
            log::warn!("cannot remove the control socket {}: {e}", self.path.display());
        }
    }
}

fn identity_of(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

fn answer_calls(listener: &UnixListener, desk: &Arc<Desk>) {
    for stream in listener.incoming() {
        let stream = match stream {
            Ok(stream) => stream,
            Err(e) => {
                log::warn!("control socket: {e}");
                thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        if desk.callers.fetch_add(1, Ordering::AcqRel) >= MOST_CALLERS {
            desk.callers.fetch_sub(1, Ordering::AcqRel);
            continue;
        }
        let ours = Arc::clone(desk);
        let attended = thread::Builder::new().name("control-call".to_owned()).spawn(move || {
            let until_the_end = attend(stream, &ours);
            ours.callers.fetch_sub(1, Ordering::AcqRel);
            // The caller waits for the end of the process, which closes it.
            std::mem::forget(until_the_end);
        });
        if let Err(e) = attended {
            desk.callers.fetch_sub(1, Ordering::AcqRel);
            log::warn!("control socket: {e}");
        }
    }
}

/// The connection, if it is to be left open.
fn attend(stream: UnixStream, desk: &Desk) -> Option<Channel> {
    let mut channel = Channel::new(stream);
    if let Err(reason) = channel.check_caller() {
        log::warn!("a call on the control socket was refused: {reason}");
        answer_with(&mut channel, &Message::Refused { reason });
        return None;
    }
    // Without a word: somebody who only looked whether we are there.
    let heard = channel.receive(FIRST_WORD).ok()?;
    let of_this_file = match &heard {
        Message::Do { file, .. } | Message::Upstreams { file, .. } | Message::TakeOver { file, .. } => {
            desk.check_file(file.as_deref())
        }
        _ => Ok(()),
    };
    let mut ending = false;
    let answer = match (of_this_file, heard) {
        (Err(reason), _) => Message::Refused { reason },
        (Ok(()), Message::Do { order, .. }) => {
            ending = order.ends_the_process();
            let outcome = ask(desk, |answer| Request::Do(order, answer));
            let (ok, text) = outcome.unwrap_or_else(|reason| (false, reason));
            Message::Outcome { ok, text }
        }
        (Ok(()), Message::Upstreams { change, .. }) => {
            let told = match &change {
                Some(change) => admin::change(&desk.live, change),
                None => Ok(admin::report(&desk.live)),
            };
            let (ok, text) = told.map_or_else(|reason| (false, reason), |text| (true, text));
            Message::Outcome { ok, text }
        }
        (Ok(()), Message::TakeOver { version, pid, .. }) => {
            hand_over(&mut channel, desk, version, pid);
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

fn ask<T>(desk: &Desk, request: impl FnOnce(SyncSender<T>) -> Request) -> Result<T, String> {
    let (sender, answer) = sync_channel(1);
    let ended = || "the process ended".to_owned();
    desk.requests.blocking_send(request(sender)).map_err(|_| ended())?;
    answer.recv().map_err(|_| ended())
}

fn hand_over(channel: &mut Channel, desk: &Desk, version: u32, pid: u32) {
    let sockets = desk.sockets.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let phase = desk.status.phase();
    let reason = match sockets {
        Some(_) if phase != Phase::Serving => phase.describe().to_owned(),
        None => phase.describe().to_owned(),
        Some(_) if desk.handing_over.swap(true, Ordering::AcqRel) => "another upgrade is under way".to_owned(),
        Some(sockets) => {
            log::info!("upgrade: process {pid} asks for the listeners");
            *desk.newer.lock().unwrap_or_else(PoisonError::into_inner) = channel.try_clone().ok();
            let done = offer(
                channel,
                version,
                &sockets,
                || ask(desk, Request::MayHandOver)?,
                || ask(desk, |answer| Request::HandedOver { pid, answer })?,
            );
            match done {
                Ok(()) => log::info!("upgrade: process {pid} serves now"),
                Err(reason) => {
                    log::error!("upgrade: {reason}; this process serves on");
                    *desk.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
                }
            }
            desk.newer.lock().unwrap_or_else(PoisonError::into_inner).take();
            desk.handing_over.store(false, Ordering::Release);
            return;
        }
    };
    log::warn!("upgrade: process {pid} is refused the listeners: {reason}");
    if let Err(e) = channel.send(&Message::Refused { reason }) {
        log::debug!("upgrade: process {pid} does not hear it: {e}");
    }
}

/// Gives an order to the process behind `path` and waits for what comes of it.
///
/// # Errors
/// When no process answers.
pub fn call(path: &Path, file: Option<&Path>, order: Order, wait: Duration) -> Result<Outcome, String> {
    let message = Message::Do { order, file: file.map(Path::to_owned) };
    say(path, &message, wait, order.ends_the_process())
}

/// As [`call`], with any words. `ends`: whether the process ends of them.
///
/// # Errors
/// As [`call`].
pub fn say(path: &Path, message: &Message, wait: Duration, ends: bool) -> Result<Outcome, String> {
    let stream =
        UnixStream::connect(path).map_err(|e| format!("no running process answers on {}: {e}", path.display()))?;
    let mut channel = Channel::new(stream);
    channel.check_server()?;
    let lost = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::TimedOut => format!("the running process gave no answer for {} s", wait.as_secs()),
        std::io::ErrorKind::UnexpectedEof => "the running process ended without an answer".to_owned(),
        _ => format!("the running process was lost: {e}"),
    };
    // A stranger is refused before he has said anything.
    let sent = channel.send(message);
    let heard = channel.receive(if sent.is_ok() { wait } else { FIRST_WORD });
    match heard.map_err(|e| lost(sent.err().unwrap_or(e)))? {
        Message::Outcome { ok, text } => {
            if ends {
                // The end of the process is an error here; the outcome is known.
                channel.receive(FIRST_WORD).err();
            }
            Ok((ok, text))
        }
        Message::Refused { reason } => Ok((false, reason)),
        other => Err(format!("the running process answered {other:?}")),
    }
}
