//! The numbers of bytes that wait on streams, by what they wait for. What the application may still write depends on
//! them.
//!
//! May not know a queue.

use super::stream::{SendHalf, WaitsFor};

/// The sums over all streams.
#[derive(Debug, Default)]
pub struct Waiting {
    for_places: u64,
    for_readers: u64,
    for_turns: u64,
}

impl Waiting {
    /// The sum in which a half's bytes count, in its present state.
    fn sum_of(&mut self, half: &SendHalf) -> &mut u64 {
        match half.waits_for() {
            WaitsFor::Place => &mut self.for_places,
            WaitsFor::Reader => &mut self.for_readers,
            WaitsFor::Turn => &mut self.for_turns,
        }
    }

    /// Adds bytes that wait on a half.
    pub fn add(&mut self, half: &SendHalf, bytes: u64) {
        *self.sum_of(half) += bytes;
    }

    /// Subtracts bytes that wait on a half.
    pub fn remove(&mut self, half: &SendHalf, bytes: u64) {
        *self.sum_of(half) -= bytes;
    }

    /// Changes what a half's bytes wait for.
    pub fn moved(&mut self, half: &mut SendHalf, change: impl FnOnce(&mut SendHalf)) {
        let bytes = half.queued();
        self.remove(half, bytes);
        change(half);
        self.add(half, bytes);
    }

    /// The bytes that may be sent as soon as there is room.
    pub fn for_turns(&self) -> u64 {
        self.for_turns
    }

    /// The bytes that wait for the peer: for its readers, or for places for their streams.
    pub fn for_peer(&self) -> u64 {
        self.for_places + self.for_readers
    }

    /// Whether no byte waits.
    pub fn is_empty(&self) -> bool {
        self.for_turns() + self.for_peer() == 0
    }
}
