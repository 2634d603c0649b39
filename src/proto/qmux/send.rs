//! What is sent on streams, and when: at once where there is credit and nobody waits; else from the stream's queue, in
//! turns of a bounded length.
//!
//! May not decide what the application is told, but that a stream is blocked.

use super::super::context::Context;
use super::super::event::{Event, Handle, Payload, Sink};
use super::super::session::MAX_ENCODED;
use super::frame::{self, StreamHeader};
use super::queue::Kind;
use super::record::MAX_GATHERED;
use super::stream::{SendState, Stream};
use super::wire::Qmux;

/// Bytes of one turn, when several streams wait: about a record, or one message that goes whole.
const QUANTUM: usize = MAX_GATHERED;

/// A stream that was blocked and has no more than this waiting may be written to again: what it takes the application to
/// hear of that and answer is then still filled.
const LOW: u64 = 64 << 10;

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Nothing waits any more.
    Done,
    /// It would go on.
    Over,
    /// The peer's reader has to read first.
    NoStreamCredit,
    /// The peer's application has to.
    NoCredit,
}

impl Qmux {
    /// Whether something may be encoded at once, past no one.
    #[inline]
    fn is_clear<S>(&self, cx: &Context<'_, S>) -> bool {
        self.scheduler.is_empty() && self.has_room(cx)
    }

    /// Whether more may be encoded.
    #[inline]
    pub(super) fn has_room<S>(&self, cx: &Context<'_, S>) -> bool {
        (cx.outbox.len() as u64) < MAX_ENCODED
    }

    /// Sends one message, or with a foreign peer bytes.
    #[inline]
    pub fn data<S: Sink>(&mut self, handle: Handle, payload: &[u8], cx: &mut Context<'_, S>) {
        if self.send_at_once(handle, payload, cx) {
            return;
        }
        let Some(stream) = self.streams.get(handle) else {
            return;
        };
        let is_open = matches!(stream.send.state, SendState::Open | SendState::Waiting);
        if is_open && !stream.send.is_ending {
            self.put(handle, Kind::Message, payload, cx);
        }
    }

    /// Sends bytes of a stream in one frame, if there is credit and nobody waits. Gives whether it did.
    #[inline]
    pub(super) fn send_at_once<S: Sink>(
        &mut self,
        handle: Handle,
        payload: &[u8],
        cx: &mut Context<'_, S>,
    ) -> bool {
        let is_clear = self.is_clear(cx);
        let is_ours = self.peer.is_ours();
        let Some(stream) = self.streams.get(handle) else {
            return false;
        };
        let length = payload.len() as u64;
        let is_free = is_clear
            && stream.send.queue.is_none()
            && stream.send.state == SendState::Open
            && length <= stream.send.window.available()
            && length <= self.send.available()
            && payload.len() <= self.peer.longest_payload();
        if is_free {
            let offset = (!is_ours).then(|| stream.send.window.used());
            stream.send.window.take(length);
            self.send.take(length);
            let id = stream.id;
            let is_pushed = is_ours
                && frame::short_header(id, payload.len())
                    .is_some_and(|header| self.records.push_short(header, payload, cx.outbox));
            if !is_pushed {
                self.push_data(id, offset, payload, false, cx);
            }
        }
        is_free
    }

    /// Encodes one frame with bytes of a stream.
    #[inline]
    fn push_data<S>(
        &mut self,
        id: u64,
        offset: Option<u64>,
        payload: &[u8],
        fin: bool,
        cx: &mut Context<'_, S>,
    ) {
        let header = StreamHeader::new(id, offset, Some(payload.len()), fin);
        if header.as_slice().len() + payload.len() <= MAX_GATHERED {
            self.records
                .push(header.as_slice(), header.length_field, payload, cx.outbox);
        } else {
            let header = StreamHeader::new(id, offset, None, fin);
            self.records
                .push_alone(header.as_slice(), payload, cx.outbox);
            cx.marks.clamp(cx.outbox.total());
        }
    }

    /// Puts something behind what waits on a stream, and sends what may be sent.
    pub(super) fn put<S: Sink>(
        &mut self,
        handle: Handle,
        kind: Kind,
        bytes: &[u8],
        cx: &mut Context<'_, S>,
    ) {
        let Some(stream) = self.streams.get(handle) else {
            return;
        };
        if stream.send.state == SendState::Done {
            return;
        }
        let before = stream.send.queued();
        stream.send.push(kind, bytes);
        let more = stream.send.queued() - before;
        match (stream.send.state, stream.send.is_blocked) {
            (SendState::Waiting, _) => self.unbegun += more,
            (_, true) => self.blocked += more,
            (_, false) => self.ready += more,
        }
        self.schedule(handle);
        self.fill(cx);
    }

