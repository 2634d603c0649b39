//! The credit of one stream, or of all together: what the peer may send, and how far the application has consumed it.
//!
//! ```text
//!   0 ──── consumed ──── seen ──── asked ──── received ──── limit      consumed = seen but for what is held
//! ```
//!
//! The application is asked to answer when it has seen everything so far, as soon as credit would then go back.
//!
//! May not know what is received, nor ask by itself.

use super::window::RecvWindow;
use std::time::{Duration, Instant};

/// The credit of one stream, or of the connection.
#[derive(Debug)]
pub struct RecvCredit {
    window: RecvWindow,
    /// The offset up to which the application is known to have seen what came.
    seen: u64,
    /// The offset up to which the application will have seen it when it answers, if it was asked.
    asked: Option<u64>,
    /// The part of that which the application holds, by its own count.
    held: u64,
}

impl RecvCredit {
    pub fn new(window: RecvWindow) -> Self {
        Self {
            window,
            seen: 0,
            asked: None,
            held: 0,
        }
    }

    /// The number of bytes that were received.
    #[inline]
    pub fn received(&self) -> u64 {
        self.window.received()
    }

    /// The number of bytes that the peer may still send.
    #[inline]
    pub fn available(&self) -> u64 {
        self.window.available()
    }

    /// Counts `amount` bytes that the peer sent. `None`: the peer had no credit for them.
    #[inline]
    pub fn receive(&mut self, amount: u64) -> Option<()> {
        self.window.receive(amount)
    }

    /// The peer says that it waits at this limit. Returns whether that is news.
    pub fn hear_blocked(&mut self, limit: u64) -> bool {
        self.window.hear_blocked(limit)
    }

    /// How far ahead of what is consumed the peer may send.
    pub fn window(&self) -> u64 {
        self.window.size()
    }

    /// Sets how far ahead of what is consumed the peer may send.
    pub fn resize(&mut self, window: u64) {
        self.window.resize(window);
    }

    /// The number of bytes that the application holds.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Whether the application may have to be asked, as far as that is quick to determine.
    #[inline]
    pub fn may_ask(&self) -> bool {
        self.asked.is_none() && self.window.would_be_due(self.window.received())
    }

    /// Asks the application for an answer, if it was not asked yet and credit would go back. Returns whether it is
    /// asked now.
    #[inline]
    pub fn ask(&mut self) -> bool {
        let received = self.window.received();
        let is_asked = self.may_ask() && received > self.seen;
        if is_asked {
            self.asked = Some(received);
        }
        is_asked
    }

    /// The application answers. Returns whether it was asked.
    pub fn answer(&mut self) -> bool {
        let Some(asked) = self.asked.take() else {
            return false;
        };
        self.seen = self.seen.max(asked);
        true
    }

    /// The application is never shown this many bytes at the front.
    pub fn skip(&mut self, bytes: u64) {
        self.seen += bytes;
    }

    /// The application holds this much more.
    pub fn hold(&mut self, bytes: u64) {
        self.held += bytes;
    }

    /// The application holds this much less.
    pub fn release(&mut self, bytes: u64) {
        self.held = self.held.saturating_sub(bytes);
    }

    /// Consumes all that was seen, except for what is held beyond `allowance`.
    pub fn consume(&mut self, allowance: u64) {
        let excess = self.held.saturating_sub(allowance);
        self.window.consume_to(self.seen.saturating_sub(excess));
    }

    /// Whether the peer should be told a new limit.
    pub fn is_due(&self) -> bool {
        self.window.is_due()
    }

    /// The limit to tell. `rtt` is the round trip time, once it is known.
    pub fn tell(&mut self, now: Instant, rtt: Option<Duration>) -> u64 {
        self.window.tell(now, rtt)
    }
}
