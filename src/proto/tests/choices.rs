//! Where a simulation takes its decisions from: a seed, or the bytes of a fuzzer.
//!
//! The same decisions give the same run: nothing here, or in what asks, may depend on anything else.

/// Decisions still to be made.
#[derive(Clone, Debug)]
pub enum Choices<'a> {
    /// Without end, by splitmix64.
    Seed(u64),
    /// As long as there are bytes; then always the first alternative.
    Bytes(&'a [u8]),
}

impl Choices<'_> {
    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 if that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        if end <= 1 {
            return 0;
        }
        let number = match self {
            Self::Seed(state) => Self::random(state),
            Self::Bytes(bytes) => {
                let wanted = if end <= 1 << 8 { 1 } else { 3 };
                let (now, later) = bytes.split_at(wanted.min(bytes.len()));
                *bytes = later;
                now.iter()
                    .fold(0, |number, &byte| (number << 8) | u64::from(byte))
            }
        };
        (number % end as u64) as usize
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A size up to `most`: mostly small, sometimes nothing, sometimes all.
    pub fn size(&mut self, most: usize) -> usize {
        let kind = self.below(8);
        match kind {
            0..=3 => self.below(most.min(64) + 1),
            4 | 5 => self.below(most.min(2000) + 1),
            6 => self.below(most + 1),
            _ => most,
        }
    }

    /// Whether there is nothing left to decide by.
    pub fn is_spent(&self) -> bool {
        matches!(self, Self::Bytes([]))
    }
}
