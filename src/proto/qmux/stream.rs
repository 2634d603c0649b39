//! One stream: its two halves, each with the states of RFC 9000, section 3. Nothing is lost over an ordered transport,
//! so what is sent counts as received.
//!
//! Sending half:
//!
//! ```text
//!            the peer has room       FIN commanded        FIN encoded
//!   Waiting ──────────────▶ Open ──────────────▶ Ending ────────────▶ Done
//!      │  └── ended before it began ──────────────▲ │
//!      │                     └──── reset, or the peer's stop ───────▶ Done
//!      └───────────────────────────── given up before it began ─────▶ Done
//! ```
//!
//! Receiving half, of a stream of the peer's (Meta) or of our own (Accept); a foreign peer's streams start at Data:
//!
//! ```text
//!   Meta ───meta complete────▶ Data ──END_VALUE frame──▶ EndValue ──FIN──▶ Done
//!   Accept ──byte 0──▶ Data     ├──────────FIN──────────────────────────▶ Done
//!      └──byte 1──▶ Refusal ────│───────────────FIN─────────────────────▶ Done
//!                               ├──the application wants no more──▶ Discard ──FIN, reset──▶ Done
//!   any ──────────────────────────────────reset─────────────────────────▶ Done
//! ```
//!
//! May not know other streams, nor the connection's credit.

mod recv_half;
mod send_half;

pub use recv_half::{RecvHalf, RecvState};
pub use send_half::{SendHalf, SendState, WaitsFor};

/// A stream.
#[derive(Debug)]
pub struct Stream {
    id: u64,
    /// The halves are open, because they guard their own fields.
    pub send: SendHalf,
    pub recv: RecvHalf,
    /// The application knows of the stream: it was announced, or acknowledged.
    is_known: bool,
    /// The application has accepted or refused the stream.
    is_answered: bool,
    /// The opener is done with the stream and reads no answer. On a stream of ours we said so; on one of the peer's,
    /// the peer did.
    is_unread: bool,
    /// The code with which the peer stopped the stream before it accepted it. The application learns the code after the
    /// acceptance.
    stopped: Option<u64>,
    /// The stream ended before the peer's switch, and its place was given back then.
    is_counted: bool,
    /// The length of the meta, while it counts.
    meta: usize,
}

impl Stream {
    /// A stream under `id`. The id of a stream that waits for a place is of no meaning.
    pub fn new(id: u64, send: SendHalf, recv: RecvHalf) -> Self {
        Self {
            id,
            send,
            recv,
            is_known: false,
            is_answered: false,
            is_unread: false,
            stopped: None,
            is_counted: false,
            meta: 0,
        }
    }

    #[inline]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The stream has a place, and thus an id.
    pub fn set_id(&mut self, id: u64) {
        self.id = id;
    }

    /// Whether both halves are over.
    pub fn is_over(&self) -> bool {
        self.send.is_done() && self.recv.is_done()
    }

    /// Whether the application knows of the stream.
    pub fn is_known(&self) -> bool {
        self.is_known
    }

    /// The application is told of the stream.
    pub fn introduce(&mut self) {
        self.is_known = true;
    }

    /// Whether the application has accepted or refused the stream.
    pub fn is_answered(&self) -> bool {
        self.is_answered
    }

    /// The application accepts or refuses the stream. Returns whether it had not before.
    pub fn answer(&mut self) -> bool {
        !std::mem::replace(&mut self.is_answered, true)
    }

    /// The opener reads no answer. Returns whether that is news.
    pub fn set_unread(&mut self) -> bool {
        !std::mem::replace(&mut self.is_unread, true)
    }

    /// The peer stopped the stream before it accepted it.
    pub fn set_stopped(&mut self, code: u64) {
        self.stopped = Some(code);
    }

    /// The code with which the peer stopped the stream before it accepted it.
    pub fn stopped(&self) -> Option<u64> {
        self.stopped
    }

    /// The stream ended before the peer's switch.
    pub fn set_counted(&mut self) {
        self.is_counted = true;
    }

    /// Whether the stream's place was given back at the peer's switch.
    pub fn is_counted(&self) -> bool {
        self.is_counted
    }

    /// The stream's meta counts from now on.
    pub fn set_meta(&mut self, length: usize) {
        self.meta = length;
    }

    /// The length of the meta, while it counts.
    pub fn meta(&self) -> usize {
        self.meta
    }
}
