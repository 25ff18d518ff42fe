//! The calls on the control socket: who calls, what is asked, and the answer.

use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::hand_over::hand_over;
use super::protocol::{Channel, Message};
use super::state::{ControlState, SupervisorRequest, ask_supervisor};
use crate::server::upgrade::offer::NewerProcess;

/// How long a caller may take for its one message.
const FIRST_MESSAGE: Duration = Duration::from_secs(10);
/// The number of calls at once; a further one is closed without an answer.
const MAX_CALLS: usize = 32;

/// Answers calls to the end of the process.
pub(super) fn accept_calls(listener: &UnixListener, control_state: &Arc<ControlState>) {
    for stream in listener.incoming() {
        let stream = match stream {
            Ok(stream) => stream,
            Err(e) => {
                log::warn!("control socket: {e}");
                thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        if control_state.callers.fetch_add(1, Ordering::AcqRel) >= MAX_CALLS {
            control_state.callers.fetch_sub(1, Ordering::AcqRel);
            continue;
        }
        let ours = Arc::clone(control_state);
        let spawned = thread::Builder::new().name("control-call".to_owned()).spawn(move || {
            let kept_open = answer_call(stream, &ours);
            ours.callers.fetch_sub(1, Ordering::AcqRel);
            // The caller waits until the end of the process closes the connection.
            std::mem::forget(kept_open);
        });
        if let Err(e) = spawned {
            control_state.callers.fetch_sub(1, Ordering::AcqRel);
            log::warn!("control socket: {e}");
        }
    }
}

/// Returns the connection if it is to be left open.
fn answer_call(stream: UnixStream, control_state: &ControlState) -> Option<Channel> {
    let mut channel = Channel::new(stream);
    if let Err(reason) = channel.check_caller() {
        log::warn!("a call on the control socket was refused: {reason}");
        answer_with(&mut channel, &Message::Refused { reason });
        return None;
    }
    // A caller without a message only looked whether a process is here.
    let message = channel.receive(FIRST_MESSAGE).ok()?;
    let of_this_file = match &message {
        Message::Order { file, .. }
        | Message::Upstreams { file, .. }
        | Message::Ask { file, .. }
        | Message::TakeOver { file, .. } => control_state.check_file(file.as_deref()),
        _ => Ok(()),
    };
    let (who, journal) = (channel.who(), &control_state.status.journal);
    let mut ending = false;
    let answer = match (of_this_file, message) {
        (Err(reason), _) => Message::Refused { reason },
        (Ok(()), Message::Order { order, .. }) => {
            ending = order.ends_the_process();
            let outcome = ask_supervisor(control_state, |answer| SupervisorRequest::Order(order, who, answer));
            let (ok, text) = outcome.unwrap_or_else(|reason| (false, reason));
            Message::Outcome { ok, text }
        }
        (Ok(()), Message::Upstreams { change, .. }) => {
            let told = match &change {
                Some(change) => control_state.servers.change(change, &who, journal),
                None => Ok(control_state.servers.report()),
            };
            let (ok, text) = told.map_or_else(|reason| (false, reason), |text| (true, text));
            Message::Outcome { ok, text }
        }
        (Ok(()), Message::Ask { question, .. }) => {
            let told = ask_supervisor(control_state, |answer| SupervisorRequest::Question(question, answer));
            let (ok, text) = told.unwrap_or_else(|reason| (false, reason));
            Message::Outcome { ok, text }
        }
        (Ok(()), Message::TakeOver { version, pid, several_sockets, probation, .. }) => {
            hand_over(channel, control_state, NewerProcess { version, pid, several_sockets, probation });
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
