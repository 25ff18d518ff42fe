//! The start of the process: everything that can be missing is opened, in the order in
//! which it may fail, and Pingora's `Server` runs with it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{RunArgs, Server};

use super::admin::{self, AdminApi, AdminService, Reach};
use super::control::ControlState;
use super::control::client::send_message;
use super::control::protocol::Message;
use super::files::own_file::{self, OwnFile};
use super::files::{cookie_key, runtime_dir};
use super::lifecycle::process::ProcessContext;
use super::lifecycle::stage::Ended;
use super::lifecycle::status::Status;
use super::lifecycle::supervisor::Supervisor;
use super::lifecycle::{daemon, reload};
use super::sockets::{self, InheritedSockets, SocketUse, Sockets};
use super::upgrade::respawn::{self, Respawn};
use super::upgrade::takeover::Takeover;
use super::upstream_service::UpstreamService;
use super::{logging, privileges, socket_files, workers};
use crate::config::{AccessTarget, Address, AdminAddress, Config, Listener, Upstream, is_ipv6_only};
use crate::downstream::Connections;
use crate::listener::AcceptGate;
use crate::proxy::{HttpService, HttpServiceParts};
use crate::runtime::{Live, Snapshot};
use crate::telemetry::{ErrorFile, end_process_on_panic};
use crate::upstream::resolve_initial;

/// Where `admin.address: auto` listens.
const ADMIN_PORT: u16 = 9180;
/// The attempts of one request at most, whatever becomes of each.
const MAX_TRIES: usize = 4096;
/// The number of requests that may wait for the supervisor.
const SUPERVISOR_QUEUE: usize = 16;

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

