//! Whether a read of a socket can find something: a task that waits for several things asks for all
//! of them in each of its turns, and most of these were not caused by the socket.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

/// Lets a read pass unless the last one had to wait and nothing has come since. Asking tokio the same
/// costs ten times as much.
#[derive(Debug)]
pub(super) struct ReadGate {
    signal: Arc<Signal>,
    /// What tokio wakes.
    waker: Waker,
    /// The task that the signal wakes.
    task: Option<Waker>,
    /// The last read had to wait.
    waits: bool,
}

#[derive(Debug, Default)]
struct Signal {
    fired: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Default for ReadGate {
    fn default() -> Self {
        let signal = Arc::<Signal>::default();
        Self { waker: Arc::clone(&signal).into(), signal, task: None, waits: false }
    }
}

impl ReadGate {
    /// Whether a read may find something. If not, the task of `cx` is woken once it may.
    pub fn is_open(&mut self, cx: &Context<'_>) -> bool {
        // In this order: the signal never fires between the two for a task that it does not know.
        if !self.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            self.task = Some(cx.waker().clone());
            self.signal.set_task(cx.waker());
        }
        let fired = self.signal.fired.load(Ordering::Acquire);
        if fired {
            // Before the read, which finds what it was fired for.
            self.signal.fired.store(false, Ordering::Relaxed);
        }
        fired || !self.waits
    }

    /// The context of the read that follows.
    pub fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }

    /// Whether the read had to wait.
    pub fn set_waits(&mut self, waits: bool) {
        self.waits = waits;
    }
}

impl Signal {
    fn set_task(&self, task: &Waker) {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.clone());
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.fired.store(true, Ordering::Release);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Turns(AtomicUsize);

    impl Wake for Turns {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_read_that_had_to_wait_passes_again_when_something_has_come() {
        let (first, second) = (Arc::<Turns>::default(), Arc::<Turns>::default());
        let (of_first, of_second) = (Waker::from(Arc::clone(&first)), Waker::from(Arc::clone(&second)));
        let mut gate = ReadGate::default();
        let is_open = |gate: &mut ReadGate, task| gate.is_open(&Context::from_waker(task));
        assert!(is_open(&mut gate, &of_first));
        gate.set_waits(true);
        assert!(!is_open(&mut gate, &of_first) && !is_open(&mut gate, &of_first));
        gate.waker.wake_by_ref();
        assert!(is_open(&mut gate, &of_first) && !is_open(&mut gate, &of_first));
        // Another task asks, and it is the one that is woken.
        assert!(!is_open(&mut gate, &of_second));
        gate.waker.wake_by_ref();
        assert!(is_open(&mut gate, &of_second));
        gate.set_waits(false);
        assert!(is_open(&mut gate, &of_second) && is_open(&mut gate, &of_second));
        assert_eq!((first.0.load(Ordering::Relaxed), second.0.load(Ordering::Relaxed)), (1, 1));
    }
}
