//! The process: its sockets, files, user and logs, Pingora's `Server` inside it, and
//! its life from start to end. Must not know what the hooks do.
//!
//! [`run`] puts the parts together in the order in which they may fail; from then on
//! [`supervise`] decides.

mod admin;
mod caretaker;
mod control;
mod cookie_key;
pub mod daemon;
mod ending;
mod folder;
mod handover;
mod identity;
mod logging;
mod notify;
mod orders;
mod pid_file;
mod reload;
mod respawn;
mod service;
mod signals;
mod sockets;
mod status;
mod supervise;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{RunArgs, Server};

use crate::config::{AccessTarget, Address, AdminAddress, Config, Place, Upstream};
use crate::downstream::Connections;
use crate::proxy::HttpService;
use crate::runtime::{Live, Snapshot};
use crate::upstream::{Command, settle};
use admin::{AdminApi, AdminService};
use caretaker::Caretaker;
use control::Desk;
pub use handover::Order;
use handover::Takeover;
pub use reload::FOR_NAMES;
pub use respawn::Respawn;
use service::{Gate, Gated};
use sockets::{Inherited, Sockets, Use};
use status::Status;
use supervise::{Process, Supervisor};

/// Where `admin.address: auto` listens.
const ADMIN_PORT: u16 = 9180;
/// Of one request, whatever becomes of each.
const MOST_TRIES: usize = 4096;
/// Orders that wait for the supervisor.
const ORDERS: usize = 16;

/// How a process is started.
#[derive(Debug, Default)]
pub struct Start {
    /// The configuration's file, where it has one: what a reload reads again.
    pub file: Option<PathBuf>,
    /// Whether it takes over from a running process.
    pub takes_over: bool,
    /// How to start the process that will take over from this one.
    pub respawn: Option<Respawn>,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    Fine,
    /// What was in flight and was cut.
    Forced(String),
    /// It never served, and why.
    Failed(String),
}

/// Serves until a signal or an order ends it.
///
/// # Errors
/// In words for the operator, when anything needed to start is missing: an address in
/// use, a file that cannot be opened, a process that does not hand over.
pub fn run(config: &Config, start: Start) -> Result<Ended, String> {
    let control = folder::locate(&config.server.upgrade_sock, folder::CONTROL_SOCKET);
    let (older, mut inherited) = match start.takes_over {
        true => {
            let (path, file) = where_to_ask(&start, control.as_ref())?;
            let (takeover, inherited) = Takeover::begin(&path, file)?;
            (Some(Older { takeover, control: path }), inherited)
        }
        false => (None, Inherited::from_service_manager()?),
    };
    let keeps_files = respawn::older_kept_files() || older.is_none() && !inherited.is_empty();
    let folder = folder::automatic();
    let start = Start { respawn: start.respawn.map(|respawn| respawn.in_folder(&folder, keeps_files)), ..start };
    match prepare(config, start, control, &mut inherited) {
        Ok(prepared) => {
            let unwanted = inherited.unclaimed();
            for address in &unwanted {
                log::info!("the inherited listener {} is not wanted any more", address);
            }
            if let Some(older) = &older {
                older.tell_of_servers(&prepared.live);
            }
            Ok(serve(config, prepared, older, Leftovers { unwanted, keeps_files }))
        }
        Err(reason) => {
            if let Some(older) = older {
                older.takeover.give_up(&reason);
            }
            Err(reason)
        }
    }
}

/// The process that this one takes over from.
struct Older {
    takeover: Takeover,
    control: PathBuf,
}

impl Older {
    /// What an operator said of a server to the older process holds for the newer one.
    fn tell_of_servers(&self, live: &Live) {
        const WAIT: std::time::Duration = std::time::Duration::from_secs(2);
        let question = handover::Message::Upstreams { change: None, file: None };
        match control::say(&self.control, &question, WAIT, false) {
            Ok((true, report)) => admin::restore(live, &report),
            Ok((false, reason)) | Err(reason) => log::info!("upgrade: the servers' states are not known: {reason}"),
        }
    }
}

/// What becomes of socket files.
struct Leftovers {
    /// Listeners of the older process that this one has not.
    unwanted: Vec<Address>,
    /// Whether all files are a service manager's.
    keeps_files: bool,
}

/// Where the running process answers, and whose it must be where several may share the
/// place.
fn where_to_ask<'s>(start: &'s Start, control: Option<&folder::Own>) -> Result<(PathBuf, Option<&'s Path>), String> {
    match (std::env::var_os(respawn::TAKE_OVER_FROM), control) {
        (Some(path), _) => Ok((PathBuf::from(path), None)),
        (None, Some(own)) => Ok((own.path.clone(), start.file.as_deref().filter(|_| !own.asked_for))),
        (None, None) => Err("`server.upgrade_sock` is off: there is no way to the running process".into()),
    }
}