    /// A stream with something to send waits for its turn, unless it lacks credit of its own.
    pub(super) fn schedule(&mut self, handle: Handle) {
        let Some(stream) = self.streams.get(handle) else {
            return;
        };
        let send = &mut stream.send;
        let can_go = matches!(send.state, SendState::Open | SendState::Ending);
        if send.is_scheduled || send.queue.is_none() || !can_go {
            return;
        }
        send.is_scheduled = true;
        self.scheduler.add(handle, send.urgency);
    }

    /// Encodes what waits, turn by turn, while there is room.
    pub(super) fn fill<S: Sink>(&mut self, cx: &mut Context<'_, S>) {
        while self.has_room(cx) && !cx.outbox.is_closed() {
            if self.opening.is_none() && !self.opens.is_empty() {
                self.open_waiting(cx);
            }
            let Some(handle) = self.scheduler.next() else {
                return;
            };
            let turn = self.turn(handle, cx);
            let Some(stream) = self.streams.get(handle) else {
                continue;
            };
            let send = &mut stream.send;
            send.is_scheduled = matches!(turn, Turn::Over | Turn::NoCredit);
            let (urgency, takes_turns) = (send.urgency, send.is_incremental);
            match turn {
                Turn::Over if takes_turns => self.scheduler.add(handle, urgency),
                Turn::Over | Turn::NoCredit => self.scheduler.add_first(handle, urgency),
                Turn::NoStreamCredit => self.tell_blocked(handle, cx),
                Turn::Done => {}
            }
            self.tell_unblocked(handle, turn, cx);
            self.settle(handle, cx);
            if turn == Turn::NoCredit {
                let limit = self.send.limit();
                self.control.tell_blocked(limit);
                return;
            }
        }
    }

    /// One stream's turn.
    fn turn<S: Sink>(&mut self, handle: Handle, cx: &mut Context<'_, S>) -> Turn {
        let (is_alone, is_ours) = (self.scheduler.is_empty(), self.peer.is_ours());
        let Some(mut queue) = self
            .streams
            .get(handle)
            .and_then(|stream| stream.send.queue.take())
        else {
            return Turn::Done;
        };
        let before = queue.len();
        let mut left = QUANTUM;
        let turn = loop {
            let Some((kind, bytes)) = queue.first() else {
                break Turn::Done;
            };
            let Some(stream) = self.streams.get(handle) else {
                break Turn::Done;
            };
            match kind {
                Kind::Mark => {
                    let id = bytes.first_chunk().map_or(0, |id| u32::from_le_bytes(*id));
                    cx.mark(id);
                    queue.advance(4);
                }
                Kind::EndValue => {
                    // To a foreign peer a value is bytes.
                    if is_ours {
                        let frame = frame::numbers(frame::END_VALUE, [stream.id]);
                        self.records.push(&frame, 0, &[], cx.outbox);
                    }
                    queue.advance(0);
                }
                Kind::Fin => {
                    queue.advance(0);
                    self.send_fin(handle, cx);
                }
                Kind::Message | Kind::Bytes => {
                    let whole = match kind {
                        Kind::Message => self.peer.longest_unsplit(),
                        _ => 0,
                    };
                    let is_whole = bytes.len() <= whole;
                    let longest = match is_alone || is_whole {
                        true => self.peer.longest_payload(),
                        false => self.peer.longest_payload().min(MAX_GATHERED - 32),
                    };
                    let own = stream.send.window.available();
                    let credit = own.min(self.send.available());
                    let length = bytes.len().min(longest);
                    // A message that can goes whole; of the rest whatever there is credit for.
                    let needed = match is_whole {
                        true => length as u64,
                        false => 1,
                    };
                    if credit < needed {
                        break match own < needed {
                            true => Turn::NoStreamCredit,
                            false => Turn::NoCredit,
                        };
                    }
                    let length = length.min(usize::try_from(credit).unwrap_or(usize::MAX));
                    let offset = (!is_ours).then(|| stream.send.window.used());
                    stream.send.window.take(length as u64);
                    self.send.take(length as u64);
                    let id = stream.id;
                    self.push_data(id, offset, &bytes[..length], false, cx);
                    queue.advance(length);
                    left = left.saturating_sub(length + 4);
                    if left == 0 || cx.outbox.len() as u64 >= MAX_ENCODED {
                        break match queue.is_empty() {
                            true => Turn::Done,
                            false => Turn::Over,
                        };
                    }
                }
            }
        };
        let gone = before - queue.len();
        if let Some(stream) = self.streams.get(handle) {
            match stream.send.is_blocked {
                true => self.blocked -= gone,
                false => self.ready -= gone,
            }
            let used = stream.send.window.used();
            stream.send.queue = (!queue.is_empty()).then_some(queue);
            if self
                .opening
                .is_some_and(|(it, end)| it == handle && used >= end)
            {
                self.opening = None;
            }
        }
        turn
    }

