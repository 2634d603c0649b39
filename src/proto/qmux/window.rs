//! Credit, as absolute offsets: of a stream, of a connection, and of a count of streams. One pair of types for all.
//!
//! ```text
//!   0 ──────── consumed ──────── received ──────── limit          limit = consumed + window, as last told
//! ```
//!
//! A window doubles if half of it was consumed within two round trips, because the sender was then likely waiting for
//! us.
//!
//! May not know what is counted, nor send anything.

use super::super::varint;
use std::time::{Duration, Instant};

/// Credit goes back when the application has consumed, which takes turns of its event loop besides the round trip, and
/// on a short path far more than that. A window that lasts no longer than this is too small.
const TURNS: Duration = Duration::from_millis(12);

/// The longest time that counts for two round trips: a peer that answers pings late gets no larger window by that.
const MAX_RTT: Duration = Duration::from_secs(1);

/// The window in which we may send.
#[derive(Clone, Copy, Debug, Default)]
pub struct SendWindow {
    limit: u64,
    used: u64,
}

impl SendWindow {
    pub fn new(limit: u64) -> Self {
        Self { limit, used: 0 }
    }

    /// Sets counts from the other wire: `used` were sent, perhaps more than the limit.
    pub fn carry(&mut self, used: u64, limit: u64) {
        self.used = used;
        self.limit = limit;
    }

    /// The number that may be sent now.
    #[inline]
    pub fn available(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }

    /// The number that was sent.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// The offset up to which we may send.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Counts `amount` as sent, which must be available.
    #[inline]
    pub fn take(&mut self, amount: u64) {
        debug_assert!(
            amount <= self.available(),
            "no more is sent than there is credit for"
        );
        self.used += amount.min(self.available());
    }

    /// The peer tells a limit. Returns whether that is more than before.
    pub fn raise(&mut self, limit: u64) -> bool {
        let is_more = limit > self.limit;
        if is_more {
            self.limit = limit;
        }
        is_more
    }
}

/// The window in which the peer may send.
#[derive(Clone, Copy, Debug)]
pub struct RecvWindow {
    limit: u64,
    received: u64,
    consumed: u64,
    window: u64,
    max: u64,
    /// The time at which the limit was last told.
    last_told: Option<Instant>,
    /// The offset that has to be consumed before the limit is told again.
    due_at: u64,
    /// One more than the limit at which the peer last said that it waits.
    told_to_wait: u64,
}

impl RecvWindow {
    /// A window that the peer knows as `window` at first, and that may grow to `max`.
    pub fn new(window: u64, max: u64) -> Self {
        Self {
            limit: window,
            received: 0,
            consumed: 0,
            window,
            max: max.max(window),
            last_told: None,
            due_at: window.div_ceil(2).max(1),
            told_to_wait: 0,
        }
    }

    /// Counts `amount` that the peer sent. `None`: the peer had no credit for it.
    #[inline]
    pub fn receive(&mut self, amount: u64) -> Option<()> {
        if amount > self.available() {
            return None;
        }
        self.received += amount;
        Some(())
    }

    /// The number that was received.
    #[inline]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Sets how far ahead of what is consumed the peer may send, neither more nor less. Credit that was given stays
    /// given.
    pub fn resize(&mut self, window: u64) {
        self.window = window;
        self.max = window;
        self.due_at = self.next_due();
    }

    /// How far ahead of what is consumed the peer may send.
    pub fn size(&self) -> u64 {
        self.window
    }

    /// The offset up to which the peer may send.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Consumes everything up to an offset. Consumption is never taken back.
    pub fn consume_to(&mut self, offset: u64) {
        debug_assert!(
            offset <= self.received,
            "no more is consumed than was received"
        );
        self.consumed = self.consumed.max(offset.min(self.received));
    }

    /// Whether the peer would be told a new limit if everything up to `offset` were consumed, which is so from half a
    /// window on.
    #[inline]
    pub fn would_be_due(&self, offset: u64) -> bool {
        offset >= self.due_at
    }

    /// The offset that has to be consumed before the peer is told a new limit.
    fn next_due(&self) -> u64 {
        // Both numbers stay under 2^62.
        (self.limit + self.window.div_ceil(2).max(1)).saturating_sub(self.window)
    }

    /// Whether the peer should be told a new limit.
    pub fn is_due(&self) -> bool {
        self.would_be_due(self.consumed)
    }

    /// Sets counts from the other wire: `received` came, and the peer may go on to `limit`. This is for counts of
    /// streams, some of which were opened on that wire.
    pub fn carry(&mut self, received: u64, limit: u64, window: u64) {
        self.received = received;
        self.limit = limit;
        self.window = window;
    }

    /// Counts one stream, which may be over the limit if it began on the other wire.
    pub fn receive_one(&mut self) {
        self.received += 1;
    }