/// Everything that can be missing, found before anything is started.
struct Prepared {
    start: Start,
    control: Option<folder::Own>,
    pid_file: Option<folder::Own>,
    sockets: Sockets,
    admin: Option<Address>,
    error_file: Option<crate::observe::ErrorFile>,
    live: Arc<Live>,
}

fn prepare(
    config: &Config,
    start: Start,
    control: Option<folder::Own>,
    inherited: &mut Inherited,
) -> Result<Prepared, String> {
    let mut open = Vec::new();
    for listener in &config.listeners {
        open.push(inherited.open(&Use::Listener(listener.address.clone()))?);
    }
    let (admin, admin_missing) = open_admin(&config.admin.address, inherited, &mut open)?;
    let pid_file = folder::locate(&config.server.pid_file, folder::PID_FILE);
    if let Some(identity) = config.server.identity.ids() {
        for own in [&control, &pid_file].into_iter().flatten() {
            folder::prepare(&own.path, Some(identity))?;
        }
        sockets::give_to(&config.listeners, identity)?;
        identity::become_identity(identity)?;
    }
    sockets::open_to_all(&config.listeners)?;
    let error_file = logging::start(config)?;
    if let Some(reason) = admin_missing {
        log::warn!("{reason}; there is no admin endpoint");
    }
    if daemon::is_child() && config.log.access.to == AccessTarget::Stdout {
        log::warn!("a daemon has no stdout: its access log is lost");
    }
    let access = Arc::new(reload::start_access_log(config)?);
    let snapshot = Snapshot::compile(config, access, None, &cookie_key::find(config))?;
    settle(&snapshot.pools, &snapshot.resolver, reload::FOR_NAMES);
    let live = Arc::new(Live::new(snapshot));
    Ok(Prepared { start, control, pid_file, sockets: Sockets::new(open), admin, error_file, live })
}

/// Its address; or why there is none, where nobody asked for one.
fn open_admin(
    wanted: &AdminAddress,
    inherited: &mut Inherited,
    open: &mut Vec<sockets::Named>,
) -> Result<(Option<Address>, Option<String>), String> {
    let (address, asked_for) = match wanted {
        AdminAddress::Off => return Ok((None, None)),
        AdminAddress::At(address) => (address.clone(), true),
        AdminAddress::Auto => (Address::Tcp(([127, 0, 0, 1], ADMIN_PORT).into()), false),
    };
    match inherited.open(&Use::Admin(address.clone())) {
        Ok(socket) => {
            open.push(socket);
            Ok((Some(address), None))
        }
        Err(reason) if asked_for => Err(format!("admin: {reason}")),
        Err(reason) => Ok((None, Some(reason))),
    }
}

fn serve(config: &Config, prepared: Prepared, older: Option<Older>, leftovers: Leftovers) -> Ended {
    match assemble(config, prepared, older, leftovers) {
        Ok((server, supervisor, ended)) => {
            server.run(RunArgs { shutdown_signal: Box::new(supervisor) });
            ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
        }
        Err(reason) => Ended::Failed(reason),
    }
}

type Assembled = (Server, Supervisor, Arc<Mutex<Ended>>);

fn assemble(
    config: &Config,
    prepared: Prepared,
    older: Option<Older>,
    leftovers: Leftovers,
) -> Result<Assembled, String> {
    let Prepared { start, control, pid_file, sockets, admin, error_file, live } = prepared;
    let mut server = Server::new_with_opt_and_conf(None, server_conf(config));
    server.bootstrap();
    let (connections, gate, status) =
        (Arc::new(Connections::default()), Arc::new(Gate::new()), Arc::new(Status::new()));
    let service = Arc::new(HttpService::new(&server.configuration, Arc::clone(&live), Arc::clone(&connections)));
    server.add_service(Gated::new(&service, &gate, &config.listeners, &sockets)?);
    if let Some(address) = admin {
        let socket = sockets.duplicate(&Use::Admin(address.clone())).map_err(|e| format!("admin: {e}"))?;
        let api = Arc::new(AdminApi { status: Arc::clone(&status), live: Arc::clone(&live) });
        server.add_service(AdminService { address, socket: Some(socket), gate: Arc::clone(&gate), api });
    }
    server.add_service(Caretaker { live: Arc::clone(&live) });
    for listener in &config.listeners {
        log::info!("listening on {}", sockets.bound(&Use::Listener(listener.address.clone())));
    }
    let sockets = Arc::new(Mutex::new(Some(Arc::new(sockets))));
    let (orders, requests) = tokio::sync::mpsc::channel(ORDERS);
    let desk =
        Arc::new(Desk::new(orders, start.file.clone(), Arc::clone(&sockets), Arc::clone(&status), Arc::clone(&live)));
    let (takeover, replaces) = older.map(|older| (older.takeover, older.control)).unzip();
    let ended = Arc::new(Mutex::new(Ended::Fine));
    let process = Process {
        config: config.clone(),
        file: start.file,
        live,
        service,
        connections,
        gate,
        status,
        sockets,
        desk,
        requests,
        takeover,
        replaces,
        unwanted: leftovers.unwanted,
        keeps_files: leftovers.keeps_files,
        pid_file,
        control,
        error_file,
        respawn: start.respawn,
    };
    let supervisor = Supervisor::new(process, Arc::clone(&ended));
    Ok((server, supervisor, ended))
}

