//! Marks: an event tells the application when the kernel has taken everything before a mark.
//!
//! May not know what was queued.

use super::event::{Event, Payload, Sink};
use std::collections::VecDeque;

/// The marks, in the order of the bytes before them.
#[derive(Debug, Default)]
pub struct Marks {
    waiting: VecDeque<(u64, u32)>,
    sent: u64,
}

impl Marks {
    /// The number of bytes that the kernel has taken.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Adds a mark behind the first `at` bytes.
    pub fn add<S: Sink>(&mut self, at: u64, id: u32, sink: &mut S) {
        if at <= self.sent {
            sink.emit(Event::Mark(id), Payload::Empty);
        } else {
            self.waiting.push_back((at, id));
        }
    }

    /// The kernel has taken this many more bytes.
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

    /// The bytes that were queued last became fewer: there are no more than `total` in all.
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
