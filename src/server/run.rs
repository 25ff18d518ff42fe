//! The start of the process: everything that can be missing is opened, in the order in
//! which it may fail, and Pingora's `Server` runs with it.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{RunArgs, Server};

use super::admin::{Access, AccessInForce, AdminApi, AdminService, Figures, Servers};
use super::auth_service::AuthService;
use super::control::ControlState;
use super::control::client::send_message;
use super::control::protocol::{Message, Order};
use super::files::own_file::{self, OwnFile};
use super::files::ticket_keys::TicketKeyKeeper;
use super::files::{cookie_key, runtime_dir, server_states};
use super::find::{self, Running};
use super::lifecycle::process::ProcessContext;
use super::lifecycle::stage::Ended;
use super::lifecycle::status::Status;
use super::lifecycle::supervisor::Supervisor;
use super::lifecycle::{daemon, reload};
use super::sockets::{self, InheritedSockets, SocketUse, Sockets};
use super::tls_service::TlsService;
use super::upgrade::respawn::{self, Respawn};
use super::upgrade::takeover::Takeover;
use super::upstream_service::UpstreamService;
use super::workers::{self, Acceptors};
use super::{announce, client, descriptors, logging, privileges, sandbox, socket_files};
use crate::config::{
    AccessTarget, Address, AdminAddress, Config, ErrorLog, Listener, OwnFilePlace, Sandbox, Source, Upstream,
    is_ipv6_only,
};
use crate::downstream::Connections;
use crate::listener::AcceptGate;
use crate::proxy::{HttpService, HttpServiceParts};
use crate::runtime::{Live, Snapshot};
use crate::telemetry::{ErrorLogger, end_process_on_panic, finish_error_log};
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
    /// Where the configuration came from; `None` where the command line itself is it.
    pub source: Option<Source>,
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
    let ended = begin(config, start);
    // What was said last is in the log before the process ends, or says why it does.
    finish_error_log();
    ended
}

fn begin(config: &Config, start: Start) -> Result<Ended, String> {
    let (older, mut inherited) = match start.takes_over {
        true => {
            let (control, running) = connect_to_older(config, &start)?;
            let (takeover, inherited) = Takeover::begin(control, running.file.as_deref())?;
            (Some(OlderProcess { takeover, control: running.path }), inherited)
        }
        false => (None, InheritedSockets::from_service_manager()?),
    };
    let control = own_file::locate(&config.server.upgrade_sock, own_file::CONTROL_SOCKET);
    let keeps_files = respawn::older_kept_files() || older.is_none() && !inherited.is_empty();
    let folder = runtime_dir::default_dir();
    let start = Start { respawn: start.respawn.map(|respawn| respawn.in_folder(&folder, keeps_files)), ..start };
    let source = start.source.clone();
    match prepare(config, start, control, &mut inherited, keeps_files) {
        Ok(prepared) => {
            descriptors::take_all(&config.limits);
            let unclaimed = inherited.names();
            let unwanted = inherited.unclaimed();
            for address in &unwanted {
                log::info!("the inherited listener {address} is not wanted any more");
            }
            match (&older, &prepared.control) {
                (Some(older), _) => older.copy_server_states(&prepared.servers),
                (None, Some(own)) => prepared.servers.restore_from_file(&server_states::place_for(&own.path)),
                (None, None) => {}
            }
            Ok(serve(config, prepared, older, Leftovers { unclaimed, unwanted, keeps_files }))
        }
        Err(reason) => {
            if let Some(older) = older {
                older.takeover.give_up(&reason);
                return Err(reason);
            }
            Err(format!("{reason}{}", hint_at_running(config, source.as_ref())))
        }
    }
}

/// For somebody whose process cannot start: that another one serves this configuration already,
/// and what can be done with it.
fn hint_at_running(config: &Config, source: Option<&Source>) -> String {
    let places = (&config.server.upgrade_sock, &config.server.pid_file);
    let running = source.and_then(|source| find::find(places, Some(source.name())).ok());
    let status = running.and_then(|running| client::order(&running, Order::Status).ok());
    match status.as_ref().and_then(|(_, text)| text.split_once(':')) {
        Some((process, _)) => format!(
            "\n{process} serves this configuration already: `-u` takes over from it without losing a request, \
             `-s reload` puts a changed file in force"
        ),
        None => String::new(),
    }
}

