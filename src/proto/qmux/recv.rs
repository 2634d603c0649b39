//! The receiving side: bytes are decoded into frames, and bodies are put together if they are wanted whole. A stream's
//! first bytes become its meta or its refusal, its last ones its end value.
//!
//! ```text
//!   input ──▶ decoder ──header──▶ Qmux decides ──▶ a body is started
//!                └────part────▶ bodies ──whole or part──▶ Qmux ──▶ meta, refusal, end_value (texts), or Event::Data
//!   input ──▶ take_messages ──▶ Event::Data     most frames, past all that
//! ```
//!
//! May not send anything, nor change what we send on a stream.

use super::super::context::Context;
use super::super::error::{ProtocolError, Violation};
use super::super::event::{Event, Handle, MAX_MESSAGE, Partial, Payload, Sink};
use super::super::json;
use super::bodies::{Bodies, Body, MAX_JOINED, MAX_PARAMETERS, Target};
use super::counts::Counts;
use super::credit::Credit;
use super::decoder::{Decoder, Step};
use super::frame::Frame;
use super::piece::Piece;
use super::stream::{RecvState, Stream};
use super::streams::Streams;
use super::texts::Texts;
use std::ops::Range;

/// The receiving side of a connection.
#[derive(Debug, Default)]
pub struct Recv {
    /// The peer's first frame has come.
    has_begun: bool,
    decoder: Decoder,
    bodies: Bodies,
    texts: Texts,
    /// The last frame was padding.
    was_padding: bool,
}

/// The error of bytes that come for a half that is over. `ended`: its final size, if that is remembered. `offset`:
/// `None` if the bytes follow those before.
pub fn behind_end(
    ended: Option<u64>,
    offset: Option<u64>,
    length: u64,
    fin: bool,
) -> ProtocolError {
    let changes = match (ended, offset) {
        // The stream's position is its end.
        (_, None) => length > 0,
        (Some(ended), Some(offset)) => {
            let end = offset.saturating_add(length);
            end > ended || (fin && end != ended)
        }
        (None, Some(_)) => false,
    };
    match changes {
        true => Violation::FinalSize.error("changed the final size of a stream"),
        false => Violation::StreamState.error("sent on a stream that has ended"),
    }
}

impl Recv {
    /// The number of records that came whole.
    pub fn records(&self) -> u64 {
        self.decoder.records()
    }

    /// Whether the peer may end its direction here.
    pub fn is_between_records(&self) -> bool {
        self.decoder.is_between_records()
    }

    /// Whether a part of a stream's frame is still to come: of this stream, or, with `None`, of any.
    pub fn is_within(&self, stream: Option<Handle>) -> bool {
        self.bodies.is_of(stream)
    }

    /// The message under way, if its parts are passed on as they come and it is short enough to be put together by the
    /// reader.
    pub fn partial(&self) -> Option<Partial> {
        let (stream, length) = self.bodies.passed_on()?;
        let missing = usize::try_from(self.decoder.missing()?).ok()?;
        (length <= MAX_MESSAGE as u64).then_some(Partial { stream, missing })
    }

    /// The next step in `input` from `*at` on, or `None` if the input is used up. `ours`: the peer speaks our mapping.
    pub fn next<S>(
        &mut self,
        input: &[u8],
        at: &mut usize,
        ours: bool,
        cx: &Context<'_, S>,
    ) -> Result<Option<Step>, ProtocolError> {
        let max_record = cx.config.qmux.max_record_size;
        self.decoder.next(input, at, max_record, ours)
    }

