//! What stands behind a connection's lock, and how commands are executed on it.
//!
//! May not make a system call but to look at the send queue.

use super::backlog::Backlog;
use super::boundary::{Command, INCREMENTAL, URGENCY};
use super::command;
use super::connection::Stop;
use super::events::Collector;
use super::joining::Joining;
use super::lending::AHEAD;
use super::quota::Quota;
use super::transport::Transport;
use crate::proto::{Handle, MAX_MESSAGE, ProtocolError, Session, Transmit};
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// A message of which more than this is missing is long.
const LONG: usize = MAX_MESSAGE / 2;

/// Why a connection ended other than in good order.
#[derive(Debug)]
pub enum Failure {
    /// What the peer sent.
    Protocol(ProtocolError),
    /// What the socket said to this system call.
    System(io::Error, &'static str),
    /// The application wanted it.
    Stopped(Stop),
    /// The application closed it with a code, which the session knows already.
    Closed,
    /// A defect of ours: a thread panicked at work on it, and what it left is not to be used.
    Defect,
}

/// What stands behind the lock.
#[derive(Debug)]
pub struct Inner {
    pub session: Session,
    /// None before it is connected and after it has ended.
    pub socket: Option<Arc<Transport>>,
    /// Taken from the session and not all sent. Goes before everything else.
    pub in_flight: Transmit,
    /// The task is in the kernel with it.
    pub writing: bool,
    /// What went wrong on the application's thread, for the task to end with.
    pub failure: Option<Failure>,
    /// The application's thread reads the socket, not the task.
    pub quiet: bool,
    /// The application wants the connection half-closed behind what is queued, and it is not yet.
    pub finish: bool,
    /// It is half-closed: what the session would still say, such as how much more the peer may send, is not sent.
    pub write_ended: bool,
    /// The application wants the socket not to be read.
    pub paused: bool,
    /// It has ended, or was closed: commands are dropped.
    pub ended: bool,
    /// Commands that cannot be executed yet.
    pub backlog: Backlog,
    /// The task has parsed a part of what it read, and has not queued the events of that yet.
    pub is_collecting: bool,
    /// Events that arose on the application's thread meanwhile: they come behind those.
    pub spilled: Collector,
    /// The message of which a part was read, and not the rest.
    pub joining: Joining,
    /// Its part of what peers at its address may use up, until it has ended.
    pub quota: Option<Quota>,
    /// The deadline that the task waits for, or waited for last.
    pub armed: Option<Instant>,
}

impl Inner {
    /// Lets the session act, if its deadline has come: it looks at the send queue, asks for a sign of life, or gives up.
    pub fn look(&mut self, socket: &Transport, now: Instant) -> Result<(), ProtocolError> {
        if self
            .session
            .deadline()
            .is_none_or(|deadline| now < deadline)
        {
            return Ok(());
        }
        let unsent = match self.session.wants_look() {
            // A queue whose length is not known counts as empty: then time alone paces.
            true => socket.unsent().unwrap_or(0),
            false => 0,
        };
        self.session.timeout(now, unsent)
    }

    /// How many bytes of room the next read needs in front, and how much it should read at most: of a long message the rest,
    /// since the next one is likely long, too, and should begin near the start of a read.
    pub fn next_read(&self) -> (usize, usize) {
        let most = match self.session.partial() {
            Some(partial) if partial.missing > LONG => partial.missing + AHEAD,
            _ => usize::MAX,
        };
        (self.joining.len(), most)
    }

    /// The connection has gone quiet: gives spare memory back.
    pub fn shrink(&mut self) {
        self.session.shrink();
        self.joining.shrink();
    }

    /// Whether the session has a deadline that the task does not know of. One that has moved back needs no word: the
    /// task comes early, and finds the new one.
    pub fn is_due_earlier(&self) -> bool {
        match (self.session.deadline(), self.armed) {
            (Some(deadline), Some(armed)) => deadline < armed,
            (deadline, _) => deadline.is_some(),
        }
    }

    /// Whether something waits for the peer to allow it. The task then reads what it says: the application's thread has
    /// nothing to do with it, and may be at other work.
    pub fn lacks_credit(&self) -> bool {
        !self.write_ended && self.session.wires().sending && !self.session.is_flushed()
    }