    /// The number that the peer may still send.
    #[inline]
    pub fn available(&self) -> u64 {
        self.limit.saturating_sub(self.received)
    }

    /// For counts of streams: the limit to tell, if there is more to allow (up to `bound`) and the peer has less than
    /// half of `room` left. Unlike with bytes, the peer must always be able to have as many streams at once as it may.
    pub fn due_soon(&self, bound: u64, room: u64) -> Option<u64> {
        let target = self.consumed.saturating_add(self.window).min(bound);
        (self.available() <= room / 2 && target > self.limit).then_some(target)
    }

    /// For counts of streams: the peer is told this limit.
    pub fn tell_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// The peer says that it waits at this limit. Returns whether that is news: the peer has cause to say so once for each.
    pub fn hear_blocked(&mut self, limit: u64) -> bool {
        let is_news = limit >= self.told_to_wait && limit <= self.limit;
        if is_news {
            self.told_to_wait = limit + 1;
        }
        is_news
    }

    /// For counts of streams: one stream is over.
    pub fn consume_one(&mut self) {
        self.consumed += 1;
    }

    /// The limit to tell. `rtt` is the round trip time, once it is known.
    pub fn tell(&mut self, now: Instant, rtt: Option<Duration>) -> u64 {
        if let (Some(told), Some(rtt)) = (self.last_told, rtt)
            && now.saturating_duration_since(told) < (2 * rtt).clamp(TURNS, MAX_RTT)
        {
            self.window = self.window.saturating_mul(2).min(self.max);
        }
        self.last_told = Some(now);
        self.limit = self
            .limit
            .max(self.consumed.saturating_add(self.window))
            .min(varint::MAX);
        self.due_at = self.next_due();
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_window_doubles_while_half_of_it_is_used_up_within_two_round_trips() {
        let (mut window, mut now) = (RecvWindow::new(100, 300), Instant::now());
        let rtt = Some(Duration::from_millis(10));
        let mut limits = Vec::new();
        for _ in 0..4 {
            let offset = window.limit();
            assert_eq!(window.receive(offset - window.received()), Some(()));
            assert!(window.would_be_due(offset) && !window.is_due());
            window.consume_to(offset);
            assert!(window.is_due());
            limits.push(window.tell(now, rtt));
            assert!(!window.is_due());
            now += Duration::from_millis(19);
        }
        assert_eq!(limits, [200, 400, 700, 1000], "100, 200, 300, 300");
        now += Duration::from_millis(2);
        assert_eq!(window.receive(301), None);
    }

    #[test]
    fn a_window_that_is_resized_takes_nothing_back_and_gives_more_as_soon_as_it_is_due() {
        let (mut window, now) = (RecvWindow::new(100, 400), Instant::now());
        window.resize(10);
        assert!(!window.is_due() && window.limit() == 100);
        assert_eq!(window.receive(100), Some(()));
        window.consume_to(94);
        assert!(!window.is_due());
        window.consume_to(95);
        assert!(window.is_due());
        let rtt = Some(Duration::from_secs(1));
        assert_eq!(window.tell(now, rtt), 105);
        window.consume_to(100);
        assert_eq!(window.tell(now, rtt), 110, "it does not grow by itself");
        window.resize(1000);
        assert!(window.is_due());
        assert_eq!(window.tell(now, rtt), 1100);
    }

    #[test]
    fn nothing_overflows_near_the_largest_number() {
        let mut window = RecvWindow::new(varint::MAX, varint::MAX);
        assert_eq!(window.receive(varint::MAX), Some(()));
        assert_eq!(window.receive(1), None);
        window.consume_to(varint::MAX);
        assert!(window.is_due());
        assert_eq!(window.tell(Instant::now(), None), varint::MAX);
        let mut window = SendWindow::new(varint::MAX);
        window.take(varint::MAX);
        assert!(!window.raise(varint::MAX) && window.available() == 0);
    }

    proptest! {
        #[test]
        fn a_sender_within_its_credit_is_never_refused(
            size in 1u64..1000, steps in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>()), 1..100),
        ) {
            let (mut recv, mut send) = (RecvWindow::new(size, size * 4), SendWindow::new(size));
            let now = Instant::now();
            let mut most = size * 4;
            for (amount, consumed, resized) in steps {
                if resized % 8 == 0 {
                    let window = resized % 2000 + 1;
                    recv.resize(window);
                    most = most.max(window);
                }
                let amount = amount % (send.available() + 1);
                send.take(amount);
                prop_assert_eq!(recv.receive(amount), Some(()));
                prop_assert_eq!(recv.receive(recv.limit() - recv.received() + 1), None);
                recv.consume_to(consumed % (recv.received() + 1));
                if recv.is_due() {
                    prop_assert!(send.raise(recv.tell(now, Some(Duration::from_millis(1)))));
                }
                prop_assert!(recv.limit() <= recv.consumed + most);
            }
        }
    }
}
