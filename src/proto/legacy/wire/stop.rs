//! The stop: an acceptor tells the creator of a stream that nobody reads the stream any more.
//!
//! Version 0.1.0 has no such frame, skips it as one of an unknown type, and goes on writing.
//!
//! May not decide what a stop means to the application.

use super::super::super::event::{Event, Handle, Payload, Sink};
use super::super::frame;
use super::super::streams::Remote;
use super::{Context, Legacy};

/// The code of a stop, because the frame carries none.
const STOPPED_WITH: &[u8] = b"0";

impl Legacy {
    /// The peer wants no more of a stream of ours. If that stream is not acknowledged yet, the stop is for the stream
    /// that had its id before, and has ended meanwhile.
    pub(super) fn recv_stop<S: Sink>(&mut self, id: u8, cx: &mut Context<'_, S>) {
        let Some(slot) = self.local.slot_of(id) else {
            return;
        };
        let Some(stream) = self.local.get(slot) else {
            return;
        };
        // A second stop is no news, and no work for the application.
        let is_news =
            stream.is_acked && !stream.is_ended && !std::mem::replace(&mut stream.is_stopped, true);
        if is_news {
            cx.shared.emit(
                Event::Stopped(Handle::local(slot)),
                Payload::Owned(STOPPED_WITH),
            );
        }
    }

    /// Tells the peer that what it still sends on a stream is dropped.
    pub fn stop<S: Sink>(&mut self, slot: u32, cx: &mut Context<'_, S>) {
        if let Some(&mut Remote {
            id,
            is_ended: false,
            ..
        }) = self.remote.get(slot)
        {
            cx.write(frame::STOP, id, &[]);
        }
    }
}
