//! Frames that are not a stream's bytes. What they say is kept as state, not as a queue of frames, so a peer that makes us
//! answer and does not read the answers costs nothing more.
//!
//! Bounded: of a reset, a stop and a notice of missing credit there is at most one per stream and limit.
//!
//! May not decide when a frame is due, but that credit goes back at half a window.

use super::super::config::Config;
use super::super::context::Context;
use super::super::event::{Handle, Sink};
use super::super::session::MAX_ENCODED;
use super::frame;
use super::wire::Qmux;
use std::collections::VecDeque;
use std::time::Duration;

/// Control frames are encoded up to so much ahead of the socket: they go past what waits for room there.
const CONTROL_ENCODED: u64 = MAX_ENCODED + (64 << 10);

/// What is to be told.
#[derive(Debug, Default)]
pub struct Control {
    frames: VecDeque<Vec<u8>>,
    /// Streams whose credit goes back, and whether the connection's does.
    credits: VecDeque<Handle>,
    connection_is_due: bool,
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
        self.credits.shrink_to_fit();
    }
}

impl Qmux {
    /// A stream's credit goes back, if it is worth it.
    pub(super) fn consume(&mut self, handle: Handle) {
        let Some(stream) = self.streams.get(handle) else {
            return;
        };
        let recv = &mut stream.recv;
        recv.consume();
        if !recv.is_due && recv.wants_credit() && recv.window.is_due() {
            recv.is_due = true;
            self.control.credits.push_back(handle);
        }
    }

    /// The connection's credit goes back: of all that was seen but what is held beyond `max_held`.
    pub(super) fn consume_connection(&mut self, max_held: u64) {
        let credit = &mut self.credit;
        let excess = credit.held.saturating_sub(max_held);
        credit.window.consume_to(credit.seen.saturating_sub(excess));
        self.control.connection_is_due |= credit.window.is_due();
    }

    /// Whether there is something to be told.
    pub fn wants_control(&self) -> bool {
        let control = &self.control;
        self.ping.is_due()
            || !control.frames.is_empty()
            || control.connection_is_due
            || !control.credits.is_empty()
            || (self.peer.is_known() && self.counts.is_due())
    }

    /// What windows grow by: not while slow readers hold much as it is.
    fn rtt_to_grow_by(&self, config: &Config) -> Option<Duration> {
        let has_room = self.credit.held <= config.qmux.max_held / 2;
        self.ping.rtt().filter(|_| has_room)
    }

    /// Encodes what is to be told.
    pub(super) fn flush_control<S: Sink>(&mut self, cx: &mut Context<'_, S>) {
        while !cx.outbox.is_closed() && (cx.outbox.len() as u64) < CONTROL_ENCODED {
            let Some(frame) = self.next_control(cx) else {
                return;
            };
            let before = cx.outbox.len() as u64;
            self.records.push(&frame, 0, &[], cx.outbox);
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
        if std::mem::take(&mut self.control.connection_is_due) {
            self.ping.sample(cx.now);
            let rtt = self.rtt_to_grow_by(cx.config);
            let limit = self.credit.window.tell(cx.now, rtt);
            return Some(frame::numbers(frame::MAX_DATA, [limit]));
        }
        while let Some(handle) = self.control.credits.pop_front() {
            let rtt = self.rtt_to_grow_by(cx.config);
            let Some(stream) = self.streams.get(handle) else {
                continue;
            };
            let was_due = std::mem::take(&mut stream.recv.is_due);
            if was_due && stream.recv.wants_credit() && stream.recv.window.is_due() {
                let limit = stream.recv.window.tell(cx.now, rtt);
                let id = stream.id;
                self.ping.sample(cx.now);
                return Some(frame::numbers(frame::MAX_STREAM_DATA, [id, limit]));
            }
        }
        let limit = self.counts.take_due()?;
        Some(frame::numbers(frame::MAX_STREAMS_BIDI, [limit]))
    }
}
