//! What the demo remembers, for all requests at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::notes::Notes;
use super::sessions::Sessions;

/// Everything the demo remembers; gone when the process ends.
#[derive(Clone, Default)]
pub(super) struct DemoState {
    pub(super) notes: Arc<Mutex<Notes>>,
    pub(super) sessions: Arc<Mutex<Sessions>>,
}

/// Locks state; a panic elsewhere leaves this simple data usable.
pub(super) fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
