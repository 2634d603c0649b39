//! The next steps of a pump with a link's socket, and its reports of what it found.
//!
//! May not do I/O, nor know the bytes of a wire.

use super::life::Failure;
use super::{Flight, Link, MAX_ACCEPTS, Reader};
use crate::driver::boundary::kind;
use crate::driver::inbox::buffers::AHEAD;
use crate::driver::inbox::collector::Collector;
use crate::driver::link::joining::Part;
use crate::proto::{MAX_MESSAGE, Partial, ProtocolError, Transmit};
use std::ops::Range;
use std::time::{Duration, Instant};

/// A message is long if more than this is missing of it.
const LONG: usize = MAX_MESSAGE / 2;

/// The time after which a deadline that has come and not moved is acted on again. It waits for something else, most
/// likely for the peer to read.
const STALLED: Duration = Duration::from_millis(100);

/// The next step of a pump that sends.
#[derive(Debug)]
pub enum Step {
    /// Send this, and report by [`Link::sent`] how much of it the kernel took.
    Send(Transmit),
    /// Send our FIN.
    ShutdownWrite,
    /// End the connection, whose life says why.
    Close,
    /// Do nothing for now.
    Wait,
}

/// The bounds of a read.
#[derive(Clone, Copy, Debug)]
pub struct ReadPlan {
    /// The room in front of the bytes to read, for the part of a message that was kept.
    pub at: usize,
    /// The most bytes that are worth reading.
    pub most: usize,
}

/// The events that a task waits for.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    /// The socket becomes readable, and the task reads.
    pub to_read: bool,
    /// The socket has an error, while the task does not read.
    pub for_error: bool,
    /// The kernel takes more.
    pub to_write: bool,
    /// The session's deadline comes.
    pub deadline: Option<Instant>,
    /// The deadline is that of pacing, for which a millisecond is long.
    pub is_fine: bool,
}

impl Link {
    // ---- sending ----

    /// Lets the session act on its deadline. Returns whether the peer has been silent for too long, as far as is known
    /// without reading the socket. Any other error ends the connection.
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

    /// The next step of sending, behind the commands that were executed. With `has_deferred`, other commands wait to be
    /// executed.
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

    /// The rest that is to be sent without pacing, if it can be sent at once.
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

    /// Takes the bytes that the kernel did not take, to try again.
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

    /// Takes a transmit back that was sent. Returns whether all of it was.
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

    /// Whether the kernel has taken all that the application wanted sent before its half-close.
    fn is_flushed(&self, has_deferred: bool) -> bool {
        self.session.is_flushed() && self.backlog.len() == 0 && !has_deferred
    }

    /// Whether there is, or may be, something to send.
    pub fn wants_write(&self) -> bool {
        self.session.wants_write() && self.life.writes()
    }

    /// Whether the JavaScript thread may send: no pump is sending, and nothing goes before what the session has.
    pub fn is_clear_to_send(&self) -> bool {
        !self.is_in_flight() && self.backlog.len() == 0 && self.life.writes()
    }

    /// The bytes that the session has ready to be sent.
    pub fn ready(&self) -> u64 {
        self.session.queued()
    }

    /// Whether there is something to do that only the task does. With `app_sends`, JavaScript's thread comes for what is to
    /// be sent.
    pub fn needs_task(&self, app_sends: bool) -> bool {
        let to_send = self.wants_write() || self.is_in_flight() || self.backlog.len() > 0;
        (to_send && !app_sends)
            || self.life.is_finishing()
            || self.life.is_failing()
            || self.is_due_earlier()
            || (self.reader == Reader::App && self.awaits_credit())
    }

    /// Whether a read may have brought about something for the task to send.
    pub fn has_answers(&self) -> bool {
        let can_take = self.backlog.len() > 0 && self.session.can_encode();
        !self.is_in_flight() && (self.wants_write() || can_take || self.life.is_finishing())
    }

    /// Whether the session has a deadline that the task does not know of. If a deadline has moved back, the task need
    /// not be told: it comes early, and finds the new one.
    fn is_due_earlier(&self) -> bool {
        match (self.session.deadline(), self.task_deadline) {
            (Some(deadline), Some(task_deadline)) => deadline < task_deadline,
            (deadline, _) => deadline.is_some(),
        }
    }

    /// Whether something is queued that the peer has yet to allow. If so, the task reads the peer's credit, which does
    /// not concern JavaScript's thread, and that thread may be at other work.
    fn awaits_credit(&self) -> bool {
        self.life.writes() && self.session.wires().sending && !self.session.is_flushed()
    }

    // ---- reading ----

    /// Whether the socket may be read, as far as the application and the protocol are concerned.
    pub fn wants_read(&self) -> bool {
        // A session that can encode is about to take them; one that has changed wires always can.
        let has_room = self.backlog.accepts < MAX_ACCEPTS || self.session.can_encode();
        has_room && self.session.wants_read(self.is_paused)
    }

    /// The next read of the task, if it may read.
    pub fn plan_read(&self) -> Option<ReadPlan> {
        let may = self.life.reads() && self.reader == Reader::Task && self.wants_read();
        may.then(|| ReadPlan {
            at: self.joining.len(),
            // If a message is long, the read takes the rest of it: the next one is likely long, too, and should begin
            // near the start of a read.
            most: match self.session.partial() {
                Some(partial) if partial.missing > LONG => partial.missing + AHEAD,
                _ => usize::MAX,
            },
        })
    }

    /// Whether the JavaScript thread may read. If a message is under way, the task goes on with it.
    pub fn may_app_read(&self) -> bool {
        self.reader == Reader::App
            && self.life.reads()
            && self.wants_read()
            && self.joining.part().is_none()
    }

    /// Takes a read: a range of `bytes`, behind room for the part of a message that was kept. Returns whether
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

    /// The events that the task waits for. `has_room` says whether JavaScript has seen enough of what was read. `acted`
    /// is the time at which the session last acted on its deadline.
    pub fn wait(&mut self, has_room: bool, acted: Option<Instant>) -> Wait {
        let deadline = self.session.deadline();
        self.task_deadline = deadline;
        let is_reader = self.life.reads() && self.reader == Reader::Task;
        let to_read = is_reader && self.wants_read() && has_room;
        Wait {
            to_read,
            // After the peer's FIN, only a write has to notice an error.
            for_error: is_reader && !to_read,
            to_write: self.is_in_flight(),
            deadline: match (deadline, acted) {
                (Some(deadline), Some(acted)) if deadline <= acted => Some(acted + STALLED),
                _ => deadline,
            },
            is_fine: self.session.wants_look(),
        }
    }

    /// Acts on a deadline by which nothing had come, and after which nothing was found to be read. The connection is
    /// given up. If this side could not read, the silence of the peer is forgiven.
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
                self.session.forgive_silence(now);
                Ok(())
            }
            result => result.map_err(Failure::Protocol),
        }
    }
}
