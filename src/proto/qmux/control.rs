//! Frames that are not a stream's bytes and wait to be encoded. Each is queued once, because the limits that were told
//! are remembered.
//!
//! Bounded: of a reset, a stop and a notice of missing credit there is at most one per stream and limit.
//!
//! May not decide when a frame is due.

use super::frame;
use std::collections::VecDeque;

/// The frames that wait.
#[derive(Debug, Default)]
pub struct Control {
    frames: VecDeque<Vec<u8>>,
    /// The limits at which the peer was last told that we wait.
    told_blocked: Option<u64>,
    told_streams_blocked: Option<u64>,
}

impl Control {
    /// Whether nothing is to be told.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The next frame to encode.
    pub fn next_frame(&mut self) -> Option<Vec<u8>> {
        self.frames.pop_front()
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

    /// Tells the peer that we wait for credit of the connection.
    pub fn tell_blocked(&mut self, limit: u64) {
        if self.told_blocked.replace(limit) != Some(limit) {
            self.push(frame::numbers(frame::DATA_BLOCKED, [limit]));
        }
    }

    /// Tells the peer that we wait for a place for another stream.
    pub fn tell_streams_blocked(&mut self, limit: u64) {
        if self.told_streams_blocked.replace(limit) != Some(limit) {
            self.push(frame::numbers(frame::STREAMS_BLOCKED_BIDI, [limit]));
        }
    }

    /// Tells the peer that we wait for credit of a stream.
    pub fn tell_stream_blocked(&mut self, id: u64, limit: u64) {
        self.push(frame::numbers(frame::STREAM_DATA_BLOCKED, [id, limit]));
    }

    fn push(&mut self, frame: Vec<u8>) {
        self.frames.push_back(frame);
    }

    /// Frees spare memory.
    pub fn shrink(&mut self) {
        self.frames.shrink_to_fit();
    }
}
