//! FNV-1a, a hash that is the same in each build. Use it for short texts that the application chooses.

/// The hash of nothing.
pub(crate) const START: u64 = 0xcbf2_9ce4_8422_2325;

/// Returns the hash of a text that continues the hashed one.
#[inline]
pub(crate) fn add(hash: u64, text: &str) -> u64 {
    text.bytes().fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_are_those_of_the_reference() {
        // From the test vectors of the FNV reference code: an empty text, "a" and "foobar".
        let rows = [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)];
        for (text, hash) in rows {
            assert_eq!(add(START, text), hash, "{text:?}");
        }
    }
}
