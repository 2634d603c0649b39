//! One stream: its two halves, each with the states of RFC 9000, section 3. Over an ordered transport nothing is lost,
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
//! Receiving half, of a stream of the peer's (Meta) or of our own (Accept); a foreign peer's start at Data:
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
    pub id: u64,
    pub send: SendHalf,
    pub recv: RecvHalf,
    /// The application knows of it: it was announced, or acknowledged.
    pub is_known: bool,
    /// The application has accepted or refused it.
    pub is_answered: bool,
    /// Its opener is done with it and reads no answer: said, of ours, or heard, of the peer's.
    pub is_unread: bool,
    /// The code with which the peer stopped it before it accepted it, which the application learns behind that.
    pub stopped: Option<u64>,
    /// It ended before the peer's switch: its place was given back then.
    pub is_counted: bool,
    /// Length of its meta, while it counts.
    pub meta: usize,
}

impl Stream {
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

    /// Whether both halves are over.
    pub fn is_over(&self) -> bool {
        self.send.is_done() && self.recv.is_done()
    }
}
