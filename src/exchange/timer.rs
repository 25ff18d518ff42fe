//! A timer for a deadline that is moved at each request and almost never met. The runtime's
//! timer is set once and looked at again when it fires too early, so that moving it costs
//! nothing, and waiting for it once more little.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

#[derive(Debug, Default)]
pub struct Timer {
    deadline: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
    /// The task that `sleep` wakes.
    waiting: Option<Waker>,
}

impl Timer {
    /// Makes the timer fire after `wait`.
    pub fn set(&mut self, wait: Duration) {
        self.set_to(Instant::now() + wait);
    }

    /// Makes the timer fire at `deadline`.
    pub fn set_to(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
        if let Some(sleep) = &mut self.sleep
            && sleep.deadline() > deadline
        {
            sleep.as_mut().reset(deadline);
        }
    }

    /// Ready once the timer has fired; a timer that was never set does not fire.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else {
            return Poll::Pending;
        };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        let is_known = self.waiting.as_ref().is_some_and(|waiting| waiting.will_wake(cx.waker()));
        if is_known && !sleep.is_elapsed() {
            return Poll::Pending;
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
        self.waiting = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    async fn fires_after(timer: &mut Timer, wait: u64) -> u128 {
        let began = Instant::now();
        timer.set(Duration::from_millis(wait));
        poll_fn(|cx| timer.poll(cx)).await;
        began.elapsed().as_millis()
    }

    #[test]
    fn a_timer_fires_when_it_was_set_to_last() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut timer = Timer::default();
            assert_eq!(fires_after(&mut timer, 50).await, 50);
            // Set early and moved on; then set late and moved closer.
            timer.set(Duration::from_millis(20));
            assert!(poll_fn(|cx| Poll::Ready(timer.poll(cx))).await.is_pending());
            assert_eq!(fires_after(&mut timer, 90).await, 90);
            timer.set(Duration::from_secs(60));
            assert!(poll_fn(|cx| Poll::Ready(timer.poll(cx))).await.is_pending());
            assert_eq!(fires_after(&mut timer, 10).await, 10);
        });
    }
}
