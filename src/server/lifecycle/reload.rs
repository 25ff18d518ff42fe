//! A new configuration in a running process: it is read, checked and compiled first, then
//! put in force in one step, or not at all.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{self, AccessLog, AccessTarget, Config, Look, Source, TokenPlace, Upstream};
use crate::runtime::{Live, Snapshot};
use crate::server::admin::AccessInForce;
use crate::server::files::cookie_key;
use crate::telemetry::AccessLogger;
use crate::upstream::resolve_initial;

/// How long a configuration waits for the addresses of names that have none yet, before it
/// is put in force.
pub const INITIAL_LOOKUP_TIMEOUT: Duration = Duration::from_secs(1);

/// The new configuration is in force.
#[derive(Debug)]
pub struct Reloaded {
    pub config: Config,
    /// The warnings, rendered for the log and the caller.
    pub warnings: String,
    /// The keys whose new values wait for an upgrade.
    pub waiting: Vec<&'static str>,
}

/// What a reload replaces.
#[derive(Clone, Copy, Debug)]
pub struct InForceParts<'p> {
    pub live: &'p Live,
    /// `None` where there is no admin endpoint.
    pub admin: Option<&'p AccessInForce>,
}

/// `started` is the configuration that the process was started with, whose sockets, threads
/// and files it has; `running` is the one in force.
///
/// # Errors
/// Every problem, rendered, and that nothing was changed.
pub fn reload(
    path: &Path,
    started: &Config,
    running: &Config,
    InForceParts { live, admin }: InForceParts<'_>,
) -> Result<Reloaded, String> {
    let source = Source::File(path.to_owned());
    let (config, warnings) = config::load(&source).map_err(|rejected| format!("{rejected}; nothing was changed\n"))?;
    let before = live.pin();
    let access = if access_log(&config) == access_log(running) {
        Arc::clone(&before.access)
    } else {
        Arc::new(start_access_log(&config, Some(&before.access))?)
    };
    // No upstream may have needed a key so far.
    let key = if before.key.bytes().is_empty() { cookie_key::find(&config) } else { before.key.clone() };
    let snapshot = Snapshot::compile(&config, access, Some(&before), &key, &before.ticket_keys)
        .map_err(|e| format!("error: {e}\n"))?;
    // What callers show at the address of before follows from what was written for that one.
    let admin = admin.filter(|_| config.admin.address == started.admin.address);
    let access =
        admin.map(|admin| admin.pin().compile_next(&config)).transpose().map_err(|e| format!("error: {e}\n"))?;
    resolve_initial(&snapshot.pools, &snapshot.resolver, INITIAL_LOOKUP_TIMEOUT);
    live.publish(snapshot);
    admin.into_iter().zip(access).for_each(|(admin, access)| admin.replace(access));
    let file = path.display().to_string();
    let warnings = config::render(&warnings, &file, Look::PLAIN);
    let waiting = waiting(started, &config);
    Ok(Reloaded { config, warnings, waiting })
}

/// Tokens in queries are hidden wherever clients repeat them: in a Referer, or at a path that no route takes.
fn access_log(config: &Config) -> AccessLog {
    let mut log = config.log.access.clone();
    let jwts = config.routes.iter().filter_map(|route| route.auth.as_ref()?.jwt.as_ref());
    for jwt in jwts {
        if let TokenPlace::Query(name) = &jwt.from
            && !log.redact.query.contains(name)
        {
            log.redact.query.push(name.clone());
        }
    }
    log
}

/// `before` is the one that it follows.
///
/// # Errors
/// In words, when its file cannot be opened.
pub fn start_access_log(config: &Config, before: Option<&AccessLogger>) -> Result<AccessLogger, String> {
    AccessLogger::start(&access_log(config), before).map_err(|e| match &config.log.access.to {
        AccessTarget::File(path) => format!("cannot open the access log {}: {e}", path.display()),
        AccessTarget::Stdout | AccessTarget::Syslog(_) | AccessTarget::Off => {
            format!("cannot start the access log: {e}")
        }
    })
}

/// The keys that a process is started with and keeps to its end, of which the new values
/// differ.
pub fn waiting(started: &Config, new: &Config) -> Vec<&'static str> {
    let (a, b) = (&started.server, &new.server);
    // Everything else of a listener is looked at for each connection.
    let addresses = |config: &Config| {
        let all = config.listeners.iter().map(|listener| listener.address.to_string());
        all.collect::<BTreeSet<_>>()
    };
    let idle = |config: &Config| config.upstreams.iter().map(Upstream::max_idle).sum::<usize>();
    [
        ("listeners", addresses(started) != addresses(new)),
        ("admin.address", started.admin.address != new.admin.address),
        ("log.level", started.log.level != new.log.level),
        ("log.format", started.log.format != new.log.format),
        ("server.threads", a.threads != b.threads),
        ("server.work_stealing", a.work_stealing != b.work_stealing),
        ("server.pid_file", a.pid_file != b.pid_file),
        ("server.upgrade_sock", a.upgrade_sock != b.upgrade_sock),
        ("server.user", a.identity.user != b.identity.user),
        ("server.group", a.identity.group != b.identity.group),
        ("server.sandbox", a.sandbox != b.sandbox),
        ("server.error_log", a.error_log != b.error_log),
        ("server.daemon", a.daemon != b.daemon),
        ("upstreams.*.pool.max_idle", idle(started) < idle(new)),
    ]
    .into_iter()
    .filter_map(|(key, differs)| differs.then_some(key))
    .collect()
}
