//! The application's commands for its streams, for either wire.
//!
//! While it is not known whether the peer speaks QMux, commands that only QMux can express wait.
//!
//! May not know the bytes of any wire.

use super::super::event::{Handle, PeerKind, Sink};
use super::{Receiving, Session};
use std::collections::BTreeMap;
use std::time::Instant;

/// The application's wishes that only QMux can express, until the peer is known. They are bounded by the streams that
/// live: a second wish of a kind for a stream replaces the first, or comes too late.
#[derive(Debug, Default)]
pub(super) struct Postponed {
    streams: BTreeMap<Handle, Wishes>,
    goes_away: bool,
    window: Option<u32>,
    /// Code, whether it is the application's, and reason.
    close: Option<(u64, bool, String)>,
}

/// The wishes for one stream.
#[derive(Clone, Copy, Debug, Default)]
struct Wishes {
    stop: Option<u64>,
    reset: Option<u64>,
    priority: Option<(u8, bool)>,
}

impl Postponed {
    fn of(&mut self, stream: Handle) -> &mut Wishes {
        self.streams.entry(stream).or_default()
    }

    /// The number of streams with wishes.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }
}

impl Session {
    /// Encodes what follows from a command besides the bytes of its stream. A stream that ended makes room for another.
    fn flush<S: Sink>(&mut self, sink: &mut S) {
        if let Some((wire, mut cx)) = self.qmux(sink) {
            wire.flush(&mut cx);
        }
        self.admit(sink);
    }

    /// Opens a stream; `meta` is a JSON text.
    pub fn open<S: Sink>(&mut self, stream: Handle, meta: &[u8], sink: &mut S) {
        // Wishes for an earlier stream under this handle, which never began, are not for this one.
        self.postponed.streams.remove(&stream);
        if !stream.is_local() {
            return;
        }
        if let Some((wire, mut cx)) = self.qmux(sink) {
            wire.open(stream, meta, &mut cx);
        } else {
            let (wire, mut cx) = self.legacy(sink);
            wire.open(stream.slot() as u32, meta, &mut cx);
        }
        self.flush(sink);
    }

    /// Sends one message on a stream. If the stream has closed meanwhile, the command crossed the event that says so,
    /// and is dropped.
    #[inline]
    pub fn data<S: Sink>(&mut self, stream: Handle, payload: &[u8], sink: &mut S) {
        if let Some((wire, mut cx)) = self.qmux(sink) {
            wire.data(stream, payload, &mut cx);
        } else if stream.is_local() {
            let (wire, mut cx) = self.legacy(sink);
            wire.data(stream.slot() as u32, payload, &mut cx);
        }
    }

    /// Ends the sending half of a stream, with a value (a JSON text) or without.
    pub fn end<S: Sink>(&mut self, stream: Handle, value: Option<&[u8]>, sink: &mut S) {
        if let Some((wire, mut cx)) = self.qmux(sink) {
            wire.end(stream, value, &mut cx);
        } else if stream.is_local() {
            let (wire, mut cx) = self.legacy(sink);
            wire.end(stream.slot() as u32, value, &mut cx);
        }
        self.flush(sink);
    }

    /// Accepts a stream of the peer's.
    pub fn accept<S: Sink>(&mut self, stream: Handle, sink: &mut S) {
        if stream.is_local() {
            return;
        }
        if let Some((wire, mut cx)) = self.qmux(sink) {
            wire.accept(stream, &mut cx);
        } else {
            let (wire, mut cx) = self.legacy(sink);
            wire.accept(stream.slot() as u32, &mut cx);
        }
        self.flush(sink);
    }

    /// Refuses a stream of the peer's instead of accepting it. The legacy wire can only accept and discard it.
    pub fn refuse<S: Sink>(&mut self, stream: Handle, code: u64, sink: &mut S) {
        if stream.is_local() {
            return;
        }
        if let Some((wire, mut cx)) = self.qmux(sink) {
            wire.refuse(stream, code, &mut cx);
            self.flush(sink);
        } else {
            self.accept(stream, sink);
        }
        self.discard_legacy(stream);
    }

    /// Drops what still comes of a stream.
    pub fn discard<S: Sink>(&mut self, stream: Handle, sink: &mut S) {
        self.stop(stream, 0, sink);
    }

