//! The counts of streams: how many each side has opened, may open and serves. They are also the ids: the n-th stream of
//! a side has its n-th id.
//!
//! ```text
//!   the peer's:   0 ──── over ──── answered ──── opened ──── limit      limit ≤ answered + those that may wait for an answer
//!   ours:         0 ──────────────────────────── opened ──── limit      and none from where the peer went away
//! ```
//!
//! May not know what happens on a stream.

use super::super::config::{QmuxConfig, Side};
use super::super::error::{ProtocolError, Violation};
use super::frame;
use super::window::{RecvWindow, SendWindow};

/// The most streams that a side opens on the legacy wire before its switch. An id there is free again when it is
/// acknowledged, and no acknowledgement comes any more.
const MAX_CARRIED: u64 = 256;

/// Whether a stream of ours may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Free,
    /// The peer allows no more than this many streams.
    Full(u64),
    /// The peer has gone away, and serves no stream that begins now.
    Unserved,
}

/// The counts of one connection.
#[derive(Debug)]
pub struct Counts {
    /// Bit 0 of the ids of our streams.
    ours: u64,
    incoming: RecvWindow,
    outgoing: SendWindow,
    /// The number of the peer's streams that may live, and of those that may wait for the application's answer.
    max_live: u64,
    max_pending: u64,
    /// The number of the peer's streams that have had the application's answer.
    answered: u64,
    /// The application wants no new streams of the peer's.
    goes_away: bool,
    /// The number of the peer's streams that are served, once the peer was told.
    served: Option<u64>,
    /// The number of our streams that the peer serves.
    peer_serves: u64,
    /// The peer's switch has not been read: the peer may not be told yet how many streams it may open.
    is_carrying: bool,
    /// The number of the peer's streams that ended before its switch.
    carried_ends: u64,
}

impl Counts {
    pub fn new(config: &QmuxConfig, side: Side) -> Self {
        let (max_live, max_pending) = (config.max_incoming_streams, config.max_pending_streams);
        let allowed = max_live.min(max_pending);
        let mut incoming = RecvWindow::new(allowed, allowed);
        incoming.carry(0, allowed, max_live);
        Self {
            ours: match side {
                Side::Connecting => 0,
                Side::Listening => 1,
            },
            incoming,
            outgoing: SendWindow::default(),
            max_live,
            max_pending,
            answered: 0,
            goes_away: false,
            served: None,
            peer_serves: u64::MAX,
            is_carrying: false,
            carried_ends: 0,
        }
    }

    /// The id of our stream of this ordinal, counted from 0.
    pub fn our_id(&self, ordinal: u64) -> u64 {
        ordinal << 2 | self.ours
    }

    fn their_id(&self, ordinal: u64) -> u64 {
        ordinal << 2 | (1 - self.ours)
    }

    /// The ordinal of a stream that the peer begins with a frame for `id`, if no stream lives under it. `None`: the
    /// stream is over.
    pub fn beginning(&self, id: u64) -> Result<Option<u64>, ProtocolError> {
        let (ordinal, is_ours) = (id >> 2, id & 1 == self.ours);
        let never = ProtocolError::Qmux(
            Violation::StreamState,
            "named a stream that we never opened",
        );
        match (is_ours, id & 2 == 0) {
            (true, false) => Err(never),
            (true, true) if ordinal >= self.outgoing.used() => Err(never),
            (false, false) => Err(ProtocolError::Qmux(
                Violation::StreamLimit,
                "named a stream of one direction",
            )),
            (false, true) if ordinal >= self.incoming.limit().max(self.incoming.received()) => Err(
                ProtocolError::Qmux(Violation::StreamLimit, "opened more streams than it may"),
            ),
            (false, true) if ordinal >= self.incoming.received() => Ok(Some(ordinal)),
            (_, true) => Ok(None),
        }
    }

    /// Whether the peer has yet to begin its stream of this ordinal.
    pub fn is_beginning(&self, ordinal: u64) -> bool {
        self.incoming.received() <= ordinal
    }

    /// The peer's next stream begins. Returns its id.
    pub fn begin_theirs(&mut self) -> u64 {
        let id = self.their_id(self.incoming.received());
        self.incoming.receive_one();
        id
    }

    /// Whether our next stream may begin.
    pub fn place(&self) -> Place {
        if self.outgoing.used() >= self.peer_serves {
            Place::Unserved
        } else if self.outgoing.available() == 0 {
            Place::Full(self.outgoing.limit())
        } else {
            Place::Free
        }
    }

    /// Our next stream begins, for which there is a place. Returns its id.
    pub fn begin_ours(&mut self) -> u64 {
        let id = self.our_id(self.outgoing.used());
        self.outgoing.take(1);
        id
    }

    /// The peer allows us this many streams. Returns whether that is more than before.
    pub fn raise(&mut self, limit: u64) -> bool {
        self.outgoing.raise(limit)
    }

