//! What a pump does next with a link's socket, and what it found.
//!
//! May not encode or decode anything.

use super::life::Failure;
use super::{Flight, Link, MAX_ACCEPTS, Reader};
use crate::driver::boundary::kind;
use crate::driver::inbox::buffers::AHEAD;
use crate::driver::inbox::collector::Collector;
use crate::driver::link::joining::Part;
use crate::proto::{MAX_MESSAGE, Partial, ProtocolError, Transmit};
use std::ops::Range;
use std::time::{Duration, Instant};

/// A message of which more than this is missing is long.
const LONG: usize = MAX_MESSAGE / 2;

/// A deadline that has come and not moved waits for something else, most likely for the peer to read: it is looked at
/// again after this time.
const STALLED: Duration = Duration::from_millis(100);

/// What a pump does next to send.
#[derive(Debug)]
pub enum Step {
    /// Sends this, and says how much of it the kernel took: [`Link::sent`].
    Send(Transmit),
    /// Sends our FIN.
    ShutdownWrite,
    /// Ends the connection: its life says why.
    Close,
    /// Nothing, for now.
    Wait,
}

/// How to read.
#[derive(Clone, Copy, Debug)]
pub struct ReadPlan {
    /// Bytes of room in front of what is read, for the part of a message that was kept.
    pub at: usize,
    /// Most bytes worth reading.
    pub most: usize,
}

/// What a task waits for.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    /// The task reads.
    pub to_read: bool,
    /// The task reads nothing for now, but notices an error of the socket.
    pub for_error: bool,
    /// The kernel takes more.
    pub to_write: bool,
    /// The session's deadline.
    pub deadline: Option<Instant>,
    /// The deadline is that of pacing, for which a millisecond is long.
    pub is_fine: bool,
}

impl Link {
    // ---- sending ----

    /// Lets the session act on its deadline. Returns whether the peer has been silent for too long, as far as is known
    /// without reading the socket; any other error ends the connection.
    pub fn act_on_deadline(
        &mut self,
        now: Instant,
        unsent: impl FnOnce() -> usize,
    ) -> Result<bool, Failure> {
        match self.tick(now, unsent) {
            Ok(()) => Ok(false),
            Err(error) if error.is_timeout() => Ok(true),
            Err(error) => Err(Failure::Protocol(error)),
        }
    }

    /// What to do next to send, behind the commands that were executed. `has_deferred`: others wait to be.
    pub fn next(&mut self, has_deferred: bool, now: Instant, collector: &mut Collector) -> Step {
        if self.life.is_failing() {
            return Step::Close;
        }
        match std::mem::replace(&mut self.flight, Flight::Away) {
            Flight::Held(transmit) => return Step::Send(transmit),
            Flight::Away => return Step::Wait,
            Flight::None => {}
        }
        if self.life.writes()
            && let Some(transmit) = self.session.take_transmit(now, collector)
        {
            return Step::Send(self.channel.seal(transmit));
        }
        self.flight = Flight::None;
        if self.life.is_finishing() && self.is_flushed(has_deferred) {
            self.life.end_write();
            self.session.write_ended();
            return Step::ShutdownWrite;
        }
        Step::Wait
    }

    /// What is left to send whatever the pace, if it can be sent at once.
    pub fn next_of_rest(&mut self, collector: &mut Collector) -> Option<Transmit> {
        match std::mem::replace(&mut self.flight, Flight::Away) {
            Flight::Held(transmit) => return Some(transmit),
            Flight::Away => return None,
            Flight::None => {}
        }
        let transmit = self.session.take_rest(collector);
        match transmit {
            Some(transmit) => Some(self.channel.seal(transmit)),
            None => {
                self.flight = Flight::None;
                None
            }
        }
    }

    /// Takes what the kernel did not take, to try it again.
    pub fn take_held(&mut self) -> Option<Transmit> {
        match std::mem::replace(&mut self.flight, Flight::Away) {
            Flight::Held(transmit) => Some(transmit),
            other => {
                self.flight = other;
                None
            }
        }
    }

    /// The kernel took `bytes` of a transmit. Returns whether that was all of it.
    pub fn sent(
        &mut self,
        mut transmit: Transmit,
        bytes: usize,
        now: Instant,
        collector: &mut Collector,
    ) -> bool {
        transmit.advance(bytes);
        if bytes > 0 {
            self.session.transmitted(bytes, collector);
        }
        self.land(transmit, now)
    }

    /// Takes back what was sent. Returns whether that was all of it.
    pub(super) fn land(&mut self, transmit: Transmit, now: Instant) -> bool {
        let is_all = transmit.is_empty();
        self.flight = match is_all {
            true => {
                self.session.transmit_done(transmit, now);
                Flight::None
            }
            false => Flight::Held(transmit),
        };
        is_all
    }

    /// Whether all that the application wanted sent before its half-close is with the kernel.
    fn is_flushed(&self, has_deferred: bool) -> bool {
        self.session.is_flushed() && self.backlog.len() == 0 && !has_deferred
    }

    /// Whether there is, or may be, something to send.
    pub fn wants_write(&self) -> bool {
        self.session.wants_write() && self.life.writes()
    }

    /// Whether the JavaScript thread may send: nobody is at it, and nothing goes before what the session has.
    pub fn is_clear_to_send(&self) -> bool {
        !self.is_in_flight() && self.backlog.len() == 0 && self.life.writes()
    }

    /// Bytes that the session has ready to be sent.
    pub fn ready(&self) -> u64 {
        self.session.queued()
    }

    /// Whether there is something that only the task does.
    pub fn needs_task(&self) -> bool {
        self.wants_write()
            || self.is_in_flight()
            || self.backlog.len() > 0
            || self.life.is_finishing()
            || self.life.is_failing()
            || self.is_due_earlier()
            || (self.reader == Reader::App && self.awaits_credit())
    }

