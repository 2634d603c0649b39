//! The meaning of the legacy wire's frames: streams by direction, the ack, ids, and the place of the offer.
//!
//! A stream opened here:
//!
//! ```text
//!   open ──▶ Waiting ──id free──▶ Opening ──ack──▶ Open ──end──▶ (id free, Closed)
//!                │                   └──end──▶ Ending ──ack──▶ (id free, Closed)
//!                └──end──▶ (Closed)
//! ```
//!
//! A stream opened by the peer:
//!
//! ```text
//!   type 2 ──▶ Open ──type 3──▶ Ended (id free, Closed) ──forget──▶ (slot free)
//!                └──discard──▶ data dropped until type 3
//! ```
//!
//! An accept may come after the end, because the opener waits for the ack before it reuses the id.
//!
//! The application's commands are in `commands`; `stop` and `switch` are frames of ours.
//!
//! May not decide when bytes are sent, nor what is read.

mod commands;
mod stop;
mod switch;

use super::super::config::Side;
use super::super::context;
use super::super::error::ProtocolError;
use super::super::event::{Event, Handle, MAX_MESSAGE, Partial, Payload, PeerKind, Sink};
use super::super::json;
use super::super::negotiate::{self, Negotiation};
use super::super::pace::Pace;
use super::super::qmux::{Parameters, Qmux};
use super::frame::{self, Decoder, Piece};
use super::streams::{Local, Remote, Table};
use std::collections::VecDeque;

/// The parts of a session that this wire works on: those of both wires, and its own. The fields are open, because several
/// are borrowed at once.
pub struct Context<'a, S> {
    pub shared: context::Context<'a, S>,
    pub negotiation: &'a mut Negotiation,
    pub pace: &'a mut Pace,
    /// The other wire, if we have switched to it.
    pub qmux: &'a mut Option<Box<Qmux>>,
    pub side: Side,
    pub seed: u64,
}

/// The longest payload of a data frame that is put together although it arrives in parts, so that a short write is one
/// event wherever a read happens to end. Longer payloads are passed on as they come.
const MAX_JOINED: usize = 16 << 10;

/// This much of an unfinished frame also shows that the peer is alive, because version 0.1.0 sends a write of any
/// length as one frame. The number is about the length of a QMux record.
const LONG_FRAME: usize = 16 << 10;

/// The destination of the payload of the frame under way.
#[derive(Debug, Clone, Copy, Default)]
enum Target {
    #[default]
    Nothing,
    /// A stream, in parts as they arrive.
    Stream(Handle),
    /// A stream, whole.
    Message(Handle),
    /// A text, whole.
    Text,
}

/// One connection's state on this wire.
#[derive(Debug, Default)]
pub struct Legacy {
    decoder: Decoder,
    target: Target,
    /// The payload of a frame that arrives in parts and is wanted whole. It grows by what has arrived, never by what
    /// was announced.
    parts: Vec<u8>,
    local: Table<Local>,
    remote: Table<Remote>,
    waiting: VecDeque<(u32, Vec<u8>)>,
    /// Bytes of meta of the streams in `remote`.
    meta_total: usize,
    /// The number of streams that we opened, ended ones included.
    opened: u64,
    /// The peer's switch was read.
    is_over: bool,
    /// The first header was read.
    has_begun: bool,
    /// Something whole, or much of a frame, has come since the last [`Legacy::take_heard`].
    was_heard: bool,
    /// Bytes that have come of the frame under way, since they last counted as heard.
    heard_of_frame: usize,
}

impl<'a, S: Sink> Context<'a, S> {
    pub(super) fn write(&mut self, kind: u8, id: u8, payload: &[u8]) {
        let header = frame::header(kind, id, payload.len());
        let outbox = &mut *self.shared.outbox;
        outbox.push_frame(&header, payload, self.pace.max_send());
        self.pace.encoded(outbox.open_bytes());
    }

    /// Writes the header of a frame whose payload the caller sends itself.
    pub(super) fn write_head(&mut self, kind: u8, id: u8, payload: usize) {
        let outbox = &mut *self.shared.outbox;
        outbox.push_frame(&frame::header(kind, id, payload), &[], None);
        outbox.expect_payload(payload);
    }

    /// Writes our offer if it is due: before anything else, or not at all.
    pub fn write_offer(&mut self) {
        let config = self.shared.config;
        if let Some(payload) = self.negotiation.offer(|| Parameters::encode(config)) {
            self.write(negotiate::OFFER, 0, &payload);
        }
    }

