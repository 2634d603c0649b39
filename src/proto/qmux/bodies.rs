//! What frames carry behind their headers: bytes of streams, parameters, a reason. Here a stream's first bytes become its
//! meta or its acceptance, its last ones its end value.
//!
//! May not judge a header.

use super::super::context::Context;
use super::super::error::{ProtocolError, Violation};
use super::super::event::{Event, Handle, MAX_MESSAGE, Partial, Payload, Sink, Wires};
use super::super::json;
use super::stream::RecvState;
use super::wire::Qmux;
use std::ops::Range;

/// Longest message that is passed on whole although it arrives in parts, so that a write of few bytes is one event
/// wherever a read happens to end.
pub const MAX_WHOLE: u64 = 16 << 10;

/// Longest parameters: several times what all known ones take.
pub const MAX_PARAMETERS: u64 = 4 << 10;

/// Most of a reason that is kept.
const MAX_REASON: usize = 1 << 10;

/// What the body under way goes to.
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
        /// It is wanted in one piece.
        is_whole: bool,
    },
}

/// The body under way.
#[derive(Debug, Default)]
pub struct Bodies {
    target: Target,
    /// What has arrived of one that is wanted whole.
    parts: Vec<u8>,
}

/// A part of a stream, and where it stands in the input, if it does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    pub bytes: &'a [u8],
    pub at: Option<usize>,
}

impl<'a> Piece<'a> {
    pub fn payload(self) -> Payload<'a> {
        match self.at {
            Some(at) => Payload::Input(at..at + self.bytes.len()),
            None => Payload::Owned(self.bytes),
        }
    }

    /// Cuts at most so many bytes off the front.
    pub fn cut(&mut self, length: usize) -> Self {
        let (bytes, rest) = self.bytes.split_at(length.min(self.bytes.len()));
        let at = self.at;
        self.bytes = rest;
        self.at = at.map(|at| at + bytes.len());
        Self { bytes, at }
    }
}

pub(super) fn violation(what: &'static str) -> ProtocolError {
    ProtocolError::Qmux(Violation::Protocol, what)
}

impl Bodies {
    /// A body begins.
    pub fn start(&mut self, target: Target) {
        self.target = target;
        self.parts.clear();
    }

    /// A part of a frame is still to come.
    pub fn is_of(&self, stream: Option<Handle>) -> bool {
        match self.target {
            Target::Stream { handle, .. } => stream.is_none_or(|it| it == handle),
            _ => false,
        }
    }

    pub fn shrink(&mut self) {
        if matches!(self.target, Target::Nothing) {
            self.parts = Vec::new();
        }
    }
}

impl Qmux {
    /// The message under way, if it is passed on as it comes and short enough to be put together.
    pub fn partial(&self) -> Option<Partial> {
        let Target::Stream {
            handle: stream,
            length,
            is_whole: false,
            ..
        } = self.bodies.target
        else {
            return None;
        };
        let missing = usize::try_from(self.decoder.missing()?).ok()?;
        (length <= MAX_MESSAGE as u64).then_some(Partial { stream, missing })
    }

    /// A part of the body under way.
    pub(super) fn recv_body<S: Sink>(
        &mut self,
        input: &[u8],
        range: Range<usize>,
        is_last: bool,
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        let bytes = &input[range.clone()];
        let target = self.bodies.target;
        if is_last {
            self.bodies.target = Target::Nothing;
        }
        match target {
            Target::Nothing => Ok(()),
            Target::Parameters => {
                self.bodies.parts.extend_from_slice(bytes);
                match is_last {
                    true => self.recv_parameters(cx),
                    false => Ok(()),
                }
            }
            Target::Reason { application, code } => {
                let room = MAX_REASON - self.bodies.parts.len();
                self.bodies
                    .parts
                    .extend_from_slice(&bytes[..bytes.len().min(room)]);
                match is_last {
                    true => Err(ProtocolError::ClosedByPeer {
                        code,
                        application,
                        reason: String::from_utf8_lossy(&self.bodies.parts).into_owned(),
                    }),
                    false => Ok(()),
                }
            }
            Target::Stream {
                handle,
                fin,
                is_whole,
                ..
            } => {
                let fin = fin && is_last;
                if !is_whole || (is_last && self.bodies.parts.is_empty()) {
                    let piece = Piece {
                        bytes,
                        at: Some(range.start),
                    };
                    return self.deliver(handle, piece, is_last, fin, cx);
                }
                self.bodies.parts.extend_from_slice(bytes);
                if !is_last {
                    return Ok(());
                }
                let parts = std::mem::take(&mut self.bodies.parts);
                let piece = Piece {
                    bytes: &parts,
                    at: None,
                };
                let result = self.deliver(handle, piece, true, fin, cx);
                self.bodies.parts = parts;
                self.bodies.parts.clear();
                result
            }
        }
    }

