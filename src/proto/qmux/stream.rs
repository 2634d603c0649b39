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

pub use recv_half::{RecvHalf, RecvState};

use super::queue::{Kind, SendQueue};
use super::scheduler;
use super::window::{RecvWindow, SendWindow};

/// Where a sending half stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendState {
    Waiting,
    Open,
    Ending,
    Done,
}

/// What we send.
#[derive(Debug)]
pub struct SendHalf {
    pub state: SendState,
    /// It was ended while it waited to begin.
    pub is_ending: bool,
    pub window: SendWindow,
    /// Length of what goes before everything: the meta and its length.
    pub meta: u64,
    /// None: nothing waits.
    pub queue: Option<Box<SendQueue>>,
    /// It waits for its turn.
    pub is_scheduled: bool,
    /// The application knows that it waits for the peer's reader.
    pub is_blocked: bool,
    /// The limit at which the peer was last told that we wait; 0: never.
    pub told_blocked: u64,
    pub urgency: u8,
    /// It takes turns with others of its urgency.
    pub is_incremental: bool,
}

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
    pub fn new(id: u64, send: SendState, recv: RecvState, credit: u64, window: RecvWindow) -> Self {
        Self {
            id,
            send: SendHalf {
                state: send,
                is_ending: false,
                window: SendWindow::new(credit),
                meta: 0,
                queue: None,
                is_scheduled: false,
                is_blocked: false,
                told_blocked: 0,
                urgency: scheduler::DEFAULT,
                is_incremental: true,
            },
            recv: RecvHalf::new(recv, window),
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
        self.send.state == SendState::Done && self.recv.is_done()
    }
}

impl SendHalf {
    /// Bytes that wait.
    pub fn queued(&self) -> u64 {
        self.queue.as_ref().map_or(0, |queue| queue.len())
    }

    /// Puts something behind what waits.
    pub fn push(&mut self, kind: Kind, bytes: &[u8]) {
        self.queue.get_or_insert_default().push(kind, bytes);
    }
}
