//! One connection's state on this wire.
//!
//! The way of one byte out: `send` → a frame in the record at the end of the outbox, or, without credit or behind others,
//! the stream's queue → `fill`, when credit or room comes. In: `receive` → `Sink::emit` with a range of what was read
//! → the application answers `Event::Credit` → `control` tells the peer how far it may go on.
//!
//! May not know the legacy wire, nor how the two ends came to speak this one.

use super::super::config::{Config, Side};
use super::super::context::Context;
use super::super::error::ProtocolError;
use super::super::event::{Event, Handle, Payload, Sink};
use super::bodies::Bodies;
use super::budget::Budgets;
use super::control::Control;
use super::counts::Counts;
use super::credit::Credit;
use super::decoder::Decoder;
use super::frame;
use super::parameters::Parameters;
use super::peer::Peer;
use super::ping::Ping;
use super::send::Send;
use super::streams::Streams;
use std::time::Instant;

/// One connection's state.
#[derive(Debug)]
pub struct Qmux {
    pub(super) peer: Peer,
    pub(super) counts: Counts,
    pub(super) budgets: Budgets,
    /// The peer's first frame has come.
    pub(super) has_begun: bool,
    pub(super) decoder: Decoder,
    pub(super) bodies: Bodies,
    pub(super) streams: Streams,
    pub(super) control: Control,
    pub(super) ping: Ping,
    pub(super) credit: Credit,
    pub(super) send: Send,
    /// Meta of the streams that live, and texts under way.
    pub(super) meta_total: usize,
    pub(super) text_total: usize,
    /// The last frame was padding.
    pub(super) was_padding: bool,
    /// Bytes of pings in the outbox that repeat one without an answer.
    pub(super) repeated: u64,
}

/// Frames of the peer's that may speak of a stream which has just ended here: a stop, a reset, credit, and a spare one.
const CROSSING: u32 = 4;

impl Qmux {
    /// A connection on which nothing was sent or received. `seed` should be random.
    pub fn new(config: &Config, side: Side, seed: u64, now: Instant) -> Self {
        let qmux = &config.qmux;
        let mut budgets = Budgets::new(qmux);
        if let Some(left) = config.resets_left {
            budgets.resets.start_with(left, now);
        }
        Self {
            peer: Peer::default(),
            counts: Counts::new(qmux, side),
            budgets,
            has_begun: false,
            decoder: Decoder::default(),
            bodies: Bodies::default(),
            streams: Streams::new(seed),
            control: Control::default(),
            ping: Ping::new(qmux, now),
            credit: Credit::new(qmux),
            send: Send::default(),
            meta_total: 0,
            text_total: 0,
            was_padding: false,
            repeated: 0,
        }
    }

    /// Our first frame: before any other.
    pub fn write_parameters<S: Sink>(&mut self, cx: &mut Context<'_, S>) {
        let parameters = Parameters::encode(cx.config);
        let mut bytes = frame::numbers(frame::PARAMETERS, [parameters.len() as u64]);
        bytes.extend_from_slice(&parameters);
        self.send.push_frame(&bytes, cx);
        // Alone, so that it is the whole of the first record: what every peer is known to understand.
        self.send.complete_record(cx);
    }

