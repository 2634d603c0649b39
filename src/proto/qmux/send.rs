//! The sending side: bytes of streams are sent at once if there is credit and nobody waits, and otherwise from the
//! stream's queue, in turns of bounded length.
//!
//! ```text
//!   at_once ────────────────────────────────────────────▶ record ──▶ outbox
//!   put ──▶ the stream's queue ──▶ scheduler ──▶ turn ─────▲
//! ```
//!
//! This is the only part that writes to the outbox. May not know the table of streams, nor decide what the application
//! is told, except that a stream is blocked.

use super::super::context::Context;
use super::super::event::{Event, Handle, Payload, Sink};
use super::super::outbox::MAX_ENCODED;
use super::control::Control;
use super::encoder::Encoder;
use super::frame;
use super::opens::Opens;
use super::peer::Peer;
use super::queue::Kind;
use super::record::MAX_GATHERED;
use super::scheduler::{self, Scheduler};
use super::stream::{SendHalf, SendState, Stream};
use super::waiting::Waiting;
use super::window::SendWindow;

/// The bytes of one turn, if several streams wait: about a record, or one message that goes whole.
const QUANTUM: usize = MAX_GATHERED;

/// A stream that was blocked may be written to again if no more than this waits on it. The bytes that wait bridge the
/// time in which the application hears of that and answers.
const LOW: u64 = 64 << 10;

/// The way in which a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Nothing waits on the stream any more.
    Done,
    /// The stream has more to send.
    Over,
    /// The stream's credit is used up until the peer's reader reads.
    NoStreamCredit,
    /// The connection's credit is used up until the peer's application reads.
    NoCredit,
}

/// The sending side of a connection.
#[derive(Debug, Default)]
pub struct Send {
    encoder: Encoder,
    scheduler: Scheduler,
    opens: Opens,
    /// The credit for all streams together.
    window: SendWindow,
    waiting: Waiting,
    /// The number of times that the application was told that a stream is blocked.
    blocked_events: u32,
    /// The peer sends nothing more, so bytes without credit will never get any.
    peer_has_finished: bool,
}

impl Send {
    /// The peer raises the limit for all streams together. Returns whether that is more than before.
    pub fn raise(&mut self, limit: u64) -> bool {
        self.window.raise(limit)
    }

    /// The peer sends nothing more.
    pub fn peer_finished(&mut self) {
        self.peer_has_finished = true;
    }

    /// Encodes a frame that is not a stream's bytes.
    pub fn push_frame<S>(&mut self, frame: &[u8], cx: &mut Context<'_, S>) {
        self.encoder.push_frame(frame, cx);
    }

    /// Completes the record at the end of the outbox.
    pub fn complete_record<S>(&mut self, cx: &mut Context<'_, S>) {
        self.encoder.complete_record(cx);
    }

    /// Whether more may be encoded.
    #[inline]
    fn has_room<S>(cx: &Context<'_, S>) -> bool {
        (cx.outbox.len() as u64) < MAX_ENCODED
    }

    /// Whether bytes of streams may be encoded.
    pub fn can_encode<S>(&self, cx: &Context<'_, S>) -> bool {
        Self::has_room(cx) && !cx.outbox.is_sealed()
    }

    /// Whether a stream may send `length` bytes in one frame: there is credit, and nobody waits.
    #[inline]
    fn is_free(&self, stream: &Stream, length: usize, peer: &Peer) -> bool {
        self.scheduler.is_empty()
            && stream.send.is_clear_for(length as u64)
            && length as u64 <= self.window.available()
            && length <= peer.longest_payload()
    }

    /// Uses up credit for bytes of a stream. Returns their offset.
    #[inline]
    fn take_credit(&mut self, stream: &mut Stream, length: usize) -> u64 {
        self.window.take(length as u64);
        stream.send.send(length as u64)
    }

    /// Sends bytes of a stream in one frame, if there is credit and nobody waits. Returns whether they were sent.
    #[inline]
    pub fn at_once<S: Sink>(
        &mut self,
        stream: &mut Stream,
        payload: &[u8],
        peer: &Peer,
        cx: &mut Context<'_, S>,
    ) -> bool {
        let length = payload.len();
        let is_free = Self::has_room(cx) && self.is_free(stream, length, peer);
        if is_free {
            let offset = self.take_credit(stream, length);
            let offset = (!peer.is_ours()).then_some(offset);
            self.encoder.push_bytes(stream.id(), offset, payload, cx);
        }
        is_free
    }

