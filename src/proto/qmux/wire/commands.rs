//! The application's commands for its streams.
//!
//! May not encode a frame: `send` and `control` do.

use super::super::super::context::Context;
use super::super::super::event::{Event, Handle, Payload, Sink};
use super::super::super::varint;
use super::super::counts::Place;
use super::super::queue::Kind;
use super::super::stream::{RecvHalf, RecvState, SendHalf, SendState, Stream};
use super::Qmux;
use std::time::Instant;

/// The first bytes of an acceptor: it accepts a stream, or refuses it with the code that follows.
const ACCEPTED: &[u8] = &[0];
const REFUSED: &[u8] = &[1];

impl Qmux {
    /// Opens a stream, at once or when the peer allows another one.
    pub fn open<S: Sink>(&mut self, handle: Handle, meta: &[u8], cx: &mut Context<'_, S>) {
        let first_bytes = self.send.first_bytes(meta);
        let send = SendHalf::new(SendState::Waiting, 0, first_bytes.len() as u64);
        let recv = RecvHalf::new(RecvState::Accept, self.credit.window_of_stream());
        if !self
            .streams
            .insert_local(handle, Stream::new(u64::MAX, send, recv))
        {
            debug_assert!(
                false,
                "the application opens a stream in a slot that is in use"
            );
            return;
        }
        let Some(stream) = self.streams.get(handle) else {
            return;
        };
        let can_begin = self.counts.place() == Place::Free;
        if can_begin && self.send.can_begin(&first_bytes, &self.peer, cx) {
            let id = self.counts.begin_ours();
            stream.set_id(id);
            stream.send.begin(self.peer.credit_on_ours());
            let is_sent = self.send.at_once(stream, &first_bytes, &self.peer, cx);
            debug_assert!(is_sent, "there was nothing in the way");
            self.streams.bind(id, handle);
        } else {
            self.send.wait_for_place(handle, stream, &first_bytes);
            self.fill(cx);
        }
        self.send.recycle(first_bytes);
    }

    /// Lets streams that wait for a place begin, in order, each when the meta of the one before is sent.
    pub(super) fn open_waiting<S: Sink>(&mut self, cx: &mut Context<'_, S>) {
        while let Some(handle) = self.send.first_open() {
            if !self.peer.is_known() {
                return;
            }
            match self.counts.place() {
                Place::Full(limit) => return self.control.tell_streams_blocked(limit),
                Place::Unserved => {
                    self.send.pop_open();
                    self.fail_unserved(handle, cx);
                }
                Place::Free => {
                    self.send.pop_open();
                    self.begin_ours(handle, cx);
                }
            }
        }
    }

    /// A stream of ours that waited has a place.
    fn begin_ours<S: Sink>(&mut self, handle: Handle, cx: &mut Context<'_, S>) {
        let id = self.counts.begin_ours();
        self.streams.bind(id, handle);
        let Some(stream) = self.streams.get(handle) else {
            return;
        };
        stream.set_id(id);
        self.send.begin(handle, stream, &self.peer, cx);
        if !self.peer.is_ours() {
            // A foreign peer accepts without saying so.
            stream.recv.start_data();
            self.tell_opened(handle, cx);
        }
        self.schedule(handle);
    }

    /// A stream of ours, no longer among those that wait, is not served by the peer.
    pub(super) fn fail_unserved<S: Sink>(&mut self, handle: Handle, cx: &mut Context<'_, S>) {
        let Some(stream) = self.streams.get(handle) else {
            return;
        };
        stream.recv.finish();
        cx.emit(Event::GoAway(Some(handle)), Payload::Empty);
        self.give_up(handle, 0, cx);
        self.settle(handle, cx);
    }

    /// Sends one message, or, to a foreign peer, bytes.
    #[inline]
    pub fn data<S: Sink>(&mut self, handle: Handle, payload: &[u8], cx: &mut Context<'_, S>) {
        let Some(stream) = self.streams.get(handle) else {
            return;
        };
        let is_sent = self.send.at_once(stream, payload, &self.peer, cx);
        if !is_sent && stream.send.is_writable() {
            self.put(handle, Kind::Message, payload, cx);
        }
    }

    /// Encodes the head of a long message whose payload the caller sends itself, if the message may go at once. Returns
    /// whether it may.
    pub fn data_head<S: Sink>(
        &mut self,
        handle: Handle,
        payload: usize,
        cx: &mut Context<'_, S>,
    ) -> bool {
        let stream = self.streams.get(handle);
        stream.is_some_and(|stream| self.send.head_at_once(stream, payload, &self.peer, cx))
    }

