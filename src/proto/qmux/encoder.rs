//! The encoder of frames into records: a stream's bytes, its end, and all other frames.
//!
//! May not know a stream, nor ask whether a frame may be sent.

use super::super::context::Context;
use super::frame::{self, StreamHeader};
use super::record::{MAX_GATHERED, Records};

/// Encodes frames at the end of the outbox.
#[derive(Debug, Default)]
pub struct Encoder {
    records: Records,
}

impl Encoder {
    /// Encodes a frame that is not a stream's bytes.
    pub fn push_frame<S>(&mut self, frame: &[u8], cx: &mut Context<'_, S>) {
        self.records.push(frame, 0, &[], cx.outbox);
    }

    /// Completes the record at the end of the outbox.
    pub fn complete_record<S>(&mut self, cx: &mut Context<'_, S>) {
        self.records.complete(cx.outbox);
        cx.marks.clamp(cx.outbox.total());
    }

    /// Encodes one frame with bytes of a stream. If there is no offset, the peer counts by itself.
    #[inline]
    pub fn push_bytes<S>(
        &mut self,
        id: u64,
        offset: Option<u64>,
        payload: &[u8],
        cx: &mut Context<'_, S>,
    ) {
        let is_pushed = offset.is_none()
            && frame::short_header(id, payload.len())
                .is_some_and(|header| self.records.push_short(header, payload, cx.outbox));
        if !is_pushed {
            self.push_any(id, offset, payload, false, cx);
        }
    }

    /// Encodes the end of a stream.
    pub fn push_fin<S>(&mut self, id: u64, offset: Option<u64>, cx: &mut Context<'_, S>) {
        self.push_any(id, offset, &[], true, cx);
    }

    fn push_any<S>(
        &mut self,
        id: u64,
        offset: Option<u64>,
        payload: &[u8],
        fin: bool,
        cx: &mut Context<'_, S>,
    ) {
        let header = StreamHeader::new(id, offset, Some(payload.len()), fin);
        if header.as_slice().len() + payload.len() <= MAX_GATHERED {
            self.records
                .push(header.as_slice(), header.length_field(), payload, cx.outbox);
        } else {
            let header = StreamHeader::new(id, offset, None, fin);
            self.records
                .push_alone(header.as_slice(), payload, cx.outbox);
            cx.marks.clamp(cx.outbox.total());
        }
    }

    /// Encodes the head of a frame whose payload, of this length, the caller sends itself.
    pub fn push_head<S>(
        &mut self,
        id: u64,
        offset: Option<u64>,
        payload: usize,
        cx: &mut Context<'_, S>,
    ) {
        let header = StreamHeader::new(id, offset, None, false);
        self.records
            .push_head(header.as_slice(), payload, cx.outbox);
        cx.marks.clamp(cx.outbox.total());
    }
}
