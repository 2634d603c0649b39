//! The parts of a session that both wires work on, lent to one of them for one call.
//!
//! May not decide anything, nor keep what it was lent.

use super::config::Config;
use super::event::{Event, Payload, Sink};
use super::marks::Marks;
use super::outbox::Outbox;
use std::time::Instant;

/// The lent parts. The fields are open, because a wire borrows several of them at once.
#[derive(Debug)]
pub struct Context<'a, S> {
    pub config: &'a Config,
    pub outbox: &'a mut Outbox,
    pub marks: &'a mut Marks,
    pub sink: S,
    pub now: Instant,
}

impl<S: Sink> Context<'_, S> {
    /// Tells the application something.
    #[inline]
    pub fn emit(&mut self, event: Event, payload: Payload<'_>) {
        self.sink.emit(event, payload);
    }

    /// Tells the application when the kernel has taken everything that was encoded so far.
    pub fn mark(&mut self, id: u32) {
        self.marks.add(self.outbox.total(), id, &mut self.sink);
    }
}
