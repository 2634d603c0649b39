//! What the application wants of its streams.
//!
//! May not encode a frame: `send` and `control` do.

use super::super::context::Context;
use super::super::event::{Event, Handle, Payload, Sink};
use super::super::varint;
use super::counts::Place;
use super::frame;
use super::queue::Kind;
use super::scheduler;
use super::stream::{RecvState, SendState, Stream};
use super::window::RecvWindow;
use super::wire::Qmux;
use std::time::Instant;

/// Most bytes of memory kept for putting a meta together.
const SPARE_TEXT: usize = 4 << 10;

impl Qmux {
    /// Opens a stream, at once or when the peer allows another one.
    pub fn open<S: Sink>(&mut self, handle: Handle, meta: &[u8], cx: &mut Context<'_, S>) {
        let qmux = &cx.config.qmux;
        let window = RecvWindow::new(qmux.stream_window, qmux.max_stream_window);
        let mut stream = Stream::new(u64::MAX, SendState::Waiting, RecvState::Accept, 0, window);
        let mut text = std::mem::take(&mut self.text);
        varint::put(meta.len() as u64, &mut text);
        text.extend_from_slice(meta);
        stream.send.meta = text.len() as u64;
        if !self.streams.insert_local(handle, stream) {
            debug_assert!(
                false,
                "the application opens a stream in a slot that is in use"
            );
            return;
        }
        if !self.open_at_once(handle, &text, cx) {
            if let Some(stream) = self.streams.get(handle) {
                stream.send.push(Kind::Bytes, &text);
            }
            self.unbegun += text.len() as u64;
            self.opens.push_back(handle);
            self.fill(cx);
        }
        text.clear();
        text.shrink_to(SPARE_TEXT);
        self.text = text;
    }

    /// Lets a stream begin whose meta can be sent whole now, behind nobody. Gives whether it did.
    fn open_at_once<S: Sink>(
        &mut self,
        handle: Handle,
        text: &[u8],
        cx: &mut Context<'_, S>,
    ) -> bool {
        let is_first = self.opening.is_none() && self.opens.is_empty() && self.scheduler.is_empty();
        let length = text.len() as u64;
        let credit = self.peer.credit_on_ours();
        let can_begin = is_first
            && self.peer.is_ours()
            && self.counts.place() == Place::Free
            && length <= credit.min(self.send.available())
            && text.len() <= self.peer.longest_payload()
            && self.has_room(cx)
            && !cx.outbox.is_closed();
        if !can_begin {
            return false;
        }
        let id = self.take_place(handle);
        if let Some(stream) = self.streams.get(handle) {
            stream.id = id;
            stream.send.window.raise(credit);
            stream.send.state = SendState::Open;
        }
        self.send_at_once(handle, text, cx)
    }

    /// Our next stream takes one of the places that the peer gives. Gives its id.
    fn take_place(&mut self, handle: Handle) -> u64 {
        let id = self.counts.begin_ours();
        self.streams.bind(id, handle);
        id
    }

