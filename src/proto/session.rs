//! One connection's protocol state: the one orchestrator. It knows streams by handle, what is queued and what may be
//! read, and leaves the bytes to its wires.
//!
//! ```text
//!   receiving:  Start ──legacy bytes──▶ Legacy ──the peer's switch──▶ Qmux         sending: legacy while there is no
//!                 └────records────────────────────────────────────────▲           `qmux`, its records from then on
//! ```
//!
//! The way of one byte out: `data` → the wire encodes a frame into the outbox → `take_transmit` → the driver sends →
//! `transmitted`. In: the driver reads → `receive` → the wire decodes → `Sink::emit` with a range of what was read.
//!
//! May not know the bytes of any wire.

use super::config::{Config, Protocol, Side};
use super::error::ProtocolError;
use super::event::{Event, Handle, Partial, Payload, PeerKind, Sink, Wires};
use super::legacy::Legacy;
use super::marks::Marks;
use super::negotiate::{self, Negotiation, Start};
use super::outbox::{MAX_ENCODED, Outbox, Transmit};
use super::pace::{self, Pace};
use super::qmux::Qmux;
use lobby::{FromEarlier, Lobby, NoEvents};
use std::time::{Duration, Instant};
use watch::Watch;

/// Which wire the peer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receiving {
    Start,
    Legacy,
    Qmux,
}

/// The session.
#[derive(Debug)]
pub struct Session {
    config: Config,
    side: Side,
    seed: u64,
    negotiation: Negotiation,
    receiving: Receiving,
    /// First bytes that do not decide yet what the connection speaks.
    undecided: Vec<u8>,
    legacy: Legacy,
    /// The wire that we send after our switch.
    qmux: Option<Box<Qmux>>,
    outbox: Outbox,
    pace: Pace,
    marks: Marks,
    /// The marks of callers who wait until everything is sent.
    barriers: Vec<u32>,
    held: u64,
    /// Commands that only QMux can express, until it is known whether the peer speaks QMux.
    postponed: commands::Postponed,
    /// Streams of the peer's for which there is no place yet.
    lobby: Lobby,
    watch: Watch,
    /// The application gives no more commands.
    is_finishing: bool,
    /// The time, as of the last call that passed it.
    now: Instant,
}

mod commands;
mod counts;
mod lobby;
mod split;
mod watch;

impl Session {
    /// A session at the start of a connection. `nonce` should be random: it tells our own offer from a peer's.
    pub fn new(config: Config, side: Side, nonce: [u8; 8], now: Instant) -> Self {
        let offers = config.protocol == Protocol::Auto;
        let speaks_legacy = config.protocol != Protocol::Qmux;
        let mut session = Self {
            negotiation: Negotiation::new(offers, side, nonce),
            side,
            seed: u64::from_le_bytes(nonce),
            receiving: Receiving::Start,
            undecided: Vec::new(),
            legacy: Legacy::default(),
            qmux: None,
            outbox: Outbox::default(),
            pace: Pace::new(speaks_legacy && !config.peer_new),
            marks: Marks::default(),
            barriers: Vec::new(),
            held: 0,
            postponed: commands::Postponed::default(),
            watch: Watch::new(&config, now),
            lobby: Lobby::new(config.qmux.max_incoming_streams),
            is_finishing: false,
            now,
            config,
        };
        if !speaks_legacy {
            session.start_qmux(&mut NoEvents);
        } else if side == Side::Connecting {
            let sink = &mut NoEvents;
            let (_, mut cx) = session.legacy(sink);
            cx.write_offer();
        }
        session
    }

    /// Speaks QMux from the first byte on.
    fn start_qmux<S: Sink>(&mut self, sink: &mut S) {
        self.negotiation.recv_records();
        self.pace.lift();
        let wire = Qmux::new(&self.config, self.side, self.seed, self.now);
        self.qmux = Some(Box::new(wire));
        if let Some((wire, mut cx)) = self.qmux(sink) {
            wire.write_parameters(&mut cx);
        }
    }

    /// Both ends have agreed elsewhere on QMux, from the first byte on. Nothing may have been said or commanded yet.
    pub fn speak_qmux(&mut self, now: Instant) {
        let mut config = self.config.clone();
        config.protocol = Protocol::Qmux;
        *self = Self::new(config, self.side, self.seed.to_le_bytes(), now);
    }

    /// The time that the peer has to say what it speaks. Zero: no limit.
    pub fn handshake_timeout(&self) -> Duration {
        self.config.handshake_timeout
    }

