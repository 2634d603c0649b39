//! The link: a connection between its session and its socket. The link decides what happens next, and does none of it.
//!
//! ```text
//!   pump, with a socket           link                                   session
//!     commands ───────────▶ execute ─▶ backlog ────────────────────▶ its verbs
//!     send ◀── Step::Send ─ next ◀── in flight ◀── channel ◀───────── take_transmit
//!       └─ how much ──────▶ sent
//!     recv ───────────────▶ received ─▶ channel ─▶ joining ──────────▶ receive ─▶ events
//!     recv of nothing ────▶ received_fin
//! ```
//!
//! Two pumps share a link under one lock (`connection.rs`): the connection's task, and the JavaScript thread, which never
//! waits for the lock. Both follow three rules:
//!
//! - Bytes leave in one order. Only a pump that finds nothing in flight takes more from the session. Bytes that the kernel
//!   did not take stay in flight. The task lets go of the lock while it sends, and leaves [`Flight::Away`] behind.
//! - `Reader` says who reads. Only the task gives reading away; both take it back.
//! - Events are queued before the lock is let go of, so JavaScript sees them in the order in which they arose.
//!
//! May not do I/O, ask for the time, wait, or touch an atomic.

pub mod backlog;
pub mod channel;
mod execute;
pub mod farewell;
pub mod greeting;
pub mod joining;
pub mod life;
#[cfg(feature = "tls")]
pub mod tls;
mod turn;

use super::shared::Counts;
use crate::proto::{Config, Handle, Session, Side, Transmit};
use backlog::Backlog;
use channel::Channel;
use greeting::{Greeting, Handshake};
use joining::Joining;
use life::{Failure, Life};
use std::time::Instant;

pub use turn::{ReadPlan, Step, Wait};

/// The number of acknowledgements that may wait behind a full outbox before the socket is no longer read. A peer has at
/// most 256 opens under way. A peer that has more of them answered, and reads none of the answers, would fill our
/// memory with them.
const MAX_ACCEPTS: usize = 1024;

/// The pump that reads the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The connection's task, on the runtime's thread.
    Task,
    /// The application's thread, on its own event loop.
    App,
}

/// The bytes that were taken from the session to be sent.
#[derive(Debug)]
pub enum Flight {
    /// There are none, so more may be taken.
    None,
    /// The kernel did not take all of them.
    Held(Transmit),
    /// The task is in the kernel with them, without the lock.
    Away,
}

/// One connection between its session and its socket.
#[derive(Debug)]
pub struct Link {
    session: Session,
    channel: Channel,
    /// The handshake that the session waits for.
    handshake: Option<Box<Handshake>>,
    /// The record that JavaScript has yet to be given.
    greeting: Option<Greeting>,
    life: Life,
    reader: Reader,
    flight: Flight,
    /// Commands that the session cannot encode yet.
    backlog: Backlog,
    /// The message of which a part was read.
    joining: Joining,
    /// The application has paused the connection.
    is_paused: bool,
    /// The deadline that the task waits for, or waited for last.
    task_deadline: Option<Instant>,
    /// Makes the next input panic.
    #[cfg(test)]
    pub panics: bool,
}

impl Link {
    /// A link that has no socket yet.
    pub fn new(config: Config, side: Side, nonce: [u8; 8], now: Instant) -> Self {
        Self {
            session: Session::new(config, side, nonce, now),
            channel: Channel::Plain,
            handshake: None,
            greeting: None,
            life: Life::new(),
            reader: Reader::Task,
            flight: Flight::None,
            backlog: Backlog::default(),
            joining: Joining::default(),
            is_paused: false,
            task_deadline: None,
            #[cfg(test)]
            panics: false,
        }
    }

    /// Sets how many streams the peer may reset for now, because others at its address have used up the rest.
    pub fn set_resets(&mut self, left: u32) {
        self.session.set_resets(left);
    }

    /// The number of streams that the peer may still reset at once, if it speaks a wire that can.
    pub fn resets_left(&self, now: Instant) -> Option<u32> {
        self.session.resets_left(now)
    }

    /// Notes a failure that either thread found; the task then ends the connection. After a stop by the application,
    /// and no other failure, commands that wait are still worth sending.
    pub fn fail(&mut self, failure: Failure) {
        if !matches!(failure, Failure::Stopped(_)) {
            self.backlog = Backlog::default();
        }
        self.life.fail(failure);
    }

    /// The life of the connection.
    pub fn life(&self) -> &Life {
        &self.life
    }

    /// The pump that reads the socket.
    pub fn reader(&self) -> Reader {
        self.reader
    }

    /// Lets the other pump read from now on.
    pub fn set_reader(&mut self, reader: Reader) {
        self.reader = reader;
    }

    /// Whether the task is in the kernel with bytes of ours.
    pub fn is_away(&self) -> bool {
        matches!(self.flight, Flight::Away)
    }

    /// Whether bytes were taken from the session and are not all sent.
    pub fn is_in_flight(&self) -> bool {
        !matches!(self.flight, Flight::None)
    }

    /// The counts that are published to other threads.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            blocked_events: self.session.blocked_events(),
            peer: self.session.peer() as u8,
            ..Counts::default()
        };
        if !matches!(self.life, Life::Over) {
            counts.queued = self.session.queued() + self.backlog.len() as u64;
            counts.waiting = self.session.waiting();
        }
        counts
    }

    /// The bytes that wait on one stream for the peer's reader.
    pub fn waiting_on(&mut self, stream: Handle) -> u64 {
        self.session.queued_on(stream)
    }

    /// Frees spare memory, because the connection has seen no traffic for a while.
    pub fn shrink(&mut self) {
        self.session.shrink();
        self.channel.shrink();
        self.joining.shrink();
    }

    /// Ends the link for good: nothing is sent any more, and commands are dropped.
    pub fn end(&mut self) {
        self.life = Life::Over;
        self.reader = Reader::Task;
        self.flight = Flight::None;
        self.backlog = Backlog::default();
    }

    /// Lets the session act, if its deadline has come. `unsent` returns the length of the socket's send queue, which
    /// the session asks for if it paces.
    fn tick(&mut self, now: Instant, unsent: impl FnOnce() -> usize) -> Result<(), Failure> {
        if self.is_handshaking() {
            return self.check_handshake(now);
        }
        let deadline = self.session.deadline();
        if deadline.is_none_or(|deadline| now < deadline) {
            return Ok(());
        }
        let unsent = match self.session.wants_look() {
            true => unsent(),
            false => 0,
        };
        self.session.timeout(now, unsent).map_err(Failure::Protocol)
    }

    /// The time at which the session, or the handshake, is to be let act.
    fn deadline(&self) -> Option<Instant> {
        match &self.handshake {
            Some(handshake) => handshake.deadline,
            None => self.session.deadline(),
        }
    }
}
