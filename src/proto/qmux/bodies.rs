//! The bodies of frames: bytes of streams, parameters, a reason. If a body is wanted whole, its parts are put together
//! here.
//!
//! May not judge a header, nor know a stream except by its handle.

use super::super::error::ProtocolError;
use super::super::event::Handle;
use std::ops::Range;

/// The longest message that is put together although it arrives in parts, so that a short write is one event wherever a
/// read happens to end.
pub const MAX_JOINED: u64 = 16 << 10;

/// The longest parameters: several times what all known ones take.
pub const MAX_PARAMETERS: u64 = 4 << 10;

/// The most of a reason that is kept.
const MAX_REASON: usize = 1 << 10;

/// The destination of the body under way.
#[derive(Clone, Copy, Debug, Default)]
pub enum Target {
    #[default]
    Nothing,
    Parameters,
    Reason {
        application: bool,
        code: u64,
    },
    Stream {
        handle: Handle,
        fin: bool,
        length: u64,
        /// The body is wanted in one piece.
        is_joined: bool,
    },
}

/// The result of a part of a body.
#[derive(Debug)]
pub enum Body {
    /// More has to come first.
    Nothing,
    Parameters(Vec<u8>),
    /// Bytes of a stream, put together. With `fin`, the stream ends with them.
    Stream {
        handle: Handle,
        fin: bool,
        bytes: Vec<u8>,
    },
}

/// The body under way.
#[derive(Debug, Default)]
pub struct Bodies {
    target: Target,
    /// The parts that have arrived of a body that is wanted in one piece.
    parts: Vec<u8>,
}

impl Bodies {
    /// A body begins.
    pub fn start(&mut self, target: Target) {
        self.target = target;
        self.parts.clear();
    }

    /// Whether a part of a frame is still to come: of this stream, or, with `None`, of any.
    pub fn is_of(&self, stream: Option<Handle>) -> bool {
        match self.target {
            Target::Stream { handle, .. } => stream.is_none_or(|it| it == handle),
            _ => false,
        }
    }

    /// The stream whose bytes are passed on as they come, and the number of bytes in the body.
    pub fn passed_on(&self) -> Option<(Handle, u64)> {
        match self.target {
            Target::Stream {
                handle,
                length,
                is_joined: false,
                ..
            } => Some((handle, length)),
            _ => None,
        }
    }

    /// A part of the body under way came. Returns the stream that the part is passed on to, and whether the stream ends
    /// with it. `None`: the part is for [`Bodies::recv`].
    #[inline]
    pub fn pass_on(&mut self, is_last: bool) -> Option<(Handle, bool)> {
        let Target::Stream {
            handle,
            fin,
            is_joined,
            ..
        } = self.target
        else {
            return None;
        };
        if is_joined && !(is_last && self.parts.is_empty()) {
            return None;
        }
        if is_last {
            self.target = Target::Nothing;
        }
        Some((handle, fin && is_last))
    }

    /// A part of the body under way came that is not passed on: a range of the input, and whether it is the last part.
    pub fn recv(
        &mut self,
        input: &[u8],
        range: Range<usize>,
        is_last: bool,
    ) -> Result<Body, ProtocolError> {
        let bytes = &input[range];
        let target = self.target;
        if is_last {
            self.target = Target::Nothing;
        }
        match target {
            Target::Nothing => return Ok(Body::Nothing),
            Target::Reason { .. } => {
                let room = MAX_REASON - self.parts.len();
                self.parts
                    .extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            Target::Parameters | Target::Stream { .. } => self.parts.extend_from_slice(bytes),
        }
        if !is_last {
            return Ok(Body::Nothing);
        }
        let parts = std::mem::take(&mut self.parts);
        match target {
            Target::Nothing => Ok(Body::Nothing),
            Target::Parameters => Ok(Body::Parameters(parts)),
            Target::Reason { application, code } => Err(ProtocolError::ClosedByPeer {
                code,
                application,
                reason: String::from_utf8_lossy(&parts).into_owned(),
            }),
            Target::Stream { handle, fin, .. } => Ok(Body::Stream {
                handle,
                fin,
                bytes: parts,
            }),
        }
    }

    /// Keeps the memory of a body that was put together.
    pub fn recycle(&mut self, mut joined: Vec<u8>) {
        joined.clear();
        self.parts = joined;
    }

    /// Frees spare memory.
    pub fn shrink(&mut self) {
        if matches!(self.target, Target::Nothing) {
            self.parts = Vec::new();
        }
    }
}