/// Serves until a signal or an order ends it.
///
/// # Errors
/// In words for the operator, when anything needed to start is missing: an address in
/// use, a file that cannot be opened, a process that does not hand over.
pub fn run(config: &Config, start: Start) -> Result<Ended, String> {
    end_process_on_panic();
    let control = own_file::locate(&config.server.upgrade_sock, own_file::CONTROL_SOCKET);
    let (older, mut inherited) = match start.takes_over {
        true => {
            let (path, file) = takeover_source(&start, control.as_ref())?;
            let (takeover, inherited) = Takeover::begin(&path, file)?;
            (Some(OlderProcess { takeover, control: path }), inherited)
        }
        false => (None, InheritedSockets::from_service_manager()?),
    };
    let keeps_files = respawn::older_kept_files() || older.is_none() && !inherited.is_empty();
    let folder = runtime_dir::default_dir();
    let start = Start { respawn: start.respawn.map(|respawn| respawn.in_folder(&folder, keeps_files)), ..start };
    match prepare(config, start, control, &mut inherited, keeps_files) {
        Ok(prepared) => {
            let unwanted = inherited.unclaimed();
            for address in &unwanted {
                log::info!("the inherited listener {address} is not wanted any more");
            }
            if let Some(older) = &older {
                older.copy_server_states(&prepared.live);
            }
            Ok(serve(config, prepared, older, SocketFiles { unwanted, keeps_files }))
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
struct OlderProcess {
    takeover: Takeover,
    control: PathBuf,
}

impl OlderProcess {
    /// Has what an operator said of a server to the older process hold for this one.
    fn copy_server_states(&self, live: &Live) {
        const WAIT: std::time::Duration = std::time::Duration::from_secs(2);
        let question = Message::Upstreams { change: None, file: None };
        match send_message(&self.control, &question, WAIT, false) {
            Ok((true, report)) => admin::restore(live, &report),
            Ok((false, reason)) | Err(reason) => log::info!("upgrade: the servers' states are not known: {reason}"),
        }
    }
}

/// What becomes of the files of unix sockets.
struct SocketFiles {
    /// The addresses of the older process's listeners that this process does not have.
    unwanted: Vec<Address>,
    /// Whether a service manager owns all files.
    keeps_files: bool,
}

/// Where the running process answers, and the configuration with which it must run where
/// several processes may share the place.
fn takeover_source<'s>(start: &'s Start, control: Option<&OwnFile>) -> Result<(PathBuf, Option<&'s Path>), String> {
    match (std::env::var_os(respawn::TAKE_OVER_FROM), control) {
        (Some(path), _) => Ok((PathBuf::from(path), None)),
        (None, Some(own)) => Ok((own.path.clone(), start.file.as_deref().filter(|_| !own.configured))),
        (None, None) => Err("`server.upgrade_sock` is off: there is no way to the running process".into()),
    }
}

/// Everything that can be missing, opened before anything is started.
struct Prepared {
    start: Start,
    control: Option<OwnFile>,
    pid_file: Option<OwnFile>,
    sockets: Sockets,
    admin: Option<Address>,
    error_file: Option<ErrorFile>,
    live: Arc<Live>,
}

fn prepare(
    config: &Config,
    start: Start,
    control: Option<OwnFile>,
    inherited: &mut InheritedSockets,
    keeps_files: bool,
) -> Result<Prepared, String> {
    let mut open = Vec::new();
    inherited.check_families(&config.listeners)?;
    let per_listener = workers::sockets_per_listener(config, keeps_files);
    for Listener { address, .. } in &config.listeners {
        let ipv6_only = is_ipv6_only(address, &config.listeners);
        open.extend(inherited.open_listener(address, ipv6_only, per_listener)?);
    }
    let (admin, admin_missing) = open_admin(&config.admin.address, inherited, &mut open)?;
    let pid_file = own_file::locate(&config.server.pid_file, own_file::PID_FILE);
    if let Some(identity) = config.server.identity.ids() {
        for own in [&control, &pid_file].into_iter().flatten() {
            runtime_dir::prepare(&own.path, Some(identity))?;
        }
        cookie_key::prepare_folder(identity);
        socket_files::chown_socket_files(
            config.listeners.iter().map(|listener| &listener.address).chain(&admin),
            identity,
        )?;
        privileges::drop_privileges(identity)?;
    }
    socket_files::allow_everybody(&config.listeners)?;
    let error_file = logging::start(config)?;
    if let Some(reason) = admin_missing {
        log::warn!("{reason}; there is no admin endpoint");
    }
    if daemon::is_child() && config.log.access.to == AccessTarget::Stdout {
        log::warn!("a daemon has no stdout: its access log is lost");
    }
    let access = Arc::new(reload::start_access_log(config)?);
    let snapshot = Snapshot::compile(config, access, None, &cookie_key::find(config))?;
    resolve_initial(&snapshot.pools, &snapshot.resolver, reload::INITIAL_LOOKUP_TIMEOUT);
    let live = Arc::new(Live::new(snapshot));
    Ok(Prepared { start, control, pid_file, sockets: Sockets::new(open), admin, error_file, live })
}

/// The address of the admin endpoint; or why there is none, where the configuration names
/// no address.
fn open_admin(
    wanted: &AdminAddress,
    inherited: &mut InheritedSockets,
    open: &mut Vec<sockets::NamedSocket>,
) -> Result<(Option<Address>, Option<String>), String> {
    let (address, configured) = match wanted {
        AdminAddress::Off => return Ok((None, None)),
        AdminAddress::At(address) => (address.clone(), true),
        AdminAddress::Auto => (Address::Tcp(([127, 0, 0, 1], ADMIN_PORT).into()), false),
    };
    match inherited.open(&SocketUse::Admin(address.clone()), false) {
        Ok(socket) => {
            open.push(socket);
            Ok((Some(address), None))
        }
        Err(reason) if configured => Err(format!("admin: {reason}")),
        Err(reason) => Ok((None, Some(reason))),
    }
}

fn serve(config: &Config, prepared: Prepared, older: Option<OlderProcess>, socket_files: SocketFiles) -> Ended {
    match assemble(config, prepared, older, socket_files) {
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
    older: Option<OlderProcess>,
    socket_files: SocketFiles,
) -> Result<Assembled, String> {
    let Prepared { start, control, pid_file, sockets, admin, error_file, live } = prepared;
    let mut server = Server::new_with_opt_and_conf(None, server_conf(config));
    server.bootstrap();
    let (connections, gate, status) =
        (Arc::new(Connections::default()), Arc::new(AcceptGate::new()), Arc::new(Status::new()));
    let parts = HttpServiceParts {
        conf: Arc::clone(&server.configuration),
        live: Arc::clone(&live),
        connections: Arc::clone(&connections),
        mirrors: Arc::default(),
    };
    let service = Arc::new(HttpService::new(parts.clone()));
    workers::start(config, &parts, &sockets, &gate)?;
    if let Some(address) = admin {
        let socket = sockets.duplicate(&SocketUse::Admin(address.clone())).map_err(|e| format!("admin: {e}"))?;
        let (status, live) = (Arc::clone(&status), Arc::clone(&live));
        let api = Arc::new(AdminApi { reach: Reach::from(&address), status, live });
        server.add_service(AdminService { address, socket: Some(socket), gate: Arc::clone(&gate), api });
    }
    server.add_service(UpstreamService { live: Arc::clone(&live) });
    for listener in &config.listeners {
        log::info!("listening on {}", sockets.bound(&SocketUse::Listener(listener.address.clone())));
    }
    let sockets = Arc::new(Mutex::new(Some(Arc::new(sockets))));
    let (orders, requests) = tokio::sync::mpsc::channel(SUPERVISOR_QUEUE);
    let control_state = Arc::new(ControlState::new(
        orders,
        start.file.clone(),
        Arc::clone(&sockets),
        Arc::clone(&status),
        Arc::clone(&live),
    ));
    let (takeover, replaces) = older.map(|older| (older.takeover, older.control)).unzip();
    let ended = Arc::new(Mutex::new(Ended::Fine));
    let process = ProcessContext {
        config: config.clone(),
        file: start.file,
        live,
        service,
        connections,
        gate,
        status,
        sockets,
        control_state,
        requests,
        takeover,
        replaces,
        unwanted: socket_files.unwanted,
        keeps_files: socket_files.keeps_files,
        pid_file,
        control,
        error_file,
        respawn: start.respawn,
    };
    let supervisor = Supervisor::new(process, Arc::clone(&ended));
    Ok((server, supervisor, ended))
}

fn server_conf(config: &Config) -> ServerConf {
    // All upstreams share the room in Pingora's pool, and each worker has a pool of its own.
    let idle: usize = config.upstreams.iter().map(Upstream::max_idle).sum();
    ServerConf {
        upstream_keepalive_pool_size: idle.max(1),
        // Our attempts are bounded by the number of endpoints and by `retry`.
        max_retries: MAX_TRIES,
        ..ServerConf::default()
    }
}
