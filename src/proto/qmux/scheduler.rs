//! The scheduler: streams with something that may be sent, by urgency (RFC 9218), taking turns within one urgency.
//!
//! May not know what the streams send.

use super::super::event::Handle;
use std::collections::VecDeque;

/// The levels of urgency; 0 comes first.
pub const LEVELS: usize = 8;

/// The urgency of a stream for which none was set.
pub const DEFAULT: u8 = 3;

/// The streams that wait for their turn.
#[derive(Debug, Default)]
pub struct Scheduler {
    rings: [VecDeque<Handle>; LEVELS],
    waiting: usize,
}

impl Scheduler {
    /// Whether no stream waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    fn ring(&mut self, urgency: u8) -> &mut VecDeque<Handle> {
        &mut self.rings[usize::from(urgency).min(LEVELS - 1)]
    }

    /// A stream waits for its turn.
    pub fn add(&mut self, stream: Handle, urgency: u8) {
        self.ring(urgency).push_back(stream);
        self.waiting += 1;
    }

    /// A stream whose turn was cut short goes on first.
    pub fn add_first(&mut self, stream: Handle, urgency: u8) {
        self.ring(urgency).push_front(stream);
        self.waiting += 1;
    }

    /// Removes and returns the stream whose turn it is.
    pub fn next(&mut self) -> Option<Handle> {
        let stream = self.rings.iter_mut().find_map(VecDeque::pop_front)?;
        self.waiting -= 1;
        Some(stream)
    }

    /// Removes a stream.
    pub fn remove(&mut self, stream: Handle, urgency: u8) {
        let ring = self.ring(urgency);
        let before = ring.len();
        ring.retain(|&waiting| waiting != stream);
        let removed = before - ring.len();
        self.waiting -= removed;
    }

    /// Frees spare memory.
    pub fn shrink(&mut self) {
        for ring in &mut self.rings {
            ring.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_urgent_go_first_and_equals_take_turns() {
        let mut scheduler = Scheduler::default();
        for (slot, urgency) in [(1, 3), (2, 7), (3, 3), (4, 0), (5, 200)] {
            scheduler.add(Handle::local(slot), urgency);
        }
        scheduler.remove(Handle::local(4), 0);
        scheduler.add_first(Handle::local(6), 3);
        let order: Vec<_> = std::iter::from_fn(|| scheduler.next())
            .map(Handle::slot)
            .collect();
        assert_eq!(order, [6, 1, 3, 2, 5]);
        assert!(scheduler.is_empty());
    }
}
