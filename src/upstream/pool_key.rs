//! Which pooled connections a thread takes up. One that another thread made stays with
//! that one's reactor, so that each of its bytes wakes both; but where requests are few,
//! a connection that is there already is worth more.

use std::sync::atomic::{AtomicU64, Ordering};

/// So many requests at a server at once keep a connection of each thread in use.
const BUSY_REQUESTS: u32 = 8;

/// What tells this thread's connections to a server from others, by the requests that the
/// server has; 0 while all threads share them. Lies in bits of its own: 32 and up.
pub fn thread_bits(requests: u32) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        static THREAD: u64 = NEXT.fetch_add(1, Ordering::Relaxed) << 32;
    }
    if requests > BUSY_REQUESTS { THREAD.with(|slot| *slot) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_until_a_server_is_busy() {
        let other = |requests| std::thread::spawn(move || thread_bits(requests)).join().unwrap();
        assert_eq!((thread_bits(BUSY_REQUESTS), other(BUSY_REQUESTS)), (0, 0));
        assert_ne!(thread_bits(BUSY_REQUESTS + 1), other(BUSY_REQUESTS + 1));
        assert_eq!(thread_bits(BUSY_REQUESTS + 1), thread_bits(BUSY_REQUESTS + 2));
    }
}
