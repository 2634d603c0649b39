//! Bytes that both ends of a test can make and check by themselves; __test__/interop/pattern.js has the same.

use bytes::{Bytes, BytesMut};

/// A linear congruential generator's high bytes: any that is missing, doubled or out of place shows.
pub struct Pattern(u32);

impl Pattern {
    pub fn new(seed: u32) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u8 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0.to_be_bytes()[0]
    }

    pub fn take(&mut self, length: usize) -> Bytes {
        let mut bytes = BytesMut::zeroed(length);
        bytes.fill_with(|| self.next());
        bytes.freeze()
    }

    /// Whether `bytes` are the ones that come next.
    pub fn is_next(&mut self, bytes: &[u8]) -> bool {
        // Not all(): after a wrong byte the pattern must still move on by as many as there were.
        bytes
            .iter()
            .fold(true, |intact, &byte| (self.next() == byte) & intact)
    }
}