    /// Takes the messages that are whole at the front, which are most of what a busy connection receives. The result is
    /// that of [`Recv::next`].
    pub fn take_messages<S: Sink>(
        &mut self,
        input: &[u8],
        at: &mut usize,
        streams: &mut Streams,
        credit: &mut Credit,
        cx: &mut Context<'_, S>,
    ) {
        if !self.has_begun {
            return;
        }
        let mut next = self.decoder.peek_message(input, *at);
        while let Some((id, mut payload)) = next {
            let Some(handle) = streams.find(id) else {
                return;
            };
            let Some(stream) = streams.get(handle) else {
                return;
            };
            let recv = &mut stream.recv;
            if recv.state() != RecvState::Data {
                return;
            }
            // Messages of one stream in a row are counted together.
            let allowed = recv.credit.available().min(credit.available());
            let mut taken = 0;
            next = loop {
                let length = payload.len() as u64;
                // Anything out of the ordinary takes the long way.
                if length == 0 || length > MAX_JOINED || length > allowed - taken {
                    break None;
                }
                taken += length;
                self.decoder.take_message(payload.end - *at);
                *at = payload.end;
                cx.emit(Event::Data(handle), Payload::Input(payload));
                match self.decoder.peek_message(input, *at) {
                    Some((same, following)) if same == id => payload = following,
                    other => break other,
                }
            };
            // The credit was checked for each message.
            let _ = recv.credit.receive(taken);
            let _ = credit.receive(taken);
            if recv.credit.may_ask() {
                credit.ask(handle, stream, cx);
            }
            credit.ask_for_all(cx);
        }
    }

    /// Takes the peer's first frame, which must be its parameters. Returns whether this frame is the first.
    pub fn recv_first(&mut self, frame: Frame) -> Result<bool, ProtocolError> {
        if self.has_begun {
            return Ok(false);
        }
        let Frame::Parameters { length } = frame else {
            return Err(Violation::Protocol.error("does not start with its parameters"));
        };
        self.has_begun = true;
        if length > MAX_PARAMETERS {
            return Err(
                Violation::TransportParameter.error("declared parameters of over 4096 bytes")
            );
        }
        self.decoder.start_body(Some(length))?;
        self.bodies.start(Target::Parameters);
        Ok(true)
    }

    /// A frame begins. Returns whether the one before was padding.
    pub fn enter(&mut self, frame: Frame) -> bool {
        std::mem::replace(&mut self.was_padding, frame == Frame::Padding)
    }

    /// Skips padding behind a frame of padding.
    pub fn skip_padding(&mut self, input: &[u8], at: &mut usize) {
        self.decoder.skip_padding(input, at);
    }

    /// The reason of a close follows.
    pub fn start_reason(
        &mut self,
        application: bool,
        code: u64,
        length: u64,
    ) -> Result<(), ProtocolError> {
        self.decoder.start_body(Some(length))?;
        self.bodies.start(Target::Reason { application, code });
        Ok(())
    }

    /// Bytes of a stream follow, of this length or to the end of the record. Returns the length.
    pub fn start_body(&mut self, length: Option<u64>) -> Result<u64, ProtocolError> {
        self.decoder.start_body(length)
    }

    /// The body that was started is of a stream that lives.
    pub fn start_stream(
        &mut self,
        handle: Handle,
        stream: &mut Stream,
        (offset, length, fin): (Option<u64>, u64, bool),
        credit: &mut Credit,
    ) -> Result<(), ProtocolError> {
        let recv = &mut stream.recv;
        let received = recv.credit.received();
        if recv.is_done() {
            return Err(behind_end(Some(received), offset, length, fin));
        }
        if offset.is_some_and(|offset| offset != received) {
            return Err(
                Violation::Protocol.error("left a gap in a stream, or sent a part of it twice")
            );
        }
        let flow = |what| Violation::FlowControl.error(what);
        let receive = recv.credit.receive(length);
        receive.ok_or_else(|| flow("sent more on a stream than it had credit for"))?;
        let receive = credit.receive(length);
        receive.ok_or_else(|| flow("sent more than it had credit for"))?;
        let is_joined = recv.state() == RecvState::Data && length <= MAX_JOINED;
        self.bodies.start(Target::Stream {
            handle,
            fin,
            length,
            is_joined,
        });
        Ok(())
    }

    /// A part of the body under way came. Returns the stream that the part is passed on to, and whether the stream ends
    /// with it. `None`: the part is for [`Recv::recv_body`].
    #[inline]
    pub fn pass_on(&mut self, is_last: bool) -> Option<(Handle, bool)> {
        self.bodies.pass_on(is_last)
    }

