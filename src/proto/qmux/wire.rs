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
use super::super::event::{Event, Handle, MAX_MESSAGE, Payload, Sink};
use super::bodies::Bodies;
use super::budget::Budget;
use super::control::Control;
use super::decoder::Decoder;
use super::frame;
use super::parameters::Parameters;
use super::ping::Ping;
use super::record::Records;
use super::scheduler::Scheduler;
use super::stream::NO_MARK;
use super::streams::Streams;
use super::window::{RecvWindow, SendWindow};
use std::collections::VecDeque;
use std::time::Instant;

/// What all streams of the peer's may send together.
#[derive(Debug)]
pub struct Credit {
    pub window: RecvWindow,
    /// As for a stream.
    pub seen: u64,
    pub marked: u64,
    pub held: u64,
    /// It has become too much.
    pub is_flooded: bool,
}

/// One connection's state.
#[derive(Debug)]
pub struct Qmux {
    /// What the peer declared; none yet: what needs it waits.
    pub(super) peer: Option<Parameters>,
    /// The parameters in the peer's offer, which it has to repeat.
    pub(super) offered: Option<Vec<u8>>,
    /// The peer's first frame has come.
    pub(super) has_begun: bool,
    pub(super) decoder: Decoder,
    pub(super) bodies: Bodies,
    pub(super) streams: Streams,
    pub(super) records: Records,
    pub(super) scheduler: Scheduler,
    pub(super) control: Control,
    pub(super) ping: Ping,
    /// What the peer may send on all streams, and what we may.
    pub(super) credit: Credit,
    pub(super) send: SendWindow,
    /// How many streams the peer may open, and how many we may.
    pub(super) incoming: RecvWindow,
    pub(super) outgoing: SendWindow,
    /// Streams of the peer's that do not wait for the application's answer any more.
    pub(super) answered: u64,
    /// Streams of ours that wait for a place.
    pub(super) opens: VecDeque<Handle>,
    /// Memory for putting a meta together.
    pub(super) text: Vec<u8>,
    /// The stream whose meta is not all sent, and where that ends: others begin behind it, so that the peer learns of them
    /// in their order.
    pub(super) opening: Option<(Handle, u64)>,
    /// Bytes that wait on streams: on those that wait for the peer's reader, on those that have not begun, and the others.
    pub(super) blocked: u64,
    pub(super) unbegun: u64,
    pub(super) ready: u64,
    /// How often the application was told that a stream is blocked.
    pub(super) blocked_events: u32,
    /// Longest message that is always sent whole, although others wait.
    pub(super) whole: usize,
    /// Longest payload of one frame.
    pub(super) longest: usize,
    /// Meta of the streams that live, and texts under way.
    pub(super) meta_total: usize,
    pub(super) text_total: usize,
    /// The application wants no new streams of the peer's.
    pub(super) goes_away: bool,
    /// We serve so many of the peer's streams and no more.
    pub(super) served: Option<u64>,
    /// The peer serves so many of ours.
    pub(super) peer_serves: u64,
    /// The peer may be told how many streams it may open: its switch was read.
    pub(super) can_allow: bool,
    /// Streams of the peer's that ended before its switch.
    pub(super) carried_ends: u64,
    /// The peer sends nothing more: what has no credit never gets any.
    pub(super) peer_has_finished: bool,
    /// The last frame was padding.
    pub(super) was_padding: bool,
    /// Bytes of pings in the outbox that repeat one without an answer.
    pub(super) repeated: u64,
    pub resets: Budget,
    pub(super) pings: Budget,
    pub(super) empties: Budget,
    pub(super) useless: Budget,
}

/// Longest header in front of a payload in one frame: type, id, offset.
const HEADER_ROOM: usize = 1 + 8 + 8;

/// The same where no offset is needed.
const OUR_HEADER: usize = 1 + 8;

/// Frames of the peer's that may speak of a stream which has just ended here: a stop, a reset, credit, and a spare one.
const CROSSING: u32 = 4;

/// Longest payload of one frame where the peer takes any length.
const LONGEST: usize = MAX_MESSAGE;

impl Qmux {
    /// A connection on which nothing was sent or received. `seed` should be random.
    pub fn new(config: &Config, side: Side, seed: u64, now: Instant) -> Self {
        let qmux = &config.qmux;
        let allowed = qmux.max_incoming_streams.min(qmux.max_pending_streams);
        let mut incoming = RecvWindow::new(allowed, allowed);
        incoming.carry(0, allowed, qmux.max_incoming_streams);
        let mut resets = Budget::new(qmux.max_resets, "resets");
        if let Some(left) = config.resets_left {
            resets.start_with(left, now);
        }
        Self {
            peer: None,
            offered: None,
            has_begun: false,
            decoder: Decoder::default(),
            bodies: Bodies::default(),
            streams: Streams::new(side, seed),
            records: Records::default(),
            scheduler: Scheduler::default(),
            control: Control::default(),
            ping: Ping::new(qmux, now),
            credit: Credit {
                window: RecvWindow::new(qmux.connection_window, qmux.max_connection_window),
                seen: 0,
                marked: NO_MARK,
                held: 0,
                is_flooded: false,
            },
            send: SendWindow::default(),
            incoming,
            outgoing: SendWindow::default(),
            answered: 0,
            opens: VecDeque::new(),
            text: Vec::new(),
            opening: None,
            blocked: 0,
            unbegun: 0,
            ready: 0,
            blocked_events: 0,
            whole: 0,
            longest: 0,
            meta_total: 0,
            text_total: 0,
            goes_away: false,
            served: None,
            peer_serves: u64::MAX,
            can_allow: true,
            carried_ends: 0,
            peer_has_finished: false,
            was_padding: false,
            repeated: 0,
            resets,
            pings: Budget::new(qmux.max_pings, "pings"),
            empties: Budget::new(qmux.max_empty_frames, "empty frames"),
            useless: Budget::new(qmux.max_useless_frames, "frames of no use"),
        }
    }

