//! The end of the process: it hands over or drains, and ends as soon as no client needs it
//! any more, or when the time for that is over.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::notify;
use super::process::{RunningProcess, describe_counts, reply};
use super::stage::{Ended, Probation, Stage, TICK};
use super::status::Phase;
use crate::config::AdminAddress;
use crate::downstream::ConnectionCounts;
use crate::runtime::Traces;
use crate::server::control::HandOver;
use crate::server::socket_files;
use crate::telemetry::{flush_access_logs, lost_lines};

/// For requests that idle clients have sent already and for connections that were accepted
/// and not yet begun: they are answered.
const LAST_REQUESTS: Duration = Duration::from_millis(100);
/// For connections that were accepted as the listeners went to another process and that are
/// not yet begun. It may be long, because nobody waits for this process to end.
const BACKLOG_GRACE: Duration = Duration::from_secs(1);
/// For tunnels that were ended, to tell both their sides.
const LAST_BYTES: Duration = Duration::from_millis(500);
/// For the workers to drop what is cut, and to log it: thousands of requests, on a busy machine.
const LAST_LINES: Duration = Duration::from_secs(2);
/// For the spans that nobody has sent yet.
const LAST_SPANS: Duration = Duration::from_secs(1);
/// For callers of the control socket to take their answers.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

impl RunningProcess {
    pub(super) fn may_hand_over(&self) -> Result<(), String> {
        match self.stage {
            Stage::Serving => Ok(()),
            Stage::Delay { .. } | Stage::Draining { .. } | Stage::HandedOver { .. } => {
                Err(self.process.status.phase().describe().to_owned())
            }
        }
    }

    /// Returns how long the newer process is watched.
    pub(super) fn hand_over(&mut self, newer: &HandOver) -> Option<Duration> {
        let (now, pid) = (Instant::now(), newer.pid);
        self.process.gate.hand_over();
        self.process.connections.close_after_responses();
        let time = self.hold_sockets(newer);
        self.process.control_state.note_hand_over(pid, time);
        self.process.status.enter(Phase::HandedOver);
        // What was known before is of another upgrade.
        (self.takeover_deadline, self.files_due, self.tunnels_cut, self.taken_back) = (None, None, None, None);
        if let Some(pid_file) = self.pid_file.take() {
            pid_file.hand_over(pid);
        }
        if let Some(control) = &mut self.control {
            control.step_aside();
        }
        notify::handed_over(pid);
        let drain = &self.config.server.drain;
        let probation = time.map(|time| Probation { pid, until: now + time });
        let until = now + drain.timeout.max(drain.tunnels).max(time.unwrap_or_default());
        self.stage = Stage::HandedOver { since: now, tunnels_until: Some(now + drain.tunnels), until, probation };
        time
    }

    pub(super) fn drain(&mut self) {
        let now = Instant::now();
        if let Stage::HandedOver { until, .. } = self.stage {
            self.held = None;
            self.stage = Stage::Draining { since: now, until: until.min(now + self.config.server.drain.timeout) };
            return;
        }
        self.process.control_state.refuse_newer(Phase::Draining.describe());
        self.process.control_state.release_older("it was told to end");
        log::info!("draining: {}", describe_counts(self.process.connections.counts()));
        notify::stopping();
        self.process.status.enter(Phase::Draining);
        self.process.connections.close_after_responses();
        self.stage = Stage::Delay { until: now + self.config.server.drain.delay };
    }

    fn close_listeners(&mut self) {
        let now = Instant::now();
        self.process.sockets.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.process.gate.stop();
        self.stage = Stage::Draining { since: now, until: now + self.config.server.drain.timeout };
    }