    /// The other wire, if we have switched to it, and the parts that it works on.
    pub(super) fn qmux(&mut self) -> Option<(&mut Qmux, &mut context::Context<'a, S>)> {
        let qmux = self.qmux.as_deref_mut()?;
        Some((qmux, &mut self.shared))
    }

    fn unknown_type_is_skipped(&self) -> bool {
        !self.negotiation.is_enabled()
    }
}

impl Legacy {
    /// Decodes `input`, up to the peer's switch if there is one. Returns where the decoder stopped.
    pub fn receive<S: Sink>(
        &mut self,
        input: &[u8],
        cx: &mut Context<'_, S>,
    ) -> Result<usize, ProtocolError> {
        let mut at = 0;
        loop {
            if self.is_over {
                return Ok(at);
            }
            self.receive_messages(input, &mut at, cx);
            let Some(piece) = self.decoder.next(input, &mut at)? else {
                return Ok(at);
            };
            if piece.is_first {
                self.has_begun = true;
                self.target = self.recv_header(&piece, cx)?;
            }
            self.heard_of_frame += piece.range.len();
            if piece.is_last || self.heard_of_frame >= LONG_FRAME {
                self.was_heard = true;
                self.heard_of_frame = 0;
            }
            match self.target {
                Target::Stream(stream) => {
                    // An empty part of a message is not an empty message.
                    if !piece.range.is_empty() {
                        cx.shared
                            .emit(Event::Data(stream), Payload::Input(piece.range));
                    }
                }
                Target::Message(_) | Target::Text if piece.is_first && piece.is_last => {
                    let payload = Payload::Input(piece.range.clone());
                    self.recv_whole(&piece, &input[piece.range.clone()], payload, cx)?;
                }
                Target::Message(_) | Target::Text => {
                    self.parts.extend_from_slice(&input[piece.range.clone()]);
                    if piece.is_last {
                        let parts = std::mem::take(&mut self.parts);
                        self.recv_whole(&piece, &parts, Payload::Owned(&parts), cx)?;
                    }
                }
                Target::Nothing if piece.is_last && piece.kind == frame::ACK => {
                    self.recv_ack(piece.id, cx)?
                }
                Target::Nothing => {}
            }
        }
    }

    /// Takes the messages that are whole at the front, which are most of what a busy connection receives. The result is
    /// that of `recv_header` and `recv_whole`.
    fn receive_messages<S: Sink>(&mut self, input: &[u8], at: &mut usize, cx: &mut Context<'_, S>) {
        if cx.negotiation.peer() == PeerKind::Undecided {
            return;
        }
        let before = *at;
        while let Some((frame::DATA, id, payload)) = self.decoder.peek_frame(input, *at) {
            let slot = self.remote.slot_of(id);
            let Some(slot) = slot.filter(|_| payload.len() <= MAX_JOINED) else {
                break;
            };
            let stream = self.remote.get(slot);
            if stream.is_none_or(|stream| stream.is_discarded) {
                break;
            }
            *at = payload.end;
            cx.shared
                .emit(Event::Data(Handle::remote(slot)), Payload::Input(payload));
        }
        self.was_heard |= *at > before;
    }

    /// Judges a header, before any memory is taken for what it announces.
    fn recv_header<S: Sink>(
        &mut self,
        piece: &Piece,
        cx: &mut Context<'_, S>,
    ) -> Result<Target, ProtocolError> {
        let &Piece {
            kind, id, length, ..
        } = piece;
        if kind == negotiate::OFFER && !cx.unknown_type_is_skipped() {
            cx.negotiation.check_place()?;
            if length > negotiate::MAX_OFFER {
                return Err(ProtocolError::Offer("it is longer than 1024 bytes"));
            }
            return Ok(Target::Text);
        }
        if cx.negotiation.recv_other() {
            cx.shared.emit(Event::Peer(PeerKind::Old), Payload::Empty);
        }
        let text = |limit: usize| match length > limit {
            true => Err(ProtocolError::JsonTooLarge { length, limit }),
            false => Ok(Target::Text),
        };
        match kind {
            frame::DATA | frame::JSON | frame::END => {
                let unknown = ProtocolError::UnknownStream { kind, id };
                let slot = self.remote.slot_of(id).ok_or(unknown)?;
                let discarded = self
                    .remote
                    .get(slot)
                    .is_none_or(|stream| stream.is_discarded);
                match kind {
                    frame::DATA if discarded => Ok(Target::Nothing),
                    frame::DATA if length <= MAX_JOINED => {
                        Ok(Target::Message(Handle::remote(slot)))
                    }
                    frame::DATA => Ok(Target::Stream(Handle::remote(slot))),
                    _ => text(cx.shared.config.max_end_value_size),
                }
            }
            frame::OPEN if self.remote.is_used(id) => Err(ProtocolError::StreamInUse(id)),
            frame::OPEN => {
                let target = text(cx.shared.config.max_meta_size)?;
                let limit = cx.shared.config.max_meta_total;
                let carried = cx.qmux.as_ref().map_or(0, |qmux| qmux.meta_total());
                if self.meta_total + carried + length > limit {
                    return Err(ProtocolError::MetaTotal(limit));
                }
                Ok(target)
            }
            frame::ACK => {
                self.local
                    .slot_of(id)
                    .ok_or(ProtocolError::UnknownStream { kind, id })?;
                Ok(Target::Nothing)
            }
            frame::STOP if length == 0 => {
                self.recv_stop(id, cx);
                Ok(Target::Nothing)
            }
            negotiate::SWITCH if !cx.unknown_type_is_skipped() => {
                cx.negotiation.check_switch(length)?;
                Ok(Target::Text)
            }
            _ => Ok(Target::Nothing),
        }
    }

