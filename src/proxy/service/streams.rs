//! The tasks of a connection's streams, for the case that its client leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::AbortHandle;

/// How long a stream may take to notice that its client is gone.
const NOTICE: Duration = Duration::from_millis(100);
/// With so many tasks those that have ended are forgotten.
const LOOK_AT: usize = 16;

/// The streams that may be under way.
#[derive(Debug, Default)]
pub struct Streams {
    tasks: Vec<Task>,
    /// With so many of them the next look is taken.
    look_at: usize,
}

#[derive(Debug)]
struct Task {
    handle: AbortHandle,
    /// The final response has begun.
    answered: Arc<AtomicBool>,
}

impl Streams {
    pub fn add(&mut self, handle: AbortHandle, answered: Arc<AtomicBool>) {
        if self.tasks.len() >= self.look_at {
            self.tasks.retain(|task| !task.handle.is_finished());
            self.look_at = LOOK_AT.max(2 * self.tasks.len());
        }
        self.tasks.push(Task { handle, answered });
    }

    /// The client is gone. A stream notices that by itself, except while its request waits for a
    /// connection to an upstream: Pingora asks nothing of a client meanwhile.
    pub async fn end(mut self) {
        self.tasks.retain(|task| !task.handle.is_finished());
        if self.tasks.is_empty() {
            return;
        }
        tokio::time::sleep(NOTICE).await;
        for task in self.tasks.iter().filter(|task| !task.answered.load(Ordering::Relaxed)) {
            task.handle.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_stream_without_an_answer_is_given_up() {
        let (mut streams, mut tasks) = (Streams::default(), Vec::new());
        for answered in [false, true] {
            let task = tokio::spawn(tokio::time::sleep(Duration::from_secs(9)));
            streams.add(task.abort_handle(), Arc::new(AtomicBool::new(answered)));
            tasks.push(task);
        }
        streams.end().await;
        let (answered, unanswered) = (tasks.pop().unwrap(), tasks.pop().unwrap());
        assert!(unanswered.await.unwrap_err().is_cancelled() && answered.await.is_ok());
    }

    #[tokio::test]
    async fn what_has_ended_is_forgotten() {
        let mut streams = Streams::default();
        for _ in 0..1000 {
            let task = tokio::spawn(async {});
            streams.add(task.abort_handle(), Arc::default());
            task.await.unwrap();
        }
        assert!(streams.tasks.len() <= LOOK_AT);
    }
}
