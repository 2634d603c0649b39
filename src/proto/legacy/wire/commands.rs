//! The application's commands for its streams, as frames of the legacy wire.
//!
//! May not read a frame.

use super::super::super::event::{Event, Handle, Payload, Sink};
use super::super::frame;
use super::super::streams::{Local, Remote};
use super::{Context, Legacy, Target};

/// The longest payload of a data frame that we write, so that what is encoded ahead stays bounded.
const MAX_DATA: usize = 64 << 10;

impl Legacy {
    /// Opens a stream, at once or when an id is free.
    pub fn open<S: Sink>(&mut self, slot: u32, meta: &[u8], cx: &mut Context<'_, S>) {
        if !self.local.insert_at(slot, Local::default()) {
            debug_assert!(
                false,
                "the application opens a stream in a slot that is in use"
            );
            return;
        }
        if self.waiting.is_empty() && self.start(slot, meta, cx) {
            return;
        }
        self.waiting.push_back((slot, meta.to_vec()));
    }

    /// Assigns a stream the highest id that is free in both tables. The original takes the lowest id of its one table, so
    /// the two choices meet only if all 256 streams live.
    fn start<S: Sink>(&mut self, slot: u32, meta: &[u8], cx: &mut Context<'_, S>) -> bool {
        let free = (0..=255u8)
            .rev()
            .find(|&id| !self.local.is_used(id) && !self.remote.is_used(id));
        let Some(id) = free else { return false };
        let Some(stream) = self.local.get(slot) else {
            return true;
        };
        stream.id = Some(id);
        stream.ordinal = self.opened;
        self.opened += 1;
        self.local.bind(id, slot);
        // If a listening end's peer has not spoken yet, the peer learns now what we are.
        cx.write_offer();
        cx.write(frame::OPEN, id, meta);
        true
    }

    pub(super) fn open_waiting<S: Sink>(&mut self, cx: &mut Context<'_, S>) {
        while let Some((slot, meta)) = self.waiting.pop_front() {
            if !self.start(slot, &meta, cx) {
                self.waiting.push_front((slot, meta));
                return;
            }
        }
    }

    pub(super) fn remove_local<S: Sink>(&mut self, slot: u32, cx: &mut Context<'_, S>) {
        if let Some(id) = self.local.take_at(slot).and_then(|stream| stream.id) {
            self.local.unbind(id);
        }
        cx.shared
            .emit(Event::Closed(Handle::local(slot)), Payload::Empty);
        self.open_waiting(cx);
    }

    /// The id of a stream opened here, if the stream can still be written to.
    fn writable_id(&mut self, slot: u32) -> Option<u8> {
        self.local.get(slot).filter(|stream| !stream.is_ended)?.id
    }

    /// Encodes the head of a message whose payload the caller sends itself. Returns whether the stream can be written
    /// to and the payload fits into one frame.
    pub fn data_head<S: Sink>(
        &mut self,
        slot: u32,
        payload: usize,
        cx: &mut Context<'_, S>,
    ) -> bool {
        let Some(id) = self.writable_id(slot).filter(|_| payload <= MAX_DATA) else {
            return false;
        };
        cx.write_head(frame::DATA, id, payload);
        true
    }

    /// Sends bytes on a stream opened here.
    pub fn data<S: Sink>(&mut self, slot: u32, payload: &[u8], cx: &mut Context<'_, S>) {
        let Some(id) = self.writable_id(slot) else {
            return;
        };
        if payload.len() <= MAX_DATA {
            cx.write(frame::DATA, id, payload);
            return;
        }
        for part in payload.chunks(MAX_DATA) {
            cx.write(frame::DATA, id, part);
        }
    }

    /// Ends a stream opened here, with a JSON text or without.
    pub fn end<S: Sink>(&mut self, slot: u32, value: Option<&[u8]>, cx: &mut Context<'_, S>) {
        let Some(stream) = self.local.get(slot).filter(|stream| !stream.is_ended) else {
            return;
        };
        stream.is_ended = true;
        match (stream.id, stream.is_acked) {
            (Some(id), acked) => {
                cx.write(frame::END, id, value.unwrap_or(frame::NULL));
                if acked {
                    self.remove_local(slot, cx);
                }
            }
            (None, _) => {
                self.waiting.retain(|&(waiting, _)| waiting != slot);
                self.remove_local(slot, cx);
            }
        }
    }

    /// Acknowledges a stream of the peer's.
    pub fn accept<S: Sink>(&mut self, slot: u32, cx: &mut Context<'_, S>) {
        if let Some(&mut Remote { id, .. }) = self.remote.get(slot) {
            cx.write(frame::ACK, id, frame::NULL);
        }
    }

    /// Drops what still comes of a stream of the peer's.
    pub fn discard(&mut self, slot: u32) {
        if let Some(stream) = self.remote.get(slot) {
            stream.is_discarded = true;
            if matches!(self.target, Target::Stream(it) | Target::Message(it) if it == Handle::remote(slot))
            {
                self.target = Target::Nothing;
                self.parts.clear();
            }
        }
    }

    /// The application has seen `Closed` of a stream of the peer's.
    pub fn forget(&mut self, slot: u32) {
        if let Some(&mut Remote {
            is_ended: true,
            meta,
            ..
        }) = self.remote.get(slot)
        {
            self.meta_total -= meta;
            self.remote.remove(slot);
        }
    }
}
