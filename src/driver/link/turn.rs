//! The next steps of a pump with a link's socket, and its reports of what it found.
//!
//! May not do I/O, nor know the bytes of a wire.

use super::channel::{Opened, TlsError, failures};
use super::life::Failure;
use super::{Flight, Link, MAX_ACCEPTS, Reader};
use crate::driver::boundary::kind;
use crate::driver::inbox::buffers::{AHEAD, READ_LENT};
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
    /// The room in front of the bytes to read, for the part of a message that was kept, and for the channel.
    pub at: usize,
    /// The bytes behind those of a buffer that a read may fill, because what is made of them takes less room.
    pub beyond: usize,
    /// The most bytes that are worth reading.
    pub most: usize,
}

impl ReadPlan {
    /// Whether there is room to read into lent memory.
    pub fn fits_lent(&self) -> bool {
        self.at + AHEAD <= READ_LENT + self.beyond
    }
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
            Err(failure) if failure.is_timeout() => Ok(true),
            Err(failure) => Err(failure),
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
        if self.life.writes() {
            match self.take_next(now, collector) {
                Ok(Some(transmit)) => return Step::Send(transmit),
                Ok(None) => {}
                Err(error) => {
                    self.flight = Flight::None;
                    self.fail(Failure::Tls(error));
                    return Step::Close;
                }
            }
        }
        let is_done = self.channel.has_closed() || self.is_flushed();
        let is_due = self.life.is_finishing() && !has_deferred && is_done;
        if is_due
            && self.channel.close()
            && let Some(transmit) = self.channel.take_own()
        {
            return Step::Send(transmit);
        }
        self.flight = Flight::None;
        if is_due {
            self.life.end_write();
            self.session.write_ended();
            return Step::ShutdownWrite;
        }
        Step::Wait
    }

    /// The bytes to send next, and nothing of the session's before the handshake is done.
    fn take_next(
        &mut self,
        now: Instant,
        collector: &mut Collector,
    ) -> Result<Option<Transmit>, TlsError> {
        if self.may_session_send()
            && let Some(transmit) = self.session.take_transmit(now, collector)
        {
            return self.channel.seal(transmit, &mut self.session).map(Some);
        }
        self.channel.go_on()?;
        Ok(self.channel.take_own())
    }

    /// The rest that is to be sent without pacing, if it can be sent at once.
    pub fn next_of_rest(&mut self, collector: &mut Collector) -> Option<Transmit> {
        match std::mem::replace(&mut self.flight, Flight::Away) {
            Flight::Held(transmit) => return Some(transmit),
            Flight::Away => return None,
            Flight::None => {}
        }
        let rest = match self.may_session_send() && self.channel.is_open() {
            true => self.session.take_rest(collector),
            false => None,
        };
        let transmit = match rest {
            Some(rest) => self.channel.seal(rest, &mut self.session).ok(),
            None => self.channel.take_own(),
        };
        if transmit.is_none() {
            self.flight = Flight::None;
        }
        transmit
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
        let bytes = self.channel.sent(bytes);
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
                let session = &mut self.session;
                self.channel.transmit_done(transmit, session, now);
                Flight::None
            }
            false => Flight::Held(transmit),
        };
        is_all
    }

    /// Whether the kernel has taken all that the application wanted sent before its half-close.
    fn is_flushed(&self) -> bool {
        !self.is_handshaking() && self.session.is_flushed() && self.backlog.len() == 0
    }

    /// Whether the session's bytes may be sent: behind the handshake, and before the peer is told that our direction ends.
    fn may_session_send(&self) -> bool {
        !self.is_handshaking() && !self.channel.has_closed()
    }

    /// Whether there is, or may be, something to send.
    pub fn wants_write(&self) -> bool {
        let has_bytes = self.may_session_send() && self.session.wants_write();
        (has_bytes || self.channel.wants_write()) && self.life.writes()
    }

    /// Whether the JavaScript thread may send: no pump is sending, and nothing goes before what the session has.
    pub fn is_clear_to_send(&self) -> bool {
        let is_clear = !self.is_in_flight() && self.backlog.len() == 0;
        is_clear && self.life.writes() && !self.is_handshaking()
    }

    /// The bytes that the session has ready to be sent.
    pub fn ready(&self) -> u64 {
        self.session.queued()
    }

    /// Whether there is something to do that only the task does. With `app_sends`, JavaScript's thread comes for what is to
    /// be sent. That thread does not send before the handshake is done.
    pub fn needs_task(&self, app_sends: bool) -> bool {
        let to_send = self.wants_write() || self.is_in_flight() || self.backlog.len() > 0;
        (to_send && (!app_sends || self.is_handshaking()))
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
        match (self.deadline(), self.task_deadline) {
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
        if self.is_handshaking() {
            return true;
        }
        let has_room = self.backlog.accepts < MAX_ACCEPTS || self.session.can_encode();
        has_room && self.session.wants_read(self.is_paused)
    }

    /// The next read of the task, if it may read.
    pub fn plan_read(&self) -> Option<ReadPlan> {
        let may = self.life.reads() && self.reader == Reader::Task && self.wants_read();
        may.then(|| ReadPlan {
            at: self.room_ahead(),
            beyond: self.channel.gap(),
            // If a message is long, the read takes the rest of it: the next one is likely long, too, and should begin
            // near the start of a read.
            most: match self.session.partial() {
                Some(partial) if partial.missing > LONG => {
                    self.channel.length_of(partial.missing + AHEAD)
                }
                _ => usize::MAX,
            },
        })
    }

    /// The room that a read needs in front of it.
    pub fn room_ahead(&self) -> usize {
        self.joining.len() + self.channel.room_ahead()
    }

    /// Whether no message is under way, and no record.
    pub fn is_between_messages(&self) -> bool {
        self.joining.part().is_none() && self.channel.is_between_records()
    }

    /// Whether the JavaScript thread may read. If a message is under way, the task goes on with it.
    pub fn may_app_read(&self) -> bool {
        self.reader == Reader::App
            && self.life.reads()
            && self.wants_read()
            && self.is_between_messages()
    }

    /// Takes a read: a range of `bytes`, behind the room that was asked for. Returns whether JavaScript is told anything of
    /// it, and how many bytes its events need.
    pub fn received(
        &mut self,
        bytes: &mut [u8],
        received: Range<usize>,
        now: Instant,
        collector: &mut Collector,
    ) -> (Result<bool, Failure>, usize) {
        #[cfg(test)]
        assert!(!std::mem::take(&mut self.panics), "as the test wants it");
        let before = collector.len();
        let at = received.start - self.channel.room_ahead();
        let Opened { plain, error } = self.channel.open(bytes, received);
        if self.channel.is_encrypted() {
            self.hear_channel(now, collector);
        }
        let (mut result, mut used) = (Ok(()), 0);
        if !plain.is_empty() {
            let (mut part, end) = (self.joining.part(), plain.end);
            let parsed = self.parse(&bytes[plain], at, now, &mut part, collector);
            result = parsed.map_err(Failure::Protocol);
            used = self.joining.settle(&mut bytes[..end], at, part);
        }
        if let Some(error) = error {
            result = result.and(Err(Failure::Tls(error)));
        } else if self.channel.has_peer_closed() && self.life.reads() {
            result = result.and_then(|()| self.received_fin(collector));
        }
        (result.map(|()| collector.len() > before), used)
    }

    fn parse(
        &mut self,
        input: &[u8],
        at: usize,
        now: Instant,
        part: &mut Part,
        collector: &mut Collector,
    ) -> Result<(), ProtocolError> {
        collector.base = at;
        if let Some((stream, start)) = part.take() {
            collector.join(stream, start);
        }
        self.session.receive(input, now, collector)?;
        if let Some(Partial { stream, .. }) = self.session.partial() {
            let start = collector.take_back(stream, at + input.len());
            *part = start.map(|start| (stream, start));
        }
        Ok(())
    }

    /// Takes the peer's FIN, or the end of its direction by the channel's own means.
    pub fn received_fin(&mut self, collector: &mut Collector) -> Result<(), Failure> {
        self.life.end_read();
        if self.is_handshaking() {
            return Err(Failure::Tls(failures::ended_early()));
        }
        if !self.channel.is_between_records() {
            return Err(Failure::Protocol(ProtocolError::FrameTruncated));
        }
        self.session.receive_fin().map_err(Failure::Protocol)?;
        collector.plain(kind::CONN_END, 0, 0);
        Ok(())
    }

    /// Whether the application's thread may take reading over: nothing waits to be written, and no message is under way.
    pub fn may_give_reading_away(&self) -> bool {
        !self.waits_to_write() && self.is_between_messages() && !self.is_handshaking()
    }

    /// Whether something waits for the kernel, or for the peer's credit.
    pub fn waits_to_write(&self) -> bool {
        self.is_in_flight() || self.awaits_credit()
    }

    // ---- waiting ----

    /// The events that the task waits for. `has_room` says whether JavaScript has seen enough of what was read. `acted`
    /// is the time at which the session last acted on its deadline.
    pub fn wait(&mut self, has_room: bool, acted: Option<Instant>) -> Wait {
        let deadline = self.deadline();
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
            is_fine: !self.is_handshaking() && self.session.wants_look(),
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
            Err(failure) if failure.is_timeout() && self.life.reads() && !can_read => {
                self.forgive_silence(now);
                Ok(())
            }
            result => result,
        }
    }
}