    /// The peer's parameters are in force.
    pub(super) fn set_peer(&mut self, peer: Parameters) {
        self.send.raise(peer.max_data);
        self.counts.raise(peer.max_streams);
        self.ping.set_peer_timeout(peer.idle_timeout);
        self.peer.declare(peer);
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

    /// How many streams the peer may reset at once.
    pub fn resets_left(&self, now: Instant) -> u32 {
        self.budgets.resets.left(now)
    }

    /// Encodes all that may be sent now, and completes the last record: the outbox is about to be taken from.
    pub fn prepare<S: Sink>(&mut self, cx: &mut Context<'_, S>) {
        self.flush(cx);
        // A ping that is repeated is no sign of life.
        if cx.outbox.len() as u64 > std::mem::take(&mut self.repeated) {
            self.ping.sent(cx.now);
        }
        self.send.complete_record(cx);
    }

    /// Encodes what may be sent now, as far as there is room.
    pub fn flush<S: Sink>(&mut self, cx: &mut Context<'_, S>) {
        self.flush_control(cx);
        self.fill(cx);
    }

    /// Encodes what waits on streams, turn by turn, while there is room.
    pub(super) fn fill<S: Sink>(&mut self, cx: &mut Context<'_, S>) {
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

    /// Bytes that wait on streams and may be sent as soon as there is room.
    pub fn ready(&self) -> u64 {
        self.send.ready()
    }

    /// Bytes that wait on streams for the peer's reader, or for a place for their stream.
    pub fn waiting(&self) -> u64 {
        self.send.waiting_for_peer()
    }

    /// Bytes that wait on one stream.
    pub fn queued_on(&mut self, handle: Handle) -> u64 {
        self.streams
            .get(handle)
            .map_or(0, |stream| stream.send.queued())
    }

    /// How often the application was told that a stream is blocked.
    pub fn blocked_events(&self) -> u32 {
        self.send.blocked_events()
    }

    /// Whether nothing waits that can still be sent.
    pub fn is_flushed(&self) -> bool {
        self.send.is_flushed() && self.control.is_empty()
    }

    /// The peer sends nothing more.
    pub fn receive_fin(&mut self) -> Result<(), ProtocolError> {
        if !self.decoder.is_between_records() {
            return Err(ProtocolError::FrameTruncated);
        }
        self.send.peer_finished();
        self.ping.stop();
        Ok(())
    }

    /// Whether the peer's parameters are in force.
    pub fn knows_peer(&self) -> bool {
        self.peer.is_known()
    }

    /// The connection stands from now on.
    pub fn started(&mut self, now: Instant) {
        self.ping.heard(now);
        self.ping.arrived(now);
    }

    /// Nothing was read, so nothing can have come.
    pub fn excuse(&mut self, now: Instant) {
        self.ping.excuse(now);
    }

    /// Something whole came by the other wire.
    pub fn heard(&mut self, now: Instant) {
        self.ping.heard(now);
        self.ping.arrived(now);
    }

    /// Pings cannot be sent any more.
    pub fn stop_pings(&mut self) {
        self.ping.stop();
    }

    /// When the timers want a look.
    pub fn deadline(&self) -> Option<Instant> {
        self.ping.deadline()
    }

    /// The timers' deadline may have come.
    pub fn timeout(&mut self, now: Instant) -> Result<(), ProtocolError> {
        self.ping.timeout(now)
    }

    /// The last frame: why the connection ends.
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
        if !cx.outbox.is_closed() {
            self.send.push_frame(&bytes, cx);
            self.send.complete_record(cx);
            cx.outbox.close();
        }
    }

    /// Gives spare memory back: the connection has gone quiet.
    pub fn shrink(&mut self) {
        self.send.shrink();
        self.streams.shrink();
        self.control.shrink();
        self.credit.shrink();
        self.bodies.shrink();
    }

    /// Nothing is held back any more of a stream whose both halves are over: it leaves the table.
    pub(super) fn settle<S: Sink>(&mut self, handle: Handle, cx: &mut Context<'_, S>) {
        if !self
            .streams
            .get(handle)
            .is_some_and(|stream| stream.is_over())
        {
            return;
        }
        let Some(stream) = self.streams.remove(handle) else {
            return;
        };
        if handle.is_local() || stream.is_answered {
            // What its two ends said of it may have crossed its end.
            self.budgets.useless.earn(CROSSING);
        }
        self.meta_total -= stream.meta;
        self.text_total -= stream.recv.text().len();
        if handle.is_local() {
            cx.emit(Event::Closed(handle), Payload::Empty);
            return;
        }
        if !stream.is_answered {
            self.counts.answer();
        }
        if !stream.is_counted {
            self.counts.end_theirs();
        }
        match stream.is_known {
            true => cx.emit(Event::Closed(handle), Payload::Empty),
            // The application never heard of it.
            false => self.streams.forget(handle),
        }
    }
}