    /// Goes on to the next stage when it is time for that; returns how the process ended at
    /// the last one.
    pub(super) fn advance(&mut self) -> Option<Ended> {
        let now = Instant::now();
        match self.stage {
            Stage::Serving => None,
            Stage::Delay { until } => {
                if now >= until {
                    self.close_listeners();
                }
                None
            }
            Stage::Draining { since, until } => {
                let counts = self.process.connections.counts();
                if counts.requests + counts.tunnels == 0 && now >= since + LAST_REQUESTS {
                    return Some(Ended::Fine);
                }
                (now >= until).then(|| self.outcome_if_ended_now())
            }
            Stage::HandedOver { since, tunnels_until, until, probation } => {
                if probation.is_some_and(|probation| now >= probation.until) {
                    self.end_probation("it has lived through its probation");
                    return None;
                }
                let counts = self.process.connections.counts();
                if counts.is_empty() && now >= since + BACKLOG_GRACE && probation.is_none() {
                    return Some(self.tunnels_cut.map_or(Ended::Fine, |cut| Ended::Forced(describe_counts(cut))));
                }
                if tunnels_until.is_some_and(|until| now >= until) {
                    self.end_tunnels(counts);
                    self.stage = Stage::HandedOver { since, tunnels_until: None, until, probation };
                }
                let over = now >= (until + LAST_BYTES).max(since + BACKLOG_GRACE);
                over.then(|| self.cut_after_hand_over(counts))
            }
        }
    }

    /// The time that the configuration gives an old process is over, whatever its clients do.
    fn cut_after_hand_over(&self, mut counts: ConnectionCounts) -> Ended {
        counts.tunnels = self.tunnels_cut.map_or(counts.tunnels, |cut| cut.tunnels.max(counts.tunnels));
        match counts.requests + counts.tunnels {
            0 => Ended::Fine,
            _ => Ended::Forced(describe_counts(counts)),
        }
    }

    fn end_tunnels(&mut self, counts: ConnectionCounts) {
        self.process.connections.end_tunnels();
        if counts.tunnels > 0 {
            log::info!("the time of {} tunnels is up", counts.tunnels);
            self.tunnels_cut = Some(ConnectionCounts { tunnels: counts.tunnels, ..ConnectionCounts::default() });
        }
    }

    pub(super) fn outcome_if_ended_now(&self) -> Ended {
        let counts = self.process.connections.counts();
        match counts.requests + counts.tunnels {
            0 => Ended::Fine,
            _ => Ended::Forced(describe_counts(counts)),
        }
    }

    /// Has the workers drop what is left, so that each request is told of before the process ends.
    async fn cut_rest(&self) {
        let connections = &self.process.connections;
        if connections.counts().is_empty() {
            return;
        }
        connections.cut();
        self.process.acceptors.cut();
        let end = Instant::now() + LAST_LINES;
        while !connections.counts().is_empty() && Instant::now() < end {
            tokio::time::sleep(TICK).await;
        }
    }

    pub(super) async fn finish(&mut self, ended: &Ended) {
        let text = match ended {
            Ended::Fine => "ended; nothing was cut".to_owned(),
            Ended::Forced(cut) => format!("ended; cut: {cut}"),
            Ended::Failed(reason) => reason.clone(),
        };
        log::info!("process {} {text}", std::process::id());
        self.process.control_state.refuse_newer("it was told to end");
        // One that cannot serve leaves everything to the older process, which is told by its end.
        let goes_back = matches!(ended, Ended::Failed(_)) && self.process.control_state.is_watched();
        if !goes_back {
            self.process.control_state.release_older("it was told to end");
        }
        self.cut_rest().await;
        if let Err(e) = flush_access_logs() {
            log::warn!("access log: {e}");
        }
        finish_traces(self.process.live.load().exports.clone()).await;
        if lost_lines() > 0 {
            log::warn!("{} access log lines were lost", lost_lines());
        }
        let handed_over = self.process.status.phase() == Phase::HandedOver;
        if let Some(control) = self.control.take() {
            control.remove();
        }
        if let Some(pid_file) = self.pid_file.take() {
            pid_file.remove();
        }
        if !handed_over && !goes_back && !self.process.keeps_files {
            self.process.config.listeners.iter().for_each(|listener| socket_files::remove_file(&listener.address));
            if let AdminAddress::At(address) = &self.process.config.admin.address {
                socket_files::remove_file(address);
            }
        }
        for answer in self.awaiting_end.drain(..) {
            reply(&answer, (matches!(ended, Ended::Fine), text.clone()));
        }
        let end = Instant::now() + LAST_ANSWERS;
        while self.process.control_state.callers() > 0 && Instant::now() < end {
            tokio::time::sleep(TICK).await;
        }
    }
}

/// What was traced last is sent, as far as the collector takes it in time.
async fn finish_traces(traces: Option<Arc<Traces>>) {
    let Some(traces) = traces else { return };
    let left = traces.queue.drain(LAST_SPANS).await;
    if left > 0 {
        log::warn!("traces: {left} spans were not sent before the end");
    }
}
