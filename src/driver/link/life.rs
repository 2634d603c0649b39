//! A connection's life, and why it ended.
//!
//! ```text
//!              ┌─ read: Open ──the peer's FIN──▶ Ended
//!   Open ──────┤
//!     │        └─ write: Open ──"finish"──▶ Finishing ──our FIN──▶ Ended
//!     │
//!     ├─ both ended ───────────────────────────────▶ Over
//!     └─ either thread found a failure ──▶ Failing ──▶ Over
//! ```
//!
//! A link that is failing takes no more commands, and its task ends it at its next turn. A link that is over has said
//! its farewell. The socket then belongs to `Linger` (farewell.rs).
//!
//! May not act, which is for the link.

use super::channel::{TlsError, failures};
use crate::proto::ProtocolError;
use std::io;

/// The way in which the application stops a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The connection is not stopped.
    No,
    /// The socket closes.
    Close,
    /// The socket closes with a reset.
    Reset,
}

impl Stop {
    /// The stop that a number stands for.
    pub fn from_number(number: u8) -> Self {
        match number {
            0 => Self::No,
            1 => Self::Close,
            _ => Self::Reset,
        }
    }
}

/// The reason for which a connection ended other than in good order.
#[derive(Debug)]
pub enum Failure {
    /// An error in what the peer sent, or did not send in time.
    Protocol(ProtocolError),
    /// An error of the socket, in this system call.
    System(io::Error, &'static str),
    /// The application stopped the connection.
    Stopped(Stop),
    /// The application closed the connection with a code, which the session knows already.
    Closed,
    /// A failure of encryption.
    Tls(TlsError),
    /// A defect of ours: a thread panicked at work on the connection, and what it left is not to be used.
    Defect,
}

impl Failure {
    /// Whether the failure is about what did not come.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Protocol(error) => error.is_timeout(),
            Self::Tls(error) => *error == failures::too_late(),
            _ => false,
        }
    }
}

/// The state of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    Open,
    Ended,
}

/// The state of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    Open,
    /// Our FIN goes behind what is queued.
    Finishing,
    Ended,
}

/// The states of both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Halves {
    pub read: Reading,
    pub write: Writing,
}

/// The life of a link.
#[derive(Debug)]
pub enum Life {
    Open(Halves),
    Failing(Halves, Failure),
    Over,
}

impl Life {
    /// A life that begins.
    pub fn new() -> Self {
        Self::Open(Halves {
            read: Reading::Open,
            write: Writing::Open,
        })
    }

    /// Whether commands are executed.
    pub fn takes_commands(&self) -> bool {
        matches!(self, Self::Open(_))
    }

    /// Whether commands that wait are executed. After a stop by the application, they are still worth sending.
    pub fn takes_backlog(&self) -> bool {
        matches!(self, Self::Open(_) | Self::Failing(_, Failure::Stopped(_)))
    }

    /// Whether bytes may be read.
    pub fn reads(&self) -> bool {
        matches!(self, Self::Open(halves) if halves.read == Reading::Open)
    }

    /// Whether bytes may be written.
    pub fn writes(&self) -> bool {
        matches!(self, Self::Open(halves) if halves.write != Writing::Ended)
    }

    /// Whether our FIN is due behind what is queued.
    pub fn is_finishing(&self) -> bool {
        matches!(self, Self::Open(halves) if halves.write == Writing::Finishing)
    }

    /// Whether a failure is to be acted on.
    pub fn is_failing(&self) -> bool {
        matches!(self, Self::Failing(..))
    }

    /// Whether both directions have come to their end.
    pub fn is_complete(&self) -> bool {
        matches!(self, Self::Open(halves) if halves.read == Reading::Ended && halves.write == Writing::Ended)
    }

    /// The peer has sent its FIN.
    pub fn end_read(&mut self) {
        if let Self::Open(halves) = self {
            halves.read = Reading::Ended;
        }
    }

    /// The application wants our FIN behind what is queued.
    pub fn finish_write(&mut self) {
        if let Self::Open(halves) = self
            && halves.write == Writing::Open
        {
            halves.write = Writing::Finishing;
        }
    }

    /// Our FIN is sent.
    pub fn end_write(&mut self) {
        if let Self::Open(halves) = self {
            halves.write = Writing::Ended;
        }
    }

    /// Notes a failure. The first failure is why the connection ends, with two exceptions. A close with a code says
    /// more than the stop behind it, which a command that waited may overtake. A defect is worse than any other
    /// failure.
    pub fn fail(&mut self, failure: Failure) {
        let counts = matches!(
            (&*self, &failure),
            (Self::Open(_), _)
                | (Self::Failing(..), Failure::Defect)
                | (Self::Failing(_, Failure::Stopped(_)), Failure::Closed)
        );
        if counts && let Self::Open(halves) | Self::Failing(halves, _) = *self {
            *self = Self::Failing(halves, failure);
        }
    }

    /// Ends the life. Returns the states of both directions, and the failure, if there was one; `None` if the life was
    /// over already.
    pub fn end(&mut self) -> Option<(Halves, Option<Failure>)> {
        match std::mem::replace(self, Self::Over) {
            Self::Open(halves) => Some((halves, None)),
            Self::Failing(halves, failure) => Some((halves, Some(failure))),
            Self::Over => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Life {
        Life::new()
    }

    #[test]
    fn a_life_is_complete_when_both_directions_have_ended() {
        let mut life = open();
        life.end_read();
        assert!(!life.reads() && life.writes() && !life.is_complete());
        life.finish_write();
        assert!(life.is_finishing() && life.writes());
        life.end_write();
        assert!(life.is_complete() && !life.writes() && !life.is_finishing());
        life.finish_write();
        assert!(!life.is_finishing(), "our FIN is sent once");
    }

    #[test]
    fn the_first_failure_counts_but_for_a_close_behind_a_stop_and_a_defect() {
        let failure = |failures: [Failure; 2]| {
            let mut life = open();
            failures.into_iter().for_each(|failure| life.fail(failure));
            assert!(life.is_failing() && !life.takes_commands());
            life.end().and_then(|(_, failure)| failure)
        };
        let system = || Failure::System(io::ErrorKind::BrokenPipe.into(), "write");
        let stop = || Failure::Stopped(Stop::Close);
        assert!(matches!(
            failure([stop(), system()]),
            Some(Failure::Stopped(_))
        ));
        assert!(matches!(
            failure([stop(), Failure::Closed]),
            Some(Failure::Closed)
        ));
        assert!(matches!(
            failure([Failure::Closed, stop()]),
            Some(Failure::Closed)
        ));
        assert!(matches!(
            failure([system(), Failure::Defect]),
            Some(Failure::Defect)
        ));
    }

    #[test]
    fn a_life_that_is_over_stays_over() {
        let mut life = open();
        assert!(matches!(life.end(), Some((_, None))));
        life.fail(Failure::Defect);
        assert!(life.end().is_none() && !life.reads() && !life.takes_backlog());
    }
}