    /// A part of the body under way came that is not passed on: a range of the input, and whether it is the last part.
    pub fn recv_body(
        &mut self,
        input: &[u8],
        range: Range<usize>,
        is_last: bool,
    ) -> Result<Body, ProtocolError> {
        self.bodies.recv(input, range, is_last)
    }

    /// Keeps the memory of a body that was put together.
    pub fn recycle(&mut self, joined: Vec<u8>) {
        self.bodies.recycle(joined);
    }

    /// Takes the first bytes of a stream of the peer's. When its meta is complete, the application learns of the stream.
    pub fn meta<S: Sink>(
        &mut self,
        handle: Handle,
        stream: &mut Stream,
        piece: &mut Piece<'_>,
        (credit, counts): (&mut Credit, &Counts),
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        let before = piece.len();
        let meta = self.texts.recv_meta(stream, piece, cx.config)?;
        credit.skip(handle, stream, before - piece.len());
        let Some(meta) = meta else { return Ok(()) };
        let text = meta.text();
        json::check(text.bytes(), cx.config.max_json_depth)?;
        let limit = cx.config.max_meta_total;
        if self.texts.meta_total() + text.len() > limit {
            return Err(ProtocolError::MetaTotal(limit));
        }
        if !counts.serves(stream.id()) {
            stream.recv.discard();
            return Ok(());
        }
        self.texts.count_meta(stream, text.len());
        stream.recv.start_data();
        stream.introduce();
        let id = stream.id() as u32;
        cx.emit(Event::Stream { stream: handle, id }, text.payload());
        Ok(())
    }

    /// Takes a part of a refusal. When its code is complete, the application learns of it.
    pub fn refusal<S: Sink>(
        &mut self,
        handle: Handle,
        stream: &mut Stream,
        piece: &mut Piece<'_>,
        credit: &mut Credit,
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        let before = piece.len();
        let code = self.texts.recv_refusal(stream, piece, cx.config)?;
        credit.skip(handle, stream, before - piece.len());
        if let Some(code) = code {
            stream.recv.discard();
            let code = code.to_string();
            cx.emit(Event::Refused(handle), Payload::Owned(code.as_bytes()));
        }
        Ok(())
    }

    /// Takes a part of an end value.
    pub fn end_value<S>(
        &mut self,
        stream: &mut Stream,
        piece: &mut Piece<'_>,
        cx: &Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        self.texts.recv_end_value(stream, piece, cx.config)
    }

    /// The peer ends its half of a stream.
    pub fn fin<S: Sink>(
        &mut self,
        handle: Handle,
        stream: &mut Stream,
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        let end = |has_value| Event::End {
            stream: handle,
            has_value,
        };
        match stream.recv.finish() {
            RecvState::Meta | RecvState::Accept | RecvState::Refusal => {
                return Err(Violation::Protocol.error("ended a stream within its first bytes"));
            }
            RecvState::Data => cx.emit(end(false), Payload::Empty),
            RecvState::EndValue => {
                let text = self.texts.take(stream);
                json::check(&text, cx.config.max_json_depth)?;
                cx.emit(end(true), Payload::Owned(&text));
            }
            RecvState::Discard | RecvState::Done => {}
        }
        Ok(())
    }

    /// Drops the text that is put together for a stream.
    pub fn drop_text(&mut self, stream: &mut Stream) {
        self.texts.take(stream);
    }

    /// A stream of the peer's began on the other wire, and its meta counts.
    pub fn count_meta(&mut self, stream: &mut Stream, length: usize) {
        self.texts.count_meta(stream, length);
    }

    /// The sum of the metas of the live streams.
    pub fn meta_total(&self) -> usize {
        self.texts.meta_total()
    }

    /// A stream is over.
    pub fn remove(&mut self, stream: &Stream) {
        self.texts.remove(stream);
    }

    /// Frees spare memory.
    pub fn shrink(&mut self) {
        self.bodies.shrink();
    }
}
