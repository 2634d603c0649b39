//! The channel: the place for encryption, between the bytes of the socket and those of the session.
//!
//! The channel is inside the link, so both threads use it under the link's lock. Received bytes become plain in place,
//! so that ranges of them can be handed to JavaScript. Bytes that the session wants sent are sealed before they are in
//! flight. A connection in the clear does nothing of this.
//!
//! May not know what the bytes mean. The only file of the link that asks whether TLS is compiled in.

#[cfg(feature = "tls")]
use super::tls::Tls;
use crate::proto::{Session, Transmit};
use serde_json::Value;
use std::ops::Range;
use std::time::Instant;

/// A failure of encryption: of the handshake, of the peer's certificate, or of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError {
    /// The stable code, as JavaScript shows it.
    pub code: &'static str,
    /// What happened, for a person.
    pub message: String,
}

impl std::fmt::Display for TlsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TlsError {}

/// What became of received bytes.
#[derive(Debug)]
pub struct Opened {
    /// The plain ones.
    pub plain: Range<usize>,
    /// The failure that was found behind them.
    pub error: Option<TlsError>,
}

/// The channel of a connection.
#[derive(Debug)]
pub enum Channel {
    /// Bytes in the clear.
    Plain,
    /// Bytes in TLS.
    #[cfg(feature = "tls")]
    Tls(Box<Tls>),
}

impl Channel {
    /// Whether bytes are encrypted.
    pub fn is_encrypted(&self) -> bool {
        !matches!(self, Self::Plain)
    }

    /// Begins the handshake.
    pub fn begin(&mut self) -> Result<(), TlsError> {
        match self {
            Self::Plain => Ok(()),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.begin(),
        }
    }

    /// Goes on with a handshake that waited for JavaScript's choice, if that is made.
    pub fn go_on(&mut self) -> Result<(), TlsError> {
        match self {
            Self::Plain => Ok(()),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.go_on(),
        }
    }

    /// Whether the session's bytes can be sent.
    pub fn is_open(&self) -> bool {
        match self {
            Self::Plain => true,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.is_open(),
        }
    }

    // ---- receiving ----

    /// The room that a read needs in front of it.
    pub fn room_ahead(&self) -> usize {
        match self {
            Self::Plain => 0,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.room_ahead(),
        }
    }

    /// The part of that room which does not depend on what came before. Plain bytes end as far in front of received ones.
    pub fn gap(&self) -> usize {
        match self {
            Self::Plain => 0,
            #[cfg(feature = "tls")]
            Self::Tls(_) => super::tls::GAP,
        }
    }

    /// The bytes to read for so many plain ones.
    pub fn length_of(&self, plain: usize) -> usize {
        match self {
            Self::Plain => plain,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.length_of(plain),
        }
    }

    /// Makes received bytes plain, in place. In front of them is the room that was asked for.
    pub fn open(&mut self, _bytes: &mut [u8], received: Range<usize>) -> Opened {
        match self {
            Self::Plain => Opened {
                plain: received,
                error: None,
            },
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.open(_bytes, received),
        }
    }

    /// Whether all that came was made plain.
    pub fn is_between_records(&self) -> bool {
        match self {
            Self::Plain => true,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.is_between_records(),
        }
    }

    /// Whether the peer has ended its direction, ahead of its FIN.
    pub fn has_peer_closed(&self) -> bool {
        match self {
            Self::Plain => false,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.has_peer_closed(),
        }
    }

    // ---- sending ----

    /// Whether the channel itself has something to send.
    pub fn wants_write(&self) -> bool {
        match self {
            Self::Plain => false,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.wants_write(),
        }
    }

    /// What the channel itself has to send.
    pub fn take_own(&mut self) -> Option<Transmit> {
        match self {
            Self::Plain => None,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.take_own(),
        }
    }

    /// Makes bytes of the session ready to be sent, and gives their memory back to it.
    pub fn seal(
        &mut self,
        transmit: Transmit,
        _session: &mut Session,
    ) -> Result<Transmit, TlsError> {
        match self {
            Self::Plain => Ok(transmit),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => {
                let sealed = tls.seal(transmit.pieces())?;
                give_back(transmit, _session);
                Ok(sealed)
            }
        }
    }

    /// Makes bytes of the session, and a payload from elsewhere behind them, ready to be sent; `None` in the clear, where
    /// they need not be in one place.
    pub fn seal_with(
        &mut self,
        transmit: Transmit,
        _payload: &[u8],
        _session: &mut Session,
    ) -> Result<Transmit, TlsError> {
        match self {
            Self::Plain => Ok(transmit),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => {
                let pieces = transmit.pieces().chain(std::iter::once(_payload));
                let sealed = tls.seal(pieces)?;
                give_back(transmit, _session);
                Ok(sealed)
            }
        }
    }

    /// Tells the peer that our direction ends. Returns whether that is still to be sent.
    pub fn close(&mut self) -> bool {
        match self {
            Self::Plain => false,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => {
                tls.close();
                tls.wants_write()
            }
        }
    }

    /// Whether the peer was told that our direction ends, behind which nothing is sent.
    pub fn has_closed(&self) -> bool {
        match self {
            Self::Plain => false,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.has_closed(),
        }
    }

    /// The kernel took so many bytes. Returns how many of the session's that were.
    pub fn sent(&mut self, bytes: usize) -> usize {
        match self {
            Self::Plain => bytes,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.sent(bytes),
        }
    }

    /// The kernel has taken all of a transmit.
    pub fn transmit_done(&mut self, transmit: Transmit, session: &mut Session, now: Instant) {
        match self {
            Self::Plain => session.transmit_done(transmit, now),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => {
                tls.recycle(transmit);
                session.written(now);
            }
        }
    }

    /// Frees spare memory.
    pub fn shrink(&mut self) {
        match self {
            Self::Plain => {}
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.shrink(),
        }
    }

    // ---- what JavaScript is told ----

    /// Whether both ends agreed on this package's own protocol.
    pub fn is_ours(&self) -> bool {
        match self {
            Self::Plain => false,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.protocol() == Some(crate::driver::tls::ALPN),
        }
    }

    /// What was agreed on, and who the peer is.
    pub fn describe(&self) -> Option<Value> {
        match self {
            Self::Plain => None,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => Some(tls.describe()),
        }
    }

    /// Takes the name that a client asks for, if JavaScript is to choose by it.
    pub fn take_name(&mut self) -> Option<String> {
        match self {
            Self::Plain => None,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.take_name(),
        }
    }

    /// Takes the lines for a key log.
    pub fn take_lines(&mut self) -> Vec<String> {
        match self {
            Self::Plain => Vec::new(),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.take_lines(),
        }
    }
}

/// Gives the memory of bytes that were copied back to their session.
#[cfg(feature = "tls")]
fn give_back(mut transmit: Transmit, session: &mut Session) {
    transmit.advance(transmit.len());
    session.recycle(transmit);
}

/// The peer's end before the handshake was done, and a handshake that takes too long.
pub mod failures {
    use super::TlsError;

    /// The peer ended the connection before the handshake was done. The message is nearly that of `tls`.
    pub fn ended_early() -> TlsError {
        TlsError {
            code: "ECONNRESET",
            message: "the peer ended the connection before a secure connection was established; perhaps it does not \
                      speak TLS"
                .to_owned(),
        }
    }

    /// The handshake took too long.
    pub fn too_late() -> TlsError {
        TlsError {
            code: "ERR_TLS_HANDSHAKE_TIMEOUT",
            message: "the peer did not finish the TLS handshake in time".to_owned(),
        }
    }
}
