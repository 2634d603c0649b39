//! What stands behind a connection's lock, and how commands are executed on it.
//!
//! May not make a system call but to look at the send queue.

use super::backlog::Backlog;
use super::command::{self, Command};
use super::connection::Stop;
use super::events::Collector;
use super::transport::Transport;
use crate::proto::{Handle, ProtocolError, Session, Transmit};
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// Why a connection ended other than in good order.
#[derive(Debug)]
pub enum Failure {
    /// What the peer sent.
    Protocol(ProtocolError),
    /// What the socket said to this system call.
    System(io::Error, &'static str),
    /// The application wanted it.
    Stopped(Stop),
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
    /// The application wants the connection half-closed behind what is queued.
    pub finish: bool,
    /// The application wants the socket not to be read.
    pub paused: bool,
    /// It has ended: commands are dropped.
    pub ended: bool,
    /// Commands that cannot be executed yet.
    pub backlog: Backlog,
}

impl Inner {
    /// Looks at the send queue, if the session is pacing and has been waiting for it.
    pub fn look(&mut self, socket: &Transport) {
        if let Some(deadline) = self.session.deadline() {
            let now = Instant::now();
            if now >= deadline {
                // A queue whose length is not known counts as empty: then time alone paces.
                self.session.look(now, socket.unsent().unwrap_or(0));
            }
        }
    }

    /// Executes the commands at the front that are for `target`, this connection: those that are sent in their order,
    /// the others at once. Gives their length.
    pub fn execute(&mut self, commands: &[u8], target: u32, collector: &mut Collector) -> usize {
        if self.ended {
            return command::run(commands, target);
        }
        let mut taken = 0;
        loop {
            let rest = &commands[taken..];
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
        while self.session.can_encode() {
            let Some(found) = backlog.first() else {
                break;
            };
            let (length, is_accept) = (found.length, matches!(found.command, Command::Accept(_)));
            self.apply(found.command, collector);
            backlog.skip(length, is_accept);
        }
        self.backlog = backlog;
    }

    fn apply(&mut self, command: Command<'_>, sink: &mut Collector) {
        match command {
            Command::Open(stream, meta) => self.session.open(stream, meta, sink),
            Command::Data(stream, payload) => self.session.data(stream, payload, sink),
            Command::End(stream, value) => self.session.end(stream, value, sink),
            Command::Accept(stream) => self.session.accept(stream, sink),
            Command::Hold(bytes) => self.session.hold(bytes),
            Command::Release(bytes) => self.session.release(bytes),
            Command::Forget(stream) => self.session.forget(stream),
            Command::Mark(id) => self.session.mark(id, sink),
            Command::Finish => {
                self.finish = true;
                self.session.finish();
            }
            Command::Pause => self.paused = true,
            Command::Resume => self.paused = false,
            Command::Discard(stream) => self.session.discard(stream),
        }
    }
}
