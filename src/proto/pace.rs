//! Pacing towards a peer that may be 0.1.0, whose decoder throws on a header that straddles one of its reads.
//!
//! ```text
//!            taken(n): used += n                    queue empty and REST since the last send: used = 0
//!   Spending ───────────────────▶ Spending ... Spent ────────────────────────────────────────────────▶ Spending
//!      └──────────────────────── peer known to be new: Off, for good ───────────────────────────────────┘
//! ```
//!
//! Only whole frames are sent, and at most [`MAX_BURST`] bytes of them (a larger frame goes alone) before the last
//! have left the socket's send queue and [`REST`] has passed. That is what an old receiver was measured to survive on
//! loopback; over a real network nothing the sender does can guarantee it. A few bytes now and then never wait.
//!
//! What makes an empty send queue mean that the receiver has read: Linux acknowledges at once when more has arrived
//! than the largest segment it has seen, otherwise when the application has read everything, or 40 ms later; and
//! several segments sooner than a single one. So the first long send is one of [`MAX_BURST`], which sets that measure,
//! and later bursts go in sends of at most [`MAX_SEND`]. With a receiver that takes 3 ms for each read, the queue was
//! measured to empty every 3.1 ms.
//!
//! May not send, sleep or look at a socket: the driver does, and tells it.

use std::time::{Duration, Instant};

/// Longest burst in bytes: half of what an old receiver reads at once, so that two that meet still fit in a read.
pub const MAX_BURST: usize = 32 << 10;

/// Longest send in bytes, frames larger than that aside.
pub const MAX_SEND: usize = 8 << 10;

/// Shortest rest behind a burst: the time the receiver is given to read it. Measured: none crashed an old receiver
/// within seconds, 250 µs did not in 14 million messages, and is no slower than the original.
pub const REST: Duration = Duration::from_micros(250);

/// A send of so many bytes sets the receiver's measure.
const LONG_SEND: usize = MAX_BURST - (2 << 10);

/// Rest after which a burst counts as read although the send queue is not empty, on this machine: longer than an
/// acknowledgement is ever delayed.
pub const PATIENCE_HERE: Duration = Duration::from_millis(50);

/// Rest after which a burst counts as read, over a network: on a long path each acknowledgement takes a round trip, and waiting for it would make us
/// slower than the original ever was.
pub const PATIENCE_FAR: Duration = Duration::from_millis(10);

/// Where the pacing stands.
#[derive(Debug)]
pub struct Pace {
    is_active: bool,
    patience: Duration,
    /// A long send has been encoded.
    had_long_send: bool,
    /// What was taken since the last rest.
    used: usize,
    /// When the kernel took the last of them.
    last: Option<Instant>,
    /// When to look at the send queue again.
    again: Option<Instant>,
}

impl Pace {
    /// Pacing, or none for a peer that is known to be new.
    pub fn new(active: bool) -> Self {
        Self {
            is_active: active,
            patience: PATIENCE_FAR,
            had_long_send: false,
            used: 0,
            last: None,
            again: None,
        }
    }

    /// The peer is known to be new.
    pub fn lift(&mut self) {
        self.is_active = false;
    }

    /// Whether there is pacing.
    pub fn is_active(&self) -> bool {
        self.is_active
    }

    /// How long a send queue may stay filled, now that it is known where the peer is.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Longest send while pacing.
    pub fn max_send(&self) -> Option<usize> {
        let longest = if self.had_long_send {
            MAX_SEND
        } else {
            MAX_BURST
        };
        self.is_active.then_some(longest)
    }

    /// A frame was encoded into a send that is now so long.
    pub fn encoded(&mut self, send: usize) {
        self.had_long_send |= send >= LONG_SEND;
    }

    /// Whether a send that counts for so many bytes may go.
    pub fn can_send(&self, bytes: usize) -> bool {
        !self.is_active || self.used == 0 || self.used + bytes <= MAX_BURST
    }

    /// A send that counts for so many bytes was taken.
    pub fn taken(&mut self, bytes: usize) {
        self.used += bytes;
    }

    /// The kernel has all that was taken.
    pub fn written(&mut self, now: Instant) {
        if self.is_active {
            self.last = Some(now);
            self.again = Some(now + REST);
        }
    }

    /// When the driver should look at the send queue and call [`Pace::observe`], if there is something to send.
    pub fn deadline(&self) -> Option<Instant> {
        self.again.filter(|_| self.is_active && self.used > 0)
    }

    /// The driver looked: `unsent` is what the socket's send queue still holds.
    pub fn observe(&mut self, now: Instant, unsent: usize) {
        let (Some(last), Some(again)) = (self.last, self.again) else {
            return;
        };
        if now < again {
            return;
        }
        if unsent == 0 || now >= last + self.patience {
            self.used = 0;
            self.again = None;
        } else {
            // A receiver that takes its time is looked at less and less often.
            self.again = Some(now + REST.max((now - last) / 4));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_rests_until_the_queue_is_empty() {
        let mut pace = Pace::new(true);
        let start = Instant::now();
        assert!(pace.can_send(MAX_BURST * 3), "a large frame goes alone");
        assert!(pace.can_send(MAX_BURST));
        pace.taken(MAX_BURST);
        pace.written(start);
        assert!(!pace.can_send(1));
        assert_eq!(pace.deadline(), Some(start + REST));
        pace.observe(start, 0);
        assert!(!pace.can_send(1), "too early");
        pace.observe(start + REST, 5);
        assert!(!pace.can_send(1), "not read yet");
        assert_eq!(pace.deadline(), Some(start + 2 * REST));
        pace.observe(start + 2 * REST, 0);
        assert!(pace.can_send(MAX_BURST));
        assert_eq!(pace.deadline(), None);
    }

    #[test]
    fn a_queue_that_never_empties_does_not_stop_it() {
        let mut pace = Pace::new(true);
        let start = Instant::now();
        pace.taken(MAX_BURST);
        pace.written(start);
        pace.observe(start + PATIENCE_FAR, 1);
        assert!(pace.can_send(1));
    }

    #[test]
    fn little_by_little_never_waits() {
        let mut pace = Pace::new(true);
        let start = Instant::now();
        for _ in 0..MAX_BURST / 64 {
            assert!(pace.can_send(64));
            pace.taken(64);
            pace.written(start);
        }
        assert!(!pace.can_send(64));
    }

    #[test]
    fn a_new_peer_is_not_paced() {
        let mut pace = Pace::new(true);
        pace.taken(MAX_BURST);
        pace.lift();
        assert!(pace.can_send(1 << 20));
        assert_eq!((pace.max_send(), pace.deadline()), (None, None));
    }
}
