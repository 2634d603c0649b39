//! Streams of ours that wait for a place, and the stream whose meta is under way. Others begin behind that meta, so
//! that the peer learns of the streams in their order.
//!
//! Bounded by the streams that the application opens.
//!
//! May not decide whether there is a place.

use super::super::event::Handle;
use super::super::varint;
use std::collections::VecDeque;

/// The most memory kept for putting a meta together, in bytes.
const SPARE_TEXT: usize = 4 << 10;

/// The streams that wait.
#[derive(Debug, Default)]
pub struct Opens {
    waiting: VecDeque<Handle>,
    /// The stream whose meta is not all sent, and the offset at which the meta ends.
    current: Option<(Handle, u64)>,
    /// Memory for putting a meta together.
    text: Vec<u8>,
}

impl Opens {
    /// Whether a stream that is opened now has none before it.
    pub fn is_empty(&self) -> bool {
        self.current.is_none() && self.waiting.is_empty()
    }

    /// Whether a meta is under way.
    pub fn is_sending(&self) -> bool {
        self.current.is_some()
    }

    /// A stream waits for a place.
    pub fn push(&mut self, handle: Handle) {
        self.waiting.push_back(handle);
    }

    /// The first stream that waits, if no meta is under way.
    pub fn first(&self) -> Option<Handle> {
        match self.current {
            None => self.waiting.front().copied(),
            Some(_) => None,
        }
    }

    /// Removes the first stream that waits.
    pub fn pop(&mut self) {
        self.waiting.pop_front();
    }

    /// The meta of a stream is under way, and ends at offset `end`.
    pub fn start(&mut self, handle: Handle, end: u64) {
        self.current = Some((handle, end));
    }

    /// A stream has sent its first `bytes` bytes, which may be all of its meta.
    pub fn sent(&mut self, handle: Handle, bytes: u64) {
        if self
            .current
            .is_some_and(|(current, end)| current == handle && bytes >= end)
        {
            self.current = None;
        }
    }

    /// The meta of a stream is given up, if it is under way.
    pub fn stop_sending(&mut self, handle: Handle) {
        if self.current.is_some_and(|(current, _)| current == handle) {
            self.current = None;
        }
    }

    /// Removes a stream. It may have left already, together with others.
    pub fn remove(&mut self, handle: Handle) {
        if let Some(at) = self.waiting.iter().position(|&waiting| waiting == handle) {
            self.waiting.remove(at);
        }
    }

    /// Lets only the first `left` streams wait on. Returns the others.
    pub fn truncate(&mut self, left: usize) -> Vec<Handle> {
        self.waiting.split_off(left.min(self.waiting.len())).into()
    }

    /// The first bytes of a stream with this meta.
    pub fn text(&mut self, meta: &[u8]) -> Vec<u8> {
        let mut text = std::mem::take(&mut self.text);
        varint::put(meta.len() as u64, &mut text);
        text.extend_from_slice(meta);
        text
    }

    /// Keeps the memory of a text for the next one.
    pub fn recycle(&mut self, mut text: Vec<u8>) {
        text.clear();
        text.shrink_to(SPARE_TEXT);
        self.text = text;
    }

    /// Frees spare memory.
    pub fn shrink(&mut self) {
        self.waiting.shrink_to_fit();
        self.text = Vec::new();
    }
}