    /// Lets streams that wait for a place begin, in order, each when the meta of the one before is sent.
    pub(super) fn open_waiting<S: Sink>(&mut self, cx: &mut Context<'_, S>) {
        while self.opening.is_none()
            && let Some(&handle) = self.opens.front()
        {
            if !self.peer.is_known() {
                return;
            }
            match self.counts.place() {
                Place::Full(limit) => return self.control.tell_streams_blocked(limit),
                Place::Unserved => {
                    self.opens.pop_front();
                    self.fail_unserved(handle, cx);
                }
                Place::Free => {
                    self.opens.pop_front();
                    let id = self.take_place(handle);
                    self.begin_local(handle, id, cx);
                }
            }
        }
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

    fn begin_local<S: Sink>(&mut self, handle: Handle, id: u64, cx: &mut Context<'_, S>) {
        let Some(stream) = self.streams.get(handle) else {
            return;
        };
        stream.id = id;
        stream.send.window.raise(self.peer.credit_on_ours());
        let queued = stream.send.queued();
        self.unbegun -= queued;
        self.ready += queued;
        stream.send.state = match stream.send.is_ending {
            true => SendState::Ending,
            false => SendState::Open,
        };
        if self.peer.is_ours() {
            self.opening = Some((handle, stream.send.meta));
            self.schedule(handle);
            return;
        }
        // A foreign peer knows no meta; an empty frame lets it see the stream.
        let meta = stream.send.meta;
        if let Some(queue) = &mut stream.send.queue {
            queue.advance(meta as usize);
            if queue.is_empty() {
                stream.send.queue = None;
            }
        }
        stream.recv.start_data();
        self.ready -= meta;
        let header = frame::StreamHeader::new(id, Some(0), Some(0), false);
        self.records
            .push(header.as_slice(), header.length_field, &[], cx.outbox);
        self.tell_opened(handle, cx);
        self.schedule(handle);
    }

    /// Ends the sending half, with a value (a JSON text) or without.
    pub fn end<S: Sink>(&mut self, handle: Handle, value: Option<&[u8]>, cx: &mut Context<'_, S>) {
        let Some(stream) = self.streams.get(handle) else {
            return;
        };
        let is_open = matches!(stream.send.state, SendState::Open | SendState::Waiting);
        if !is_open || stream.send.is_ending {
            return;
        }
        if let Some(value) = value.filter(|value| value.trim_ascii() != b"null") {
            self.put(handle, Kind::EndValue, &[], cx);
            self.put(handle, Kind::Bytes, value, cx);
        }
        self.put_fin(handle, cx);
    }

    /// A stream of the peer's no longer waits for the application's answer. Gives whether it did.
    fn answer(&mut self, handle: Handle) -> bool {
        let Some(stream) = self.streams.get(handle) else {
            return false;
        };
        let is_first = !std::mem::replace(&mut stream.is_answered, true);
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
        if self.peer.is_ours() && !self.send_at_once(handle, &[0], cx) {
            self.put(handle, Kind::Bytes, &[0], cx);
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
            let mut answer = vec![1];
            varint::put(code, &mut answer);
            self.put(handle, Kind::Bytes, &answer, cx);
            self.put_fin(handle, cx);
        }
        self.stop(handle, code, cx);
    }

    /// Wants no more of a stream.
    pub fn stop<S: Sink>(&mut self, handle: Handle, code: u64, cx: &mut Context<'_, S>) {
        let Some(stream) = self.streams.get(handle) else {
            return;
        };
        let has_begun = stream.send.state != SendState::Waiting;
        if stream.recv.stop(code) {
            let id = stream.id;
            self.take_text(handle);
            if has_begun {
                self.control.stop(id, code);
            }
        }
        self.settle(handle, cx);
    }

    /// The application is done with a stream of ours, and nobody there reads what the peer might still say on it. The peer
    /// learns of it once, if it understands that, and need not keep its half open for an answer.
    pub fn unread(&mut self, handle: Handle) {
        let is_understood = self.peer.is_ours() && self.peer.hears_unread() && handle.is_local();
        let Some(stream) = self.streams.get(handle).filter(|_| is_understood) else {
            return;
        };
        let is_waited_for = matches!(stream.recv.state(), RecvState::Accept | RecvState::Data);
        if is_waited_for && stream.send.state == SendState::Done && !stream.is_unread {
            stream.is_unread = true;
            let id = stream.id;
            self.control.unread(id);
        }
    }

    /// Gives the rest of a stream up.
    pub fn reset<S: Sink>(&mut self, handle: Handle, code: u64, cx: &mut Context<'_, S>) {
        let Some(stream) = self.streams.get(handle) else {
            return;
        };
        if stream.send.state == SendState::Waiting {
            stream.recv.finish();
        }
        if stream.send.state != SendState::Done {
            self.give_up(handle, code, cx);
            self.settle(handle, cx);
        }
    }

    /// The application has seen `Closed` of a stream of the peer's.
    pub fn forget(&mut self, handle: Handle) {
        self.streams.forget(handle);
    }

    /// `bytes` of what was delivered are not consumed.
    pub fn hold(&mut self, handle: Handle, bytes: u32) {
        self.credit.hold(self.streams.get(handle), bytes);
    }

    /// `bytes` of what was held are consumed.
    pub fn release(&mut self, handle: Handle, bytes: u32) {
        let stream = self.streams.get(handle);
        self.credit.release(handle, stream, bytes);
    }

    /// The application has seen all before an `Event::Credit`.
    pub fn credit<S: Sink>(&mut self, stream: Option<Handle>, cx: &mut Context<'_, S>) {
        let was_asked = match stream.map(|handle| (handle, self.streams.get(handle))) {
            None => self.credit.answer_for_all(),
            Some((handle, Some(stream))) => self.credit.answer(handle, stream),
            Some((_, None)) => false,
        };
        // More has come meanwhile.
        match stream {
            Some(handle) if was_asked => self.ask(handle, cx),
            None if was_asked => self.ask_for_all(cx),
            _ => {}
        }
    }

    /// Asks the application to say when it has seen what it was given of a stream, and of all. A message under way is not
    /// asked about before its end.
    pub(super) fn ask<S: Sink>(&mut self, handle: Handle, cx: &mut Context<'_, S>) {
        if !self.bodies.is_of(Some(handle))
            && let Some(stream) = self.streams.get(handle)
        {
            self.credit.ask(handle, stream, cx);
        }
        self.ask_for_all(cx);
    }

    fn ask_for_all<S: Sink>(&mut self, cx: &mut Context<'_, S>) {
        if !self.bodies.is_of(None) {
            self.credit.ask_for_all(cx);
        }
    }

    /// How urgent a stream is.
    pub fn set_priority(&mut self, handle: Handle, urgency: u8, is_incremental: bool) {
        let urgency = urgency.min(scheduler::LEVELS as u8 - 1);
        let Some(stream) = self.streams.get(handle) else {
            return;
        };
        let before = std::mem::replace(&mut stream.send.urgency, urgency);
        stream.send.is_incremental = is_incremental;
        if stream.send.is_scheduled && before != urgency {
            self.scheduler.remove(handle, before);
            self.scheduler.add(handle, urgency);
        }
    }

    /// Asks for `Event::Mark(id)` when what was commanded on a stream is with the kernel.
    pub fn add_mark<S: Sink>(&mut self, handle: Handle, id: u32, cx: &mut Context<'_, S>) {
        match self.streams.get(handle) {
            Some(stream) if stream.send.queue.is_some() => {
                stream.send.push(Kind::Mark, &id.to_le_bytes());
            }
            _ => cx.mark(id),
        }
    }

    /// Serves no more streams of the peer's than it has opened. Told when the peer can be: behind its switch, and if it
    /// speaks our mapping.
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

    /// Asks the peer for a sign of life.
    pub fn ping(&mut self, id: u32, now: Instant) {
        self.ping.ask(id, now);
    }
}
