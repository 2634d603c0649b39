//! One connection's state on this wire: its parts, and what has to happen in more than one of them. The parent has a
//! picture of the parts.
//!
//! One byte's way out: `send` encodes a frame into the record at the end of the outbox. Without credit, or behind
//! others, the byte goes to the stream's queue, and `fill` encodes it when credit or room comes. One byte's way in:
//! `receive` calls `Sink::emit` with a range of what was read; the application answers `Event::Credit`; `credit` tells
//! the peer how far it may go on.
//!
//! May not know the legacy wire, nor how the two ends came to speak this one.

mod aborts;
mod carry;
mod commands;
mod deliver;
mod frames;

pub use carry::Carried;

use super::super::config::{Config, Side};
use super::super::context::Context;
use super::super::error::ProtocolError;
use super::super::event::{Event, Handle, Partial, Payload, Sink};
use super::super::outbox::MAX_ENCODED;
use super::budget::Budgets;
use super::control::Control;
use super::counts::Counts;
use super::credit::Credit;
use super::decoder::Step;
use super::frame;
use super::parameters::Parameters;
use super::peer::Peer;
use super::ping::Ping;
use super::recv::Recv;
use super::send::Send;
use super::streams::Streams;
use std::time::Instant;

/// Control frames are encoded up to this far ahead of the socket, because they go past what waits for room there.
const CONTROL_ENCODED: u64 = MAX_ENCODED + (64 << 10);

/// The number of the peer's frames that may name a stream which has just ended here: a stop, a reset, credit, and a
/// spare one.
const CROSSING: u32 = 4;

/// One connection's state.
#[derive(Debug)]
pub struct Qmux {
    streams: Streams,
    recv: Recv,
    send: Send,
    credit: Credit,
    counts: Counts,
    control: Control,
    ping: Ping,
    peer: Peer,
    budgets: Budgets,
}

impl Qmux {
    /// A connection on which nothing was sent or received yet. `seed` should be random.
    pub fn new(config: &Config, side: Side, seed: u64, now: Instant) -> Self {
        let qmux = &config.qmux;
        let mut budgets = Budgets::new(qmux);
        if let Some(left) = config.resets_left {
            budgets.resets.start_with(left, now);
        }
        Self {
            streams: Streams::new(seed),
            recv: Recv::default(),
            send: Send::default(),
            credit: Credit::new(qmux),
            counts: Counts::new(qmux, side),
            control: Control::default(),
            ping: Ping::new(qmux, now),
            peer: Peer::default(),
            budgets,
        }
    }

    /// Writes our first frame, before any other.
    pub fn write_parameters<S: Sink>(&mut self, cx: &mut Context<'_, S>) {
        let parameters = Parameters::encode(cx.config);
        let mut bytes = frame::numbers(frame::PARAMETERS, [parameters.len() as u64]);
        bytes.extend_from_slice(&parameters);
        self.send.push_frame(&bytes, cx);
        // The frame is the whole of the first record, which every peer is known to understand.
        self.send.complete_record(cx);
    }

    /// The peer's parameters are in force.
    fn set_peer(&mut self, peer: Parameters) {
        self.send.raise(peer.max_data);
        self.counts.raise(peer.max_streams);
        self.ping.set_peer_timeout(peer.idle_timeout);
        self.peer.declare(peer);
    }

    /// Decodes `input` from `at` on.
    pub fn receive<S: Sink>(
        &mut self,
        input: &[u8],
        mut at: usize,
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        if self.credit.is_flooded() {
            return Err(ProtocolError::Flood(
                "bytes that nobody reads, in tiny messages",
            ));
        }
        if at < input.len() {
            self.ping.arrived(cx.now);
        }
        let before = self.recv.records();
        loop {
            let is_ours = self.peer.is_ours();
            if is_ours {
                self.recv
                    .take_messages(input, &mut at, &mut self.streams, &mut self.credit, cx);
            }
            match self.recv.next(input, &mut at, is_ours, cx)? {
                Some(Step::Header(frame)) => self.recv_frame(frame, input, &mut at, cx)?,
                Some(Step::Body(range, is_last)) => self.recv_body(input, range, is_last, cx)?,
                None => break,
            }
        }
        if self.recv.records() != before {
            self.ping.heard(cx.now);
        }
        self.flush(cx);
        Ok(())
    }