    /// Encodes the head of a long message whose payload the caller sends itself, if the message may go at once. Returns
    /// whether it may.
    pub fn head_at_once<S: Sink>(
        &mut self,
        stream: &mut Stream,
        payload: usize,
        peer: &Peer,
        cx: &mut Context<'_, S>,
    ) -> bool {
        let is_long = payload > MAX_GATHERED;
        let is_free = is_long && self.can_encode(cx) && self.is_free(stream, payload, peer);
        if is_free {
            let offset = self.take_credit(stream, payload);
            let offset = (!peer.is_ours()).then_some(offset);
            self.encoder.push_head(stream.id(), offset, payload, cx);
        }
        is_free
    }

    /// Appends an entry to a stream's queue, and lets the stream wait for its turn.
    pub fn put(&mut self, handle: Handle, stream: &mut Stream, kind: Kind, bytes: &[u8]) {
        if stream.send.is_done() {
            return;
        }
        let more = stream.send.push(kind, bytes);
        self.waiting.add(&stream.send, more);
        self.schedule(handle, stream);
    }

    /// Lets a stream wait for its turn, if it has something to send and may send.
    pub fn schedule(&mut self, handle: Handle, stream: &mut Stream) {
        if let Some(urgency) = stream.send.schedule() {
            self.scheduler.add(handle, urgency);
        }
    }

    /// Returns the stream whose turn it is.
    pub fn next(&mut self) -> Option<Handle> {
        self.scheduler.next()
    }

    /// Takes one stream's turn: encodes what waits there, as far as it may go. Returns whether there is credit for
    /// others.
    pub fn turn<S: Sink>(
        &mut self,
        handle: Handle,
        stream: &mut Stream,
        peer: &Peer,
        control: &mut Control,
        cx: &mut Context<'_, S>,
    ) -> bool {
        let turn = self.encode_turn(handle, stream, peer, cx);
        let send = &mut stream.send;
        send.end_turn(matches!(turn, Turn::Over | Turn::NoCredit));
        let urgency = send.urgency();
        match turn {
            Turn::Over if send.is_incremental() => self.scheduler.add(handle, urgency),
            Turn::Over | Turn::NoCredit => self.scheduler.add_first(handle, urgency),
            Turn::NoStreamCredit => self.block(handle, stream, control, cx),
            Turn::Done => {}
        }
        if turn != Turn::NoStreamCredit {
            self.unblock(handle, stream, cx);
        }
        if turn == Turn::NoCredit {
            control.tell_blocked(self.window.limit());
        }
        turn != Turn::NoCredit
    }

