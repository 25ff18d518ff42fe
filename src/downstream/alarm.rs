//! A deadline that is moved at each request and almost never met: the timer is set
//! once and looks again when it rings too early, so that moving it costs nothing.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

#[derive(Debug, Default)]
pub struct Alarm {
    due: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// From now on it rings after `wait`.
    pub fn set(&mut self, wait: Duration) {
        self.set_to(Instant::now() + wait);
    }

    /// From now on it rings then.
    pub fn set_to(&mut self, due: Instant) {
        self.due = Some(due);
        if let Some(timer) = &mut self.timer
            && timer.deadline() > due
        {
            timer.as_mut().reset(due);
        }
    }

    /// Ready once the time is up.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(due) = self.due else {
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            timer.as_mut().reset(due);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    async fn rings_after(alarm: &mut Alarm, wait: u64) -> u128 {
        let began = Instant::now();
        alarm.set(Duration::from_millis(wait));
        poll_fn(|cx| alarm.poll(cx)).await;
        began.elapsed().as_millis()
    }

    #[test]
    fn it_rings_when_it_was_set_to_last() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut alarm = Alarm::default();
            assert_eq!(rings_after(&mut alarm, 50).await, 50);
            // Set early and moved on; then set late and moved closer.
            alarm.set(Duration::from_millis(20));
            assert!(poll_fn(|cx| Poll::Ready(alarm.poll(cx))).await.is_pending());
            assert_eq!(rings_after(&mut alarm, 90).await, 90);
            alarm.set(Duration::from_secs(60));
            assert!(poll_fn(|cx| Poll::Ready(alarm.poll(cx))).await.is_pending());
            assert_eq!(rings_after(&mut alarm, 10).await, 10);
        });
    }
}
