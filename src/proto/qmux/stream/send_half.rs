//! The sending half of a stream. Its states and their diagram stand in the parent.
//!
//! May not know what we receive on the stream, nor whose turn it is.

use super::super::queue::{Kind, SendQueue};
use super::super::scheduler;
use super::super::window::SendWindow;

/// Where a sending half stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendState {
    Waiting,
    Open,
    Ending,
    Done,
}

/// What the bytes of a half wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// A place for the stream.
    Place,
    /// The peer's reader.
    Reader,
    /// A turn, or room.
    Turn,
}

/// What we send.
#[derive(Debug)]
pub struct SendHalf {
    state: SendState,
    /// The half was ended while the stream waited to begin.
    is_ending: bool,
    window: SendWindow,
    /// Length of what goes before everything: the meta and its length.
    meta: u64,
    /// `None`: nothing waits.
    queue: Option<Box<SendQueue>>,
    /// The half waits for its turn.
    is_scheduled: bool,
    /// What waits, waits for the peer's reader.
    is_blocked: bool,
    /// The limit at which the peer was last told that we wait; 0: never.
    told_blocked: u64,
    urgency: u8,
    /// The half takes turns with others of its urgency.
    is_incremental: bool,
}

impl SendHalf {
    /// `credit`: what may be sent at first. `meta`: length of what goes before everything.
    pub fn new(state: SendState, credit: u64, meta: u64) -> Self {
        Self {
            state,
            is_ending: false,
            window: SendWindow::new(credit),
            meta,
            queue: None,
            is_scheduled: false,
            is_blocked: false,
            told_blocked: 0,
            urgency: scheduler::DEFAULT,
            is_incremental: true,
        }
    }

    /// Whether the stream has an id and may send.
    pub fn has_begun(&self) -> bool {
        self.state != SendState::Waiting
    }

    /// Whether nothing more is sent.
    pub fn is_done(&self) -> bool {
        self.state == SendState::Done
    }

    /// Whether the application may still write.
    pub fn is_writable(&self) -> bool {
        matches!(self.state, SendState::Open | SendState::Waiting) && !self.is_ending
    }

    /// Whether so many bytes may go ahead of nothing that waits here, with the stream's own credit.
    #[inline]
    pub fn is_clear_for(&self, length: u64) -> bool {
        self.queue.is_none() && self.state == SendState::Open && length <= self.window.available()
    }

    /// How much the peer lets us send now.
    #[inline]
    pub fn available(&self) -> u64 {
        self.window.available()
    }

    /// How much was sent.
    pub fn sent(&self) -> u64 {
        self.window.used()
    }

    /// Length of what goes before everything.
    pub fn meta(&self) -> u64 {
        self.meta
    }

    /// Whether the peer has all of what goes before everything.
    pub fn has_sent_meta(&self) -> bool {
        self.window.used() >= self.meta
    }

    /// So many bytes are sent, for which there is credit. Returns their offset.
    #[inline]
    pub fn send(&mut self, length: u64) -> u64 {
        let offset = self.window.used();
        self.window.take(length);
        offset
    }

    /// The peer lets us send up to a limit. Returns whether that is more than before.
    pub fn raise(&mut self, limit: u64) -> bool {
        self.window.raise(limit)
    }

    /// The stream has a place, and so much credit.
    pub fn begin(&mut self, credit: u64) {
        self.window.raise(credit);
        self.state = match self.is_ending {
            true => SendState::Ending,
            false => SendState::Open,
        };
    }

    /// The application ends the half. What waits is still sent.
    pub fn end(&mut self) {
        match self.state {
            SendState::Waiting => self.is_ending = true,
            SendState::Open | SendState::Ending => self.state = SendState::Ending,
            SendState::Done => {}
        }
    }

    /// Nothing more is sent. Returns where the half stood.
    pub fn finish(&mut self) -> SendState {
        std::mem::replace(&mut self.state, SendState::Done)
    }

    /// Bytes that wait.
    pub fn queued(&self) -> u64 {
        self.queue.as_ref().map_or(0, |queue| queue.len())
    }

    /// Whether anything waits, if only an end or a mark.
    pub fn is_queued(&self) -> bool {
        self.queue.is_some()
    }

    /// What the bytes wait for, if there are any.
    pub fn waits_for(&self) -> WaitsFor {
        match (self.state, self.is_blocked) {
            (SendState::Waiting, _) => WaitsFor::Place,
            (_, true) => WaitsFor::Reader,
            (_, false) => WaitsFor::Turn,
        }
    }

    /// Puts something behind what waits. Returns by how many bytes that is more.
    pub fn push(&mut self, kind: Kind, bytes: &[u8]) -> u64 {
        let queue = self.queue.get_or_insert_default();
        let before = queue.len();
        queue.push(kind, bytes);
        queue.len() - before
    }

    /// Takes what waits, to send from it.
    pub fn take_queue(&mut self) -> Option<Box<SendQueue>> {
        self.queue.take()
    }

    /// Puts back what is left of what waits.
    pub fn put_back(&mut self, queue: Box<SendQueue>) {
        self.queue = (!queue.is_empty()).then_some(queue);
    }

    /// What goes before everything is not sent: the peer does not understand it.
    pub fn drop_meta(&mut self) {
        if let Some(mut queue) = self.queue.take() {
            queue.advance(self.meta as usize);
            self.put_back(queue);
        }
    }

    /// The half starts to wait for its turn, if it has something to send and may. Returns its urgency then.
    pub fn schedule(&mut self) -> Option<u8> {
        let can_go = matches!(self.state, SendState::Open | SendState::Ending);
        let starts = can_go && !self.is_scheduled && self.queue.is_some();
        self.is_scheduled |= starts;
        starts.then_some(self.urgency)
    }

    /// The half no longer waits for its turn. Returns its urgency, if it did.
    pub fn unschedule(&mut self) -> Option<u8> {
        std::mem::take(&mut self.is_scheduled).then_some(self.urgency)
    }

    /// The half's turn is over. `goes_on`: it waits for another.
    pub fn end_turn(&mut self, goes_on: bool) {
        self.is_scheduled = goes_on;
    }

    pub fn urgency(&self) -> u8 {
        self.urgency
    }

    pub fn is_incremental(&self) -> bool {
        self.is_incremental
    }

    /// Sets how urgent the half is. Returns its urgency before, if it waits for a turn of that.
    pub fn set_priority(&mut self, urgency: u8, is_incremental: bool) -> Option<u8> {
        let before = std::mem::replace(&mut self.urgency, urgency);
        self.is_incremental = is_incremental;
        (self.is_scheduled && before != urgency).then_some(before)
    }

    /// Whether what waits, waits for the peer's reader.
    pub fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// What waits, waits for the peer's reader from now on, or no longer.
    pub fn set_blocked(&mut self, is_blocked: bool) {
        self.is_blocked = is_blocked;
    }

    /// The limit that the peer is to be told we wait at, if it was not told.
    pub fn take_told_blocked(&mut self) -> Option<u64> {
        let limit = self.window.limit();
        let before = std::mem::replace(&mut self.told_blocked, limit);
        (before != limit).then_some(limit)
    }
}
