//! The call of a newer process: it gets the listeners, and is watched after that.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc::Sender;

use super::protocol::{Channel, Message};
use super::state::{ControlState, HandOver, SupervisorRequest, ask_supervisor};
use crate::server::lifecycle::status::Phase;
use crate::server::upgrade::offer::{NewerProcess, offer};
use crate::server::upgrade::probation::{self, ProbationEnd};

/// Hands the listeners over to the process at the other end of `channel`, or refuses.
pub(super) fn hand_over(mut channel: Channel, control_state: &ControlState, newer: NewerProcess) {
    let pid = newer.pid;
    let sockets = control_state.sockets.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let phase = control_state.status.phase();
    let reason = match sockets {
        Some(_) if phase != Phase::Serving => phase.describe().to_owned(),
        None => phase.describe().to_owned(),
        Some(_) if control_state.handing_over.swap(true, Ordering::AcqRel) => "another upgrade is under way".to_owned(),
        Some(sockets) => {
            log::info!("upgrade: process {pid} asks for the listeners");
            // From now on the newer process serves alone if this one dies, and two must not.
            control_state.release_older("another process takes over from it");
            *control_state.newer.lock().unwrap_or_else(PoisonError::into_inner) = channel.try_clone().ok();
            let hand_over = |unclaimed| HandOver { pid, unclaimed, probation: newer.probation };
            let done = offer(
                &mut channel,
                newer,
                &sockets,
                || ask_supervisor(control_state, SupervisorRequest::MayHandOver)?,
                |unclaimed| {
                    let hand_over = hand_over(unclaimed);
                    ask_supervisor(control_state, |answer| SupervisorRequest::HandedOver(hand_over, answer))?
                },
            );
            let watched = match done {
                Ok(probation) => {
                    log::info!("upgrade: process {pid} serves now");
                    probation
                }
                Err(reason) => {
                    log::error!("upgrade: {reason}; this process serves on");
                    *control_state.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
                    None
                }
            };
            control_state.newer.lock().unwrap_or_else(PoisonError::into_inner).take();
            control_state.handing_over.store(false, Ordering::Release);
            if let Some(time) = watched {
                watch(channel, control_state, pid, time);
            }
            return;
        }
    };
    log::warn!("upgrade: process {pid} is refused the listeners: {reason}");
    if let Err(e) = channel.send(&Message::Refused { reason }) {
        log::debug!("upgrade: process {pid} does not hear it: {e}");
    }
}

/// Tells the supervisor how the probation of process `pid` ends, from a thread of its own: the process
/// does not wait for that one at its end, as it does for callers.
fn watch(mut channel: Channel, control_state: &ControlState, pid: u32, time: Duration) {
    let tell = move |requests: &Sender<SupervisorRequest>, end: ProbationEnd| {
        if requests.blocking_send(SupervisorRequest::ProbationEnded { pid, end }).is_err() {
            log::debug!("upgrade: this process ends before the probation of process {pid}");
        }
    };
    let requests = control_state.requests.clone();
    let watching = move || tell(&requests, probation::watch(&mut channel, time));
    if let Err(e) = thread::Builder::new().name("probation".to_owned()).spawn(watching) {
        tell(&control_state.requests, ProbationEnd::Released(format!("it cannot be watched: {e}")));
    }
}
