//! The counts of what waits in a session.
//!
//! May not change anything.

use super::super::event::Handle;
use super::Session;

impl Session {
    /// The bytes that will be sent as soon as the socket takes them. Bytes that wait for a stream's reader do not
    /// count.
    pub fn queued(&self) -> u64 {
        let ready = self.qmux.as_ref().map_or(0, |qmux| qmux.ready());
        self.encoded() + ready
    }

    /// The bytes that wait for the peer's readers, or for places for their streams.
    pub fn waiting(&self) -> u64 {
        self.qmux.as_ref().map_or(0, |qmux| qmux.waiting())
    }

    /// The bytes that wait on one stream. On the legacy wire none do.
    pub fn queued_on(&mut self, stream: Handle) -> u64 {
        let qmux = self.qmux.as_mut();
        qmux.map_or(0, |qmux| qmux.queued_on(stream))
    }

    /// The number of times that `Event::Blocked` was emitted. A reader of these counts knows by it whether an event is
    /// still on its way.
    pub fn blocked_events(&self) -> u32 {
        self.qmux.as_ref().map_or(0, |qmux| qmux.blocked_events())
    }
}
