//! One connection's protocol state: the one orchestrator. It knows streams by handle, what is queued and what may be
//! read, and leaves the bytes to its wire.
//!
//! The way of one byte out: `data` → the wire encodes a frame into the outbox → `take_transmit` → the driver sends →
//! `transmitted`. In: the driver reads → `receive` → the wire decodes → `Sink::emit` with a range of what was read.
//!
//! May not know the bytes of any wire.

use super::config::{Config, Side};
use super::error::ProtocolError;
use super::event::{Event, Handle, Payload, PeerKind, Sink};
use super::legacy::{Context, Legacy};
use super::negotiate::{self, Negotiation, Start};
use super::outbox::{Outbox, Transmit};
use super::pace::{self, Pace};
use std::collections::VecDeque;
use std::ops::Range;
use std::time::Instant;

/// Most bytes encoded ahead of the socket. Behind it the driver keeps commands as they are, so that a change of wire
/// is never far behind in the queue.
const MAX_ENCODED: u64 = 256 << 10;

/// The session.
#[derive(Debug)]
pub struct Session {
    config: Config,
    negotiation: Negotiation,
    start: Start,
    /// First bytes that do not decide yet what the connection speaks.
    undecided: Vec<u8>,
    wire: Legacy,
    outbox: Outbox,
    pace: Pace,
    encoded: u64,
    sent: u64,
    marks: VecDeque<(u64, u32)>,
    held: u64,
}

/// Lets the wire work on the session's other parts.
macro_rules! wire {
    ($self:ident, $sink:expr, |$wire:ident, $cx:ident| $work:expr) => {{
        let before = $self.outbox.len();
        let $wire = &mut $self.wire;
        let $cx = &mut Context {
            config: &$self.config,
            negotiation: &mut $self.negotiation,
            outbox: &mut $self.outbox,
            pace: &mut $self.pace,
            sink: $sink,
        };
        let result = $work;
        $self.encoded += ($self.outbox.len() - before) as u64;
        result
    }};
}

impl Session {
    /// A session at the start of a connection. `nonce` should be random: it tells our own offer from a peer's.
    pub fn new(config: Config, side: Side, nonce: [u8; 8]) -> Self {
        let mut session = Self {
            negotiation: Negotiation::new(config.offer, side, nonce),
            start: Start::Undecided,
            undecided: Vec::new(),
            wire: Legacy::default(),
            outbox: Outbox::default(),
            pace: Pace::new(!config.peer_new),
            encoded: 0,
            sent: 0,
            marks: VecDeque::new(),
            held: 0,
            config,
        };
        if side == Side::Connecting {
            wire!(session, &mut NoEvents, |_wire, cx| cx.write_offer());
        }
        session
    }

    /// It is known whether the peer is on this machine, which the pacing towards an old one goes by.
    pub fn set_local(&mut self, local: bool) {
        self.pace.set_patience(if local {
            pace::PATIENCE_HERE
        } else {
            pace::PATIENCE_FAR
        });
    }

    /// What is known of the peer.
    pub fn peer(&self) -> PeerKind {
        self.negotiation.peer()
    }

    /// Takes bytes from the peer.
    pub fn receive<S: Sink>(&mut self, input: &[u8], sink: &mut S) -> Result<(), ProtocolError> {
        if self.start == Start::Legacy {
            return wire!(self, sink, |wire, cx| wire.receive(input, cx));
        }
        self.receive_start(input, sink)
    }

    /// Takes the first bytes, which decide what the connection speaks.
    fn receive_start<S: Sink>(&mut self, input: &[u8], sink: &mut S) -> Result<(), ProtocolError> {
        let missing = negotiate::MAX_START - self.undecided.len();
        let (head, _) = input.split_at(input.len().min(missing));
        let before = self.undecided.len();
        self.undecided.extend_from_slice(head);
        self.start = negotiate::recognise(&self.undecided);
        match self.start {
            Start::Undecided => Ok(()),
            Start::Qmux => Err(ProtocolError::QmuxStart),
            Start::Legacy => {
                let mut first = std::mem::take(&mut self.undecided);
                first.truncate(before);
                let mut owned = FromEarlier {
                    input: &first,
                    sink,
                };
                wire!(self, &mut owned, |wire, cx| wire.receive(&first, cx))?;
                self.receive(input, sink)
            }
        }
    }

    /// The peer finished sending.
    pub fn receive_fin(&mut self) -> Result<(), ProtocolError> {
        match self.undecided.is_empty() && self.wire.is_between_frames() {
            true => Ok(()),
            false => Err(ProtocolError::FrameTruncated),
        }
    }

    /// Opens a stream; `meta` is a JSON text.
    pub fn open<S: Sink>(&mut self, stream: Handle, meta: &[u8], sink: &mut S) {
        if stream.is_local() {
            wire!(self, sink, |wire, cx| wire.open(
                stream.slot() as u32,
                meta,
                cx
            ));
        }
    }

    /// Sends one message on a stream. A command for a stream that has closed meanwhile is dropped: it crossed the
    /// event that says so.
    pub fn data<S: Sink>(&mut self, stream: Handle, payload: &[u8], sink: &mut S) {
        if stream.is_local() {
            wire!(self, sink, |wire, cx| wire.data(
                stream.slot() as u32,
                payload,
                cx
            ));
        }
    }

