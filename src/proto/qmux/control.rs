//! Frames that are not a stream's bytes. What they say is kept as state, not as a queue of frames, so a peer that makes us
//! answer and does not read the answers costs nothing more.
//!
//! Bounded: of a reset, a stop and a notice of missing credit there is at most one per stream and limit.
//!
//! May not decide when a frame is due, but that credit goes back at half a window.

use super::super::context::Context;
use super::super::event::Sink;
use super::super::session::MAX_ENCODED;
use super::frame;
use super::wire::Qmux;
use std::collections::VecDeque;

/// Control frames are encoded up to so much ahead of the socket: they go past what waits for room there.
const CONTROL_ENCODED: u64 = MAX_ENCODED + (64 << 10);

/// What is to be told.
#[derive(Debug, Default)]
pub struct Control {
    frames: VecDeque<Vec<u8>>,
    /// Limits at which the peer was last told that we wait.
    told_blocked: Option<u64>,
    told_streams_blocked: Option<u64>,
}

impl Control {
    /// Whether nothing is to be told that the peer waits for.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub fn reset(&mut self, id: u64, code: u64, final_size: u64) {
        self.push(frame::numbers(frame::RESET_STREAM, [id, code, final_size]));
    }

    pub fn stop(&mut self, id: u64, code: u64) {
        self.push(frame::numbers(frame::STOP_SENDING, [id, code]));
    }

    pub fn unread(&mut self, id: u64) {
        self.push(frame::numbers(frame::UNREAD, [id]));
    }

    pub fn go_away(&mut self, streams: u64) {
        self.push(frame::numbers(frame::GO_AWAY, [streams]));
    }

    /// We wait for credit of the connection's.
    pub fn tell_blocked(&mut self, limit: u64) {
        if self.told_blocked.replace(limit) != Some(limit) {
            self.push(frame::numbers(frame::DATA_BLOCKED, [limit]));
        }
    }

    /// We wait for a place for another stream.
    pub fn tell_streams_blocked(&mut self, limit: u64) {
        if self.told_streams_blocked.replace(limit) != Some(limit) {
            self.push(frame::numbers(frame::STREAMS_BLOCKED_BIDI, [limit]));
        }
    }

    /// We wait for credit of a stream's.
    pub fn tell_stream_blocked(&mut self, id: u64, limit: u64) {
        self.push(frame::numbers(frame::STREAM_DATA_BLOCKED, [id, limit]));
    }

    fn push(&mut self, frame: Vec<u8>) {
        self.frames.push_back(frame);
    }

    pub fn shrink(&mut self) {
        self.frames.shrink_to_fit();
    }
}

impl Qmux {
    /// Whether there is something to be told.
    pub fn wants_control(&self) -> bool {
        self.ping.is_due()
            || !self.control.is_empty()
            || self.credit.is_due()
            || (self.peer.is_known() && self.counts.is_due())
    }

    /// Encodes what is to be told.
    pub(super) fn flush_control<S: Sink>(&mut self, cx: &mut Context<'_, S>) {
        while !cx.outbox.is_closed() && (cx.outbox.len() as u64) < CONTROL_ENCODED {
            let Some(frame) = self.next_control(cx) else {
                return;
            };
            let before = cx.outbox.len() as u64;
            self.send.push_frame(&frame, cx);
            if self.ping.take_repeated() {
                self.repeated += (cx.outbox.len() as u64).saturating_sub(before);
            }
        }
    }

    fn next_control<S: Sink>(&mut self, cx: &mut Context<'_, S>) -> Option<Vec<u8>> {
        if let Some(number) = self.ping.take_answer() {
            return Some(frame::numbers(frame::PING_RESPONSE, [number]));
        }
        // Everything else needs the peer's parameters.
        if !self.peer.is_known() {
            return None;
        }
        if let Some(number) = self.ping.take_request(cx.now) {
            return Some(frame::numbers(frame::PING_REQUEST, [number]));
        }
        if let Some(frame) = self.control.frames.pop_front() {
            return Some(frame);
        }
        let credit = self
            .credit
            .next_frame(&mut self.streams, &mut self.ping, cx.now);
        if credit.is_some() {
            return credit;
        }
        let limit = self.counts.take_due()?;
        Some(frame::numbers(frame::MAX_STREAMS_BIDI, [limit]))
    }
}
