//! The receiving half of a stream. The parent has the diagram of its states.
//!
//! May not know what we send on the stream.

use super::super::recv_credit::RecvCredit;
use super::super::window::RecvWindow;
use std::time::{Duration, Instant};

/// The states of a receiving half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvState {
    Meta,
    Accept,
    Refusal,
    Data,
    EndValue,
    Discard,
    Done,
}

/// The receiving half.
#[derive(Debug)]
pub struct RecvHalf {
    state: RecvState,
    /// The field is open, because it guards its own fields.
    pub credit: RecvCredit,
    /// The stream is among those whose credit goes back.
    is_due: bool,
    /// The code with which the application stops the stream once its first bytes have come.
    stop: Option<u64>,
    /// The text that is put together.
    text: Vec<u8>,
}

impl RecvHalf {
    pub fn new(state: RecvState, window: RecvWindow) -> Self {
        Self {
            state,
            credit: RecvCredit::new(window),
            is_due: false,
            stop: None,
            text: Vec::new(),
        }
    }

    #[inline]
    pub fn state(&self) -> RecvState {
        self.state
    }

    /// Whether nothing more comes.
    pub fn is_done(&self) -> bool {
        self.state == RecvState::Done
    }

    /// The first bytes are complete: messages follow.
    pub fn start_data(&mut self) {
        self.state = RecvState::Data;
    }

    /// The peer refuses the stream: its code follows.
    pub fn start_refusal(&mut self) {
        self.state = RecvState::Refusal;
    }

    /// The rest of the stream is its end value. Returns whether that is allowed: messages were still to come.
    pub fn start_end_value(&mut self) -> bool {
        let can_start = self.state == RecvState::Data;
        if can_start {
            self.state = RecvState::EndValue;
        }
        can_start
    }

    /// Nobody wants what still comes.
    pub fn discard(&mut self) {
        self.state = RecvState::Discard;
    }

    /// Nothing more comes. Returns the state before.
    pub fn finish(&mut self) -> RecvState {
        std::mem::replace(&mut self.state, RecvState::Done)
    }

    /// The application wants no more of the stream. Returns whether the peer is to be told now. Before the first bytes
    /// are complete, they are still wanted.
    pub fn stop(&mut self, code: u64) -> bool {
        match self.state {
            RecvState::Data | RecvState::EndValue => {
                self.discard();
                return true;
            }
            RecvState::Meta | RecvState::Accept | RecvState::Refusal => self.stop = Some(code),
            RecvState::Discard | RecvState::Done => {}
        }
        false
    }

    /// The code with which the application stopped the stream before its first bytes had come.
    pub fn early_stop(&self) -> Option<u64> {
        self.stop
    }

    /// Whether the peer is still to send, and may need credit for it.
    fn wants_credit(&self) -> bool {
        !matches!(self.state, RecvState::Discard | RecvState::Done)
    }

    /// Asks the application for an answer, if credit would then go back. Returns whether it is asked now.
    pub fn ask(&mut self) -> bool {
        self.wants_credit() && self.credit.ask()
    }

    /// Consumes what was seen and is not held. Returns whether the stream's credit has become due by that.
    pub fn consume(&mut self) -> bool {
        self.credit.consume(0);
        let becomes_due = !self.is_due && self.wants_credit() && self.credit.is_due();
        self.is_due |= becomes_due;
        becomes_due
    }

    /// The limit that the peer is told now, if it still needs one.
    pub fn take_due(&mut self, now: Instant, rtt: Option<Duration>) -> Option<u64> {
        let was_due = std::mem::take(&mut self.is_due);
        let is_due = was_due && self.wants_credit() && self.credit.is_due();
        is_due.then(|| self.credit.tell(now, rtt))
    }

    /// The part of the text that has come.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// A part of the text came.
    pub fn add_text(&mut self, part: &[u8]) {
        self.text.extend_from_slice(part);
    }

    /// Takes the text as it is; the next one begins empty.
    pub fn take_text(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.text)
    }
}