    fn recv_parameters<S: Sink>(&mut self, cx: &mut Context<'_, S>) -> Result<(), ProtocolError> {
        let parts = std::mem::take(&mut self.bodies.parts);
        let Some(parameters) = self.peer.recv_parameters(&parts)? else {
            return Ok(());
        };
        self.set_peer(parameters);
        let wires = Wires {
            sending: true,
            receiving: true,
            foreign: self.is_foreign(),
            hears_unread: self.hears_unread(),
        };
        cx.emit(Event::Wires(wires), Payload::Empty);
        self.tell_go_away();
        self.open_waiting(cx);
        Ok(())
    }

    /// Bytes of a stream. `is_end`: of the frame; `fin`: of the stream.
    fn deliver<S: Sink>(
        &mut self,
        handle: Handle,
        mut piece: Piece<'_>,
        is_end: bool,
        fin: bool,
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        let was_empty = piece.bytes.is_empty();
        let is_ours = self.peer.is_ours();
        loop {
            let Some(stream) = self.streams.get(handle) else {
                return Ok(());
            };
            match stream.recv.state() {
                RecvState::Meta => self.recv_meta(handle, &mut piece, cx)?,
                RecvState::Accept => self.recv_accept(handle, &mut piece, cx)?,
                RecvState::Refusal => self.recv_refusal(handle, &mut piece, cx)?,
                RecvState::EndValue => self.recv_end_value(handle, &mut piece, cx)?,
                RecvState::Discard | RecvState::Done => {}
                RecvState::Data => {
                    // A frame of nothing is a message of nothing, to us.
                    let is_message = was_empty && is_end && !fin && is_ours;
                    if !piece.bytes.is_empty() || is_message {
                        cx.emit(Event::Data(handle), piece.payload());
                    }
                    break;
                }
            }
            let Some(stream) = self.streams.get(handle) else {
                return Ok(());
            };
            let goes_on = matches!(stream.recv.state(), RecvState::Data | RecvState::Refusal);
            if piece.bytes.is_empty() || !goes_on {
                break;
            }
        }
        if fin {
            self.recv_fin(handle, cx)?;
        }
        if is_end {
            self.ask(handle, cx);
        }
        Ok(())
    }

    fn recv_fin<S: Sink>(
        &mut self,
        handle: Handle,
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        let Some(stream) = self.streams.get(handle) else {
            return Ok(());
        };
        let state = stream.recv.finish();
        match state {
            RecvState::Meta | RecvState::Accept | RecvState::Refusal => {
                return Err(violation("ended a stream within its first bytes"));
            }
            RecvState::Data => cx.emit(
                Event::End {
                    stream: handle,
                    has_value: false,
                },
                Payload::Empty,
            ),
            RecvState::EndValue => {
                let text = self.take_text(handle);
                json::check(&text, cx.config.max_json_depth)?;
                cx.emit(
                    Event::End {
                        stream: handle,
                        has_value: true,
                    },
                    Payload::Owned(&text),
                );
            }
            RecvState::Discard | RecvState::Done => {}
        }
        self.settle(handle, cx);
        Ok(())
    }
}
