//! Which pooled connections a thread may reuse. A connection that another thread opened
//! stays with that thread's reactor, so that each of its bytes wakes both threads. Where
//! requests are few, an open connection is worth more than that, and all threads share.

use std::sync::atomic::{AtomicU64, Ordering};

/// With more requests than these at an endpoint, each thread keeps its own connections busy.
const BUSY_REQUESTS: u32 = 8;

/// The bits of a pool key that tell this thread's connections from those of other threads,
/// by the number of requests that the endpoint has; 0 while all threads share connections.
/// Only bits 32 and up are used: `Endpoint::unpooled_peer` counts in the lower ones.
pub fn thread_bits(requests: u32) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        static THREAD: u64 = NEXT.fetch_add(1, Ordering::Relaxed) << 32;
    }
    if requests > BUSY_REQUESTS { THREAD.with(|slot| *slot) } else { 0 }
}

/// The part of a pool key that tells an endpoint's connections from all others of the process.
/// It is far from the neighbouring keys that `Endpoint::unpooled_peer` uses.
pub fn next_key() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed).rotate_left(40)
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