    /// Drops what still comes of a stream, and tells the peer. The stop of the legacy wire has no code, and 0.1.0 skips
    /// it.
    pub fn stop<S: Sink>(&mut self, stream: Handle, code: u64, sink: &mut S) {
        self.discard_legacy(stream);
        if let Some((wire, mut cx)) = self.qmux(sink) {
            wire.stop(stream, code, &mut cx);
            self.flush(sink);
        } else if self.is_undecided() {
            self.postponed.of(stream).stop.get_or_insert(code);
        } else if !stream.is_local() {
            let (wire, mut cx) = self.legacy(sink);
            wire.stop(stream.slot() as u32, &mut cx);
        }
    }

    /// The application is done with a stream of ours, and reads no answer. The legacy wire has no answers.
    pub fn unread<S: Sink>(&mut self, stream: Handle, sink: &mut S) {
        if let Some((wire, _)) = self.qmux(sink) {
            wire.unread(stream);
        }
        self.flush(sink);
    }

    /// Whether the peer may still turn out to speak QMux.
    fn is_undecided(&self) -> bool {
        self.negotiation.peer() == PeerKind::Undecided
    }

    /// Keeps a close until the peer is known. Returns whether that is necessary.
    pub(super) fn postpone_close(&mut self, code: u64, application: bool, reason: &str) -> bool {
        let is_needed = self.is_undecided() && self.qmux.is_none();
        if is_needed {
            self.postponed.close = Some((code, application, reason.to_owned()));
        }
        is_needed
    }

    /// Whether the connection is closed with a code that the peer may still be told, because it is not known yet what
    /// the peer speaks.
    pub fn owes_close(&self) -> bool {
        self.postponed.close.is_some()
    }

    /// Moves the session out, to say its last word after its application has gone, and leaves a fresh one behind.
    pub fn leave(&mut self) -> Self {
        let rest = Self::new(self.config.clone(), self.side, [0; 8], self.now);
        std::mem::replace(self, rest)
    }

    /// Does what was postponed, if the peer is known by now.
    pub(super) fn do_postponed<S: Sink>(&mut self, sink: &mut S) {
        let Postponed {
            streams,
            goes_away,
            window,
            close,
        } = &self.postponed;
        let is_empty = streams.is_empty() && !goes_away && window.is_none() && close.is_none();
        if is_empty || self.is_undecided() {
            return;
        }
        let postponed = std::mem::take(&mut self.postponed);
        if let Some((code, application, reason)) = postponed.close {
            return self.close(code, application, &reason);
        }
        for (stream, what) in postponed.streams {
            if let Some((urgency, incremental)) = what.priority {
                self.set_priority(stream, urgency, incremental);
            }
            if let Some(code) = what.stop {
                self.stop(stream, code, sink);
            }
            if let Some(code) = what.reset {
                self.reset(stream, code, sink);
            }
        }
        if postponed.goes_away {
            self.go_away();
        }
        if let Some(window) = postponed.window {
            self.resize_window(window, sink);
        }
    }

    fn discard_legacy(&mut self, stream: Handle) {
        if !stream.is_local() && self.receiving != Receiving::Qmux {
            self.legacy.discard(stream.slot() as u32);
        }
    }

    /// Abandons the rest of what we send on a stream. On the legacy wire the stream only ends.
    pub fn reset<S: Sink>(&mut self, stream: Handle, code: u64, sink: &mut S) {
        if let Some((wire, mut cx)) = self.qmux(sink) {
            wire.reset(stream, code, &mut cx);
            self.flush(sink);
        } else if self.is_undecided() {
            self.postponed.of(stream).reset.get_or_insert(code);
        } else {
            self.end(stream, None, sink);
        }
    }

    /// The application has seen `Closed` of a stream of the peer's; its handle may be used again.
    pub fn forget(&mut self, stream: Handle) {
        match &mut self.qmux {
            _ if stream.is_local() => {}
            Some(qmux) => qmux.forget(stream),
            None => self.legacy.forget(stream.slot() as u32),
        }
    }

