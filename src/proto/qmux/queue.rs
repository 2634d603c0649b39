//! The queue of one stream: messages, bytes without boundaries, and what stands between them, in order.
//!
//! Entries are packed in chunks, each behind four bytes with its kind and length, so that a flood of small messages
//! needs no allocation for each.
//!
//! May not know credit, nor what a frame looks like. Bounded by what the application writes past a false `write()`.

use bytes::{Buf, BufMut};
use std::collections::VecDeque;

/// The size up to which a chunk grows. A longer entry has a chunk of its own.
const CHUNK: usize = 64 << 10;

/// The length of an entry's head.
const HEAD: usize = 4;

/// The bits of the head that are the length; the kind is above them.
const LENGTH_BITS: u32 = 28;

/// The longest entry. Longer bytes are put in parts.
const MAX_ENTRY: usize = (1 << LENGTH_BITS) - 1;

/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message, which becomes a frame of its own, whole if it is short.
    Message = 0,
    /// Bytes that may be cut anywhere.
    Bytes = 1,
    /// The end value follows.
    EndValue = 2,
    /// The end of the stream.
    Fin = 3,
    /// A caller waits until all before it is sent; the bytes are the mark's number.
    Mark = 4,
}

impl Kind {
    fn of(head: u32) -> Self {
        match head >> LENGTH_BITS {
            0 => Self::Message,
            1 => Self::Bytes,
            2 => Self::EndValue,
            3 => Self::Fin,
            _ => Self::Mark,
        }
    }

    fn counts(self) -> bool {
        matches!(self, Self::Message | Self::Bytes)
    }
}

/// The queue of one stream.
#[derive(Debug, Default)]
pub struct SendQueue {
    chunks: VecDeque<Vec<u8>>,
    /// The place of the first entry in the first chunk, and how many of the entry's bytes are sent.
    at: usize,
    sent: usize,
    len: u64,
}

impl SendQueue {
    /// The number of bytes that wait.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing waits, not even an end.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Puts an entry at the end.
    pub fn push(&mut self, kind: Kind, bytes: &[u8]) {
        if kind.counts() {
            self.len += bytes.len() as u64;
        }
        let mut parts = bytes.chunks(MAX_ENTRY);
        let first = parts.next().unwrap_or(&[]);
        self.push_one(kind, first);
        for part in parts {
            self.push_one(kind, part);
        }
    }

    fn push_one(&mut self, kind: Kind, bytes: &[u8]) {
        let total = HEAD + bytes.len();
        let fits = self
            .chunks
            .back()
            .is_some_and(|last| last.len() + total <= CHUNK);
        if !fits {
            // Chunks of small entries grow; a long entry gets what it needs at once.
            self.chunks.push_back(Vec::with_capacity(total.max(256)));
        }
        if let Some(last) = self.chunks.back_mut() {
            let head = (kind as u32) << LENGTH_BITS | bytes.len() as u32;
            last.put_u32_le(head);
            last.put_slice(bytes);
        }
    }

    /// The first entry: its kind, and its bytes that are not sent.
    #[inline]
    pub fn first(&self) -> Option<(Kind, &[u8])> {
        let mut rest = self.chunks.front()?.get(self.at..)?;
        let head = rest.try_get_u32_le().ok()?;
        let length = (head & ((1 << LENGTH_BITS) - 1)) as usize;
        Some((Kind::of(head), rest.get(self.sent..length)?))
    }

    /// Notes that `bytes` bytes of the first entry are sent. If none are left, the entry is removed.
    #[inline]
    pub fn advance(&mut self, bytes: usize) {
        let Some((kind, left)) = self.first() else {
            return;
        };
        let (left, counts) = (left.len(), kind.counts());
        debug_assert!(bytes <= left, "no more is sent than waits");
        if counts {
            self.len -= bytes as u64;
        }
        self.sent += bytes;
        if bytes < left {
            return;
        }
        self.at += HEAD + self.sent;
        self.sent = 0;
        if self
            .chunks
            .front()
            .is_some_and(|first| self.at >= first.len())
        {
            self.chunks.pop_front();
            self.at = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_out_as_they_went_in() {
        let mut queue = SendQueue::default();
        let long = vec![7; 100_000];
        queue.push(Kind::Bytes, b"meta");
        for _ in 0..10_000 {
            queue.push(Kind::Message, b"0123456789");
        }
        queue.push(Kind::Message, &long);
        queue.push(Kind::Message, b"");
        queue.push(Kind::Mark, &5u32.to_le_bytes());
        queue.push(Kind::Fin, b"");
        assert_eq!(queue.len(), 4 + 100_000 + 100_000);
        assert_eq!(queue.first(), Some((Kind::Bytes, &b"meta"[..])));
        queue.advance(3);
        assert_eq!(queue.first(), Some((Kind::Bytes, &b"a"[..])));
        queue.advance(1);
        for _ in 0..10_000 {
            assert_eq!(queue.first(), Some((Kind::Message, &b"0123456789"[..])));
            queue.advance(10);
        }
        assert_eq!(queue.first(), Some((Kind::Message, &long[..])));
        queue.advance(100_000);
        assert_eq!(queue.first(), Some((Kind::Message, &b""[..])));
        queue.advance(0);
        assert_eq!(queue.first(), Some((Kind::Mark, &[5, 0, 0, 0][..])));
        queue.advance(4);
        assert_eq!(
            (queue.first(), queue.len()),
            (Some((Kind::Fin, &b""[..])), 0)
        );
        queue.advance(0);
        assert!(queue.is_empty() && queue.first().is_none());
    }
}
