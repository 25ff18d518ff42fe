//! The keys of idle connections.

use std::sync::atomic::{AtomicU64, Ordering};

/// The part of a pool key that tells an endpoint's connections from all others of the process.
/// It is far from the neighbouring keys that `Endpoint::unpooled_peer` uses.
pub fn next_key() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed).rotate_left(40)
}
