//! The session's clocks: when the session wants to be called, and which peers have taken too long.
//!
//! | what runs out | until | starts anew |
//! |---|---|---|
//! | the time to say what it speaks | it has | never; at the first byte, or at once where it has to speak first |
//! | the idle timeout, while we do not send QMux | – | at each whole frame, each 16 KiB of a longer one, and each send |
//!
//! A frame that comes byte by byte and never ends starts nothing anew. On QMux, that wire has pings and an idle timeout
//! of its own.
//!
//! A peer that has not said anything is not late: 0.1.0 says nothing until it opens a stream, perhaps for days.
//!
//! May not ask what time it is.

use super::super::config::{Config, Protocol};
use super::super::error::ProtocolError;
use super::super::event::PeerKind;
use super::{Receiving, Session};
use std::time::{Duration, Instant};

/// The clocks that run before QMux has its own.
#[derive(Debug)]
pub struct Watch {
    idle: Duration,
    handshake: Duration,
    /// The time at which something whole last came, or something was sent.
    active: Instant,
    /// The start of the peer's time to say what it speaks.
    began: Option<Instant>,
}

impl Watch {
    pub fn new(config: &Config, now: Instant) -> Self {
        Self {
            idle: config.qmux.idle_timeout,
            handshake: config.handshake_timeout,
            active: now,
            began: (config.protocol == Protocol::Qmux).then_some(now),
        }
    }

    /// The peer's time to say what it speaks begins, if it has not.
    pub fn start(&mut self, now: Instant) {
        self.began.get_or_insert(now);
    }

    /// Something whole came, or something was sent.
    pub fn heard(&mut self, now: Instant) {
        self.active = now;
    }

    /// Begins both times anew, because nobody is to blame for the delay so far.
    fn restart(&mut self, now: Instant) {
        self.active = now;
        self.began = self.began.map(|_| now);
    }
}

impl Session {
    /// The connection is established. Nobody is to blame for the time that it took.
    pub fn connected(&mut self, now: Instant) {
        self.watch.restart(now);
        if let Some(qmux) = &mut self.qmux {
            qmux.started(now);
        }
    }

    /// A time has run out while nothing was read. The peer may have spoken, so both times begin anew.
    pub fn forgive_silence(&mut self, now: Instant) {
        self.watch.restart(now);
        if let Some(qmux) = &mut self.qmux {
            qmux.forgive_silence(now);
        }
    }

    /// Whether the peer has said what it speaks.
    fn has_said(&self) -> bool {
        match self.receiving {
            Receiving::Start => false,
            Receiving::Legacy => {
                let is_known = self.negotiation.peer() != PeerKind::Undecided;
                self.legacy.has_begun() && is_known
            }
            Receiving::Qmux => self.qmux.as_ref().is_some_and(|qmux| qmux.knows_peer()),
        }
    }

    /// The times at which the peer will have taken too long to say what it speaks, and at which it will have been idle
    /// too long.
    fn limits(&self) -> [Option<Instant>; 2] {
        let watch = &self.watch;
        let handshake = watch
            .began
            .filter(|_| !watch.handshake.is_zero() && !self.has_said());
        let is_idle_here = !watch.idle.is_zero() && self.qmux.is_none();
        [
            handshake.map(|began| began + watch.handshake),
            is_idle_here.then(|| watch.active + watch.idle),
        ]
    }

    /// The time at which to call [`Session::timeout`].
    pub fn deadline(&self) -> Option<Instant> {
        let pace = match self.outbox.is_empty() {
            true => None,
            false => self.pace.deadline(),
        };
        let timers = self.qmux.as_ref().and_then(|qmux| qmux.deadline());
        let [handshake, idle] = self.limits();
        let all = [pace, timers, handshake, idle];
        all.into_iter().flatten().min()
    }

    /// Whether the deadline is for a look at the socket's send queue.
    pub fn wants_look(&self) -> bool {
        !self.outbox.is_empty() && self.pace.deadline().is_some()
    }

    /// The deadline may have come; `unsent` is what the socket's send queue still holds.
    pub fn timeout(&mut self, now: Instant, unsent: usize) -> Result<(), ProtocolError> {
        self.now = now;
        self.pace.observe(now, unsent);
        let is_over = |limit: Option<Instant>| limit.is_some_and(|limit| now >= limit);
        match self.limits() {
            [handshake, _] if is_over(handshake) => Err(ProtocolError::HandshakeTimeout),
            [_, idle] if is_over(idle) => Err(ProtocolError::IdleTimeout),
            _ => self.qmux.as_mut().map_or(Ok(()), |qmux| qmux.timeout(now)),
        }
    }
}