    /// Sends bytes of a stream in one frame, if there is credit and nobody waits. Returns whether they were sent.
    fn send_at_once<S: Sink>(
        &mut self,
        handle: Handle,
        payload: &[u8],
        cx: &mut Context<'_, S>,
    ) -> bool {
        let stream = self.streams.get(handle);
        stream.is_some_and(|stream| self.send.at_once(stream, payload, &self.peer, cx))
    }

    /// Appends an entry to a stream's queue, and sends what may be sent.
    fn put<S: Sink>(&mut self, handle: Handle, kind: Kind, bytes: &[u8], cx: &mut Context<'_, S>) {
        let stream = self.streams.get(handle);
        if let Some(stream) = stream.filter(|stream| !stream.send.is_done()) {
            self.send.put(handle, stream, kind, bytes);
            self.fill(cx);
        }
    }

    /// Ends a stream behind what waits.
    fn put_end<S: Sink>(&mut self, handle: Handle, cx: &mut Context<'_, S>) {
        let stream = self.streams.get(handle);
        let Some(stream) = stream.filter(|stream| !stream.send.is_done()) else {
            return;
        };
        match self.send.end(handle, stream, &self.peer, cx) {
            true => self.settle(handle, cx),
            false => self.fill(cx),
        }
    }

    /// Lets a stream wait for its turn, if it has something to send and may send.
    pub(super) fn schedule(&mut self, handle: Handle) {
        if let Some(stream) = self.streams.get(handle) {
            self.send.schedule(handle, stream);
        }
    }

    /// Abandons the sending half: what waits is dropped, and the peer is told.
    pub(super) fn give_up<S: Sink>(&mut self, handle: Handle, code: u64, cx: &mut Context<'_, S>) {
        if let Some(stream) = self.streams.get(handle) {
            self.send
                .give_up(handle, stream, code, &mut self.control, cx);
        }
    }

    /// Ends the sending half, with a value (a JSON text) or without.
    pub fn end<S: Sink>(&mut self, handle: Handle, value: Option<&[u8]>, cx: &mut Context<'_, S>) {
        let Some(stream) = self.streams.get(handle) else {
            return;
        };
        if !stream.send.is_writable() {
            return;
        }
        if let Some(value) = value.filter(|value| value.trim_ascii() != b"null") {
            self.put(handle, Kind::EndValue, &[], cx);
            self.put(handle, Kind::Bytes, value, cx);
        }
        self.put_end(handle, cx);
    }

    /// A stream of the peer's no longer waits for the application's answer. Returns whether it waited.
    fn answer(&mut self, handle: Handle) -> bool {
        let Some(stream) = self.streams.get(handle) else {
            return false;
        };
        let is_first = stream.answer();
        if is_first {
            self.counts.answer();
        }
        is_first
    }

    /// Accepts a stream of the peer's.
    pub fn accept<S: Sink>(&mut self, handle: Handle, cx: &mut Context<'_, S>) {
        if !self.answer(handle) {
            return;
        }
        if self.peer.is_ours() && !self.send_at_once(handle, ACCEPTED, cx) {
            self.put(handle, Kind::Bytes, ACCEPTED, cx);
        }
    }

    /// Refuses a stream of the peer's.
    pub fn refuse<S: Sink>(&mut self, handle: Handle, code: u64, cx: &mut Context<'_, S>) {
        if !self.answer(handle) {
            return;
        }
        if !self.peer.is_ours() {
            self.give_up(handle, code, cx);
        } else {
            let mut answer = REFUSED.to_vec();
            varint::put(code, &mut answer);
            self.put(handle, Kind::Bytes, &answer, cx);
            self.put_end(handle, cx);
        }
        self.stop(handle, code, cx);
    }

    /// The application wants no more of a stream.
    pub fn stop<S: Sink>(&mut self, handle: Handle, code: u64, cx: &mut Context<'_, S>) {
        let Some(stream) = self.streams.get(handle) else {
            return;
        };
        let has_begun = stream.send.has_begun();
        if stream.recv.stop(code) {
            let id = stream.id();
            self.recv.drop_text(stream);
            if has_begun {
                self.control.stop(id, code);
            }
        }
        self.settle(handle, cx);
    }

