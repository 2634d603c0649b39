//! Errors whose origin is the peer. A mistake of the caller, or a failure of the environment, never becomes one of
//! these.
//!
//! May not name an error of the caller or of the environment.

use std::fmt;

/// Why a connection ends because of what the peer sent. Each error has a stable code that JavaScript shows. The codes
/// are also in `lib/errors.js` and in docs/PROTOCOL.md, and a test compares the three tables.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A frame announced a length below that of its own header.
    FrameLength(u32),
    /// The peer ended its direction in the middle of a frame.
    FrameTruncated,
    /// A frame named a stream that never was, or has ended.
    UnknownStream {
        /// The frame's type.
        kind: u8,
        /// The id that the frame named.
        id: u8,
    },
    /// A stream was opened under an id that is still in use.
    StreamInUse(u8),
    /// A text that must be JSON is not.
    JsonInvalid,
    /// A JSON text is longer than the limit.
    JsonTooLarge {
        /// The announced length in bytes.
        length: usize,
        /// The limit in force.
        limit: usize,
    },
    /// The metas of the live streams are longer, in sum, than the limit.
    MetaTotal(usize),
    /// A JSON text nests deeper than the limit.
    JsonTooDeep(usize),
    /// An offer that is malformed, second, late, too long, or our own.
    Offer(&'static str),
    /// A switch to another wire that was not agreed on.
    Switch,
    /// The peer started with QMux records where the legacy wire is spoken.
    QmuxStart,
    /// The peer started with something else where QMux is spoken.
    NotQmux,
    /// A violation of QMux, with the code that the peer is told.
    Qmux(Violation, &'static str),
    /// The peer did something harmless so often that it became an attack.
    Flood(&'static str),
    /// The peer closed the connection, with a code of its own.
    ClosedByPeer {
        /// The code.
        code: u64,
        /// Whether the code is the application's.
        application: bool,
        /// The peer's reason.
        reason: String,
    },
    /// Nothing came for too long.
    IdleTimeout,
    /// The peer began to say what it speaks and did not finish, or had to and did not begin.
    HandshakeTimeout,
    /// Nothing came although the peer was pinged.
    PingTimeout,
    /// The peer speaks a protocol that is not ours.
    WrongProtocol(&'static str),
}

/// The error codes of RFC 9000 that this protocol can cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "RFC 9000, section 20.1, says what they mean")]
pub enum Violation {
    FlowControl = 3,
    StreamLimit = 4,
    StreamState = 5,
    FinalSize = 6,
    FrameEncoding = 7,
    TransportParameter = 8,
    Protocol = 0x0a,
}

impl Violation {
    /// The error for this violation; `what` says what the peer did.
    pub fn error(self, what: &'static str) -> ProtocolError {
        ProtocolError::Qmux(self, what)
    }
}

impl ProtocolError {
    /// The code of the CONNECTION_CLOSE frame that the peer is sent.
    pub fn wire_code(&self) -> u64 {
        match self {
            Self::Qmux(violation, _) => *violation as u64,
            Self::ClosedByPeer { .. } => 0,
            _ if self.is_timeout() => 0,
            _ => Violation::Protocol as u64,
        }
    }
}

impl ProtocolError {
    /// Whether the error is about what did not come. Then the peer is not told.
    pub fn is_timeout(&self) -> bool {
        matches!(
            self,
            Self::IdleTimeout | Self::HandshakeTimeout | Self::PingTimeout
        )
    }

    /// Whether the peer speaks TLS.
    pub fn is_of_tls(&self) -> bool {
        matches!(self, Self::WrongProtocol("TLS"))
    }

    /// The stable code, as JavaScript shows it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::FrameLength(_) => "ERR_MUX_FRAME_LENGTH",
            Self::FrameTruncated => "ERR_MUX_FRAME_TRUNCATED",
            Self::UnknownStream { .. } => "ERR_MUX_UNKNOWN_STREAM",
            Self::StreamInUse(_) => "ERR_MUX_STREAM_IN_USE",
            Self::JsonInvalid => "ERR_MUX_JSON_INVALID",
            Self::JsonTooLarge { .. } | Self::MetaTotal(_) => "ERR_MUX_JSON_TOO_LARGE",
            Self::JsonTooDeep(_) => "ERR_MUX_JSON_TOO_DEEP",
            Self::Offer(_) => "ERR_MUX_OFFER",
            Self::Switch => "ERR_MUX_SWITCH",
            Self::QmuxStart => "ERR_MUX_QMUX_START",
            Self::NotQmux => "ERR_MUX_NOT_QMUX",
            Self::Qmux(violation, _) => match violation {
                Violation::FlowControl => "ERR_MUX_FLOW_CONTROL",
                Violation::StreamLimit => "ERR_MUX_STREAM_COUNT",
                Violation::StreamState => "ERR_MUX_STREAM_STATE",
                Violation::FinalSize => "ERR_MUX_FINAL_SIZE",
                Violation::FrameEncoding => "ERR_MUX_FRAME_ENCODING",
                Violation::TransportParameter => "ERR_MUX_TRANSPORT_PARAMETER",
                Violation::Protocol => "ERR_MUX_PROTOCOL_VIOLATION",
            },
            Self::Flood(_) => "ERR_MUX_FLOOD",
            Self::ClosedByPeer { .. } => "ERR_MUX_CLOSED_BY_PEER",
            Self::IdleTimeout => "ERR_MUX_IDLE_TIMEOUT",
            Self::HandshakeTimeout => "ERR_MUX_HANDSHAKE_TIMEOUT",
            Self::PingTimeout => "ERR_MUX_PING_TIMEOUT",
            Self::WrongProtocol(_) => "ERR_MUX_WRONG_PROTOCOL",
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FrameLength(n) => write!(
                f,
                "the peer sent a frame of length {n}, shorter than its header of 6 bytes"
            ),
            Self::FrameTruncated => {
                f.write_str("the peer ended the connection in the middle of a frame")
            }
            Self::UnknownStream { kind, id } => {
                write!(
                    f,
                    "the peer sent a frame of type {kind} for stream {id}, which does not exist or has ended"
                )
            }
            Self::StreamInUse(id) => {
                write!(f, "the peer opened stream {id}, which is already open")
            }
            Self::JsonInvalid => f.write_str("the peer sent a text that is not JSON"),
            Self::JsonTooLarge { length, limit } => {
                write!(
                    f,
                    "the peer sent a JSON text of {length} bytes, over the limit of {limit}"
                )
            }
            Self::MetaTotal(limit) => write!(
                f,
                "the peer keeps streams open whose meta is over the limit of {limit} bytes in sum"
            ),
            Self::JsonTooDeep(limit) => {
                write!(f, "the peer sent JSON nested deeper than {limit} levels")
            }
            Self::Offer(why) => write!(f, "the peer's protocol offer is not acceptable: {why}"),
            Self::Switch => f.write_str("the peer switched to a protocol that was not agreed on"),
            Self::QmuxStart => {
                f.write_str("the peer speaks QMux from its first byte: use protocol 'qmux'")
            }
            Self::NotQmux => f.write_str("the peer does not start as QMux does"),
            Self::Qmux(_, what) => write!(f, "the peer {what}"),
            Self::Flood(what) => write!(f, "the peer sent too many {what}"),
            Self::ClosedByPeer {
                code,
                application,
                reason,
            } => {
                let whose = if *application { "code" } else { "QUIC error" };
                write!(f, "the peer closed the connection with {whose} {code}")?;
                match reason.is_empty() {
                    true => Ok(()),
                    false => write!(f, ": {reason}"),
                }
            }
            Self::IdleTimeout => f.write_str("nothing came from the peer for too long"),
            Self::HandshakeTimeout => {
                f.write_str("the peer did not say in time which protocol it speaks")
            }
            Self::PingTimeout => {
                f.write_str("the peer did not answer a ping in time, nor send anything else")
            }
            Self::WrongProtocol(what) => {
                write!(
                    f,
                    "the peer speaks {what} and not the protocol of this package"
                )
            }
        }
    }
}

impl std::error::Error for ProtocolError {}