fn server_conf(config: &Config) -> ServerConf {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let threads = config.server.threads.unwrap_or(cores);
    // The room in Pingora's pool is shared by all upstreams, and each thread has its own.
    let idle: usize = config.upstreams.iter().map(Upstream::max_idle).sum();
    ServerConf {
        threads,
        // One runtime per thread costs less per request than stealing does.
        work_stealing: config.server.work_stealing.unwrap_or(false),
        upstream_keepalive_pool_size: idle.max(1),
        // Ours are bounded by the servers there are and by `retry`.
        max_retries: MOST_TRIES,
        ..ServerConf::default()
    }
}

/// Gives an order to the running process and waits for what comes of it, in words.
/// `places`: of the control socket and the pid file. `file`: whose process it must be,
/// where the places are nobody's own.
///
/// # Errors
/// When no process answers; the pid file may tell more.
pub fn order(places: (&Place, &Place), file: Option<&Path>, order: Order) -> Result<(bool, String), String> {
    const LONGEST: std::time::Duration = std::time::Duration::from_secs(24 * 3600);
    ask_process(places, file, |path, file| control::call(path, file, order, LONGEST))
}

/// How the upstreams of the running process are, as JSON; or, with a `change`, what came
/// of that. The rest is as with [`order`].
///
/// # Errors
/// As [`order`].
pub fn upstreams(
    places: (&Place, &Place),
    file: Option<&Path>,
    change: Option<Command>,
) -> Result<(bool, String), String> {
    const LONGEST: std::time::Duration = std::time::Duration::from_secs(30);
    ask_process(places, file, |path, file| {
        let message = handover::Message::Upstreams { change, file: file.map(Path::to_owned) };
        control::say(path, &message, LONGEST, false)
    })
}

fn ask_process(
    (upgrade_sock, pid_file): (&Place, &Place),
    file: Option<&Path>,
    ask: impl FnOnce(&Path, Option<&Path>) -> Result<(bool, String), String>,
) -> Result<(bool, String), String> {
    let Some(own) = folder::locate(upgrade_sock, folder::CONTROL_SOCKET) else {
        return Err("`server.upgrade_sock` is off: there is no way to the running process but signals".to_owned());
    };
    let file = file.filter(|_| !own.asked_for).map(absolute);
    ask(&own.path, file.as_deref()).map_err(|reason| {
        let file = folder::locate(pid_file, folder::PID_FILE).map(|own| own.path);
        match file.as_deref().map(|path| (path, path.exists(), pid_file::living(path))) {
            Some((path, _, Some(pid))) => format!("{reason}; process {pid} holds {}", path.display()),
            Some((path, true, None)) => format!("{reason}; {} is stale", path.display()),
            Some((_, false, None)) | None => reason,
        }
    })
}

/// Whether the process of this configuration is ready, or at least `live`, asked as a
/// probe would. Where the admin endpoint's address is not written, another process may
/// have it: then the control socket is asked.
///
/// # Errors
/// Why it is not.
pub fn check_health(config: &Config, file: &Path, live: bool) -> Result<(), String> {
    match &config.admin.address {
        AdminAddress::At(address) => admin::ask(address, if live { "/health" } else { "/ready" }),
        AdminAddress::Auto | AdminAddress::Off => {
            let asked = if live { Order::Status } else { Order::Ready };
            let places = (&config.server.upgrade_sock, &config.server.pid_file);
            match order(places, Some(file), asked)? {
                (true, _) => Ok(()),
                (false, text) => Err(format!("not ready: {text}")),
            }
        }
    }
}

/// The absolute form of a path, so that a later reload does not depend on where it is asked for.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
