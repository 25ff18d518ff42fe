//! Consistent hashing: each server stands at many points of a ring, a key goes to the
//! next one. When a server leaves, only its own keys move.

use super::Share;

/// Points of a server of weight 1.
const POINTS: u64 = 160;
/// Points of all: a few megabytes, and a search of twenty steps.
const MOST_POINTS: u64 = 1 << 20;

#[derive(Debug)]
pub struct Ring {
    /// Sorted.
    points: Vec<(u64, u32)>,
}

impl Ring {
    pub fn new(shares: &[Share<'_>]) -> Self {
        let total: u64 = shares.iter().map(|share| u64::from(share.weight)).sum();
        // Halved until they fit, so that it does not change with each server.
        let mut each = POINTS * 256;
        while each > 256 && (total * each / 256) > MOST_POINTS {
            each /= 2;
        }
        let mut points = Vec::new();
        for (index, share) in (0..).zip(shares) {
            let count = (u64::from(share.weight) * each / 256).max(1);
            points.extend((0..count).map(|n| (mix(hash(share.name.as_bytes()).wrapping_add(n)), index)));
        }
        points.sort_unstable();
        Self { points }
    }

    /// The next one on the ring that `may`.
    pub fn choose(&self, hash: u64, may: impl Fn(usize) -> bool) -> Option<usize> {
        let start = self.points.partition_point(|(point, _)| *point < hash);
        let onward = self.points.get(start..).unwrap_or_default().iter().chain(&self.points);
        let mut last = None;
        for (_, index) in onward.take(self.points.len()) {
            // Neighbours are often the same server, which was asked about just now.
            if last != Some(index) && may(usize::try_from(*index).unwrap_or(0)) {
                return usize::try_from(*index).ok();
            }
            last = Some(index);
        }
        None
    }
}

/// FNV-1a, finished by [`mix`]: the same in every process and version.
pub fn hash(bytes: &[u8]) -> u64 {
    let fnv =
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, b| (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
    mix(fnv)
}

/// The finalizer of splitmix64.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
