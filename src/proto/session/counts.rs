//! What waits in a session, and for whom.
//!
//! May not change anything.

use super::super::event::Handle;
use super::Session;

impl Session {
    /// Bytes that will be sent as soon as the socket takes them; what waits for a stream's reader is not among them.
    pub fn queued(&self) -> u64 {
        let ready = self.qmux.as_ref().map_or(0, |qmux| qmux.ready());
        self.encoded() + ready
    }

    /// Bytes that wait for the peer's readers, or for places for their streams.
    pub fn waiting(&self) -> u64 {
        self.qmux.as_ref().map_or(0, |qmux| qmux.waiting())
    }

    /// Bytes that wait on one stream; on the legacy wire none do.
    pub fn queued_on(&mut self, stream: Handle) -> u64 {
        let qmux = self.qmux.as_mut();
        qmux.map_or(0, |qmux| qmux.queued_on(stream))
    }

    /// How often `Event::Blocked` was emitted, so that who sees these counts knows whether one is on its way.
    pub fn blocked_events(&self) -> u32 {
        self.qmux.as_ref().map_or(0, |qmux| qmux.blocked_events())
    }
}