/// The process that this one takes over from.
struct OlderProcess {
    takeover: Takeover,
    control: PathBuf,
}

impl OlderProcess {
    /// Has what an operator said of a server to the older process hold for this one.
    fn copy_server_states(&self, servers: &Servers) {
        const WAIT: std::time::Duration = std::time::Duration::from_secs(2);
        let question = Message::Upstreams { change: None, file: None };
        match send_message(&self.control, &question, WAIT, false) {
            Ok((true, report)) => servers.restore_from_report(&report),
            Ok((false, reason)) | Err(reason) => log::info!("upgrade: the servers' states are not known: {reason}"),
        }
    }
}

/// What the new process leaves of the older one's listeners, and the files of unix sockets.
struct Leftovers {
    /// The names of the sockets that it has no use for.
    unclaimed: Vec<String>,
    /// The addresses of the older process's listeners that this process does not have.
    unwanted: Vec<Address>,
    /// Whether a service manager owns all files.
    keeps_files: bool,
}

/// The process that is to hand over: the one that starts this process, that in the usual place,
/// or wherever it is found.
fn connect_to_older(config: &Config, start: &Start) -> Result<(UnixStream, Running), String> {
    let nothing = |reason: String| format!("{reason}\nthere is nothing to take over; start without -u");
    let connect = |running: Running| match UnixStream::connect(&running.path) {
        Ok(control) => Ok((control, running)),
        Err(e) => Err(nothing(format!("no running process answers on {}: {e}", running.path.display()))),
    };
    if let Some(path) = std::env::var_os(respawn::TAKE_OVER_FROM) {
        return connect(Running { path: PathBuf::from(path), file: None, stranger: None });
    }
    let name = start.source.as_ref().map(Source::name);
    if let (OwnFilePlace::Auto, Some(usual)) = (&config.server.upgrade_sock, runtime_dir::all().first()) {
        let file = name.map(find::absolute);
        let usual = Running { path: usual.join(own_file::CONTROL_SOCKET), file, stranger: None };
        if let Ok(connected) = connect(usual) {
            return Ok(connected);
        }
    }
    let running = find::find((&config.server.upgrade_sock, &config.server.pid_file), name).map_err(nothing)?;
    if let (OwnFilePlace::Auto, Some(folder)) = (&config.server.upgrade_sock, running.path.parent()) {
        runtime_dir::adopt(folder);
    }
    connect(running)
}

