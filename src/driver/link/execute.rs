//! Commands of the application's, executed on the session as far as it can encode them.
//!
//! May not know from which thread a command came, nor send anything.

use super::life::Failure;
use super::{Flight, Link};
use crate::driver::boundary::{Command, INCREMENTAL, URGENCY};
use crate::driver::command;
use crate::driver::inbox::collector::Collector;
use crate::proto::{Handle, Transmit};
use std::time::Instant;

impl Link {
    /// Executes the commands at the front that are for `target`, this connection. Commands that must keep their order
    /// may wait; the others are executed at once. Returns their length.
    pub fn execute(
        &mut self,
        commands: &[u8],
        target: u32,
        now: impl Fn() -> Instant,
        collector: &mut Collector,
    ) -> usize {
        let mut taken = 0;
        let waits = self.is_handshaking();
        loop {
            let rest = &commands[taken..];
            if !self.life.takes_commands() {
                return taken + command::run(rest, target);
            }
            let Some(found) = command::first(rest).filter(|found| found.target == target) else {
                return taken;
            };
            if waits || (found.command.is_ordered() && self.is_backed_up()) {
                self.backlog.push(&found, &rest[..found.length]);
            } else {
                self.apply(found.command, &now, collector);
            }
            taken += found.length;
        }
    }

    /// Executes a command to send data whose payload is separate from the command.
    pub fn execute_data(
        &mut self,
        target: u32,
        stream: Handle,
        payload: &[u8],
        collector: &mut Collector,
    ) {
        if !self.life.takes_commands() {
            return;
        }
        if self.is_backed_up() {
            self.backlog
                .extend(|bytes| command::put_data(bytes, target, stream, payload));
        } else {
            self.session.data(stream, payload, collector);
        }
    }

    /// Begins to send a long message from the caller's memory, behind all that is queued, if the message can be sent at
    /// once. The caller sends the transmit and the payload in one call, and reports by [`Link::sent_with`] how much was
    /// sent.
    pub fn begin_data(
        &mut self,
        stream: Handle,
        payload: usize,
        now: Instant,
        collector: &mut Collector,
    ) -> Option<Transmit> {
        if !self.is_clear_to_send() || self.is_backed_up() {
            return None;
        }
        let session = &mut self.session;
        let transmit = session.take_with_head(stream, payload, now, collector)?;
        self.flight = Flight::Away;
        Some(transmit)
    }

    /// Whether bytes are encrypted, so that a payload cannot be sent as it is.
    pub fn is_encrypted(&self) -> bool {
        self.channel.is_encrypted()
    }

    /// Encrypts a transmit and the payload behind it, which are then sent as any other. If that fails, so has the
    /// connection.
    pub fn seal_with(&mut self, transmit: Transmit, payload: &[u8]) -> Option<Transmit> {
        let session = &mut self.session;
        match self.channel.seal_with(transmit, payload, session) {
            Ok(sealed) => Some(sealed),
            Err(error) => {
                self.flight = Flight::None;
                self.fail(Failure::Tls(error));
                None
            }
        }
    }

    /// The kernel took `bytes` of a transmit and of the payload behind it.
    pub fn sent_with(
        &mut self,
        mut transmit: Transmit,
        payload: &[u8],
        bytes: usize,
        now: Instant,
        collector: &mut Collector,
    ) {
        let of_payload = bytes.saturating_sub(transmit.len());
        let rest = payload.get(of_payload..).unwrap_or_default();
        transmit.advance(bytes - of_payload);
        if !rest.is_empty() {
            self.session.put_behind(&mut transmit, rest);
        }
        self.session.transmitted(bytes, collector);
        self.land(transmit, now);
    }

    /// Executes the backlog, as far as the session can encode it.
    pub fn execute_backlog(&mut self, now: impl Fn() -> Instant, collector: &mut Collector) {
        if self.backlog.len() == 0 || self.is_handshaking() {
            return;
        }
        let mut backlog = std::mem::take(&mut self.backlog);
        while self.session.can_encode()
            && self.life.takes_backlog()
            && let Some(found) = backlog.first()
        {
            let (length, answers) = (found.length, found.command.is_acknowledgement());
            self.apply(found.command, &now, collector);
            backlog.skip(length, answers);
        }
        if self.life.takes_backlog() {
            self.backlog = backlog;
        }
    }

    /// Whether a command has to wait behind others, or for room.
    fn is_backed_up(&self) -> bool {
        self.backlog.len() > 0 || !self.session.can_encode() || self.is_handshaking()
    }

    fn apply(&mut self, command: Command<'_>, now: &impl Fn() -> Instant, sink: &mut Collector) {
        match command {
            Command::Data(stream, payload) => self.session.data(stream, payload, sink),
            other => self.apply_other(other, now, sink),
        }
    }

    /// Closes the connection with a code, of the application's or of QUIC's, of which the peer is told.
    pub fn close(&mut self, code: u64, application: bool, reason: &str) {
        self.session.close(code, application, reason);
        self.fail(Failure::Closed);
    }

    /// Executes a command that does not send data. The function is not inlined, because nearly all commands send data,
    /// and are then executed faster.
    #[inline(never)]
    fn apply_other(
        &mut self,
        command: Command<'_>,
        now: &impl Fn() -> Instant,
        sink: &mut Collector,
    ) {
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
                self.life.finish_write();
                self.session.finish();
            }
            Command::ConnPause => self.is_paused = true,
            Command::ConnResume => self.is_paused = false,
            Command::Discard(stream) => self.session.discard(stream, sink),
            Command::Reset(stream, code) => self.session.reset(stream, code, sink),
            Command::Stop(stream, code) => self.session.stop(stream, code, sink),
            Command::Credit(stream) => self.session.credit(stream, sink),
            Command::Ping(id) => self.session.ping(id, now()),
            Command::Close(code, reason) => self.close(code, true, reason),
            Command::Refuse(stream, code) => self.session.refuse(stream, code, sink),
            Command::Priority(stream, bits) => {
                let urgency = (bits & URGENCY) as u8;
                self.session
                    .set_priority(stream, urgency, bits & INCREMENTAL != 0);
            }
            Command::Goaway => self.session.go_away(),
            Command::Unread(stream) => self.session.unread(stream, sink),
            Command::ResizeWindow(bytes) => self.session.resize_window(bytes, sink),
        }
    }
}
