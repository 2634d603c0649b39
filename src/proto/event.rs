//! The events of a session for its application. No event owns bytes: a payload is a range of the input just received,
//! or a borrowed text that was put together from several inputs.
//!
//! May not know which wire an event came by.

use std::ops::Range;
use std::time::Duration;

/// A stream, as both sides of the boundary name it. Even handles are streams opened here, whose slot the application
/// chose; odd handles are streams opened by the peer, whose slot the session chose.
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
    /// The peer is 0.1.0, or behaves as if it were, and what it is sent is paced.
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
    /// The kernel has taken everything that was commanded before `mark(id)`.
    Mark(u32),
    /// The kind of the peer has become known.
    Peer(PeerKind),
    /// The wires in use have changed.
    Wires(Wires),
    /// The peer gave the rest of a stream up; the payload is its code, a decimal number.
    Reset(Handle),
    /// The peer wants no more of a stream; the payload is its code, a decimal number.
    Stopped(Handle),
    /// The peer refused a stream of ours; the payload is its code, a decimal number.
    Refused(Handle),
    /// The peer goes away, and has never served this stream of ours. `None`: the peer serves no new streams.
    GoAway(Option<Handle>),
    /// The opener of a stream of the peer's is done with it, and reads no answer.
    Unread(Handle),
    /// Bytes that were written on a stream wait for the peer's reader.
    Blocked(Handle),
    /// Most of the bytes that waited for the peer's reader have left.
    Unblocked(Handle),
    /// `Session::credit` is to be called when everything before has been seen. `None`: for the connection.
    Credit(Option<Handle>),
    /// The answer to `Session::ping`.
    Pong {
        /// The ping's number.
        id: u32,
        /// The round trip time.
        rtt: Duration,
    },
}

/// Which directions speak QMux.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Wires {
    /// We send QMux.
    pub sending: bool,
    /// We receive QMux.
    pub receiving: bool,
    /// The peer speaks plain QMux, without our mapping.
    pub foreign: bool,
    /// The peer says when nobody there reads an answer.
    pub hears_unread: bool,
}

/// The bytes of an event.
#[derive(Debug)]
pub enum Payload<'a> {
    /// There are no bytes.
    Empty,
    /// A range of the slice given to `Session::receive`.
    Input(Range<usize>),
    /// A text that was put together from several inputs.
    Owned(&'a [u8]),
}

/// The longest message that arrives whole, in bytes, if the reader of the socket puts it together for the session (see
/// [`super::Session::partial`]). It is the length that programs read from files, and write, at once.
pub const MAX_MESSAGE: usize = 64 << 10;

/// A message of at most [`MAX_MESSAGE`] bytes whose first part was emitted as [`Event::Data`], and which goes on in the next
/// input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// The stream.
    pub stream: Handle,
    /// The bytes of the message that are still to come.
    pub missing: usize,
}

/// Takes a session's events, in order.
pub trait Sink {
    /// Called once for each event. The sink must not call back into the session.
    fn emit(&mut self, event: Event, payload: Payload<'_>);
}