    /// The peer says that it waits at this limit. Returns whether that is news.
    pub fn hear_blocked(&mut self, limit: u64) -> bool {
        self.incoming.hear_blocked(limit)
    }

    /// A stream of the peer's no longer waits for the application's answer.
    pub fn answer(&mut self) {
        self.answered += 1;
    }

    /// A stream of the peer's is over, and its place is free.
    pub fn end_theirs(&mut self) {
        self.incoming.consume_one();
    }

    /// The number of streams that the peer is to be told it may open.
    fn due(&self) -> Option<u64> {
        if self.is_carrying || self.served.is_some() {
            return None;
        }
        let bound = self.answered.saturating_add(self.max_pending);
        let room = self.max_live.min(self.max_pending);
        self.incoming.due_soon(bound.min(frame::MAX_STREAMS), room)
    }

    /// Whether the peer is to be told a new number of streams.
    pub fn is_due(&self) -> bool {
        self.due().is_some()
    }

    /// The limit that the peer is told now, if it is to be told one.
    pub fn take_due(&mut self) -> Option<u64> {
        let limit = self.due()?;
        self.incoming.tell_limit(limit);
        Some(limit)
    }

    /// The application wants no new streams of the peer's.
    pub fn go_away(&mut self) {
        self.goes_away = true;
    }

    /// The number of streams that are served, if the peer is to be told that now. `can_hear`: the peer speaks our
    /// mapping. The peer cannot be told before its switch.
    pub fn take_go_away(&mut self, can_hear: bool) -> Option<u64> {
        let is_due = self.goes_away && self.served.is_none() && !self.is_carrying && can_hear;
        if is_due {
            self.served = Some(self.incoming.received());
        }
        self.served.filter(|_| is_due)
    }

    /// Whether a stream of the peer's is served.
    pub fn serves(&self, id: u64) -> bool {
        self.served.is_none_or(|served| id >> 2 < served)
    }

    /// The peer serves this many of our streams, and no more. Returns whether that is news.
    pub fn recv_go_away(&mut self, streams: u64) -> Result<bool, ProtocolError> {
        if streams > self.peer_serves {
            return Err(ProtocolError::Qmux(
                Violation::Protocol,
                "came back from going away",
            ));
        }
        let is_news = streams < self.peer_serves;
        self.peer_serves = streams;
        Ok(is_news)
    }

    /// Whether the peer serves our stream under this id.
    pub fn is_served(&self, id: u64) -> bool {
        id >> 2 < self.peer_serves
    }

    /// The number of further streams of ours that the peer serves.
    pub fn left_to_serve(&self) -> usize {
        let left = self.peer_serves.saturating_sub(self.outgoing.used());
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    /// We opened `opened` streams on the legacy wire, of which `ended` take none of the places that the peer allows.
    /// The peer is still to switch.
    pub fn carry(&mut self, opened: u64, ended: u64) {
        let limit = self.outgoing.limit().saturating_add(ended);
        self.outgoing.carry(opened, limit);
        self.is_carrying = true;
    }

    /// The peer opened a stream on the legacy wire, before its switch. Returns the id of the stream here.
    pub fn carry_theirs(&mut self) -> Result<u64, ProtocolError> {
        match self.incoming.received() < MAX_CARRIED {
            true => Ok(self.begin_theirs()),
            false => Err(ProtocolError::Qmux(
                Violation::StreamLimit,
                "opened more streams than the legacy wire has ids for, before its switch",
            )),
        }
    }

    /// A stream of the peer's ended before its switch.
    pub fn carry_end(&mut self) {
        self.carried_ends += 1;
    }

    /// The peer's switch was read: both ends know by now how many streams ended before it.
    pub fn end_carrying(&mut self) {
        let limit = self.max_live.min(self.max_pending);
        let limit = limit.saturating_add(self.carried_ends);
        let window = self.max_live.saturating_add(self.carried_ends);
        self.incoming.carry(self.incoming.received(), limit, window);
        self.is_carrying = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_apart() {
        let mut counts = Counts::new(&QmuxConfig::default(), Side::Connecting);
        assert_eq!((counts.begin_theirs(), counts.begin_theirs()), (1, 5));
        assert!(counts.raise(1));
        assert_eq!((counts.begin_ours(), counts.place()), (0, Place::Full(1)));
        assert_eq!(counts.beginning(5), Ok(None));
        assert_eq!(counts.beginning(9), Ok(Some(2)));
        assert_eq!(counts.beginning(0), Ok(None));
        let code = |id| counts.beginning(id).map_err(|error| error.code());
        assert_eq!(code(4), Err("ERR_MUX_STREAM_STATE"));
        assert_eq!(code(2), Err("ERR_MUX_STREAM_STATE"));
        assert_eq!(code(3), Err("ERR_MUX_STREAM_COUNT"));
        assert_eq!(code(256 << 2 | 1), Err("ERR_MUX_STREAM_COUNT"));
        assert_eq!((counts.our_id(3), counts.their_id(3)), (12, 13));
    }
}
