//! What frames carry behind their headers: bytes of streams, parameters, a reason. Here a stream's first bytes become its
//! meta or its acceptance, its last ones its end value.
//!
//! May not judge a header.

use super::super::error::{ProtocolError, Violation};
use super::super::event::{Event, Handle, Payload, Sink, Wires};
use super::super::json;
use super::super::varint;
use super::parameters::Parameters;
use super::stream::{NO_MARK, NO_STOP, RecvState};
use super::wire::{Context, Qmux};
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
struct Piece<'a> {
    bytes: &'a [u8],
    at: Option<usize>,
}

impl<'a> Piece<'a> {
    fn payload(self) -> Payload<'a> {
        match self.at {
            Some(at) => Payload::Input(at..at + self.bytes.len()),
            None => Payload::Owned(self.bytes),
        }
    }

    /// Cuts at most so many bytes off the front.
    fn cut(&mut self, length: usize) -> Self {
        let (bytes, rest) = self.bytes.split_at(length.min(self.bytes.len()));
        let at = self.at;
        self.bytes = rest;
        self.at = at.map(|at| at + bytes.len());
        Self { bytes, at }
    }
}

fn violation(what: &'static str) -> ProtocolError {
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
        if let Some(offered) = self.offered.take() {
            return match offered == parts {
                true => Ok(()),
                false => Err(violation("declared other parameters than in its offer")),
            };
        }
        self.set_peer(Parameters::decode(&parts)?);
        let wires = Wires {
            sending: true,
            receiving: true,
            foreign: self.is_foreign(),
        };
        cx.sink.emit(Event::Wires(wires), Payload::Empty);
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
        let is_ours = self.is_ours();
        loop {
            let Some(stream) = self.streams.get(handle) else {
                return Ok(());
            };
            match stream.recv.state {
                RecvState::Meta => self.recv_meta(handle, &mut piece, cx)?,
                RecvState::Accept => self.recv_accept(handle, &mut piece, cx)?,
                RecvState::Refusal => self.recv_refusal(handle, &mut piece, cx)?,
                RecvState::EndValue => self.recv_end_value(handle, &mut piece, cx)?,
                RecvState::Discard | RecvState::Done => {}
                RecvState::Data => {
                    // A frame of nothing is a message of nothing, to us.
                    let is_message = was_empty && is_end && !fin && is_ours;
                    if !piece.bytes.is_empty() || is_message {
                        cx.sink.emit(Event::Data(handle), piece.payload());
                    }
                    break;
                }
            }
            let Some(stream) = self.streams.get(handle) else {
                return Ok(());
            };
            let goes_on = matches!(stream.recv.state, RecvState::Data | RecvState::Refusal);
            if piece.bytes.is_empty() || !goes_on {
                break;
            }
        }
        if fin {
            self.recv_fin(handle, cx)?;
        }
        if is_end {
            self.mark(handle, cx);
        }
        Ok(())
    }

    /// Puts a text together that must not be longer than `total`; gives whether it is complete.
    fn gather(
        &mut self,
        handle: Handle,
        piece: &mut Piece<'_>,
        total: usize,
        limit: usize,
    ) -> Result<bool, ProtocolError> {
        let Some(stream) = self.streams.get(handle) else {
            return Ok(false);
        };
        let part = piece.cut(total.saturating_sub(stream.recv.text.len()));
        stream.recv.text.extend_from_slice(part.bytes);
        let is_complete = stream.recv.text.len() >= total;
        self.text_total += part.bytes.len();
        match self.text_total > limit {
            true => Err(ProtocolError::MetaTotal(limit)),
            false => Ok(is_complete),
        }
    }

    fn take_text(&mut self, handle: Handle) -> Vec<u8> {
        let stream = self.streams.get(handle);
        let text = stream.map_or_else(Vec::new, |stream| std::mem::take(&mut stream.recv.text));
        self.text_total -= text.len();
        text
    }

    /// Bytes at the front of a stream that the application never sees are consumed on arrival.
    fn absorb(&mut self, handle: Handle, bytes: usize) {
        if let Some(stream) = self.streams.get(handle) {
            stream.recv.seen += bytes as u64;
            self.consume(handle);
        }
    }

    fn recv_meta<S: Sink>(
        &mut self,
        handle: Handle,
        piece: &mut Piece<'_>,
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        let limit = cx.config.max_meta_size;
        let total_limit = cx.config.max_meta_total;
        let Some(stream) = self.streams.get(handle) else {
            return Ok(());
        };
        let is_fresh = stream.recv.text.is_empty();
        // Nearly always: all of it is in this one piece.
        if is_fresh
            && let Some((length, rest)) = varint::read(piece.bytes)
            && length <= rest.len() as u64
        {
            check_length(length, limit)?;
            let head = piece.bytes.len() - rest.len();
            piece.cut(head);
            let text = piece.cut(length as usize);
            self.absorb(handle, head + text.bytes.len());
            return self.announce(handle, text, cx);
        }
        let before = piece.bytes.len();
        // The length first, byte by byte; then as much as it says.
        loop {
            let text = match self.streams.get(handle) {
                Some(stream) => &stream.recv.text,
                None => return Ok(()),
            };
            let total = match varint::read(text) {
                Some((length, rest)) => {
                    check_length(length, limit)?;
                    text.len() - rest.len() + length as usize
                }
                None => text.len() + 1,
            };
            let has_length = varint::read(text).is_some();
            let is_complete = self.gather(handle, piece, total, total_limit)?;
            // A length of 0 is complete without another byte.
            let is_nothing = self
                .streams
                .get(handle)
                .is_some_and(|stream| matches!(varint::read(&stream.recv.text), Some((0, _))));
            if is_complete && (has_length || is_nothing) {
                break;
            }
            if !is_complete || piece.bytes.is_empty() {
                self.absorb(handle, before - piece.bytes.len());
                return Ok(());
            }
        }
        self.absorb(handle, before - piece.bytes.len());
        let text = self.take_text(handle);
        let (_, meta) = varint::read(&text).unwrap_or((0, &[]));
        let meta = Piece {
            bytes: meta,
            at: None,
        };
        self.announce(handle, meta, cx)
    }

    /// The meta of a stream is complete: the application learns of the stream.
    fn announce<S: Sink>(
        &mut self,
        handle: Handle,
        meta: Piece<'_>,
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        json::check(meta.bytes, cx.config.max_json_depth)?;
        let limit = cx.config.max_meta_total;
        if self.meta_total + meta.bytes.len() > limit {
            return Err(ProtocolError::MetaTotal(limit));
        }
        let served = self.served;
        let Some(stream) = self.streams.get(handle) else {
            return Ok(());
        };
        if served.is_some_and(|served| stream.id >> 2 >= served) {
            stream.recv.state = RecvState::Discard;
            return Ok(());
        }
        stream.meta = meta.bytes.len();
        stream.recv.state = RecvState::Data;
        stream.is_known = true;
        let id = stream.id as u32;
        self.meta_total += meta.bytes.len();
        cx.sink
            .emit(Event::Stream { stream: handle, id }, meta.payload());
        Ok(())
    }

    fn recv_accept<S: Sink>(
        &mut self,
        handle: Handle,
        piece: &mut Piece<'_>,
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        let Some(&answer) = piece.cut(1).bytes.first() else {
            return Ok(());
        };
        self.absorb(handle, 1);
        let Some(stream) = self.streams.get(handle) else {
            return Ok(());
        };
        match answer {
            0 => {
                stream.recv.state = RecvState::Data;
                stream.is_known = true;
                let (id, stop) = (stream.id as u32, stream.recv.stop);
                cx.sink
                    .emit(Event::Opened { stream: handle, id }, Payload::Empty);
                if stop != NO_STOP {
                    self.stop(handle, stop, cx);
                }
            }
            1 => stream.recv.state = RecvState::Refusal,
            _ => return Err(violation("answered a stream with neither yes nor no")),
        }
        Ok(())
    }

    fn recv_refusal<S: Sink>(
        &mut self,
        handle: Handle,
        piece: &mut Piece<'_>,
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        let before = piece.bytes.len();
        let limit = varint::MAX_SIZE.max(cx.config.max_meta_total);
        let have = self
            .streams
            .get(handle)
            .map_or(0, |stream| stream.recv.text.len());
        self.gather(handle, piece, have + before, limit)?;
        self.absorb(handle, before);
        let Some(stream) = self.streams.get(handle) else {
            return Ok(());
        };
        let Some((code, _)) = varint::read(&stream.recv.text) else {
            return Ok(());
        };
        stream.recv.state = RecvState::Discard;
        self.take_text(handle);
        let code = code.to_string();
        cx.sink
            .emit(Event::Refused(handle), Payload::Owned(code.as_bytes()));
        Ok(())
    }

    fn recv_end_value<S: Sink>(
        &mut self,
        handle: Handle,
        piece: &mut Piece<'_>,
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        let limit = cx.config.max_end_value_size;
        let total_limit = limit.max(cx.config.max_meta_total);
        self.gather(handle, piece, limit, total_limit)?;
        match piece.bytes.is_empty() {
            true => Ok(()),
            false => Err(ProtocolError::JsonTooLarge {
                length: limit + piece.bytes.len(),
                limit,
            }),
        }
    }

    fn recv_fin<S: Sink>(
        &mut self,
        handle: Handle,
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        let Some(stream) = self.streams.get(handle) else {
            return Ok(());
        };
        let state = std::mem::replace(&mut stream.recv.state, RecvState::Done);
        match state {
            RecvState::Meta | RecvState::Accept | RecvState::Refusal => {
                return Err(violation("ended a stream within its first bytes"));
            }
            RecvState::Data => cx.sink.emit(
                Event::End {
                    stream: handle,
                    has_value: false,
                },
                Payload::Empty,
            ),
            RecvState::EndValue => {
                let text = self.take_text(handle);
                json::check(&text, cx.config.max_json_depth)?;
                cx.sink.emit(
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

    /// Asks the application to say when it has seen what it was given, if credit would then go back.
    pub(super) fn mark<S: Sink>(&mut self, handle: Handle, cx: &mut Context<'_, S>) {
        if let Some(stream) = self.streams.get(handle) {
            let received = stream.recv.window.received();
            if !self.bodies.is_of(Some(handle))
                && stream.recv.marked == NO_MARK
                && stream.is_known
                && received > stream.recv.seen
                && stream.recv.window.would_be_due(received)
                && stream.recv.wants_credit()
            {
                stream.recv.marked = received;
                cx.sink.emit(Event::Credit(Some(handle)), Payload::Empty);
            }
        }
        self.mark_connection(cx);
    }

    /// The same for the connection.
    #[inline]
    pub(super) fn mark_connection<S: Sink>(&mut self, cx: &mut Context<'_, S>) {
        let credit = &mut self.credit;
        let received = credit.window.received();
        if !self.bodies.is_of(None)
            && credit.marked == NO_MARK
            && received > credit.seen
            && credit.window.would_be_due(received)
        {
            credit.marked = received;
            cx.sink.emit(Event::Credit(None), Payload::Empty);
        }
    }
}

fn check_length(length: u64, limit: usize) -> Result<(), ProtocolError> {
    match length > limit as u64 {
        true => Err(ProtocolError::JsonTooLarge {
            length: usize::try_from(length).unwrap_or(usize::MAX),
            limit,
        }),
        false => Ok(()),
    }
}