/// Everything that can be missing, opened before anything is started.
struct Prepared {
    start: Start,
    control: Option<OwnFile>,
    pid_file: Option<OwnFile>,
    sockets: Sockets,
    admin: Option<(Address, Arc<AccessInForce>)>,
    error_log: ErrorLogger,
    live: Arc<Live>,
    servers: Arc<Servers>,
    ticket_keys: Arc<TicketKeyKeeper>,
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
    let error_log = logging::start(config)?;
    if config.server.sandbox == Sandbox::Auto {
        sandbox::enter();
    }
    if let Some(reason) = admin_missing {
        log::warn!("{reason}; there is no admin endpoint");
    }
    if daemon::is_child() && config.log.access.to == AccessTarget::Stdout {
        log::warn!("a daemon has no stdout: its access log is lost unless `log.access.to` names a file");
    }
    if daemon::is_child() && config.server.error_log == ErrorLog::Stderr {
        log::warn!("a daemon has no stderr: what follows is lost unless `server.error_log` names a file");
    }
    let access = Arc::new(reload::start_access_log(config, None)?);
    let ticket_keys = Arc::new(TicketKeyKeeper::new());
    let snapshot = Snapshot::compile(config, access, None, &cookie_key::find(config), ticket_keys.keys())?;
    ticket_keys.refresh_for(&snapshot.entrances);
    let admin = admin.map(|address| Access::compile(config, &address).map(|access| (address, access)));
    let admin = admin.transpose()?.map(|(address, access)| (address, Arc::new(AccessInForce::new(access))));
    if config.server.identity.ids().is_some() {
        snapshot.entrances.iter().for_each(|entrance| entrance.warn_of_lost_files());
        admin.iter().for_each(|(_, access)| access.pin().entrance.warn_of_lost_files());
    }
    resolve_initial(&snapshot.pools, &snapshot.resolver, reload::INITIAL_LOOKUP_TIMEOUT);
    let live = Arc::new(Live::new(snapshot));
    let servers = Arc::new(Servers::new(Arc::clone(&live), start.source.as_ref().map(Source::name)));
    Ok(Prepared { start, control, pid_file, sockets: Sockets::new(open), admin, error_log, live, servers, ticket_keys })
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

fn serve(config: &Config, prepared: Prepared, older: Option<OlderProcess>, leftovers: Leftovers) -> Ended {
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
    older: Option<OlderProcess>,
    leftovers: Leftovers,
) -> Result<Assembled, String> {
    let Prepared { start, control, pid_file, sockets, admin, error_log, live, servers, ticket_keys } = prepared;
    let mut server = Server::new_with_opt_and_conf(None, server_conf(config));
    server.bootstrap();
    let (connections, gate, status) =
        (Arc::new(Connections::default()), Arc::new(AcceptGate::new()), Arc::new(Status::new(config)));
    let parts = HttpServiceParts {
        conf: Arc::clone(&server.configuration),
        live: Arc::clone(&live),
        connections: Arc::clone(&connections),
        mirrors: Arc::default(),
    };
    let service = Arc::new(HttpService::new(parts.clone())?);
    let access = admin.as_ref().map(|(_, access)| Arc::clone(access));
    let admin = admin.map(|(address, access)| {
        let figures =
            Figures { live: Arc::clone(&live), connections: Arc::clone(&connections), status: Arc::clone(&status) };
        let api = Arc::new(AdminApi::new(access, Arc::clone(&servers), figures));
        let (service, sockets) = AdminService::new(address.clone(), api);
        server.add_service(service);
        (address, sockets)
    });
    let acceptors = Acceptors::start(config, &parts, admin)?;
    acceptors.accept_on(&sockets, &gate)?;
    for listener in &config.listeners {
        let bound = sockets.bound(&SocketUse::Listener(listener.address.clone()));
        log::info!(
            "{}",
            announce::listener(&bound, is_ipv6_only(&listener.address, &config.listeners), listener.tls.is_some())
        );
    }
    announce::routes(config).iter().for_each(|route| log::info!("{route}"));
    if let Some(address) = acceptors.admin() {
        log::info!("{}", announce::admin(address, config.admin.tls.is_some()));
    }
    server.add_service(UpstreamService { live: Arc::clone(&live) });
    server.add_service(AuthService { live: Arc::clone(&live) });
    server.add_service(TlsService { live: Arc::clone(&live), ticket_keys, admin: access.clone() });
    let sockets = Arc::new(Mutex::new(Some(Arc::new(sockets))));
    let (orders, requests) = tokio::sync::mpsc::channel(SUPERVISOR_QUEUE);
    let control_state = Arc::new(ControlState::new(
        orders,
        start.source.as_ref().map(|source| source.name().to_owned()),
        Arc::clone(&sockets),
        Arc::clone(&status),
        servers,
    ));
    let (takeover, replaces) = older.map(|older| (older.takeover, older.control)).unzip();
    let ended = Arc::new(Mutex::new(Ended::Fine));
    let process = ProcessContext {
        config: config.clone(),
        source: start.source,
        live,
        admin: access,
        service,
        connections,
        acceptors,
        gate,
        status,
        sockets,
        control_state,
        requests,
        takeover,
        replaces,
        unclaimed: leftovers.unclaimed,
        unwanted: leftovers.unwanted,
        keeps_files: leftovers.keeps_files,
        pid_file,
        control,
        error_log,
        respawn: start.respawn,
    };
    let supervisor = Supervisor::new(process, Arc::clone(&ended));
    Ok((server, supervisor, ended))
}

fn server_conf(config: &Config) -> ServerConf {
    // All upstreams share the room in the pool of a worker.
    let idle: usize = config.upstreams.iter().map(Upstream::max_idle).sum();
    ServerConf {
        upstream_keepalive_pool_size: idle.max(1),
        // Our attempts are bounded by the number of endpoints and by `retry`.
        max_retries: MAX_TRIES,
        ..ServerConf::default()
    }
}
