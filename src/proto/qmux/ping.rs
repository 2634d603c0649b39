//! Pings both ways, the round trip time, and the two timers: keep-alive and idle timeout.
//!
//! ```text
//!   ask ──▶ due ──taken──▶ sent (number, when, who asked) ──response with this number or a later one──▶ rtt
//! ```
//!
//! May not send anything.

use super::super::config::QmuxConfig;
use super::super::error::{ProtocolError, Violation};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The number of requests under way. More wait for the next one, because each answer answers all requests before it.
const MAX_SENT: usize = 16;

/// The least interval of requests, once [`AT_ONCE`] have been sent: half the rate at which a peer like us calls them a
/// flood. Callers who ask meanwhile are answered together with the next request.
const SPACING: Duration = Duration::from_millis(20);
const AT_ONCE: u32 = 50;

/// The number of times that a ping without an answer is repeated within the time for an answer.
const REPEATS: u32 = 3;

/// The time for which a measured round trip time is good.
const SAMPLE: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Sent {
    number: u64,
    at: Instant,
    asked: Vec<u32>,
}

/// One connection's pings.
#[derive(Debug)]
pub struct Ping {
    /// The callers who asked for the request that is due.
    asked: Vec<u32>,
    due: bool,
    sent: VecDeque<Sent>,
    /// The time at which all requests sent so far would have been due at their spacing, and the time until which the
    /// next has to wait.
    paced: Instant,
    held_back: Option<Instant>,
    next: u64,
    /// The peer's last request, and whether it is to be answered.
    request: Option<u64>,
    answer: bool,
    rtt: Option<Duration>,
    measured: Option<Instant>,
    interval: Duration,
    idle_timeout: Duration,
    /// The time for which a peer that was pinged may be silent, and the time since when it was.
    timeout: Duration,
    waiting: Option<Instant>,
    /// The request that was last taken repeats one that has no answer.
    is_repeat: bool,
    /// The bytes of such requests that are encoded and not sent.
    repeated: u64,
    /// The times at which anything last came, at which a record last came, and at which a record last came or was sent.
    arrived: Instant,
    heard: Instant,
    active: Instant,
}

impl Ping {
    pub fn new(config: &QmuxConfig, now: Instant) -> Self {
        Self {
            asked: Vec::new(),
            due: false,
            sent: VecDeque::new(),
            paced: now,
            held_back: None,
            next: 0,
            request: None,
            answer: false,
            rtt: None,
            measured: None,
            interval: config.ping_interval,
            idle_timeout: config.idle_timeout,
            timeout: config.ping_timeout,
            waiting: None,
            is_repeat: false,
            repeated: 0,
            arrived: now,
            heard: now,
            active: now,
        }
    }

    /// The peer declared its idle timeout. The smaller one counts.
    pub fn set_peer_timeout(&mut self, timeout: Duration) {
        if !timeout.is_zero() && (self.idle_timeout.is_zero() || timeout < self.idle_timeout) {
            self.idle_timeout = timeout;
        }
    }

    /// The round trip time, once it is known.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// The application asks for a ping.
    pub fn ask(&mut self, id: u32, now: Instant) {
        self.asked.push(id);
        self.request(now);
    }

    fn request(&mut self, now: Instant) {
        self.due = true;
        self.waiting.get_or_insert(now);
    }

    /// No ping can be sent or answered any more, and none is waited for.
    pub fn disable(&mut self) {
        self.interval = Duration::ZERO;
        self.timeout = Duration::ZERO;
    }

    /// Credit is about to go back, so its windows need the round trip time.
    pub fn sample(&mut self, now: Instant) {
        let is_fresh = self.measured.is_some_and(|at| now < at + SAMPLE);
        if self.sent.is_empty() && !is_fresh {
            self.request(now);
        }
    }

    /// Whether a request or an answer is to be sent.
    pub fn is_due(&self) -> bool {
        self.answer || (self.due && self.sent.len() < MAX_SENT && self.held_back.is_none())
    }

    /// The number of a request to send now.
    pub fn take_request(&mut self, now: Instant) -> Option<u64> {
        if !self.due || self.sent.len() >= MAX_SENT {
            return None;
        }
        let earliest = self.paced.checked_sub(SPACING * AT_ONCE).unwrap_or(now);
        if now < earliest {
            self.held_back = Some(earliest);
            return None;
        }
        self.held_back = None;
        self.paced = self.paced.max(now) + SPACING;
        self.due = false;
        // Nobody asked for those requests: the answer to this one answers them as well.
        self.is_repeat = !self.sent.is_empty() && self.asked.is_empty();
        self.sent.retain(|sent| !sent.asked.is_empty());
        let number = self.next;
        self.next += 1;
        self.sent.push_back(Sent {
            number,
            at: now,
            asked: std::mem::take(&mut self.asked),
        });
        Some(number)
    }

