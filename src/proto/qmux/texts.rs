//! The texts at the ends of a stream, which the application never sees as bytes: its meta or its acceptance first, its
//! end value last.
//!
//! What is kept of one is what has arrived of it; the sum of all is bounded.
//!
//! May not know what lies between.

use super::super::context::Context;
use super::super::error::ProtocolError;
use super::super::event::{Event, Handle, Payload, Sink};
use super::super::json;
use super::super::varint;
use super::bodies::{Piece, violation};
use super::wire::Qmux;

impl Qmux {
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
        let part = piece.cut(total.saturating_sub(stream.recv.text().len()));
        stream.recv.add_text(part.bytes);
        let is_complete = stream.recv.text().len() >= total;
        self.text_total += part.bytes.len();
        match self.text_total > limit {
            true => Err(ProtocolError::MetaTotal(limit)),
            false => Ok(is_complete),
        }
    }

    pub(super) fn take_text(&mut self, handle: Handle) -> Vec<u8> {
        let stream = self.streams.get(handle);
        let text = stream.map_or_else(Vec::new, |stream| stream.recv.take_text());
        self.text_total -= text.len();
        text
    }

    /// Bytes at the front of a stream that the application never sees are consumed on arrival.
    fn absorb(&mut self, handle: Handle, bytes: usize) {
        if let Some(stream) = self.streams.get(handle) {
            self.credit.skip(handle, stream, bytes);
        }
    }

    pub(super) fn recv_meta<S: Sink>(
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
        let is_fresh = stream.recv.text().is_empty();
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
                Some(stream) => stream.recv.text(),
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
                .is_some_and(|stream| matches!(varint::read(stream.recv.text()), Some((0, _))));
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
        let Some(stream) = self.streams.get(handle) else {
            return Ok(());
        };
        if !self.counts.serves(stream.id) {
            stream.recv.discard();
            return Ok(());
        }
        stream.meta = meta.bytes.len();
        stream.recv.start_data();
        stream.is_known = true;
        let id = stream.id as u32;
        self.meta_total += meta.bytes.len();
        cx.emit(Event::Stream { stream: handle, id }, meta.payload());
        Ok(())
    }

    pub(super) fn recv_accept<S: Sink>(
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
                stream.recv.start_data();
                let stop = stream.recv.early_stop();
                self.tell_opened(handle, cx);
                if let Some(code) = stop {
                    self.stop(handle, code, cx);
                }
            }
            1 => stream.recv.start_refusal(),
            _ => return Err(violation("answered a stream with neither yes nor no")),
        }
        Ok(())
    }

    /// The application learns that a stream of ours was accepted, and what came ahead of that.
    pub(super) fn tell_opened<S: Sink>(&mut self, handle: Handle, cx: &mut Context<'_, S>) {
        let Some(stream) = self.streams.get(handle) else {
            return;
        };
        stream.is_known = true;
        let (id, stopped, is_blocked) =
            (stream.id as u32, stream.stopped, stream.send.is_blocked());
        cx.emit(Event::Opened { stream: handle, id }, Payload::Empty);
        if let Some(code) = stopped {
            self.tell_stopped(handle, code, cx);
        }
        if is_blocked {
            self.send.emit_blocked(handle, cx);
        }
    }

    pub(super) fn recv_refusal<S: Sink>(
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
            .map_or(0, |stream| stream.recv.text().len());
        self.gather(handle, piece, have + before, limit)?;
        self.absorb(handle, before);
        let Some(stream) = self.streams.get(handle) else {
            return Ok(());
        };
        let Some((code, _)) = varint::read(stream.recv.text()) else {
            return Ok(());
        };
        stream.recv.discard();
        self.take_text(handle);
        let code = code.to_string();
        cx.emit(Event::Refused(handle), Payload::Owned(code.as_bytes()));
        Ok(())
    }

    pub(super) fn recv_end_value<S: Sink>(
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