    /// The peer may reset no more than this many streams at once, for now, because it used the rest up on another
    /// connection.
    pub fn set_resets(&mut self, left: u32) {
        self.config.resets_left = Some(left);
        if let Some(wire) = &mut self.qmux {
            wire.set_resets(left, self.now);
        }
    }

    /// The number of streams that the peer may reset at once; `None` while we do not send QMux.
    pub fn resets_left(&self, now: Instant) -> Option<u32> {
        Some(self.qmux.as_ref()?.resets_left(now))
    }

    /// It has become known whether the peer is on this machine, on which the pacing towards an old peer depends.
    pub fn set_local(&mut self, local: bool) {
        self.pace.set_patience(if local {
            pace::PATIENCE_HERE
        } else {
            pace::PATIENCE_FAR
        });
    }

    /// The kind of the peer, as far as it is known.
    pub fn peer(&self) -> PeerKind {
        self.negotiation.peer()
    }

    /// Whether anything was ever to be sent to the peer.
    pub fn has_spoken(&self) -> bool {
        self.outbox.total() > 0
    }

    /// Which directions speak QMux.
    pub fn wires(&self) -> Wires {
        Wires {
            sending: self.qmux.is_some(),
            receiving: self.receiving == Receiving::Qmux,
            foreign: self.qmux.as_ref().is_some_and(|qmux| qmux.is_foreign()),
            hears_unread: self.qmux.as_ref().is_some_and(|qmux| qmux.hears_unread()),
        }
    }

    /// Takes bytes from the peer.
    pub fn receive<S: Sink>(
        &mut self,
        input: &[u8],
        now: Instant,
        sink: &mut S,
    ) -> Result<(), ProtocolError> {
        self.now = now;
        self.watch.start(now);
        match self.receiving {
            Receiving::Qmux => self.receive_qmux(input, 0, sink)?,
            Receiving::Legacy => self.receive_legacy(input, sink)?,
            Receiving::Start => self.receive_start(input, sink)?,
        }
        self.settle_lobby(sink)
    }

    /// The message within which the last input ended, if its parts are to be put together. The last event with bytes of
    /// the input had its first part, and the first event of the next input will have the rest, unless nobody wants the message
    /// any more.
    pub fn partial(&self) -> Option<Partial> {
        match self.receiving {
            Receiving::Qmux => self.qmux.as_ref()?.partial(),
            Receiving::Legacy => self.legacy.partial(),
            Receiving::Start => None,
        }
    }

    fn receive_qmux<S: Sink>(
        &mut self,
        input: &[u8],
        at: usize,
        sink: &mut S,
    ) -> Result<(), ProtocolError> {
        match self.qmux_reading(input, sink) {
            Some((wire, mut cx)) => wire.receive(input, at, &mut cx),
            None => Ok(()),
        }
    }

    fn receive_legacy<S: Sink>(&mut self, input: &[u8], sink: &mut S) -> Result<(), ProtocolError> {
        let (wire, mut cx) = self.legacy_reading(input, sink);
        let at = wire.receive(input, &mut cx)?;
        if self.legacy.take_heard() {
            self.watch.heard(self.now);
            if let Some(wire) = &mut self.qmux {
                wire.heard(self.now);
            }
        }
        self.do_postponed(sink);
        if !self.legacy.is_over() {
            if let Some((wire, mut cx)) = self.qmux(sink) {
                wire.flush(&mut cx);
            }
            return Ok(());
        }
        // The byte behind the switch is a record's.
        self.receiving = Receiving::Qmux;
        self.legacy = Legacy::default();
        sink.emit(Event::Wires(self.wires()), Payload::Empty);
        if let Some(wire) = &mut self.qmux {
            wire.end_carrying();
        }
        self.receive_qmux(input, at, sink)
    }

