//! The beginning of a connection, as far as JavaScript has not been told of it: at once in the clear, and when the handshake
//! is done otherwise.
//!
//! ```text
//!   encrypt ──▶ connected: the handshake begins ──▶ done: the session begins, JavaScript is told
//!                                     └── its time is over, an error, the peer's FIN ──▶ Failing
//! ```
//!
//! Until then the session says nothing, and commands wait in the backlog: what the session speaks may depend on what the
//! handshake agrees on.
//!
//! May not send or receive anything.

use super::Link;
#[cfg(feature = "tls")]
use super::channel::Channel;
use super::channel::failures;
use super::life::Failure;
#[cfg(feature = "tls")]
use super::tls::Tls;
use crate::driver::boundary::{WHOLE, kind, wire_bits};
use crate::driver::inbox::collector::Collector;
use crate::driver::inbox::flow::Charge;
#[cfg(feature = "tls")]
use crate::driver::tls::config::Choice;
use crate::proto::{Event, Payload, Sink, Wires};
use serde_json::Value;
use std::time::{Duration, Instant};

/// The record that tells JavaScript of a connection.
#[derive(Debug)]
pub struct Greeting {
    /// CONNECTED or CONNECTION.
    pub kind: u32,
    /// The server that accepted the connection, if one has.
    pub server: u32,
    /// Both ends' addresses.
    pub addresses: Value,
    /// What the connection counts for until JavaScript has been told.
    pub charge: Option<Charge>,
}

impl Greeting {
    /// The record of a connection that this end has made.
    pub fn connected(addresses: Value) -> Self {
        Self {
            kind: kind::CONNECTED,
            server: 0,
            addresses,
            charge: None,
        }
    }

    /// The record of a connection that a server has accepted.
    pub fn accepted(server: u32, addresses: Value) -> Self {
        Self {
            kind: kind::CONNECTION,
            server,
            addresses,
            charge: None,
        }
    }
}

/// A handshake under way.
#[derive(Debug, Default)]
pub struct Handshake {
    is_local: bool,
    limit: Duration,
    /// The time at which the peer will have taken too long.
    pub deadline: Option<Instant>,
}

impl Handshake {
    fn restart(&mut self, now: Instant) {
        self.deadline = (!self.limit.is_zero()).then(|| now + self.limit);
    }
}

impl Link {
    /// Everything that is sent and received is encrypted. Nothing may have been sent or commanded yet.
    #[cfg(feature = "tls")]
    pub fn encrypt(&mut self, tls: Tls) {
        self.channel = Channel::Tls(Box::new(tls));
        self.handshake = Some(Box::default());
    }

    /// Lets JavaScript choose by the name that a client asks for. Must be called before the connection has its socket.
    #[cfg(feature = "tls")]
    pub fn ask_for_name(&mut self) {
        if let Channel::Tls(tls) = &mut self.channel {
            tls.ask_for_name();
        }
    }

    /// JavaScript has chosen what the handshake goes on with.
    #[cfg(feature = "tls")]
    pub fn choose(&mut self, choice: Choice) {
        if let Channel::Tls(tls) = &mut self.channel {
            tls.choose(choice);
        }
    }

    /// The connection has its socket. `is_local` says whether the peer is on this machine. Without a greeting JavaScript is
    /// told nothing before the end.
    pub fn connected(&mut self, is_local: bool, greeting: Option<Greeting>, now: Instant) {
        self.greeting = greeting;
        let Some(handshake) = &mut self.handshake else {
            return self.begin_session(is_local, now);
        };
        handshake.is_local = is_local;
        handshake.limit = self.session.handshake_timeout();
        handshake.restart(now);
        if let Err(error) = self.channel.begin() {
            self.fail(Failure::Tls(error));
        }
    }

    fn begin_session(&mut self, is_local: bool, now: Instant) {
        self.session.set_local(is_local);
        self.session.connected(now);
    }

    /// Whether JavaScript waits for the handshake before it is told of the connection.
    pub fn is_handshaking(&self) -> bool {
        self.handshake.is_some()
    }

    /// Tells JavaScript of the connection, unless that waits for a handshake.
    pub fn greet(&mut self, collector: &mut Collector) {
        if !self.is_handshaking() {
            self.tell_greeting(collector);
        }
    }

    fn tell_greeting(&mut self, collector: &mut Collector) {
        let Some(mut greeting) = self.greeting.take() else {
            return;
        };
        if let Some(tls) = self.channel.describe() {
            greeting.addresses["tls"] = tls;
        }
        let text = greeting.addresses.to_string();
        collector.text(greeting.kind, greeting.server, &text, 0);
        if let Some(charge) = greeting.charge {
            collector.charge_until_delivered(charge);
        }
    }

    /// Behind a read of an encrypted connection: tells what the handshake has come to.
    pub(super) fn hear_channel(&mut self, now: Instant, collector: &mut Collector) {
        for line in self.channel.take_lines() {
            collector.text(kind::KEYLOG, WHOLE, &line, 0);
        }
        if let Some(name) = self.channel.take_name() {
            collector.text(kind::SERVERNAME, WHOLE, &name, 0);
        }
        if !self.channel.is_open() {
            return;
        }
        let Some(handshake) = self.handshake.take() else {
            return;
        };
        let has_changed = self.channel.is_ours() && !self.session.wires().sending;
        if has_changed {
            self.session.speak_qmux(now);
        }
        self.begin_session(handshake.is_local, now);
        // As if QMux had been wanted from the start: nothing else may come.
        let wires = has_changed.then(|| Wires {
            receiving: true,
            ..self.session.wires()
        });
        if let (Some(wires), Some(greeting)) = (wires, &mut self.greeting) {
            greeting.addresses["wires"] = wire_bits(wires).into();
        }
        self.tell_greeting(collector);
        if let Some(wires) = wires {
            collector.emit(Event::Wires(wires), Payload::Empty);
        }
    }

    /// Whether the handshake has taken too long.
    pub(super) fn check_handshake(&self, now: Instant) -> Result<(), Failure> {
        let deadline = self.handshake.as_ref().and_then(|it| it.deadline);
        match deadline.is_some_and(|deadline| now >= deadline) {
            true => Err(Failure::Tls(failures::too_late())),
            false => Ok(()),
        }
    }

    /// Begins the peer's time anew, because this end could not read.
    pub(super) fn forgive_silence(&mut self, now: Instant) {
        match &mut self.handshake {
            Some(handshake) => handshake.restart(now),
            None => self.session.forgive_silence(now),
        }
    }
}
