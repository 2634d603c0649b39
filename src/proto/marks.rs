//! Who wants to know when what was queued before is with the kernel.
//!
//! May not know what was queued.

use super::event::{Event, Payload, Sink};
use std::collections::VecDeque;

/// Marks in the order of the bytes they stand behind.
#[derive(Debug, Default)]
pub struct Marks {
    waiting: VecDeque<(u64, u32)>,
    sent: u64,
}

impl Marks {
    /// All bytes that are with the kernel.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Adds one behind the first `at` bytes.
    pub fn add<S: Sink>(&mut self, at: u64, id: u32, sink: &mut S) {
        if at <= self.sent {
            sink.emit(Event::Mark(id), Payload::Empty);
        } else {
            self.waiting.push_back((at, id));
        }
    }

    /// So many more bytes are with the kernel.
    pub fn transmitted<S: Sink>(&mut self, bytes: u64, sink: &mut S) {
        self.sent += bytes;
        while let Some(&(at, id)) = self.waiting.front() {
            if at > self.sent {
                return;
            }
            self.waiting.pop_front();
            sink.emit(Event::Mark(id), Payload::Empty);
        }
    }

    /// What was queued last came out shorter: no more than `total` bytes are there.
    #[inline]
    pub fn clamp(&mut self, total: u64) {
        for (at, _) in self.waiting.iter_mut().rev() {
            if *at <= total {
                return;
            }
            *at = total;
        }
    }
}
