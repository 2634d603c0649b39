//! The sending half of a stream. The parent has the diagram of its states.
//!
//! May not know what we receive on the stream, nor whose turn it is.

use super::super::queue::{Kind, SendQueue};
use super::super::scheduler;
use super::super::window::SendWindow;

/// The states of a sending half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendState {
    Waiting,
    Open,
    Ending,
    Done,
}

/// The reason for which the bytes of a half wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// A place for the stream.
    Place,
    /// The peer's reader.
    Reader,
    /// A turn, or room.
    Turn,
}

/// The sending half.
#[derive(Debug)]
pub struct SendHalf {
    state: SendState,
    /// The half was ended while the stream waited to begin.
    is_ending: bool,
    window: SendWindow,
    /// The length of the stream's first bytes: the meta and its length.
    meta: u64,
    /// `None` if nothing waits.
    queue: Option<Box<SendQueue>>,
    /// The half waits for its turn.
    is_scheduled: bool,
    /// The bytes that wait, wait for the peer's reader.
    is_blocked: bool,
    /// The limit at which the peer was last told that we wait; 0 if never.
    told_blocked: u64,
    urgency: u8,
    /// The half takes turns with others of its urgency.
    is_incremental: bool,
}

impl SendHalf {
    /// A half with `credit` for its first bytes, of which `meta` are the meta and its length.
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

    /// Whether `length` bytes may go at once: nothing waits here, and the stream's own credit allows it.
    #[inline]
    pub fn is_clear_for(&self, length: u64) -> bool {
        self.queue.is_none() && self.state == SendState::Open && length <= self.window.available()
    }

    /// The number of bytes that the peer lets us send now.
    #[inline]
    pub fn available(&self) -> u64 {
        self.window.available()
    }

    /// The number of bytes that were sent.
    pub fn sent(&self) -> u64 {
        self.window.used()
    }

    /// The length of the stream's first bytes: the meta and its length.
    pub fn meta(&self) -> u64 {
        self.meta
    }

    /// Whether all of the stream's first bytes were sent.
    pub fn has_sent_meta(&self) -> bool {
        self.window.used() >= self.meta
    }

    /// Counts `length` bytes as sent, for which there is credit. Returns their offset.
    #[inline]
    pub fn send(&mut self, length: u64) -> u64 {
        let offset = self.window.used();
        self.window.take(length);
        offset
    }

    /// The peer raises the limit. Returns whether that is more than before.
    pub fn raise(&mut self, limit: u64) -> bool {
        self.window.raise(limit)
    }

    /// The stream has a place, and this much credit.
    pub fn begin(&mut self, credit: u64) {
        self.window.raise(credit);
        self.state = match self.is_ending {
            true => SendState::Ending,
            false => SendState::Open,
        };
    }

    /// The application ends the half. Bytes that wait are still sent.
    pub fn end(&mut self) {
        match self.state {
            SendState::Waiting => self.is_ending = true,
            SendState::Open | SendState::Ending => self.state = SendState::Ending,
            SendState::Done => {}
        }
    }

    /// Nothing more is sent. Returns the state before.
    pub fn finish(&mut self) -> SendState {
        std::mem::replace(&mut self.state, SendState::Done)
    }

    /// The number of bytes that wait.
    pub fn queued(&self) -> u64 {
        self.queue.as_ref().map_or(0, |queue| queue.len())
    }

    /// Whether anything waits, even if only an end or a mark.
    pub fn is_queued(&self) -> bool {
        self.queue.is_some()
    }

    /// The reason for which the bytes wait, if there are any.
    pub fn waits_for(&self) -> WaitsFor {
        match (self.state, self.is_blocked) {
            (SendState::Waiting, _) => WaitsFor::Place,
            (_, true) => WaitsFor::Reader,
            (_, false) => WaitsFor::Turn,
        }
    }

    /// Appends an entry. Returns the number of bytes that wait in addition.
    pub fn push(&mut self, kind: Kind, bytes: &[u8]) -> u64 {
        let queue = self.queue.get_or_insert_default();
        let before = queue.len();
        queue.push(kind, bytes);
        queue.len() - before
    }

    /// Takes the queue out, to send from it.
    pub fn take_queue(&mut self) -> Option<Box<SendQueue>> {
        self.queue.take()
    }

    /// Puts back what is left of the queue.
    pub fn put_back(&mut self, queue: Box<SendQueue>) {
        self.queue = (!queue.is_empty()).then_some(queue);
    }

    /// Drops the stream's first bytes, because the peer does not understand them.
    pub fn drop_meta(&mut self) {
        if let Some(mut queue) = self.queue.take() {
            queue.advance(self.meta as usize);
            self.put_back(queue);
        }
    }

    /// Lets the half wait for its turn, if it has something to send and may send. Returns its urgency if it did not
    /// wait before.
    pub fn schedule(&mut self) -> Option<u8> {
        let can_go = matches!(self.state, SendState::Open | SendState::Ending);
        let starts = can_go && !self.is_scheduled && self.queue.is_some();
        self.is_scheduled |= starts;
        starts.then_some(self.urgency)
    }

    /// Ends the wait for a turn. Returns the half's urgency if it waited.
    pub fn unschedule(&mut self) -> Option<u8> {
        std::mem::take(&mut self.is_scheduled).then_some(self.urgency)
    }

    /// The half's turn is over. With `goes_on`, the half waits for another.
    pub fn end_turn(&mut self, goes_on: bool) {
        self.is_scheduled = goes_on;
    }

    pub fn urgency(&self) -> u8 {
        self.urgency
    }

    pub fn is_incremental(&self) -> bool {
        self.is_incremental
    }

    /// Sets the urgency of the half. Returns the urgency before, if the half waits for a turn of that.
    pub fn set_priority(&mut self, urgency: u8, is_incremental: bool) -> Option<u8> {
        let before = std::mem::replace(&mut self.urgency, urgency);
        self.is_incremental = is_incremental;
        (self.is_scheduled && before != urgency).then_some(before)
    }

    /// Whether the bytes that wait, wait for the peer's reader.
    pub fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// Sets whether the bytes that wait, wait for the peer's reader.
    pub fn set_blocked(&mut self, is_blocked: bool) {
        self.is_blocked = is_blocked;
    }

    /// The limit at which the peer is to be told that we wait, if it was not told. The limit then counts as told.
    pub fn take_told_blocked(&mut self) -> Option<u64> {
        let limit = self.window.limit();
        let before = std::mem::replace(&mut self.told_blocked, limit);
        (before != limit).then_some(limit)
    }
}