    /// Asks for `Event::Mark(id)` when everything commanded so far is with the kernel: of a stream, or of all.
    pub fn mark<S: Sink>(&mut self, stream: Option<Handle>, id: u32, sink: &mut S) {
        let has_barriers = self.qmux.is_some() && !self.is_flushed();
        match (stream, self.qmux(sink)) {
            (Some(stream), Some((wire, mut cx))) => wire.add_mark(stream, id, &mut cx),
            (None, _) if has_barriers => self.barriers.push(id),
            _ => self.marks.add(self.outbox.total(), id, sink),
        }
    }

    /// `bytes` of what was delivered of a stream are not consumed yet.
    pub fn hold(&mut self, stream: Handle, bytes: u32) {
        self.held += u64::from(bytes);
        if let Some(qmux) = &mut self.qmux {
            qmux.hold(stream, bytes);
        }
    }

    /// `bytes` of what was held are consumed.
    pub fn release<S: Sink>(&mut self, stream: Handle, bytes: u32, sink: &mut S) {
        debug_assert!(
            self.held >= u64::from(bytes),
            "no more is released than was held"
        );
        self.held = self.held.saturating_sub(bytes.into());
        if let Some(wire) = &mut self.qmux {
            wire.release(stream, bytes);
        }
        self.flush(sink);
    }

    /// The application has seen everything before an `Event::Credit`: what of it is not held is consumed.
    pub fn credit<S: Sink>(&mut self, stream: Option<Handle>, sink: &mut S) {
        if let Some((wire, mut cx)) = self.qmux(sink) {
            wire.credit(stream, &mut cx);
        }
        self.flush(sink);
    }

    /// Sets how many bytes the peer may send on all streams ahead of what is consumed, but never fewer than at first.
    /// Credit that was given stays given. The legacy wire has no credit.
    pub fn resize_window<S: Sink>(&mut self, window: u32, sink: &mut S) {
        if let Some(wire) = &mut self.qmux {
            wire.resize_window(window.into());
        } else if self.is_undecided() {
            self.postponed.window = Some(window);
        }
        self.flush(sink);
    }

    /// Sets the urgency of a stream (RFC 9218), from 0 (first) to 7. Incremental streams of one urgency take turns.
    pub fn set_priority(&mut self, stream: Handle, urgency: u8, is_incremental: bool) {
        if let Some(qmux) = &mut self.qmux {
            qmux.set_priority(stream, urgency, is_incremental);
        } else if self.is_undecided() {
            self.postponed.of(stream).priority = Some((urgency, is_incremental));
        }
    }

    /// Pings the peer: `Event::Pong` answers. On the legacy wire no answer comes.
    pub fn ping(&mut self, id: u32, now: Instant) {
        self.now = now;
        if let Some(qmux) = &mut self.qmux {
            qmux.ping(id, now);
        }
    }

    /// Refuses all streams that the peer has not opened yet.
    pub fn go_away(&mut self) {
        if let Some(qmux) = &mut self.qmux {
            qmux.go_away();
        } else if self.is_undecided() {
            self.postponed.goes_away = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::config::{Config, Side};
    use super::super::super::event::{Event, Payload};
    use super::*;

    struct Nothing;

    impl Sink for Nothing {
        fn emit(&mut self, _: Event, _: Payload<'_>) {}
    }

    #[test]
    fn what_waits_is_bounded_by_the_streams() {
        let now = Instant::now();
        let mut session = Session::new(Config::default(), Side::Connecting, [1; 8], now);
        for slot in 0..257 {
            session.open(Handle::local(slot), b"1", &mut Nothing);
        }
        for round in 0..1000 {
            for slot in 0..3 {
                let stream = Handle::local(slot);
                session.set_priority(stream, round as u8 & 7, false);
                session.stop(stream, round, &mut Nothing);
                session.reset(stream, round, &mut Nothing);
            }
            session.go_away();
        }
        assert_eq!(session.postponed.len(), 3);
        assert_eq!(session.postponed.of(Handle::local(1)).stop, Some(0));
        assert_eq!(session.postponed.of(Handle::local(1)).reset, Some(0));
        // A new stream under the handle of one that ended while it waited for an id.
        let stream = Handle::local(256);
        session.set_priority(stream, 1, false);
        session.end(stream, None, &mut Nothing);
        session.open(stream, b"1", &mut Nothing);
        assert_eq!(session.postponed.len(), 3);
    }
}