    /// The message under way, if its parts are passed on as they come and it is short enough to be put together.
    pub fn partial(&self) -> Option<Partial> {
        self.recv.partial()
    }

    /// The peer sends nothing more.
    pub fn receive_fin(&mut self) -> Result<(), ProtocolError> {
        if !self.recv.is_between_records() {
            return Err(ProtocolError::FrameTruncated);
        }
        self.send.peer_finished();
        self.ping.disable();
        Ok(())
    }

    /// Encodes all that may be sent now, and completes the last record, because the outbox is about to be taken from.
    pub fn prepare<S: Sink>(&mut self, cx: &mut Context<'_, S>) {
        self.flush(cx);
        self.ping.sent(cx.outbox.len() as u64, cx.now);
        self.send.complete_record(cx);
    }

    /// Encodes what may be sent now, as far as there is room.
    pub fn flush<S: Sink>(&mut self, cx: &mut Context<'_, S>) {
        self.flush_control(cx);
        self.fill(cx);
    }

    /// Encodes what waits on streams, turn by turn, while there is room.
    fn fill<S: Sink>(&mut self, cx: &mut Context<'_, S>) {
        while self.send.can_encode(cx) {
            self.open_waiting(cx);
            let Some(handle) = self.send.next() else {
                return;
            };
            let Some(stream) = self.streams.get(handle) else {
                continue;
            };
            let has_credit = self
                .send
                .turn(handle, stream, &self.peer, &mut self.control, cx);
            self.settle(handle, cx);
            if !has_credit {
                return;
            }
        }
    }

    /// Encodes frames that are not a stream's bytes.
    fn flush_control<S: Sink>(&mut self, cx: &mut Context<'_, S>) {
        while !cx.outbox.is_sealed() && (cx.outbox.len() as u64) < CONTROL_ENCODED {
            let Some(frame) = self.next_control(cx.now) else {
                return;
            };
            let before = cx.outbox.len() as u64;
            self.send.push_frame(&frame, cx);
            let after = cx.outbox.len() as u64;
            self.ping.encoded(after.saturating_sub(before));
        }
    }

    /// The next frame that is not a stream's bytes. The part that knows what the frame says keeps it as state, and not
    /// as a queue of frames. So a peer that makes us answer, and does not read the answers, costs nothing more.
    fn next_control(&mut self, now: Instant) -> Option<Vec<u8>> {
        if let Some(number) = self.ping.take_answer() {
            return Some(frame::numbers(frame::PING_RESPONSE, [number]));
        }
        // Everything else needs the peer's parameters.
        if !self.peer.is_known() {
            return None;
        }
        if let Some(number) = self.ping.take_request(now) {
            return Some(frame::numbers(frame::PING_REQUEST, [number]));
        }
        if let Some(frame) = self.control.next_frame() {
            return Some(frame);
        }
        let (streams, ping) = (&mut self.streams, &mut self.ping);
        if let Some(frame) = self.credit.next_frame(streams, ping, now) {
            return Some(frame);
        }
        let limit = self.counts.take_due()?;
        Some(frame::numbers(frame::MAX_STREAMS_BIDI, [limit]))
    }

    /// Whether there is a frame to encode that is not a stream's bytes.
    pub fn wants_control(&self) -> bool {
        self.ping.is_due()
            || !self.control.is_empty()
            || self.credit.is_due()
            || (self.peer.is_known() && self.counts.is_due())
    }

    /// Encodes the last frame: why the connection ends.
    pub fn close<S: Sink>(
        &mut self,
        code: u64,
        application: bool,
        reason: &str,
        cx: &mut Context<'_, S>,
    ) {
        let reason = reason.as_bytes();
        let mut bytes = match application {
            true => frame::numbers(frame::CLOSE_APPLICATION, [code, reason.len() as u64]),
            false => frame::numbers(frame::CLOSE, [code, 0, reason.len() as u64]),
        };
        bytes.extend_from_slice(reason);
        if !cx.outbox.is_sealed() {
            self.send.push_frame(&bytes, cx);
            self.send.complete_record(cx);
            cx.outbox.seal();
        }
    }

