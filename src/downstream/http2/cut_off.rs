//! How many connections of HTTP/2 were cut off, by the error code that their clients were told (RFC 9113
//! section 7).

use std::sync::atomic::{AtomicU64, Ordering};

use h2::Reason;

const NAMES: [&str; 14] = [
    "no_error",
    "protocol_error",
    "internal_error",
    "flow_control_error",
    "settings_timeout",
    "stream_closed",
    "frame_size_error",
    "refused_stream",
    "cancel",
    "compression_error",
    "connect_error",
    "enhance_your_calm",
    "inadequate_security",
    "http_1_1_required",
];

static COUNTS: [AtomicU64; NAMES.len()] = [const { AtomicU64::new(0) }; NAMES.len()];

pub fn count(reason: Reason) {
    let code = usize::try_from(u32::from(reason)).unwrap_or(usize::MAX);
    if let Some(count) = COUNTS.get(code) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a client that floods is told; it is told of from the start, so that alerts see the first one.
const EXPECTED: &str = "enhance_your_calm";

/// Since the process began; those that happened, and the one to expect.
pub fn counts() -> impl Iterator<Item = (&'static str, u64)> {
    let counts = COUNTS.iter().map(|count| count.load(Ordering::Relaxed));
    NAMES.into_iter().zip(counts).filter(|(name, count)| *count > 0 || *name == EXPECTED)
}
