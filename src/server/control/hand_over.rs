//! The call of a newer process, which gets the listeners.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::protocol::{Channel, Message};
use super::state::{ControlState, SupervisorRequest, ask_supervisor};
use crate::server::lifecycle::status::Phase;
use crate::server::upgrade::offer::{NewerProcess, offer};

/// Hands the listeners over to the process at the other end of `channel`, or refuses.
pub(super) fn hand_over(channel: &mut Channel, control_state: &ControlState, newer: NewerProcess) {
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