    /// Removes a stream from the table if both its halves are over: nothing of it is held back any more.
    fn settle<S: Sink>(&mut self, handle: Handle, cx: &mut Context<'_, S>) {
        let stream = self.streams.get(handle);
        if !stream.is_some_and(|stream| stream.is_over()) {
            return;
        }
        let Some(stream) = self.streams.remove(handle) else {
            return;
        };
        if handle.is_local() || stream.is_answered() {
            // Frames of the peer's for the stream may have crossed its end.
            self.budgets.useless.earn(CROSSING);
        }
        self.recv.remove(&stream);
        if handle.is_local() {
            cx.emit(Event::Closed(handle), Payload::Empty);
            return;
        }
        if !stream.is_answered() {
            self.counts.answer();
        }
        if !stream.is_counted() {
            self.counts.end_theirs();
        }
        match stream.is_known() {
            true => cx.emit(Event::Closed(handle), Payload::Empty),
            // The application never heard of the stream.
            false => self.streams.forget(handle),
        }
    }

    /// The bytes that wait on streams and may be sent as soon as there is room.
    pub fn ready(&self) -> u64 {
        self.send.ready()
    }

    /// The bytes that wait on streams for the peer's reader, or for a place for their stream.
    pub fn waiting(&self) -> u64 {
        self.send.waiting_for_peer()
    }

    /// The bytes that wait on one stream.
    pub fn queued_on(&mut self, handle: Handle) -> u64 {
        let stream = self.streams.get(handle);
        stream.map_or(0, |stream| stream.send.queued())
    }

    /// The number of times that the application was told that a stream is blocked.
    pub fn blocked_events(&self) -> u32 {
        self.send.blocked_events()
    }

    /// Whether nothing waits that can still be sent.
    pub fn is_flushed(&self) -> bool {
        self.send.is_flushed() && self.control.is_empty()
    }

    /// Whether the peer's parameters are in force.
    pub fn knows_peer(&self) -> bool {
        self.peer.is_known()
    }

    /// Whether the peer is known to speak plain QMux.
    pub fn is_foreign(&self) -> bool {
        self.peer.is_foreign()
    }

    /// Whether the peer says when nobody there reads an answer, and understands it.
    pub fn hears_unread(&self) -> bool {
        self.peer.hears_unread()
    }

    /// The peer may reset no more than this many streams at once, for now.
    pub fn set_resets(&mut self, left: u32, now: Instant) {
        self.budgets.resets.start_with(left, now);
    }

    /// The number of streams that the peer may reset at once.
    pub fn resets_left(&self, now: Instant) -> u32 {
        self.budgets.resets.left(now)
    }

    /// The connection is established now.
    pub fn started(&mut self, now: Instant) {
        self.heard(now);
    }

    /// Nothing was read, so nothing can have come.
    pub fn forgive_silence(&mut self, now: Instant) {
        self.ping.forgive_silence(now);
    }

    /// Something whole came by the other wire.
    pub fn heard(&mut self, now: Instant) {
        self.ping.heard(now);
        self.ping.arrived(now);
    }

    /// Pings cannot be sent any more.
    pub fn disable_pings(&mut self) {
        self.ping.disable();
    }

    /// The time at which to call [`Qmux::timeout`].
    pub fn deadline(&self) -> Option<Instant> {
        self.ping.deadline()
    }

    /// The timers' deadline may have come.
    pub fn timeout(&mut self, now: Instant) -> Result<(), ProtocolError> {
        self.ping.timeout(now)
    }

    /// Frees spare memory, because little happens on the connection.
    pub fn shrink(&mut self) {
        self.send.shrink();
        self.streams.shrink();
        self.control.shrink();
        self.credit.shrink();
        self.recv.shrink();
    }
}