    /// Whether what was read may have brought about something for the task to send.
    pub fn has_answers(&self) -> bool {
        let can_take = self.backlog.len() > 0 && self.session.can_encode();
        !self.is_in_flight() && (self.wants_write() || can_take || self.life.is_finishing())
    }

    /// Whether the session has a deadline that the task does not know of. One that has moved back needs no word: the
    /// task comes early, and finds the new one.
    fn is_due_earlier(&self) -> bool {
        match (self.session.deadline(), self.armed) {
            (Some(deadline), Some(armed)) => deadline < armed,
            (deadline, _) => deadline.is_some(),
        }
    }

    /// Whether something is queued that the peer has yet to allow. The task then reads what the peer says: JavaScript's
    /// thread has nothing to do with it, and may be at other work.
    fn awaits_credit(&self) -> bool {
        self.life.writes() && self.session.wires().sending && !self.session.is_flushed()
    }

    // ---- reading ----

    /// Whether the socket may be read, as far as the application and the protocol are concerned.
    pub fn wants_read(&self) -> bool {
        // A session that can encode, as one that has changed wires always can, is about to take them.
        let has_room = self.backlog.accepts < MAX_ACCEPTS || self.session.can_encode();
        has_room && self.session.wants_read(self.is_paused)
    }

    /// How the task reads next, if it may.
    pub fn plan_read(&self) -> Option<ReadPlan> {
        let may = self.life.reads() && self.reader == Reader::Task && self.wants_read();
        may.then(|| ReadPlan {
            at: self.joining.len(),
            // Of a long message the rest, since the next one is likely long, too, and should begin near the start of a read.
            most: match self.session.partial() {
                Some(partial) if partial.missing > LONG => partial.missing + AHEAD,
                _ => usize::MAX,
            },
        })
    }

    /// Whether the JavaScript thread may read. A message under way is the task's to go on with.
    pub fn may_app_read(&self) -> bool {
        self.reader == Reader::App
            && self.life.reads()
            && self.wants_read()
            && self.joining.part().is_none()
    }

    /// Takes what was read: a range of `bytes`, behind room for the part of a message that was kept. Returns whether
    /// JavaScript is told anything of it, and how many bytes its events need.
    pub fn received(
        &mut self,
        bytes: &mut [u8],
        received: Range<usize>,
        now: Instant,
        collector: &mut Collector,
    ) -> (Result<bool, ProtocolError>, usize) {
        #[cfg(test)]
        assert!(!std::mem::take(&mut self.panics), "as the test wants it");
        let (at, end) = (received.start, received.end);
        let mut part = self.joining.part();
        let plain = self.channel.open(bytes, received);
        let result = self.parse(&bytes[plain], at, now, &mut part, collector);
        let used = self.joining.settle(&mut bytes[..end], at, part);
        (result, used)
    }

    fn parse(
        &mut self,
        input: &[u8],
        at: usize,
        now: Instant,
        part: &mut Part,
        collector: &mut Collector,
    ) -> Result<bool, ProtocolError> {
        let before = collector.len();
        collector.base = at;
        if let Some((stream, start)) = part.take() {
            collector.join(stream, start);
        }
        self.session.receive(input, now, collector)?;
        if let Some(Partial { stream, .. }) = self.session.partial() {
            let start = collector.take_back(stream, at + input.len());
            *part = start.map(|start| (stream, start));
        }
        Ok(collector.len() > before)
    }

    /// Takes the peer's FIN.
    pub fn received_fin(&mut self, collector: &mut Collector) -> Result<(), ProtocolError> {
        self.life.end_read();
        self.session.receive_fin()?;
        collector.plain(kind::CONN_END, 0, 0);
        Ok(())
    }

    /// Whether the application's thread may take reading over: nothing waits to be written, and no message is under way.
    pub fn may_give_reading_away(&self) -> bool {
        !self.waits_to_write() && self.joining.part().is_none()
    }

    /// Whether something waits for the kernel, or for the peer's credit.
    pub fn waits_to_write(&self) -> bool {
        self.is_in_flight() || self.awaits_credit()
    }

    // ---- waiting ----

    /// What the task waits for. `has_room` says whether JavaScript has seen enough of what was read; `acted` is when the
    /// session was last let act on its deadline.
    pub fn wait(&mut self, has_room: bool, acted: Option<Instant>) -> Wait {
        let deadline = self.session.deadline();
        self.armed = deadline;
        let is_reader = self.life.reads() && self.reader == Reader::Task;
        let to_read = is_reader && self.wants_read() && has_room;
        Wait {
            to_read,
            // Behind the peer's FIN only a write has to notice it.
            for_error: is_reader && !to_read,
            to_write: self.is_in_flight(),
            deadline: match (deadline, acted) {
                (Some(deadline), Some(acted)) if deadline <= acted => Some(acted + STALLED),
                _ => deadline,
            },
            is_fine: self.session.wants_look(),
        }
    }

    /// Nothing had come by the deadline, and nothing waits to be read either, if that `can_read`: the connection is given
    /// up. If reading is held up on this side, the peer is excused.
    pub fn expire(
        &mut self,
        has_room: bool,
        now: Instant,
        unsent: impl FnOnce() -> usize,
    ) -> Result<(), Failure> {
        let result = self.tick(now, unsent);
        let can_read = has_room && self.plan_read().is_some();
        match result {
            Err(error) if error.is_timeout() && self.life.reads() && !can_read => {
                self.session.excuse(now);
                Ok(())
            }
            result => result.map_err(Failure::Protocol),
        }
    }
}