    /// Ends a stream, with a value (a JSON text) or without.
    pub fn end<S: Sink>(&mut self, stream: Handle, value: Option<&[u8]>, sink: &mut S) {
        if stream.is_local() {
            wire!(self, sink, |wire, cx| wire.end(
                stream.slot() as u32,
                value,
                cx
            ));
        }
    }

    /// Acknowledges a stream of the peer's.
    pub fn accept<S: Sink>(&mut self, stream: Handle, sink: &mut S) {
        if !stream.is_local() {
            wire!(self, sink, |wire, cx| wire.accept(stream.slot() as u32, cx));
        }
    }

    /// Drops what still comes of a stream of the peer's.
    pub fn discard(&mut self, stream: Handle) {
        if !stream.is_local() {
            self.wire.discard(stream.slot() as u32);
        }
    }

    /// The application has seen `Closed` of a stream of the peer's; its handle may be used again.
    pub fn forget(&mut self, stream: Handle) {
        if !stream.is_local() {
            self.wire.forget(stream.slot() as u32);
        }
    }

    /// Asks for `Event::Mark(id)` when everything commanded so far is with the kernel.
    pub fn mark<S: Sink>(&mut self, id: u32, sink: &mut S) {
        if self.queued() == 0 {
            sink.emit(Event::Mark(id), Payload::Empty);
        } else {
            self.marks.push_back((self.encoded, id));
        }
    }

    /// `bytes` of what was delivered are not consumed yet.
    pub fn hold(&mut self, bytes: u32) {
        self.held += u64::from(bytes);
    }

    /// `bytes` of what was held are consumed.
    pub fn release(&mut self, bytes: u32) {
        debug_assert!(
            self.held >= u64::from(bytes),
            "no more is released than was held"
        );
        self.held = self.held.saturating_sub(bytes.into());
    }

    /// Nothing is sent behind what is queued: not the answer to what the peer still sends, either.
    pub fn finish(&mut self) {
        self.outbox.close();
    }

    /// Whether the socket may be read: this wire has no credit, so what paused streams hold stops the connection.
    pub fn wants_read(&self) -> bool {
        self.held <= self.config.hold_limit as u64
    }

    /// Bytes encoded and not yet with the kernel.
    pub fn queued(&self) -> u64 {
        self.encoded - self.sent
    }

    /// Whether another command that writes may be applied now.
    pub fn can_encode(&self) -> bool {
        self.queued() < MAX_ENCODED
    }

    /// Takes bytes to send. While they are not all sent, nothing else may be.
    pub fn take_transmit(&mut self) -> Option<Transmit> {
        let paced = self.pace.is_active();
        if paced && !self.pace.can_send(self.outbox.first_send()) {
            return None;
        }
        let transmit = self.outbox.take(paced)?;
        if paced {
            self.pace.taken(transmit.charge);
        }
        Some(transmit)
    }

    /// Takes all that is left to send, whatever the pace: the process is about to exit.
    pub fn take_rest(&mut self) -> Option<Transmit> {
        self.outbox.take(false)
    }

    /// The kernel took `bytes` of what was taken to send.
    pub fn transmitted<S: Sink>(&mut self, bytes: usize, sink: &mut S) {
        self.sent += bytes as u64;
        debug_assert!(
            self.sent <= self.encoded,
            "no more is sent than was encoded"
        );
        while let Some(&(at, id)) = self.marks.front() {
            if at > self.sent {
                break;
            }
            self.marks.pop_front();
            sink.emit(Event::Mark(id), Payload::Empty);
        }
    }

    /// All of a transmit is with the kernel.
    pub fn transmit_done(&mut self, transmit: Transmit, now: Instant) {
        debug_assert!(transmit.is_empty());
        self.outbox.recycle(transmit);
        self.pace.written(now);
    }

    /// When to look at the socket's send queue and call [`Session::look`]; only while something waits to be sent.
    pub fn deadline(&self) -> Option<Instant> {
        if self.outbox.is_empty() {
            None
        } else {
            self.pace.deadline()
        }
    }

    /// The deadline has come; `unsent` is what the socket's send queue still holds.
    pub fn look(&mut self, now: Instant, unsent: usize) {
        self.pace.look(now, unsent);
    }

    /// The connection has gone quiet: gives spare memory back.
    pub fn shrink(&mut self) {
        if self.queued() == 0 {
            self.outbox.shrink();
        }
    }
}

/// A sink where no event can arise.
struct NoEvents;

impl Sink for NoEvents {
    fn emit(&mut self, event: Event, _payload: Payload<'_>) {
        debug_assert!(false, "no event can arise here: {event:?}");
    }
}

/// Turns ranges of bytes that came with an earlier input into texts of their own.
struct FromEarlier<'a, S> {
    input: &'a [u8],
    sink: &'a mut S,
}

impl<S: Sink> Sink for FromEarlier<'_, S> {
    fn emit(&mut self, event: Event, payload: Payload<'_>) {
        let payload = match payload {
            Payload::Input(Range { start, end }) => Payload::Owned(&self.input[start..end]),
            other => other,
        };
        self.sink.emit(event, payload);
    }
}