    /// The number of an answer to send now. Only the latest request needs one.
    pub fn take_answer(&mut self) -> Option<u64> {
        std::mem::take(&mut self.answer).then_some(self.request?)
    }

    /// Whether a request of the peer's has yet to be answered.
    pub fn owes_answer(&self) -> bool {
        self.answer
    }

    /// The peer pings.
    pub fn recv_request(&mut self, number: u64) -> Result<(), ProtocolError> {
        if self.request.is_some_and(|last| number <= last) {
            return Err(Violation::Protocol.error("sent a ping whose number does not grow"));
        }
        self.request = Some(number);
        self.answer = true;
        Ok(())
    }

    /// The peer answers. Returns the callers who asked, and how long that took.
    pub fn recv_response(
        &mut self,
        number: u64,
        now: Instant,
    ) -> Result<Vec<(u32, Duration)>, ProtocolError> {
        if number >= self.next {
            return Err(Violation::Protocol.error("answered a ping that was never sent"));
        }
        let mut answered = Vec::new();
        while self.sent.front().is_some_and(|sent| sent.number <= number) {
            let Some(sent) = self.sent.pop_front() else {
                break;
            };
            let rtt = now.saturating_duration_since(sent.at);
            if sent.number == number {
                self.rtt = Some(rtt);
                self.measured = Some(now);
            }
            answered.extend(sent.asked.into_iter().map(|id| (id, rtt)));
        }
        if self.sent.is_empty() && !self.due {
            self.waiting = None;
        }
        Ok(answered)
    }

    /// A frame of this length was encoded: the request that was taken just now, if there was one.
    pub fn encoded(&mut self, bytes: u64) {
        if std::mem::take(&mut self.is_repeat) {
            self.repeated += bytes;
        }
    }

    /// Anything came: the peer is there.
    pub fn arrived(&mut self, now: Instant) {
        self.arrived = now;
    }

    /// Nothing was read, so nothing can have come. Pings go on, because they tell the peer that we are there.
    pub fn forgive_silence(&mut self, now: Instant) {
        self.arrived = now;
        self.active = now;
    }

