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
use super::channel::{Channel, Opened};
use super::life::{Failure, Halves, Life, Stop, Writing};
use super::{Flight, Link};
use crate::driver::inbox::collector::Collector;
use crate::proto::{Event, Payload, ProtocolError, Session, Sink, Transmit};
use std::collections::VecDeque;
use std::ops::Range;
use std::time::Instant;

/// The longest message to the peer, in bytes. It is for a person to read.
const MAX_REASON: usize = 200;

/// What a peer in TLS is told by an end in the clear that has not said anything yet: the alert "protocol_version", fatal. The
/// version of the record is SSL 3.0, which no server in TLS answers with any more, so that our own clients know what it is.
pub const NO_TLS: [u8; 7] = [21, 3, 0, 0, 2, 2, 70];

/// The work that remains for a socket whose connection is over.
#[derive(Debug)]
pub enum Linger {
    /// The bytes are to be sent, and behind them a code, if the peer turns out to understand one.
    Undecided(Box<Parting>, VecDeque<Transmit>, Halves),
    /// The bytes are to be sent, and then our FIN. What comes is discarded until the peer's FIN.
    Decided(VecDeque<Transmit>, Halves),
}

/// What is left of a link that does not know yet what the peer speaks.
#[derive(Debug)]
pub struct Parting {
    session: Session,
    channel: Channel,
}

/// A sink for events that nobody is told of any more.
struct Nobody;

impl Sink for Nobody {
    fn emit(&mut self, _: Event, _: Payload<'_>) {}
}

impl Linger {
    /// The room that a read needs in front of it.
    pub fn room_ahead(&self) -> usize {
        match self {
            Self::Undecided(parting, ..) => parting.channel.room_ahead(),
            Self::Decided(..) => 0,
        }
    }

    /// Takes bytes that were read while it is not known what the peer speaks, behind the room that was asked for. Returns
    /// whether that is known now, or an error if the peer speaks nothing that has a close.
    pub fn received(
        &mut self,
        bytes: &mut [u8],
        received: Range<usize>,
        now: Instant,
    ) -> Result<bool, ()> {
        let Self::Undecided(parting, rest, halves) = self else {
            return Ok(true);
        };
        let Parting { session, channel } = &mut **parting;
        let Opened { plain, error } = channel.open(bytes, received);
        session
            .receive(&bytes[plain], now, &mut Nobody)
            .map_err(|_| ())?;
        if error.is_some() || channel.has_peer_closed() {
            return Err(());
        }
        match (session.owes_close(), session.wires().sending) {
            (true, _) => Ok(false),
            (false, false) => Err(()),
            (false, true) => {
                let mut rest = rest_of(session, channel, std::mem::take(rest), &mut Nobody);
                rest.extend(close(channel));
                *self = Self::Decided(rest, *halves);
                Ok(true)
            }
        }
    }
}

/// Everything that a session has to send, behind `rest`.
fn rest_of<S: Sink>(
    session: &mut Session,
    channel: &mut Channel,
    mut rest: VecDeque<Transmit>,
    sink: &mut S,
) -> VecDeque<Transmit> {
    rest.extend(std::iter::from_fn(|| {
        let transmit = session.take_rest(sink)?;
        channel.seal(transmit, session).ok()
    }));
    rest
}

/// The channel's own last words, behind everything else.
fn close(channel: &mut Channel) -> Option<Transmit> {
    channel.close().then(|| channel.take_own())?
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
        if self.is_handshaking() || matches!(failure, Some(Failure::Tls(_))) {
            let has_alert = is_writable && self.channel.wants_write();
            let is_told = has_alert && send_rest(self, collector);
            let linger = is_told.then(|| Linger::Decided(self.take_flight(), halves));
            return (failure, linger);
        }
        if let Some(Failure::Protocol(error)) = &failure
            && error.is_of_tls()
            && is_writable
            && !self.session.has_spoken()
        {
            let alert = Transmit::of(VecDeque::from([NO_TLS.to_vec()]));
            return (
                failure,
                Some(Linger::Decided(VecDeque::from([alert]), halves)),
            );
        }
        let close_frame = match &failure {
            Some(Failure::Protocol(error)) if !has_last_word(error) => return (failure, None),
            Some(
                Failure::System(..)
                | Failure::Defect
                | Failure::Tls(_)
                | Failure::Stopped(Stop::Reset),
            )
            | None => {
                return (failure, None);
            }
            Some(_) if !is_writable => None,
            Some(Failure::Protocol(error)) => Some((error.wire_code(), false, error.to_string())),
            Some(Failure::Stopped(_)) => Some((0, true, String::new())),
            Some(Failure::Closed) => None,
        };
        let is_qmux = self.session.wires().sending;
        if is_qmux && let Some((code, application, reason)) = close_frame {
            let reason = cut(&reason, MAX_REASON);
            self.session.close(code, application, reason);
        }
        if is_qmux || matches!(failure, Some(Failure::Closed)) {
            is_sound = send_rest(self, collector) && is_sound;
        }
        let mut rest = self.take_flight();
        if !is_writable {
            rest.clear();
        }
        if is_sound && is_writable && self.session.owes_close() {
            let parting = Box::new(Parting {
                session: self.session.leave(),
                channel: std::mem::replace(&mut self.channel, Channel::Plain),
            });
            return (failure, Some(Linger::Undecided(parting, rest, halves)));
        }
        if !is_qmux || !is_sound {
            return (failure, None);
        }
        if !rest.is_empty() {
            rest = rest_of(&mut self.session, &mut self.channel, rest, collector);
        }
        if is_writable {
            rest.extend(close(&mut self.channel));
        }
        (failure, Some(Linger::Decided(rest, halves)))
    }
}

impl Link {
    /// Tells the peer by the channel's own means that our direction ends, if everything else is sent. Returns whether that
    /// is still to be sent.
    pub fn close_channel(&mut self) -> bool {
        !self.is_in_flight() && self.channel.close()
    }

    /// The bytes that the kernel did not take.
    fn take_flight(&mut self) -> VecDeque<Transmit> {
        match std::mem::replace(&mut self.flight, Flight::None) {
            Flight::Held(transmit) => VecDeque::from([transmit]),
            Flight::None | Flight::Away => VecDeque::new(),
        }
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
