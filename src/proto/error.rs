//! Errors whose origin is the peer. What the caller or the environment does wrong never becomes one of these.
//!
//! May not name an error of the caller or of the environment.

use std::fmt;

/// Why a connection ends because of what the peer sent. Each has a stable code that JavaScript shows; the table
/// stands again in `lib/errors.js` and in docs/PROTOCOL.md, and a test compares them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A frame announced a length below that of its own header.
    FrameLength(u32),
    /// The peer finished in the middle of a frame.
    FrameTruncated,
    /// A frame spoke of a stream that never was, or has ended.
    UnknownStream {
        /// The frame's type.
        kind: u8,
        /// The id it named.
        id: u8,
    },
    /// A stream was opened under an id that is still in use.
    StreamInUse(u8),
    /// A text that must be JSON is not.
    JsonInvalid,
    /// A JSON text is longer than the limit.
    JsonTooLarge {
        /// Its announced length in bytes.
        length: usize,
        /// The limit in force.
        limit: usize,
    },
    /// The meta of the streams that live is longer, in sum, than the limit.
    MetaTotal(usize),
    /// A JSON text nests deeper than the limit.
    JsonTooDeep(usize),
    /// An offer that is malformed, second, late, too long, or our own.
    Offer(&'static str),
    /// A switch to another wire that was not agreed on.
    Switch,
    /// The peer started with QMux records where the legacy wire is spoken.
    QmuxStart,
}

impl ProtocolError {
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
                f.write_str("the peer speaks QMux, and this endpoint the legacy protocol")
            }
        }
    }
}

impl std::error::Error for ProtocolError {}