    /// A record came.
    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.active = now;
    }

    /// Bytes are about to be sent. A ping that is repeated is no sign of life.
    pub fn sent(&mut self, bytes: u64, now: Instant) {
        if bytes > std::mem::take(&mut self.repeated) {
            self.active = now;
        }
    }

    /// The time at which to call [`Ping::timeout`].
    pub fn deadline(&self) -> Option<Instant> {
        let idle = (!self.idle_timeout.is_zero()).then(|| self.active + self.idle_timeout);
        [idle, self.keep_alive(), self.last_chance(), self.held_back]
            .into_iter()
            .flatten()
            .min()
    }

    /// The time at which the next ping is due by itself: an interval after the peer was last heard. While the peer is
    /// silent, pings are repeated, because the peer, too, has to notice that we are there, even while nothing is read
    /// here.
    fn keep_alive(&self) -> Option<Instant> {
        if self.interval.is_zero() || self.due {
            return None;
        }
        let again = match self.timeout.is_zero() {
            true => self.interval,
            false => self.interval.min(self.timeout / REPEATS),
        };
        Some(match self.sent.back() {
            Some(last) if last.at >= self.heard => last.at + again,
            _ => self.heard + self.interval,
        })
    }

    /// The time until which something has to come.
    fn last_chance(&self) -> Option<Instant> {
        let waiting = self.waiting.filter(|_| !self.timeout.is_zero())?;
        Some(waiting.max(self.arrived) + self.timeout)
    }

    /// The deadline may have come.
    pub fn timeout(&mut self, now: Instant) -> Result<(), ProtocolError> {
        if !self.idle_timeout.is_zero() && now >= self.active + self.idle_timeout {
            return Err(ProtocolError::IdleTimeout);
        }
        if self.held_back.is_some_and(|until| now >= until) {
            self.held_back = None;
        }
        if self.last_chance().is_some_and(|last| now >= last) {
            return Err(ProtocolError::PingTimeout);
        }
        if self.keep_alive().is_some_and(|at| now >= at) {
            self.request(now);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_answers_all_before_it() {
        let now = Instant::now();
        let mut ping = Ping::new(&QmuxConfig::default(), now);
        ping.ask(7, now);
        assert_eq!(ping.take_request(now), Some(0));
        ping.ask(8, now);
        ping.ask(9, now);
        let later = now + Duration::from_millis(5);
        assert_eq!(ping.take_request(later), Some(1));
        assert_eq!(ping.take_request(later), None);
        let end = now + Duration::from_millis(20);
        let answered = ping
            .recv_response(1, end)
            .map(|all| all.iter().map(|one| one.0).collect::<Vec<_>>());
        assert_eq!(answered, Ok(vec![7, 8, 9]));
        assert_eq!(ping.rtt(), Some(Duration::from_millis(15)));
        assert!(ping.recv_response(2, end).is_err());
        assert_eq!(ping.recv_response(0, end), Ok(vec![]));
    }

    #[test]
    fn whoever_asks_all_the_time_is_no_flood() {
        let mut now = Instant::now();
        let mut ping = Ping::new(&QmuxConfig::default(), now);
        let mut sent = 0;
        let end = now + Duration::from_secs(10);
        while now < end {
            ping.ask(1, now);
            match ping.take_request(now) {
                Some(number) => {
                    sent += 1;
                    assert!(ping.recv_response(number, now).is_ok());
                }
                None => {
                    now = ping.deadline().expect("until the next may go");
                    assert_eq!(ping.timeout(now), Ok(()));
                    assert!(ping.is_due());
                }
            }
        }
        assert_eq!(sent, 50 + 10 * 50);
    }

    #[test]
    fn only_the_latest_request_is_answered() {
        let mut ping = Ping::new(&QmuxConfig::default(), Instant::now());
        assert_eq!(ping.recv_request(0), Ok(()));
        assert_eq!(ping.recv_request(5), Ok(()));
        assert!(ping.recv_request(5).is_err());
        assert_eq!((ping.take_answer(), ping.take_answer()), (Some(5), None));
    }

    #[test]
    fn the_smaller_idle_timeout_counts_and_pings_keep_it_from_coming() {
        let now = Instant::now();
        let config = QmuxConfig {
            ping_interval: Duration::from_secs(2),
            ..QmuxConfig::default()
        };
        let mut ping = Ping::new(&config, now);
        ping.set_peer_timeout(Duration::from_secs(5));
        assert_eq!(ping.deadline(), Some(now + Duration::from_secs(2)));
        let at = now + Duration::from_secs(2);
        assert_eq!(ping.timeout(at), Ok(()));
        assert_eq!(ping.take_request(at), Some(0));
        ping.sent(9, at);
        assert_eq!(ping.deadline(), Some(at + Duration::from_secs(2)));
        assert_eq!(
            ping.timeout(at + Duration::from_secs(5)),
            Err(ProtocolError::IdleTimeout)
        );
    }

    /// Three pings of which nobody asked for one, in a peer's whole time.
    #[test]
    fn who_does_not_answer_is_asked_again_and_given_up() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let config = QmuxConfig {
            ping_interval: 30 * second,
            ping_timeout: 30 * second,
            ..QmuxConfig::default()
        };
        let mut ping = Ping::new(&config, now);
        for (number, at) in [30, 40, 50].into_iter().enumerate() {
            let at = now + at * second;
            assert_eq!(ping.deadline(), Some(at));
            assert_eq!((ping.timeout(at), ping.is_due()), (Ok(()), true));
            assert_eq!(ping.take_request(at), Some(number as u64));
            ping.encoded(9);
            assert_eq!(
                std::mem::take(&mut ping.repeated),
                [0, 9][usize::from(number > 0)]
            );
            assert_eq!(ping.sent.len(), 1);
        }
        let last = now + 60 * second;
        assert_eq!(ping.timeout(last), Err(ProtocolError::PingTimeout));
        // A byte of anything is a sign of life, if not of an active peer.
        ping.arrived(last);
        assert_eq!(
            (ping.timeout(last), ping.take_request(last)),
            (Ok(()), Some(3))
        );
        assert_eq!(ping.recv_response(3, last), Ok(vec![]));
        ping.heard(last);
        assert_eq!(ping.deadline(), Some(last + 30 * second));
        // Nothing can be sent, so nothing is waited for.
        ping.ask(7, last);
        ping.disable();
        assert_eq!(ping.timeout(last + 1000 * second), Ok(()));
    }

    /// A ping is waited for from when it is due, whether it can be sent or not: a frozen peer lets nothing through.
    #[test]
    fn a_ping_that_cannot_be_sent_is_waited_for_as_well() {
        let now = Instant::now();
        let config = QmuxConfig {
            ping_timeout: Duration::from_secs(5),
            ..QmuxConfig::default()
        };
        let mut ping = Ping::new(&config, now);
        assert_eq!(ping.deadline(), None);
        ping.ask(7, now);
        let last = now + Duration::from_secs(5);
        assert_eq!(ping.deadline(), Some(last));
        assert_eq!(ping.timeout(last), Err(ProtocolError::PingTimeout));
    }
}
