//! The time after a hand-over: this process holds its sockets and watches the newer one, and serves
//! again if that dies.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::notify;
use super::process::RunningProcess;
use super::stage::{Stage, TICK};
use super::status::Phase;
use crate::config::{Config, is_ipv6_only};
use crate::listener::AcceptGate;
use crate::server::control::{ControlSocket, HandOver};
use crate::server::files::own_file::OwnFileError;
use crate::server::files::pid_file::PidFile;
use crate::server::files::server_states;
use crate::server::socket_files;
use crate::server::sockets::{InheritedSockets, SocketUse, Sockets};
use crate::server::upgrade::probation::ProbationEnd;
use crate::server::upgrade::respawn::ProcessEnd;
use crate::server::workers::{self, Acceptors};

/// For the files of a process that has just died, at once: the kernel lets go of them one by one.
const FILES_AT_ONCE: Duration = Duration::from_millis(100);
/// For the same in all. The system may write the memory of a dead process to a file first.
const FILES_WAIT: Duration = Duration::from_secs(60);
/// For the way in which it died to be known.
const END_WAIT: Duration = Duration::from_millis(500);

impl RunningProcess {
    /// Keeps the sockets that the newer process uses. Returns for how long.
    pub(super) fn hold_sockets(&mut self, newer: &HandOver) -> Option<Duration> {
        let sockets = self.process.sockets.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let time = Some(self.config.server.upgrade.probation).filter(|time| !time.is_zero())?;
        if !newer.probation {
            log::warn!("upgrade: process {} is of an older program, which has no probation", newer.pid);
            return None;
        }
        // Nobody accepts on the others, so that clients are refused there, as of now.
        match sockets.hold(&newer.unclaimed) {
            Ok(held) => self.held = Some(held),
            Err(e) => {
                log::error!("upgrade: this process cannot hold its listeners, so that it cannot take them back: {e}");
                return None;
            }
        }
        Some(time)
    }

    pub(super) async fn probation_ended(&mut self, pid: u32, end: ProbationEnd) {
        // Its time may be over, or this process have been told to end.
        let Stage::HandedOver { since, probation: Some(probation), .. } = self.stage else { return };
        if probation.pid != pid {
            return;
        }
        match end {
            ProbationEnd::Passed => self.end_probation("it has lived through its probation"),
            ProbationEnd::Released(reason) => self.end_probation(&reason),
            ProbationEnd::Died => self.take_back(pid, since.elapsed()).await,
        }
    }

    /// Makes the hand-over final.
    pub(super) fn end_probation(&mut self, reason: &str) {
        self.held = None;
        if let Stage::HandedOver { since, until, probation, .. } = &mut self.stage
            && let Some(probation) = probation.take()
        {
            let drain = &self.config.server.drain;
            *until = *since + drain.timeout.max(drain.tunnels);
            log::info!("upgrade: this process watches process {} no more: {reason}", probation.pid);
        }
    }

    /// Serves again. Clients come first, then whoever manages the process.
    async fn take_back(&mut self, pid: u32, lived: Duration) {
        let Some(held) = self.held.take() else { return };
        self.accept_again(held);
        // A service manager must not take the end of its main process for that of the service.
        notify::took_back("serving; the last upgrade was undone");
        self.files_due = Some(Instant::now() + FILES_WAIT);
        let at_once = Instant::now() + FILES_AT_ONCE;
        self.take_files_back();
        while self.files_due.is_some() && Instant::now() < at_once {
            tokio::time::sleep(TICK).await;
            self.take_files_back();
        }
        let how = self.end_of(pid).await;
        let text = format!("the new process {pid} died {:.1} s after it took over{how}", lived.as_secs_f64());
        log::error!("upgrade: {text}; this process serves again");
        self.taken_back = Some(format!("; the last upgrade was undone: {text}"));
    }

    fn accept_again(&mut self, held: InheritedSockets) {
        let process = &mut self.process;
        let sockets = reopen(&process.config, &process.acceptors, held, process.keeps_files);
        let gate = Arc::new(AcceptGate::new());
        gate.open();
        if let Err(reason) = process.acceptors.accept_on(&sockets, &gate) {
            log::error!("upgrade: not every listener could be taken back: {reason}");
        }
        process.gate = gate;
        *process.sockets.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(sockets));
        process.connections.go_on();
        process.status.enter(Phase::Serving);
        self.stage = Stage::Serving;
    }

    /// Takes the pid file and the control socket back, or tries again later.
    pub(super) fn take_files_back(&mut self) {
        let Some(until) = self.files_due else { return };
        let refused = [self.take_pid_file_back(), self.take_control_back()];
        let refused: Vec<OwnFileError> = refused.into_iter().filter_map(Result::err).collect();
        if refused.is_empty() || Instant::now() >= until {
            self.files_due = None;
            refused.iter().for_each(|refused| log::error!("{refused}; this process goes on without it"));
        }
    }

    fn take_pid_file_back(&mut self) -> Result<(), OwnFileError> {
        if let (None, Some(own)) = (&self.pid_file, &self.process.pid_file) {
            self.pid_file = Some(PidFile::take(&own.path)?);
        }
        Ok(())
    }

    fn take_control_back(&mut self) -> Result<(), OwnFileError> {
        let Some(control) = self.control.as_mut().filter(|control| !control.is_at_home()) else { return Ok(()) };
        match control.return_to_place() {
            Ok(()) => {}
            Err(OwnFileError::Taken(reason)) => return Err(OwnFileError::Taken(reason)),
            // Where files have no second names, nothing of the old one is left.
            Err(OwnFileError::Failed(_)) => {
                let path = control.path().to_owned();
                *control = ControlSocket::serve(&path, false, Arc::clone(&self.process.control_state))?;
            }
        }
        // The newer process may have been told something of the servers.
        let (servers, place) = (&self.process.control_state.servers, server_states::place_for(control.path()));
        servers.restore_from_file(&place);
        servers.keep_in(place);
        Ok(())
    }

    /// How a process has ended, as a clause; nothing where that is not known.
    async fn end_of(&self, pid: u32) -> String {
        let until = Instant::now() + END_WAIT;
        loop {
            match self.last_started.end_of(pid) {
                ProcessEnd::Told(told) => return format!(": it {told}"),
                ProcessEnd::Pending if Instant::now() < until => tokio::time::sleep(TICK).await,
                ProcessEnd::Pending | ProcessEnd::Unknown => return String::new(),
            }
        }
    }
}

/// The sockets as at the start: those that were held, and anew those that the newer process did not
/// use. One that cannot be had is told in the log, and the rest is served.
fn reopen(config: &Config, acceptors: &Acceptors, mut held: InheritedSockets, keeps_files: bool) -> Sockets {
    held.close_unreachable();
    let per_listener = workers::sockets_per_listener(config, keeps_files);
    let mut open = Vec::new();
    let lost = |reason: &str| log::error!("upgrade: {reason}; the other listeners are served");
    for address in acceptors.listeners() {
        match held.open_listener(address, is_ipv6_only(address, &config.listeners), per_listener) {
            Ok(sockets) => open.extend(sockets),
            Err(reason) => lost(&reason),
        }
    }
    if let Some(address) = acceptors.admin() {
        match held.open(&SocketUse::Admin(address.clone()), false) {
            Ok(socket) => open.push(socket),
            Err(reason) => lost(&reason),
        }
    }
    if let Err(reason) = socket_files::allow_everybody(&config.listeners) {
        log::error!("upgrade: {reason}");
    }
    Sockets::new(open)
}
