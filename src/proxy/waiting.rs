//! Waiting for something on a client's behalf, which ends when the client leaves.

use pingora::{Error, ErrorType, Result};
use pingora_proxy::Session;

/// The outcome of `what`. The client is watched meanwhile, also one that has still to send some of its
/// body: one that leaves makes room for others, and `what` is dropped.
///
/// # Errors
/// When the client has left.
pub async fn while_client_stays<T>(session: &mut Session, what: impl Future<Output = T>) -> Result<T> {
    tokio::select! {
        biased;
        outcome = what => Ok(outcome),
        gone = session.as_mut().read_body_or_idle(true) => {
            let gone = gone.err().unwrap_or_else(|| Error::new(ErrorType::ConnectionClosed));
            Err(gone.into_down())
        }
    }
}