    /// Takes the first bytes, which decide what the connection speaks.
    fn receive_start<S: Sink>(&mut self, input: &[u8], sink: &mut S) -> Result<(), ProtocolError> {
        let missing = negotiate::MAX_START - self.undecided.len();
        let (head, _) = input.split_at(input.len().min(missing));
        let before = self.undecided.len();
        self.undecided.extend_from_slice(head);
        let start = negotiate::recognise(&self.undecided);
        self.receiving = match start {
            Start::Undecided => return Ok(()),
            Start::Other(what) => return Err(ProtocolError::WrongProtocol(what)),
            Start::Legacy if self.config.protocol == Protocol::Qmux => {
                return Err(ProtocolError::NotQmux);
            }
            Start::Legacy => Receiving::Legacy,
            Start::Qmux => {
                self.begin_records(sink)?;
                Receiving::Qmux
            }
        };
        let mut first = std::mem::take(&mut self.undecided);
        first.truncate(before);
        let mut owned = FromEarlier {
            input: &first,
            sink,
        };
        match self.receiving {
            // The switch to QMux was decided without a legacy frame, so what was postponed is done now.
            Receiving::Qmux => {
                self.do_postponed(&mut owned);
                self.receive_qmux(&first, 0, &mut owned)?;
            }
            // So few bytes hold no switch.
            _ => self.receive_legacy(&first, &mut owned)?,
        }
        match self.receiving {
            Receiving::Qmux => self.receive_qmux(input, 0, sink),
            _ => self.receive_legacy(input, sink),
        }
    }

    /// The peer starts with records, and so do we, unless something was said already.
    fn begin_records<S: Sink>(&mut self, sink: &mut S) -> Result<(), ProtocolError> {
        if self.qmux.is_some() {
            sink.emit(Event::Peer(PeerKind::New), Payload::Empty);
            return Ok(());
        }
        let listens = self.config.protocol == Protocol::Auto && self.side == Side::Listening;
        if !listens || self.negotiation.has_offered() {
            return Err(ProtocolError::QmuxStart);
        }
        self.start_qmux(sink);
        sink.emit(Event::Peer(PeerKind::New), Payload::Empty);
        Ok(())
    }

    /// The peer has ended its direction.
    pub fn receive_fin(&mut self) -> Result<(), ProtocolError> {
        let is_at_boundary = self.undecided.is_empty() && self.legacy.is_between_frames();
        match &mut self.qmux {
            _ if !is_at_boundary => Err(ProtocolError::FrameTruncated),
            Some(qmux) => qmux.receive_fin(),
            None => Ok(()),
        }
    }

    /// Encodes why the connection ends, as its last frame, and drops what waits. The legacy wire has no such frame. If
    /// the wire is not known yet, the frame waits until it is; see [`Session::owes_close`].
    pub fn close(&mut self, code: u64, application: bool, reason: &str) {
        if self.postpone_close(code, application, reason) {
            return;
        }
        if let Some((wire, mut cx)) = self.qmux(&mut NoEvents) {
            wire.close(code, application, reason, &mut cx);
        }
        self.outbox.seal();
    }

    /// The application gives no more commands: what is queued is sent last. On the legacy wire, answers to what the
    /// peer still sends are not sent either.
    pub fn finish(&mut self) {
        self.is_finishing = true;
        if self.qmux.is_none() {
            self.outbox.seal();
        }
    }

    /// Whether the socket may be read. The legacy wire has no credit, so bytes held by paused streams stop the
    /// connection. QMux has credit, so only the application's pause does. Between our switch and the peer's neither
    /// may, because the switch might never be read.
    pub fn wants_read(&self, paused: bool) -> bool {
        match (&self.qmux, self.receiving) {
            (None, _) => !paused && self.held <= self.config.hold_limit as u64,
            // An honest peer can still send far less than this on the legacy wire.
            (Some(_), Receiving::Legacy) => self.held <= self.config.qmux.max_held,
            (Some(_), _) => !paused,
        }
    }

    /// The bytes that are encoded and that the kernel has not taken.
    fn encoded(&self) -> u64 {
        self.outbox.total() - self.marks.sent()
    }

    /// Whether there is, or may be, something to send now.
    pub fn wants_write(&self) -> bool {
        let is_open = !self.outbox.is_sealed();
        self.encoded() > 0 || is_open && self.qmux.as_ref().is_some_and(|qmux| qmux.wants_control())
    }

    /// Whether another command that writes may be applied now. With QMux, streams keep what cannot be encoded.
    pub fn can_encode(&self) -> bool {
        self.qmux.is_some() || self.encoded() < MAX_ENCODED
    }

    /// Whether the kernel has taken all that was commanded, and the last word, if there is one.
    pub fn is_flushed(&self) -> bool {
        self.encoded() == 0
            && self
                .qmux
                .as_ref()
                .is_none_or(|qmux| qmux.is_flushed() || self.outbox.is_sealed())
            && !self.owes_last_word()
    }

