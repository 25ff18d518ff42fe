//! Hashes that are the same in every process and version. They have no secret: a client that
//! chooses the bytes can choose the hash.

/// FNV-1a, whose bits are then mixed by [`scatter`].
pub fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, b: &u8| (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3);
    scatter(bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

/// One step of splitmix64: neighbouring numbers become ones that differ in all bits.
pub fn scatter(z: u64) -> u64 {
    finish(z.wrapping_add(0x9E37_79B9_7F4A_7C15))
}

/// The `n`th number of the splitmix64 sequence from `seed`. No two of them are the same.
pub fn nth(seed: u64, n: u64) -> u64 {
    finish(n.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(seed))
}

fn finish(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_the_published_ones() {
        // The first two of splitmix64 from the seed 0.
        assert_eq!((scatter(0), nth(0, 1)), (0xE220_A839_7B1D_CDAF, 0xE220_A839_7B1D_CDAF));
        assert_eq!(nth(0, 2), 0x6E78_9E6A_A1B9_65F4);
        // FNV-1a of "a".
        assert_eq!(hash(b"a"), scatter(0xAF63_DC4C_8601_EC8C));
    }
}
