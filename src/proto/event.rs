//! What a session tells its application. No event owns bytes: a payload is a range of the input just received, or
//! a borrowed text that was put together from several inputs.
//!
//! May not know which wire an event came by.

use std::ops::Range;
use std::time::Duration;

/// A stream, as both sides of the boundary name it: even ones were opened here (the application chose the slot),
/// odd ones by the peer (the session chose).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle(pub u32);

impl Handle {
    /// The handle of the stream in `slot`, opened here.
    pub fn local(slot: u32) -> Self {
        Self(slot << 1)
    }

    /// The handle of the stream in `slot`, opened by the peer.
    pub fn remote(slot: u32) -> Self {
        Self((slot << 1) | 1)
    }

    /// Whether the stream was opened here.
    pub fn is_local(self) -> bool {
        self.0 & 1 == 0
    }

    /// The stream's place in the table of its direction.
    pub fn slot(self) -> usize {
        (self.0 >> 1) as usize
    }
}

/// The other end, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerKind {
    /// The peer has not sent a whole frame yet.
    Undecided,
    /// The peer is 0.1.0, or behaves as if: paced.
    Old,
    /// The peer sent an offer.
    New,
}

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The peer opened a stream; the payload is its meta, valid JSON.
    Stream {
        /// The stream.
        stream: Handle,
        /// The id on the wire.
        id: u32,
    },
    /// The peer accepted a stream of ours.
    Opened {
        /// The stream.
        stream: Handle,
        /// The id on the wire.
        id: u32,
    },
    /// Bytes of a stream: a whole message, or the next part of one.
    Data(Handle),
    /// A JSON value of a stream; the payload is its text, valid JSON.
    Json(Handle),
    /// The peer ended the stream. With a value, the payload is its JSON text.
    End {
        /// The stream.
        stream: Handle,
        /// Whether there is a value.
        has_value: bool,
    },
    /// Nothing more comes of this stream.
    Closed(Handle),
    /// Everything commanded before `mark(id)` is with the kernel.
    Mark(u32),
    /// What the peer is has become known.
    Peer(PeerKind),
    /// The wires in use have changed.
    Wires(Wires),
    /// The peer gave the rest of a stream up; the payload is its code, a decimal number.
    Reset(Handle),
    /// The peer wants no more of a stream; the payload is its code, a decimal number.
    Stopped(Handle),
    /// The peer refused a stream of ours; the payload is its code, a decimal number.
    Refused(Handle),
    /// The peer goes away and never served this stream of ours; none: it serves no new ones.
    GoAway(Option<Handle>),
    /// The opener of a stream of the peer's is done with it, and reads no answer.
    Unread(Handle),
    /// What was written on a stream waits for the peer's reader.
    Blocked(Handle),
    /// Most of what waited for the peer's reader has gone.
    Unblocked(Handle),
    /// To be answered by `Session::credit` when everything before has been seen; none: for the connection.
    Credit(Option<Handle>),
    /// The answer to `Session::ping`.
    Pong {
        /// The ping's number.
        id: u32,
        /// How long the answer took.
        rtt: Duration,
    },
}

/// Which directions speak QMux.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Wires {
    /// What we send.
    pub sending: bool,
    /// What we receive.
    pub receiving: bool,
    /// The peer speaks plain QMux, without our mapping.
    pub foreign: bool,
    /// The peer says when nobody there reads an answer.
    pub hears_unread: bool,
}

/// The bytes of an event.
#[derive(Debug)]
pub enum Payload<'a> {
    /// None.
    Empty,
    /// A range of the slice given to `Session::receive`.
    Input(Range<usize>),
    /// A text that was put together.
    Owned(&'a [u8]),
}

/// Longest message that arrives whole, in bytes, if whoever reads for the session puts it together (see
/// [`super::Session::partial`]): what programs read from files and write at once.
pub const MAX_MESSAGE: usize = 64 << 10;

/// A message of at most [`MAX_MESSAGE`] bytes whose first part was emitted as [`Event::Data`], and which goes on in the next
/// input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// The stream.
    pub stream: Handle,
    /// Bytes of it that are still to come.
    pub missing: usize,
}

/// Takes a session's events, in order.
pub trait Sink {
    /// Called once for each event; must not call back into the session.
    fn emit(&mut self, event: Event, payload: Payload<'_>);
}