    /// Whether a foreign peer is still to be told that the connection ends in order.
    fn owes_last_word(&self) -> bool {
        let is_foreign = self.qmux.as_ref().is_some_and(|qmux| qmux.is_foreign());
        self.is_finishing && is_foreign && !self.outbox.is_sealed()
    }

    /// Takes bytes to send. Nothing else may be sent until all of them are.
    pub fn take_transmit<S: Sink>(&mut self, now: Instant, sink: &mut S) -> Option<Transmit> {
        self.now = now;
        self.prepare(sink);
        let paced = self.pace.is_active();
        if paced && !self.pace.can_send(self.outbox.first_send()) {
            return None;
        }
        let transmit = self.outbox.take(paced)?;
        self.watch.heard(now);
        if paced {
            self.pace.taken(transmit.charge());
        }
        Some(transmit)
    }

    /// Takes all that is queued, and behind it the head of a long message. The caller sends the payload right behind
    /// that, from its own memory, and appends what it could not send by [`Session::put_behind`]. Returns `None` if the
    /// message cannot be sent at once as a whole.
    pub fn take_with_head<S: Sink>(
        &mut self,
        stream: Handle,
        payload: usize,
        now: Instant,
        sink: &mut S,
    ) -> Option<Transmit> {
        if self.pace.is_active() {
            return None;
        }
        self.now = now;
        self.prepare(sink);
        if self.outbox.is_sealed() || !self.outbox.takes_all_at_once() {
            return None;
        }
        let is_encoded = if let Some((wire, mut cx)) = self.qmux(sink) {
            wire.data_head(stream, payload, &mut cx)
        } else {
            let (wire, mut cx) = self.legacy(sink);
            stream.is_local() && wire.data_head(stream.slot() as u32, payload, &mut cx)
        };
        if !is_encoded {
            return None;
        }
        self.watch.heard(now);
        self.outbox.take(false)
    }

    /// Appends to a transmit a copy of the part of a payload that the caller could not send.
    pub fn put_behind(&mut self, transmit: &mut Transmit, rest: &[u8]) {
        self.outbox.put_behind(transmit, rest);
    }

    /// Encodes what may be sent now.
    fn prepare<S: Sink>(&mut self, sink: &mut S) {
        if let Some((wire, mut cx)) = self.qmux(sink) {
            wire.prepare(&mut cx);
        }
        self.admit(sink);
        if self.owes_last_word()
            && self.encoded() == 0
            && self.qmux.as_ref().is_some_and(|qmux| qmux.is_flushed())
        {
            self.close(0, true, "");
        }
        self.tell_barriers(sink);
    }

    /// Takes all that is left to send, without pacing, because the process is about to exit.
    pub fn take_rest<S: Sink>(&mut self, sink: &mut S) -> Option<Transmit> {
        self.prepare(sink);
        self.outbox.take(false)
    }

    /// The kernel took `bytes` of what was taken to send.
    pub fn transmitted<S: Sink>(&mut self, bytes: usize, sink: &mut S) {
        self.marks.transmitted(bytes as u64, sink);
        debug_assert!(
            self.marks.sent() <= self.outbox.total(),
            "no more is sent than was encoded"
        );
        self.tell_barriers(sink);
    }

    fn tell_barriers<S: Sink>(&mut self, sink: &mut S) {
        if !self.barriers.is_empty() && self.is_flushed() {
            for id in std::mem::take(&mut self.barriers) {
                sink.emit(Event::Mark(id), Payload::Empty);
            }
        }
    }

    /// The driver has ended our direction: nothing more is sent.
    pub fn write_ended(&mut self) {
        self.outbox.seal();
        if let Some(qmux) = &mut self.qmux {
            qmux.disable_pings();
        }
    }

    /// The kernel has taken all of a transmit.
    pub fn transmit_done(&mut self, transmit: Transmit, now: Instant) {
        self.recycle(transmit);
        self.written(now);
    }

    /// Takes the memory of a transmit back, whose bytes the kernel has taken, or others have copied.
    pub fn recycle(&mut self, transmit: Transmit) {
        debug_assert!(transmit.is_empty());
        self.outbox.recycle(transmit);
    }

    /// The kernel has taken all that was taken to be sent.
    pub fn written(&mut self, now: Instant) {
        self.pace.written(now);
    }

    /// Frees spare memory, because little happens on the connection.
    pub fn shrink(&mut self) {
        if self.encoded() == 0 {
            self.outbox.shrink();
            if let Some(qmux) = &mut self.qmux {
                qmux.shrink();
            }
        }
    }
}