    /// Whether there is, or may be, something to send.
    pub fn wants_write(&self) -> bool {
        self.session.wants_write() && !self.write_ended
    }

    /// Executes the commands at the front that are for `target`, this connection: those that are sent in their order,
    /// the others at once. Gives their length.
    pub fn execute(&mut self, commands: &[u8], target: u32, collector: &mut Collector) -> usize {
        let mut taken = 0;
        loop {
            let rest = &commands[taken..];
            if self.ended {
                return taken + command::run(rest, target);
            }
            let Some(found) = command::first(rest).filter(|found| found.target == target) else {
                return taken;
            };
            if found.command.is_ordered() && (self.backlog.len() > 0 || !self.session.can_encode())
            {
                self.backlog.push(&found, &rest[..found.length]);
            } else {
                self.apply(found.command, collector);
            }
            taken += found.length;
        }
    }

    /// Executes a command to send data whose payload stands by itself.
    pub fn execute_data(
        &mut self,
        target: u32,
        stream: Handle,
        payload: &[u8],
        collector: &mut Collector,
    ) {
        if self.ended {
            return;
        }
        if self.backlog.len() > 0 || !self.session.can_encode() {
            self.backlog
                .extend(|bytes| command::put_data(bytes, target, stream, payload));
        } else {
            self.session.data(stream, payload, collector);
        }
    }

    /// Executes what waits, as far as the session can encode it.
    pub fn apply_backlog(&mut self, collector: &mut Collector) {
        if self.backlog.len() == 0 {
            return;
        }
        let mut backlog = std::mem::take(&mut self.backlog);
        while !self.ended && self.session.can_encode() {
            let Some(found) = backlog.first() else {
                break;
            };
            let (length, answers) = (found.length, found.command.is_acknowledgement());
            self.apply(found.command, collector);
            backlog.skip(length, answers);
        }
        self.backlog = backlog;
    }

    fn apply(&mut self, command: Command<'_>, sink: &mut Collector) {
        match command {
            Command::Data(stream, payload) => self.session.data(stream, payload, sink),
            other => self.apply_other(other, sink),
        }
    }

    /// By itself, since nearly all commands send data, and are executed the faster.
    #[inline(never)]
    fn apply_other(&mut self, command: Command<'_>, sink: &mut Collector) {
        match command {
            Command::Data(stream, payload) => self.session.data(stream, payload, sink),
            Command::Open(stream, meta) => self.session.open(stream, meta, sink),
            Command::End(stream) => self.session.end(stream, None, sink),
            Command::EndValue(stream, value) => self.session.end(stream, Some(value), sink),
            Command::Accept(stream) => self.session.accept(stream, sink),
            Command::Hold(stream, bytes) => self.session.hold(stream, bytes),
            Command::Release(stream, bytes) => self.session.release(stream, bytes, sink),
            Command::Forget(stream) => self.session.forget(stream),
            Command::Mark(stream, id) => self.session.mark(stream, id, sink),
            Command::ConnEnd => {
                self.finish = true;
                self.session.finish();
            }
            Command::ConnPause => self.paused = true,
            Command::ConnResume => self.paused = false,
            Command::Discard(stream) => self.session.discard(stream, sink),
            Command::Reset(stream, code) => self.session.reset(stream, code, sink),
            Command::Stop(stream, code) => self.session.stop(stream, code, sink),
            Command::Credit(stream) => self.session.credit(stream, sink),
            Command::Ping(id) => self.session.ping(id, Instant::now()),
            Command::Close(code, reason) => self.close(code, reason),
            Command::Refuse(stream, code) => self.session.refuse(stream, code, sink),
            Command::Priority(stream, bits) => {
                let urgency = (bits & URGENCY) as u8;
                self.session
                    .set_priority(stream, urgency, bits & INCREMENTAL != 0);
            }
            Command::Goaway => self.session.go_away(),
            Command::Unread(stream) => self.session.unread(stream, sink),
        }
    }

    fn close(&mut self, code: u64, reason: &str) {
        // Whatever went wrong before is why it ends.
        if self.failure.is_none() {
            self.session.close(code, true, reason);
            self.failure = Some(Failure::Closed);
            self.ended = true;
        }
    }
}