    /// Takes a frame whose payload is wanted whole, when it is.
    fn recv_whole<S: Sink>(
        &mut self,
        piece: &Piece,
        text: &[u8],
        payload: Payload<'_>,
        cx: &mut Context<'_, S>,
    ) -> Result<(), ProtocolError> {
        if let Target::Message(stream) = self.target {
            cx.shared.emit(Event::Data(stream), payload);
            return Ok(());
        }
        let &Piece { kind, id, .. } = piece;
        if kind == negotiate::OFFER {
            return self.recv_offer(text, cx);
        }
        if kind == negotiate::SWITCH {
            cx.negotiation.recv_switch(text)?;
            self.is_over = true;
            return Ok(());
        }
        json::check(text, cx.shared.config.max_json_depth)?;
        if kind == frame::OPEN {
            return self.recv_open(id, text.len(), payload, cx);
        }
        let slot = self
            .remote
            .slot_of(id)
            .ok_or(ProtocolError::UnknownStream { kind, id })?;
        let stream = Handle::remote(slot);
        let Some(state) = self.remote.get(slot) else {
            return Ok(());
        };
        if kind == frame::JSON {
            if !state.is_discarded {
                cx.shared.emit(Event::Json(stream), payload);
            }
            return Ok(());
        }
        state.is_ended = true;
        if !state.is_discarded {
            let has_value = text.trim_ascii() != frame::NULL;
            cx.shared.emit(
                Event::End { stream, has_value },
                if has_value { payload } else { Payload::Empty },
            );
        }
        self.remote.unbind(id);
        if let Some((qmux, cx)) = cx.qmux() {
            qmux.carry_end(stream, cx);
            // The slot belongs to the other wire, which frees it.
            self.remote.take_at(slot);
            return Ok(());
        }
        cx.shared.emit(Event::Closed(stream), Payload::Empty);
        // An open of ours may wait for this id.
        self.open_waiting(cx);
        Ok(())
    }

    fn recv_ack<S: Sink>(&mut self, id: u8, cx: &mut Context<'_, S>) -> Result<(), ProtocolError> {
        let unknown = ProtocolError::UnknownStream {
            kind: frame::ACK,
            id,
        };
        let slot = self.local.slot_of(id).ok_or(unknown.clone())?;
        let stream = self
            .local
            .get(slot)
            .filter(|stream| !stream.is_acked)
            .ok_or(unknown)?;
        stream.is_acked = true;
        cx.shared.emit(
            Event::Opened {
                stream: Handle::local(slot),
                id: id.into(),
            },
            Payload::Empty,
        );
        if stream.is_ended {
            self.remove_local(slot, cx);
        }
        Ok(())
    }

    /// Returns whether something came since the last call that shows that the peer is alive: a whole frame, or a good
    /// part of a long one.
    pub fn take_heard(&mut self) -> bool {
        std::mem::take(&mut self.was_heard)
    }

    /// Whether the first header was read.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Whether the peer has switched to the other wire.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The message under way, if its parts are passed on as they come and it is short enough to be put together.
    pub fn partial(&self) -> Option<Partial> {
        let Target::Stream(stream) = self.target else {
            return None;
        };
        let (length, missing) = self.decoder.under_way()?;
        (length <= MAX_MESSAGE).then_some(Partial { stream, missing })
    }

    /// Whether the peer may end its direction here.
    pub fn is_between_frames(&self) -> bool {
        self.decoder.is_between_frames()
    }
}
