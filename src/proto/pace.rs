//! Pacing towards a peer that may be 0.1.0, whose decoder throws on a header that straddles one of its reads.
//!
//! ```text
//!            taken(n): used += n                    queue empty and REST since the last send: used = 0
//!   Spending ───────────────────▶ Spending ... Spent ────────────────────────────────────────────────▶ Spending
//!      └──────────────────────── peer known to be new: Off, for good ───────────────────────────────────┘
//! ```
//!
//! Only whole frames are sent, and at most [`MAX_BURST`] bytes of them (a larger frame goes alone) before the last have
//! left the socket's send queue and [`REST`] has passed. An old receiver was measured to survive that on loopback. Over
//! a real network, nothing that the sender does can guarantee it. A few bytes now and then never wait.
//!
//! An empty send queue means that the receiver has read, for this reason. Linux acknowledges at once if more has
//! arrived than the largest segment it has seen; otherwise when the application has read everything, or 40 ms later;
//! and several segments sooner than a single one. So the first long send is one of [`MAX_BURST`], which sets that
//! measure, and later bursts go in sends of at most [`MAX_SEND`]. With a receiver that takes 3 ms for each read, the
//! queue was measured to empty every 3.1 ms.
//!
//! May not send, sleep or look at a socket: the driver does so, and reports here.

use std::time::{Duration, Instant};

/// The longest burst in bytes: half of what an old receiver reads at once, so that two bursts that meet still fit in a
/// read.
pub const MAX_BURST: usize = 32 << 10;

/// The longest send in bytes, except for a frame that is longer than that.
pub const MAX_SEND: usize = 8 << 10;

/// The shortest rest behind a burst, in which the receiver reads the burst. As measured, an old receiver crashed within
/// seconds without a rest, and did not with 250 µs in 14 million messages, which is no slower than the original.
pub const REST: Duration = Duration::from_micros(250);

/// A send of this length sets the receiver's measure.
const LONG_SEND: usize = MAX_BURST - (2 << 10);

/// The rest after which a burst counts as read although the send queue is not empty, for a peer on this machine: longer
/// than an acknowledgement is ever delayed.
pub const PATIENCE_HERE: Duration = Duration::from_millis(50);

/// The rest after which a burst counts as read, over a network. On a long path each acknowledgement takes a round trip,
/// and waiting for it would make us slower than the original ever was.
pub const PATIENCE_FAR: Duration = Duration::from_millis(10);

/// The state of the pacing.
#[derive(Debug)]
pub struct Pace {
    is_active: bool,
    patience: Duration,
    /// A long send has been encoded.
    had_long_send: bool,
    /// The charge of what was taken since the last rest.
    used: usize,
    /// The time at which the kernel took the last of it.
    last: Option<Instant>,
    /// The time at which to look at the send queue again.
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

    /// Sets how long a send queue may stay filled, because it is now known where the peer is.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// The longest send while pacing.
    pub fn max_send(&self) -> Option<usize> {
        let longest = if self.had_long_send {
            MAX_SEND
        } else {
            MAX_BURST
        };
        self.is_active.then_some(longest)
    }

    /// A frame was encoded into a send, which now has this length.
    pub fn encoded(&mut self, send: usize) {
        self.had_long_send |= send >= LONG_SEND;
    }

    /// Whether a send with this charge may go.
    pub fn can_send(&self, bytes: usize) -> bool {
        !self.is_active || self.used == 0 || self.used + bytes <= MAX_BURST
    }

    /// A send with this charge was taken.
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

    /// The time at which the driver should look at the send queue and call [`Pace::observe`], if there is something to
    /// send.
    pub fn deadline(&self) -> Option<Instant> {
        self.again.filter(|_| self.is_active && self.used > 0)
    }

    /// The driver looked at the send queue, which still holds `unsent` bytes.
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
            // A receiver that takes its time is checked less and less often.
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
