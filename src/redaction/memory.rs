//! A bounded cache of results by name.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

/// Clients choose names too, so their names must not stay for ever: a full cache is cleared.
const REMEMBERED: usize = 1024;
const LONGEST: usize = 64;

/// A bounded number of results by name.
#[derive(Debug)]
pub(super) struct Memory<T> {
    answers: HashMap<Box<str>, T, Seeded>,
}

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self { answers: HashMap::with_hasher(Seeded::default()) }
    }
}

impl<T: Copy> Memory<T> {
    pub(super) fn recall(&mut self, name: &str, find_out: impl FnOnce(&str) -> T) -> T {
        if let Some(answer) = self.answers.get(name) {
            return *answer;
        }
        let answer = find_out(name);
        if name.len() <= LONGEST {
            if self.answers.len() >= REMEMBERED {
                self.answers.clear();
            }
            self.answers.insert(name.into(), answer);
        }
        answer
    }
}

/// A hasher with a random seed that reads eight bytes at a time.
///
/// It takes 30 instructions for a name; the standard library's takes 180. A client that finds
/// colliding names makes the exporter compare a name with about a thousand names at most.
#[derive(Clone, Debug)]
pub(super) struct Seeded(u64);

impl Default for Seeded {
    fn default() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }
}

impl BuildHasher for Seeded {
    type Hasher = Self;

    #[inline]
    fn build_hasher(&self) -> Self {
        self.clone()
    }
}

impl Hasher for Seeded {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        match bytes.last_chunk::<8>() {
            // Reading some bytes twice does no harm.
            Some(overlapping) => last = *overlapping,
            None => last.iter_mut().zip(rest).for_each(|(slot, byte)| *slot = *byte),
        }
        self.write_u64(u64::from_le_bytes(last) ^ bytes.len() as u64);
    }

    #[inline]
    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        #[expect(clippy::cast_possible_truncation, reason = "the halves of 128 bits")]
        let folded = (product >> 64) as u64 ^ product as u64;
        self.0 = folded;
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_remembered_and_never_too_many() {
        let mut memory = Memory::default();
        let mut asked = 0;
        let mut recall = |name: &str| {
            memory.recall(name, |name| {
                asked += 1;
                name.len()
            })
        };

        assert_eq!((recall("token"), recall("token"), recall("page")), (5, 5, 4));
        let long = "x".repeat(LONGEST + 1);
        assert_eq!((recall(&long), recall(&long)), (65, 65));
        for number in 0..5 * REMEMBERED {
            assert_eq!(recall(&format!("{number:06}")), 6);
        }

        assert_eq!(asked, 4 + 5 * REMEMBERED);
        assert!(memory.answers.len() <= REMEMBERED);
    }
}
