//! The bodies of the peer's frames: its parameters, and the bytes of streams, of which the first decide about a stream.
//!
//! May not encode a frame, nor judge a header.

use super::super::super::context::Context;
use super::super::super::error::{ProtocolError, Violation};
use super::super::super::event::{Event, Handle, Payload, Sink, Wires};
use super::super::bodies::Body;
use super::super::piece::Piece;
use super::super::stream::RecvState;
use super::Qmux;
use std::ops::Range;

impl Qmux {
    /// A part of the body under way.
    pub(super) fn recv_body<S: Sink>(
        &mut self,
        input: &[u8],
        range: Range<usize>,
        is_last: bool,
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        if let Some((handle, fin)) = self.recv.pass_on(is_last) {
            let piece = Piece::of_input(input, range);
            return self.deliver(handle, piece, is_last, fin, cx);
        }
        match self.recv.recv_body(input, range, is_last)? {
            Body::Nothing => Ok(()),
            Body::Parameters(bytes) => self.recv_parameters(&bytes, cx),
            Body::Stream { handle, fin, bytes } => {
                let result = self.deliver(handle, Piece::joined(&bytes), is_last, fin, cx);
                self.recv.recycle(bytes);
                result
            }
        }
    }

    fn recv_parameters<S: Sink>(
        &mut self,
        bytes: &[u8],
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        let Some(parameters) = self.peer.recv_parameters(bytes)? else {
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

    /// Delivers bytes of a stream. `is_end`: they end the frame. `fin`: they end the stream.
    fn deliver<S: Sink>(
        &mut self,
        handle: Handle,
        mut piece: Piece<'_>,
        is_end: bool,
        fin: bool,
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        let was_empty = piece.is_empty();
        let is_ours = self.peer.is_ours();
        loop {
            let Some(stream) = self.streams.get(handle) else {
                return Ok(());
            };
            let credit = &mut self.credit;
            match stream.recv.state() {
                RecvState::Meta => {
                    let parts = (credit, &self.counts);
                    self.recv.meta(handle, stream, &mut piece, parts, cx)?;
                }
                RecvState::Accept => self.recv_answer(handle, &mut piece, cx)?,
                RecvState::Refusal => {
                    self.recv.refusal(handle, stream, &mut piece, credit, cx)?;
                }
                RecvState::EndValue => self.recv.end_value(stream, &mut piece, cx)?,
                RecvState::Discard | RecvState::Done => {}
                RecvState::Data => {
                    // An empty frame of a peer like us is an empty message.
                    let is_message = was_empty && is_end && !fin && is_ours;
                    if !piece.is_empty() || is_message {
                        cx.emit(Event::Data(handle), piece.payload());
                    }
                    break;
                }
            }
            let Some(stream) = self.streams.get(handle) else {
                return Ok(());
            };
            let goes_on = matches!(stream.recv.state(), RecvState::Data | RecvState::Refusal);
            if piece.is_empty() || !goes_on {
                break;
            }
        }
        if fin && let Some(stream) = self.streams.get(handle) {
            self.recv.fin(handle, stream, cx)?;
            self.settle(handle, cx);
        }
        if is_end {
            self.ask(handle, cx);
        }
        Ok(())
    }

    /// Takes the peer's answer to a stream of ours: one byte.
    fn recv_answer<S: Sink>(
        &mut self,
        handle: Handle,
        piece: &mut Piece<'_>,
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        let Some(&answer) = piece.cut(1).bytes().first() else {
            return Ok(());
        };
        let Some(stream) = self.streams.get(handle) else {
            return Ok(());
        };
        self.credit.skip(handle, stream, 1);
        match answer {
            0 => {
                stream.recv.start_data();
                let stop = stream.recv.early_stop();
                self.tell_opened(handle, cx);
                if let Some(code) = stop {
                    self.stop(handle, code, cx);
                }
                Ok(())
            }
            1 => {
                stream.recv.start_refusal();
                Ok(())
            }
            _ => Err(Violation::Protocol.error("answered a stream with neither yes nor no")),
        }
    }

    /// The application learns that a stream of ours was accepted, and what came ahead of that.
    pub(super) fn tell_opened<S: Sink>(&mut self, handle: Handle, cx: &mut Context<'_, S>) {
        let Some(stream) = self.streams.get(handle) else {
            return;
        };
        stream.introduce();
        let id = stream.id() as u32;
        cx.emit(Event::Opened { stream: handle, id }, Payload::Empty);
        if let Some(code) = stream.stopped() {
            emit_stopped(handle, code, cx);
        }
        if stream.send.is_blocked() {
            self.send.emit_blocked(handle, cx);
        }
    }
}

/// The application learns that the peer wants no more of a stream.
pub(super) fn emit_stopped<S: Sink>(handle: Handle, code: u64, cx: &mut Context<'_, S>) {
    let code = code.to_string();
    cx.emit(Event::Stopped(handle), Payload::Owned(code.as_bytes()));
}