    /// Our first frame: before any other.
    pub fn write_parameters<S: Sink>(&mut self, cx: &mut Context<'_, S>) {
        let parameters = Parameters::encode(cx.config);
        let mut bytes = frame::numbers(frame::PARAMETERS, [parameters.len() as u64]);
        bytes.extend_from_slice(&parameters);
        self.records.push(&bytes, 0, &[], cx.outbox);
        // Alone, so that it is the whole of the first record: what every peer is known to understand.
        self.close_record(cx);
    }

    /// The peer's parameters are in force.
    pub fn set_peer(&mut self, peer: Parameters) {
        self.send.raise(peer.max_data);
        self.outgoing.raise(peer.max_streams);
        self.ping.set_peer_timeout(peer.idle_timeout);
        // A record takes the header of its frame, too.
        let record = usize::try_from(peer.max_record).unwrap_or(usize::MAX);
        let header = match peer.is_ours {
            true => OUR_HEADER,
            false => HEADER_ROOM,
        };
        self.longest = record.saturating_sub(header).min(LONGEST);
        if peer.is_ours {
            // At half a window credit goes back, so a message of half a window never waits in vain.
            let windows = peer.max_data.min(peer.max_stream_data_local);
            let half = windows.min(peer.max_stream_data_remote) / 2;
            self.whole = self
                .longest
                .min(usize::try_from(half).unwrap_or(usize::MAX));
        }
        self.peer = Some(peer);
    }

    /// Whether the peer speaks our mapping.
    #[inline]
    pub fn is_ours(&self) -> bool {
        self.peer.as_ref().is_some_and(|peer| peer.is_ours)
    }

    /// Whether the peer is known to speak plain QMux.
    pub fn is_foreign(&self) -> bool {
        self.peer.as_ref().is_some_and(|peer| !peer.is_ours)
    }

    /// Whether the peer says when nobody there reads an answer, and understands it.
    pub fn hears_unread(&self) -> bool {
        self.peer.as_ref().is_some_and(|peer| peer.hears_unread)
    }

    /// Completes the record at the end of the outbox.
    pub fn close_record<S: Sink>(&mut self, cx: &mut Context<'_, S>) {
        self.records.close(cx.outbox);
        cx.marks.clamp(cx.outbox.total());
    }

    /// Encodes all that may be sent now, and completes the last record: the outbox is about to be taken from.
    pub fn prepare<S: Sink>(&mut self, cx: &mut Context<'_, S>) {
        self.flush(cx);
        // A ping that is repeated is no sign of life.
        if cx.outbox.len() as u64 > std::mem::take(&mut self.repeated) {
            self.ping.sent(cx.now);
        }
        self.close_record(cx);
    }

    /// Encodes what may be sent now, as far as there is room.
    pub fn flush<S: Sink>(&mut self, cx: &mut Context<'_, S>) {
        self.flush_control(cx);
        self.fill(cx);
    }

    /// Bytes that wait on streams and may be sent as soon as there is room.
    pub fn ready(&self) -> u64 {
        self.ready
    }

    /// Bytes that wait on streams for the peer's reader, or for a place for their stream.
    pub fn waiting(&self) -> u64 {
        self.blocked + self.unbegun
    }

    /// Bytes that wait on one stream.
    pub fn queued_on(&mut self, handle: Handle) -> u64 {
        self.streams
            .get(handle)
            .map_or(0, |stream| stream.send.queued())
    }

    /// How often the application was told that a stream is blocked.
    pub fn blocked_events(&self) -> u32 {
        self.blocked_events
    }

    /// Whether nothing waits that can still be sent.
    pub fn is_flushed(&self) -> bool {
        let waiting = self.ready + self.blocked + self.unbegun;
        let nothing_waits = self.scheduler.is_empty() && waiting == 0;
        (nothing_waits && self.opening.is_none() || self.peer_has_finished)
            && self.control.is_empty()
    }

    /// The peer sends nothing more.
    pub fn receive_fin(&mut self) -> Result<(), ProtocolError> {
        if !self.decoder.is_between_records() {
            return Err(ProtocolError::FrameTruncated);
        }
        self.peer_has_finished = true;
        self.ping.stop();
        Ok(())
    }

    /// Whether the peer's parameters are in force.
    pub fn knows_peer(&self) -> bool {
        self.peer.is_some()
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
            self.records.push(&bytes, 0, &[], cx.outbox);
            self.close_record(cx);
            cx.outbox.close();
        }
    }

    /// Gives spare memory back: the connection has gone quiet.
    pub fn shrink(&mut self) {
        self.scheduler.shrink();
        self.streams.shrink();
        self.control.shrink();
        self.bodies.shrink();
        self.opens.shrink_to_fit();
        self.text = Vec::new();
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
            self.useless.earn(CROSSING);
        }
        self.meta_total -= stream.meta;
        self.text_total -= stream.recv.text.len();
        if handle.is_local() {
            cx.emit(Event::Closed(handle), Payload::Empty);
            return;
        }
        if !stream.is_answered {
            self.answered += 1;
        }
        if !stream.is_counted {
            self.incoming.consume_one();
        }
        match stream.is_known {
            true => cx.emit(Event::Closed(handle), Payload::Empty),
            // The application never heard of it.
            false => self.streams.forget(handle),
        }
    }
}