    /// Encodes the end of a stream.
    fn send_fin<S: Sink>(&mut self, handle: Handle, cx: &mut Context<'_, S>) {
        let is_ours = self.peer.is_ours();
        if let Some(stream) = self.streams.get(handle) {
            let offset = (!is_ours).then(|| stream.send.window.used());
            stream.send.state = SendState::Done;
            let id = stream.id;
            self.push_data(id, offset, &[], true, cx);
        }
    }

    /// Ends a stream behind what waits. What is left to do is settled by the caller.
    pub(super) fn put_fin<S: Sink>(&mut self, handle: Handle, cx: &mut Context<'_, S>) {
        let Some(stream) = self.streams.get(handle) else {
            return;
        };
        if stream.send.state == SendState::Done {
            return;
        }
        if stream.send.state == SendState::Waiting {
            stream.send.is_ending = true;
            self.put(handle, Kind::Fin, &[], cx);
            return;
        }
        stream.send.state = SendState::Ending;
        let at_once = stream.send.queue.is_none();
        if at_once && self.has_room(cx) {
            // It needs no credit, so it need not wait for a turn either.
            self.send_fin(handle, cx);
            self.settle(handle, cx);
        } else {
            self.put(handle, Kind::Fin, &[], cx);
        }
    }

    /// Gives the sending half up: what waits is dropped, and the peer is told.
    pub(super) fn give_up<S: Sink>(&mut self, handle: Handle, code: u64, cx: &mut Context<'_, S>) {
        let Some(stream) = self.streams.get(handle) else {
            return;
        };
        let send = &mut stream.send;
        let before = std::mem::replace(&mut send.state, SendState::Done);
        let queued = send.queued();
        match (before, std::mem::take(&mut send.is_blocked)) {
            (SendState::Waiting, _) => self.unbegun -= queued,
            (_, true) => self.blocked -= queued,
            (_, false) => self.ready -= queued,
        }
        if std::mem::take(&mut send.is_scheduled) {
            self.scheduler.remove(handle, send.urgency);
        }
        let queue = send.queue.take();
        let (id, final_size) = (stream.id, send.window.used());
        match before {
            // It may have left them already, in one go with others: then it is not worth a search.
            SendState::Waiting if self.opens.contains(&handle) => {
                self.opens.retain(|&waiting| waiting != handle);
            }
            SendState::Waiting => {}
            SendState::Open | SendState::Ending => self.control.reset(id, code, final_size),
            SendState::Done => {}
        }
        if self.opening.is_some_and(|(it, _)| it == handle) {
            self.opening = None;
        }
        // Nothing of it will be sent any more, so whoever waits for that need not.
        let mut queue = queue.unwrap_or_default();
        while let Some((kind, bytes)) = queue.first() {
            if kind == Kind::Mark {
                let id = bytes.first_chunk().map_or(0, |id| u32::from_le_bytes(*id));
                cx.mark(id);
            }
            let length = bytes.len();
            queue.advance(length);
        }
    }

    fn tell_blocked<S: Sink>(&mut self, handle: Handle, cx: &mut Context<'_, S>) {
        let Some(Stream {
            id, send, is_known, ..
        }) = self.streams.get(handle)
        else {
            return;
        };
        let limit = send.window.limit();
        if send.told_blocked != limit {
            send.told_blocked = limit;
            self.control.tell_stream_blocked(*id, limit);
        }
        if !send.is_blocked {
            send.is_blocked = true;
            let queued = send.queued();
            self.ready -= queued;
            self.blocked += queued;
            // Else it learns that with the acceptance.
            if *is_known {
                self.blocked_events = self.blocked_events.wrapping_add(1);
                cx.emit(Event::Blocked(handle), Payload::Empty);
            }
        }
    }

    fn tell_unblocked<S: Sink>(&mut self, handle: Handle, turn: Turn, cx: &mut Context<'_, S>) {
        let Some(stream) = self.streams.get(handle) else {
            return;
        };
        let queued = stream.send.queued();
        if stream.send.is_blocked && turn != Turn::NoStreamCredit && queued <= LOW {
            stream.send.is_blocked = false;
            self.blocked -= queued;
            self.ready += queued;
            if stream.is_known {
                cx.emit(Event::Unblocked(handle), Payload::Empty);
            }
        }
    }
}