    fn encode_turn<S: Sink>(
        &mut self,
        handle: Handle,
        stream: &mut Stream,
        peer: &Peer,
        cx: &mut Context<'_, S>,
    ) -> Turn {
        let (is_alone, is_ours) = (self.scheduler.is_empty(), peer.is_ours());
        let Some(mut queue) = stream.send.take_queue() else {
            return Turn::Done;
        };
        let before = queue.len();
        let mut left = QUANTUM;
        let turn = loop {
            let Some((kind, bytes)) = queue.first() else {
                break Turn::Done;
            };
            match kind {
                Kind::Mark => {
                    cx.mark(number_of(bytes));
                    queue.advance(4);
                }
                Kind::EndValue => {
                    // A foreign peer gets the value as bytes.
                    if is_ours {
                        let frame = frame::numbers(frame::END_VALUE, [stream.id()]);
                        self.push_frame(&frame, cx);
                    }
                    queue.advance(0);
                }
                Kind::Fin => {
                    queue.advance(0);
                    self.push_fin(stream, peer, cx);
                }
                Kind::Message | Kind::Bytes => {
                    let longest_unsplit = match kind {
                        Kind::Message => peer.longest_unsplit(),
                        _ => 0,
                    };
                    let is_unsplit = bytes.len() <= longest_unsplit;
                    let longest = match is_alone || is_unsplit {
                        true => peer.longest_payload(),
                        false => peer.longest_payload().min(MAX_GATHERED - 32),
                    };
                    let own = stream.send.available();
                    let credit = own.min(self.window.available());
                    let length = bytes.len().min(longest);
                    // A message that fits into one frame goes whole. Of other bytes goes whatever there is credit for.
                    let needed = match is_unsplit {
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
                    let offset = stream.send.send(length as u64);
                    let offset = (!is_ours).then_some(offset);
                    self.window.take(length as u64);
                    self.encoder
                        .push_bytes(stream.id(), offset, &bytes[..length], cx);
                    queue.advance(length);
                    left = left.saturating_sub(length + 4);
                    if left == 0 || !Self::has_room(cx) {
                        break match queue.is_empty() {
                            true => Turn::Done,
                            false => Turn::Over,
                        };
                    }
                }
            }
        };
        self.waiting.remove(&stream.send, before - queue.len());
        stream.send.put_back(queue);
        self.opens.sent(handle, stream.send.sent());
        turn
    }

    /// Encodes the end of a stream.
    fn push_fin<S: Sink>(&mut self, stream: &mut Stream, peer: &Peer, cx: &mut Context<'_, S>) {
        stream.send.finish();
        let offset = (!peer.is_ours()).then(|| stream.send.sent());
        self.encoder.push_fin(stream.id(), offset, cx);
    }

    /// Ends a stream behind what waits. Returns whether the end is encoded by this call.
    pub fn end<S: Sink>(
        &mut self,
        handle: Handle,
        stream: &mut Stream,
        peer: &Peer,
        cx: &mut Context<'_, S>,
    ) -> bool {
        stream.send.end();
        // An end needs no credit, so it need not wait for a turn either.
        let at_once = stream.send.has_begun() && !stream.send.is_queued() && Self::has_room(cx);
        match at_once {
            true => self.push_fin(stream, peer, cx),
            false => self.put(handle, stream, Kind::Fin, &[]),
        }
        at_once
    }

    /// Abandons the sending half: what waits is dropped, and the peer is told.
    pub fn give_up<S: Sink>(
        &mut self,
        handle: Handle,
        stream: &mut Stream,
        code: u64,
        control: &mut Control,
        cx: &mut Context<'_, S>,
    ) {
        let id = stream.id();
        let send = &mut stream.send;
        self.waiting.remove(send, send.queued());
        send.set_blocked(false);
        if let Some(urgency) = send.unschedule() {
            self.scheduler.remove(handle, urgency);
        }
        let queue = send.take_queue();
        match send.finish() {
            SendState::Waiting => self.opens.remove(handle),
            SendState::Open | SendState::Ending => {
                self.opens.stop_sending(handle);
                control.reset(id, code, send.sent());
            }
            SendState::Done => {}
        }
        // Nothing of the stream will be sent any more, so nobody need wait for that.
        let mut queue = queue.unwrap_or_default();
        while let Some((kind, bytes)) = queue.first() {
            if kind == Kind::Mark {
                cx.mark(number_of(bytes));
            }
            let length = bytes.len();
            queue.advance(length);
        }
    }

    /// A stream waits for the peer's reader.
    fn block<S: Sink>(
        &mut self,
        handle: Handle,
        stream: &mut Stream,
        control: &mut Control,
        cx: &mut Context<'_, S>,
    ) {
        if let Some(limit) = stream.send.take_told_blocked() {
            control.tell_stream_blocked(stream.id(), limit);
        }
        if !stream.send.is_blocked() {
            self.waiting
                .moved(&mut stream.send, |send| send.set_blocked(true));
            // If the application does not know the stream yet, it learns of the block with the acceptance.
            if stream.is_known() {
                self.emit_blocked(handle, cx);
            }
        }
    }

    /// A stream on which little waits no longer waits for the peer's reader.
    fn unblock<S: Sink>(&mut self, handle: Handle, stream: &mut Stream, cx: &mut Context<'_, S>) {
        if stream.send.is_blocked() && stream.send.queued() <= LOW {
            self.waiting
                .moved(&mut stream.send, |send| send.set_blocked(false));
            if stream.is_known() {
                cx.emit(Event::Unblocked(handle), Payload::Empty);
            }
        }
    }

    /// Tells the application that a stream is blocked.
    pub fn emit_blocked<S: Sink>(&mut self, handle: Handle, cx: &mut Context<'_, S>) {
        self.blocked_events = self.blocked_events.wrapping_add(1);
        cx.emit(Event::Blocked(handle), Payload::Empty);
    }

    /// Sets the urgency of a stream.
    pub fn set_priority(
        &mut self,
        handle: Handle,
        half: &mut SendHalf,
        urgency: u8,
        is_incremental: bool,
    ) {
        let urgency = urgency.min(scheduler::LEVELS as u8 - 1);
        if let Some(before) = half.set_priority(urgency, is_incremental) {
            self.scheduler.remove(handle, before);
            self.scheduler.add(handle, urgency);
        }
    }

    /// The first bytes of a stream of ours with this meta.
    pub fn first_bytes(&mut self, meta: &[u8]) -> Vec<u8> {
        self.opens.text(meta)
    }

    /// Whether a stream of ours with these first bytes may begin now, ahead of nobody, if there is a place for it.
    pub fn can_begin<S>(&self, first_bytes: &[u8], peer: &Peer, cx: &Context<'_, S>) -> bool {
        let credit = peer.credit_on_ours().min(self.window.available());
        self.opens.is_empty()
            && self.scheduler.is_empty()
            && peer.is_ours()
            && first_bytes.len() as u64 <= credit
            && first_bytes.len() <= peer.longest_payload()
            && self.can_encode(cx)
    }

    /// A stream of ours waits for a place.
    pub fn wait_for_place(&mut self, handle: Handle, stream: &mut Stream, first_bytes: &[u8]) {
        let more = stream.send.push(Kind::Bytes, first_bytes);
        self.waiting.add(&stream.send, more);
        self.opens.push(handle);
    }

    /// Keeps the memory of first bytes for the next ones.
    pub fn recycle(&mut self, first_bytes: Vec<u8>) {
        self.opens.recycle(first_bytes);
    }

    /// The first stream of ours that waits for a place, if it may begin, which it may behind the meta of the one
    /// before.
    pub fn first_open(&self) -> Option<Handle> {
        self.opens.first()
    }

    /// Removes the first stream of ours that waits for a place.
    pub fn pop_open(&mut self) {
        self.opens.pop();
    }

    /// Removes streams of ours that wait for a place, except for the first `left`. Returns them.
    pub fn cut_opens(&mut self, left: usize) -> Vec<Handle> {
        self.opens.truncate(left)
    }

    /// A stream of ours that waited has a place. A foreign peer knows no meta, so an empty frame shows it the stream.
    pub fn begin<S: Sink>(
        &mut self,
        handle: Handle,
        stream: &mut Stream,
        peer: &Peer,
        cx: &mut Context<'_, S>,
    ) {
        let credit = peer.credit_on_ours();
        self.waiting
            .moved(&mut stream.send, |send| send.begin(credit));
        let meta = stream.send.meta();
        if peer.is_ours() {
            self.opens.start(handle, meta);
            return;
        }
        stream.send.drop_meta();
        self.waiting.remove(&stream.send, meta);
        self.encoder.push_bytes(stream.id(), Some(0), &[], cx);
    }

    /// The bytes that may be sent as soon as there is room.
    pub fn ready(&self) -> u64 {
        self.waiting.for_turns()
    }

    /// The bytes that wait for the peer's readers, or for a place for their stream.
    pub fn waiting_for_peer(&self) -> u64 {
        self.waiting.for_peer()
    }

    /// The number of times that the application was told that a stream is blocked.
    pub fn blocked_events(&self) -> u32 {
        self.blocked_events
    }

    /// Whether nothing waits that can still be sent.
    pub fn is_flushed(&self) -> bool {
        let is_empty = self.scheduler.is_empty() && self.waiting.is_empty();
        is_empty && !self.opens.is_sending() || self.peer_has_finished
    }

    /// Frees spare memory.
    pub fn shrink(&mut self) {
        self.scheduler.shrink();
        self.opens.shrink();
    }
}

/// The number of a mark in a queue.
fn number_of(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |id| u32::from_le_bytes(*id))
}
