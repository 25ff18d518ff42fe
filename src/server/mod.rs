//! The process: listeners, Pingora's `Server`, its configuration, the pid file.
//! Must not know what the hooks do.

mod listen;
mod pid_file;

use std::sync::Arc;

use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{RunArgs, Server};
use pingora_core::services::listening::Service;

use crate::config::{AccessTarget, Config};
use crate::observe::AccessLogger;
use crate::proxy::Front;
use crate::runtime::{Live, Snapshot};

/// TERM lets requests in flight go on for this long before listeners' runtimes end.
const GRACE_SECONDS: u64 = 5;
const RUNTIME_TIMEOUT_SECONDS: u64 = 5;

/// Serves until a signal ends it.
///
/// # Errors
/// In words for the operator, when anything needed to start is missing: an
/// address in use, a file that cannot be opened.
pub fn run(config: &Config) -> Result<(), String> {
    let snapshot = Snapshot::compile(config)?;
    listen::check(&config.listeners)?;
    let access = AccessLogger::start(&config.log.access).map_err(|e| match &config.log.access.to {
        AccessTarget::File(path) => format!("cannot open the access log {}: {e}", path.display()),
        AccessTarget::Stdout | AccessTarget::Off => format!("cannot start the access log: {e}"),
    })?;
    let pid_file = config.server.pid_file.as_deref().map(pid_file::PidFile::write).transpose()?;

    let mut server = Server::new_with_opt_and_conf(None, server_conf(config));
    server.bootstrap();
    let front = Front::new(&server.configuration, Arc::new(Live::new(snapshot)), access);
    let mut service = Service::new("proxy".to_owned(), front);
    listen::add(&mut service, &config.listeners)?;
    server.add_service(service);
    for listener in &config.listeners {
        log::info!("listening on {}", listen::describe(&listener.address));
    }
    server.run(RunArgs::default());
    drop(pid_file);
    Ok(())
}

fn server_conf(config: &Config) -> ServerConf {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let threads = config.server.threads.unwrap_or(cores);
    // The cap of Pingora's pool is shared by all upstreams.
    let idle: usize = config.upstreams.iter().map(|u| u.pool.max_idle).sum();
    ServerConf {
        threads,
        // One runtime per thread costs less per request than stealing does.
        work_stealing: config.server.work_stealing.unwrap_or(false),
        upstream_keepalive_pool_size: idle.max(1),
        grace_period_seconds: Some(GRACE_SECONDS),
        graceful_shutdown_timeout_seconds: Some(RUNTIME_TIMEOUT_SECONDS),
        ..ServerConf::default()
    }
}