    /// The application is done with a stream of ours, and nobody there reads what the peer might still say on it. The
    /// peer is told once, if it understands that, and need not keep its half open for an answer.
    pub fn unread(&mut self, handle: Handle) {
        let is_understood = self.peer.is_ours() && self.peer.hears_unread() && handle.is_local();
        let Some(stream) = self.streams.get(handle).filter(|_| is_understood) else {
            return;
        };
        let is_waited_for = matches!(stream.recv.state(), RecvState::Accept | RecvState::Data);
        if is_waited_for && stream.send.is_done() && stream.set_unread() {
            self.control.unread(stream.id());
        }
    }

    /// Abandons the rest of a stream.
    pub fn reset<S: Sink>(&mut self, handle: Handle, code: u64, cx: &mut Context<'_, S>) {
        let Some(stream) = self.streams.get(handle) else {
            return;
        };
        if !stream.send.has_begun() {
            stream.recv.finish();
        }
        if !stream.send.is_done() {
            self.give_up(handle, code, cx);
            self.settle(handle, cx);
        }
    }

    /// The application has seen `Closed` of a stream of the peer's.
    pub fn forget(&mut self, handle: Handle) {
        self.streams.forget(handle);
    }

    /// The application holds `bytes` of what was delivered.
    pub fn hold(&mut self, handle: Handle, bytes: u32) {
        self.credit.hold(self.streams.get(handle), bytes);
    }

    /// The application has consumed `bytes` of what it held.
    pub fn release(&mut self, handle: Handle, bytes: u32) {
        let stream = self.streams.get(handle);
        self.credit.release(handle, stream, bytes);
    }

    /// Sets how far ahead of what is consumed the peer may send, on all streams.
    pub fn resize_window(&mut self, window: u64) {
        self.credit.resize(window);
    }

    /// The application has seen all before an `Event::Credit`.
    pub fn credit<S: Sink>(&mut self, stream: Option<Handle>, cx: &mut Context<'_, S>) {
        let was_asked = match stream.map(|handle| (handle, self.streams.get(handle))) {
            None => self.credit.answer_for_all(),
            Some((handle, Some(stream))) => self.credit.answer(handle, stream),
            Some((_, None)) => false,
        };
        // If more has come meanwhile, the application is asked again.
        match stream {
            Some(handle) if was_asked => self.ask(handle, cx),
            None if was_asked => self.ask_for_all(cx),
            _ => {}
        }
    }

    /// Asks the application to answer when it has seen what it was given of a stream, and of all. While a message is
    /// under way, its stream is not asked about.
    pub(super) fn ask<S: Sink>(&mut self, handle: Handle, cx: &mut Context<'_, S>) {
        if !self.recv.is_within(Some(handle))
            && let Some(stream) = self.streams.get(handle)
        {
            self.credit.ask(handle, stream, cx);
        }
        self.ask_for_all(cx);
    }

    fn ask_for_all<S: Sink>(&mut self, cx: &mut Context<'_, S>) {
        if !self.recv.is_within(None) {
            self.credit.ask_for_all(cx);
        }
    }

    /// Sets the urgency of a stream.
    pub fn set_priority(&mut self, handle: Handle, urgency: u8, is_incremental: bool) {
        if let Some(stream) = self.streams.get(handle) {
            self.send
                .set_priority(handle, &mut stream.send, urgency, is_incremental);
        }
    }

    /// Asks for `Event::Mark(id)` when the kernel has taken what was commanded on a stream.
    pub fn add_mark<S: Sink>(&mut self, handle: Handle, id: u32, cx: &mut Context<'_, S>) {
        match self.streams.get(handle) {
            Some(stream) if stream.send.is_queued() => {
                stream.send.push(Kind::Mark, &id.to_le_bytes());
            }
            _ => cx.mark(id),
        }
    }

    /// Refuses all streams that the peer has not opened yet. The peer is told when that is possible: after its switch,
    /// and if it speaks our mapping.
    pub fn go_away(&mut self) {
        self.counts.go_away();
        self.tell_go_away();
    }

    /// Tells the peer how many of its streams are served, if that is due and the peer is known and has switched.
    pub(super) fn tell_go_away(&mut self) {
        if let Some(served) = self.counts.take_go_away(self.peer.is_ours()) {
            self.control.go_away(served);
        }
    }

    /// Pings the peer.
    pub fn ping(&mut self, id: u32, now: Instant) {
        self.ping.ask(id, now);
    }
}
