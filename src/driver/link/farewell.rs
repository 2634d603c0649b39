//! The end of a connection: what the peer is still sent, and what has to happen to the socket afterwards.
//!
//! ```text
//!   send what is left ──▶ tell JavaScript ──▶ close
//!   while sending QMux:
//!   send what is left, CONNECTION_CLOSE ──▶ tell JavaScript ──▶ Linger: FIN ──▶ discard until the peer's FIN ──▶ close
//! ```
//!
//! A socket that closes with bytes unread, or before they arrive, resets the connection. Whatever the peer has not read
//! by then is lost to it, the frame that says why included.
//!
//! May not do I/O, which is for `pump/linger.rs`.

use super::backlog::Backlog;
use super::life::{Failure, Halves, Life, Stop, Writing};
use super::{Flight, Link};
use crate::driver::inbox::collector::Collector;
use crate::proto::{Event, Payload, ProtocolError, Session, Sink, Transmit};
use std::collections::VecDeque;
use std::time::Instant;

/// The longest message to the peer, in bytes. It is for a person to read.
const MAX_REASON: usize = 200;

/// The work that remains for a socket whose connection is over.
#[derive(Debug)]
pub enum Linger {
    /// The bytes are to be sent, and behind them a code, if the peer turns out to understand one.
    Undecided(Box<Session>, VecDeque<Transmit>, Halves),
    /// The bytes are to be sent, and then our FIN. What comes is discarded until the peer's FIN.
    Decided(VecDeque<Transmit>, Halves),
}

/// A sink for events that nobody is told of any more.
struct Nobody;

impl Sink for Nobody {
    fn emit(&mut self, _: Event, _: Payload<'_>) {}
}

impl Linger {
    /// Takes bytes that were read while it is not known what the peer speaks. Returns whether that is known now, or an
    /// error if the peer speaks nothing that has a close.
    pub fn received(&mut self, bytes: &[u8], now: Instant) -> Result<bool, ()> {
        let Self::Undecided(session, rest, halves) = self else {
            return Ok(true);
        };
        session.receive(bytes, now, &mut Nobody).map_err(|_| ())?;
        match (session.owes_close(), session.wires().sending) {
            (true, _) => Ok(false),
            (false, false) => Err(()),
            (false, true) => {
                let rest = rest_of(session, std::mem::take(rest), &mut Nobody);
                *self = Self::Decided(rest, *halves);
                Ok(true)
            }
        }
    }
}

/// Everything that a session has to send, behind `rest`.
fn rest_of<S: Sink>(
    session: &mut Session,
    mut rest: VecDeque<Transmit>,
    sink: &mut S,
) -> VecDeque<Transmit> {
    rest.extend(std::iter::from_fn(|| session.take_rest(sink)));
    rest
}

impl Link {
    /// Ends the link. `send_rest` sends all that is left as far as the kernel takes it at once, and returns whether the
    /// socket still works. Returns why the connection ended, unless in good order, and what remains to be done with its
    /// socket.
    pub fn say_farewell(
        &mut self,
        mut send_rest: impl FnMut(&mut Self, &mut Collector) -> bool,
        collector: &mut Collector,
    ) -> (Option<Failure>, Option<Linger>) {
        self.joining.give_up(collector);
        let mut is_sound = true;
        if let Life::Failing(_, Failure::Stopped(Stop::Close)) = self.life {
            // The kernel gets what was written as far as it has room, as if each write had gone there at once.
            is_sound = send_rest(self, collector);
        }
        let Some((halves, failure)) = self.life.end() else {
            return (None, None);
        };
        self.backlog = Backlog::default();
        let is_writable = halves.write != Writing::Ended;
        let close = match &failure {
            Some(Failure::Protocol(error)) if !has_last_word(error) => return (failure, None),
            Some(Failure::System(..) | Failure::Defect | Failure::Stopped(Stop::Reset)) | None => {
                return (failure, None);
            }
            Some(_) if !is_writable => None,
            Some(Failure::Protocol(error)) => Some((error.wire_code(), false, error.to_string())),
            Some(Failure::Stopped(_)) => Some((0, true, String::new())),
            Some(Failure::Closed) => None,
        };
        let is_qmux = self.session.wires().sending;
        if is_qmux && let Some((code, application, reason)) = close {
            let reason = cut(&reason, MAX_REASON);
            self.session.close(code, application, reason);
        }
        if is_qmux || matches!(failure, Some(Failure::Closed)) {
            is_sound = send_rest(self, collector) && is_sound;
        }
        let mut rest = VecDeque::new();
        if let Flight::Held(transmit) = std::mem::replace(&mut self.flight, Flight::None)
            && is_writable
        {
            rest.push_back(transmit);
        }
        if is_sound && is_writable && self.session.owes_close() {
            let session = Box::new(self.session.leave());
            return (failure, Some(Linger::Undecided(session, rest, halves)));
        }
        if !is_qmux || !is_sound {
            return (failure, None);
        }
        if !rest.is_empty() {
            rest = rest_of(&mut self.session, rest, collector);
        }
        (failure, Some(Linger::Decided(rest, halves)))
    }
}

/// Whether the peer is told why, if an error of its own ends the connection. A peer that closed the connection itself,
/// or is most likely gone, is not.
fn has_last_word(error: &ProtocolError) -> bool {
    !error.is_timeout() && !matches!(error, ProtocolError::ClosedByPeer { .. })
}

/// The beginning of a text, of at most `most` bytes.
fn cut(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_cut_between_characters() {
        assert_eq!(cut("short", 10), "short");
        assert_eq!(cut("\u{20ac}\u{20ac}", 4), "\u{20ac}");
        assert_eq!(cut("\u{20ac}", 2), "");
    }
}
