//! Bytes on their way out: frames are encoded into chunks, and whole chunks are taken for sending.
//!
//! A chunk that was taken is never appended to, so one thread can be in the kernel with some chunks while another
//! encodes into the next. Towards an old peer a chunk may end a send; nothing behind it then goes into that send. The
//! callers bound the queue: the driver executes no more commands while more than a limit is queued.
//!
//! May not look into a frame, nor refuse one.

use bytes::BufMut;
use std::collections::VecDeque;
use std::io::IoSlice;

/// The most bytes that are encoded ahead of the socket. Beyond that, commands wait as they are, and streams' bytes on
/// their streams, so that a change of wire, or of what is most urgent, is never far behind in the queue.
pub const MAX_ENCODED: u64 = 256 << 10;

/// The size of a chunk. A few chunks fill one vectored write, one chunk takes a frame with 64 KiB of data, and a
/// recycled one stays in cache.
const CHUNK: usize = (64 << 10) + 64;

/// The least that a frame counts for in pacing. 0.1.0 overflows its stack over about 8,000 empty frames in one read,
/// and takes a frame of few bytes no faster than one of 64. With this minimum a burst has at most 512 frames.
const MIN_CHARGE: usize = 64;

/// The number of chunks kept for reuse: fresh memory costs far more than the copy into it.
const SPARE: usize = 8;

/// The most bytes taken at once: what a vectored write moves in one system call without delaying other connections.
const TAKE: usize = 256 << 10;

#[derive(Debug, Default)]
struct Chunk {
    /// A plain `Vec`: a `BytesMut` cost 4 to 5 % more for messages of 64 bytes, on both wires, and won nothing for
    /// longer ones, because nothing is ever split off a chunk or shared.
    bytes: Vec<u8>,
    ends_send: bool,
    /// The charge of the chunk's frames in pacing.
    charge: usize,
}

/// The queue of encoded bytes.
#[derive(Debug, Default)]
pub struct Outbox {
    chunks: VecDeque<Chunk>,
    spare: Vec<Vec<u8>>,
    len: usize,
    /// The number of bytes that were ever queued.
    total: u64,
    /// The charge of the send that the last chunk belongs to.
    open_send: usize,
    /// The bytes of that send.
    open_bytes: usize,
    is_sealed: bool,
}

/// Chunks taken for sending. Nothing else may be sent until all of it is.
#[derive(Debug, Default)]
pub struct Transmit {
    charge: usize,
    chunks: VecDeque<Vec<u8>>,
    head: usize,
    done: Vec<Vec<u8>>,
}

impl Outbox {
    /// The number of bytes that are queued and not taken yet.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of bytes that were ever queued.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The last chunk, if it has room for `room` bytes. A caller that changes its length must call [`Outbox::grew`] or
    /// [`Outbox::shrank`].
    #[inline]
    pub fn tail(&mut self, room: usize) -> Option<&mut Vec<u8>> {
        let last = self.chunks.back_mut()?;
        (!last.ends_send && last.bytes.len() + room <= CHUNK).then_some(&mut last.bytes)
    }

    /// A last chunk with room for `room` bytes.
    pub fn tail_or_new(&mut self, room: usize) -> &mut Vec<u8> {
        if self.tail(room).is_none() {
            self.add_chunk();
        }
        let last = self.chunks.len() - 1;
        &mut self.chunks[last].bytes
    }

    /// This many bytes were added to the last chunk.
    #[inline]
    pub fn grew(&mut self, bytes: usize) {
        self.len += bytes;
        self.total += bytes as u64;
    }

    /// This many bytes were taken from the last chunk.
    #[inline]
    pub fn shrank(&mut self, bytes: usize) {
        self.len -= bytes;
        self.total -= bytes as u64;
    }

    /// Whether the outbox accepts nothing more.
    pub fn is_sealed(&self) -> bool {
        self.is_sealed
    }

    fn add_chunk(&mut self) {
        let bytes = self.spare.pop().unwrap_or_default();
        self.chunks.push_back(Chunk {
            bytes,
            ends_send: false,
            charge: 0,
        });
    }

    /// Accepts nothing more: the last byte of this direction has been queued.
    pub fn seal(&mut self) {
        self.is_sealed = true;
    }

    /// The bytes in the send that further frames may join, while pacing.
    pub fn open_bytes(&self) -> usize {
        self.open_bytes
    }

    /// Appends one frame. With `max_send`, the open send is closed first if the frame would make it longer than that.
    pub fn push_frame<const HEADER: usize>(
        &mut self,
        header: &[u8; HEADER],
        payload: &[u8],
        max_send: Option<usize>,
    ) {
        if self.is_sealed {
            return;
        }
        let total = HEADER + payload.len();
        let charge = total.max(MIN_CHARGE);
        if max_send.is_some_and(|max| self.open_send > 0 && self.open_send + charge > max) {
            if let Some(last) = self.chunks.back_mut() {
                last.ends_send = true;
            }
            self.open_send = 0;
            self.open_bytes = 0;
        }
        match self.chunks.back_mut() {
            // Nearly always, both fit behind what is there.
            Some(last) if !last.ends_send && total <= CHUNK - last.bytes.len() => {
                last.bytes.put_slice(header);
                last.bytes.put_slice(payload);
            }
            _ => {
                self.extend(header);
                self.extend(payload);
            }
        }
        self.grew(total);
        if max_send.is_some() {
            self.open_send += charge;
            self.open_bytes += total;
            if let Some(last) = self.chunks.back_mut() {
                last.charge += charge;
            }
        }
    }

    /// The frame at the end has a payload of this length, which the caller sends itself, right behind what it takes
    /// next.
    pub fn expect_payload(&mut self, length: usize) {
        self.total += length as u64;
    }

    /// Whether all that is queued, and another head, can be taken at once.
    pub fn takes_all_at_once(&self) -> bool {
        self.len <= TAKE / 2
    }

    /// Appends to a transmit a copy of the part of a payload that the caller could not send.
    pub fn put_behind(&mut self, transmit: &mut Transmit, rest: &[u8]) {
        let mut chunk = self.spare.pop().unwrap_or_default();
        chunk.extend_from_slice(rest);
        transmit.chunks.push_back(chunk);
    }

    fn extend(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = match self.chunks.back() {
                Some(last) if !last.ends_send => CHUNK - last.bytes.len(),
                _ => 0,
            };
            if room == 0 {
                self.add_chunk();
                continue;
            }
            let (now, later) = bytes.split_at(bytes.len().min(room));
            if let Some(last) = self.chunks.back_mut() {
                last.bytes.put_slice(now);
            }
            bytes = later;
        }
    }

    /// The charge of the first send in pacing.
    pub fn first_send(&self) -> usize {
        let end = self
            .chunks
            .iter()
            .position(|chunk| chunk.ends_send)
            .map_or(self.chunks.len(), |at| at + 1);
        self.chunks.iter().take(end).map(|chunk| chunk.charge).sum()
    }

    /// Takes what may be sent next: whole chunks up to a limit, or with `one_send` the first send only.
    pub fn take(&mut self, one_send: bool) -> Option<Transmit> {
        let mut transmit = Transmit::default();
        let mut taken = 0;
        while let Some(chunk) = self.chunks.pop_front() {
            taken += chunk.bytes.len();
            transmit.charge += chunk.charge;
            transmit.chunks.push_back(chunk.bytes);
            if (one_send && chunk.ends_send) || (!one_send && taken >= TAKE) {
                break;
            }
        }
        if self.chunks.is_empty() {
            self.open_send = 0;
            self.open_bytes = 0;
        }
        self.len -= taken;
        (taken > 0).then_some(transmit)
    }

    /// Takes the memory of a finished transmit back.
    pub fn recycle(&mut self, transmit: Transmit) {
        for mut bytes in transmit.done {
            // A chunk that only ever held a few bytes is small. Dropping it keeps idle connections small too.
            if self.spare.len() < SPARE && bytes.capacity() >= CHUNK / 2 {
                bytes.clear();
                self.spare.push(bytes);
            }
        }
    }

    /// Frees all memory kept for reuse, because little happens on the connection.
    pub fn shrink(&mut self) {
        self.spare = Vec::new();
        if self.chunks.is_empty() {
            self.chunks = VecDeque::new();
        }
    }
}

impl Transmit {
    /// A transmit of chunks that are no outbox's, none of which is empty.
    pub fn of(chunks: VecDeque<Vec<u8>>) -> Self {
        Self {
            chunks,
            ..Self::default()
        }
    }

    /// The bytes still to be sent, in pieces.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let mut head = self.head;
        self.chunks
            .iter()
            .map(move |chunk| &chunk[std::mem::take(&mut head)..])
    }

    /// The memory of what was sent.
    pub fn into_memory(self) -> impl Iterator<Item = Vec<u8>> {
        self.done.into_iter()
    }

    /// The charge of the transmit in pacing.
    pub fn charge(&self) -> usize {
        self.charge
    }

    /// Bytes still to be sent.
    pub fn len(&self) -> usize {
        self.chunks.iter().map(Vec::len).sum::<usize>() - self.head
    }

    /// Whether all is sent.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Fills `slices` from the front and returns how many it filled.
    pub fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (index, (slice, chunk)) in slices.iter_mut().zip(&self.chunks).enumerate() {
            *slice = IoSlice::new(if index == 0 {
                &chunk[self.head..]
            } else {
                chunk
            });
            filled += 1;
        }
        filled
    }

    /// Drops `sent` bytes from the front.
    pub fn advance(&mut self, mut sent: usize) {
        while let Some(first) = self.chunks.front() {
            let left = first.len() - self.head;
            if sent < left {
                self.head += sent;
                return;
            }
            sent -= left;
            self.head = 0;
            self.done.extend(self.chunks.pop_front());
        }
        debug_assert_eq!(sent, 0, "no more can be sent than was taken");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(transmit: &Transmit) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = transmit.fill(&mut slices);
        slices[..filled]
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect()
    }

    #[test]
    fn keeps_order_over_chunks_and_partial_sends() {
        let mut outbox = Outbox::default();
        let mut expected = Vec::new();
        for round in 0..1000u32 {
            let payload = vec![round as u8; (round as usize * 37) % 300];
            outbox.push_frame(&round.to_be_bytes(), &payload, None);
            expected.extend(round.to_be_bytes());
            expected.extend(payload);
        }
        assert_eq!(outbox.len(), expected.len());
        let mut sent: Vec<u8> = Vec::new();
        while let Some(mut transmit) = outbox.take(false) {
            while !transmit.is_empty() {
                let some = bytes(&transmit);
                let n = some.len().min(7001);
                sent.extend(&some[..n]);
                transmit.advance(n);
            }
            outbox.recycle(transmit);
        }
        assert_eq!(sent, expected);
        assert!(outbox.is_empty());
    }

    #[test]
    fn sends_end_at_frames_and_a_large_frame_goes_alone() {
        let mut outbox = Outbox::default();
        for length in [64, 70, 166, 90, 500, 5, 136] {
            outbox.push_frame(&[], &vec![length as u8; length], Some(300));
        }
        let mut sends = Vec::new();
        while let Some(transmit) = outbox.take(true) {
            sends.push(transmit.len());
        }
        assert_eq!(
            sends,
            [300, 90, 500, 141],
            "five bytes count for sixty-four"
        );
    }

    #[test]
    fn a_send_under_way_is_not_appended_to() {
        let mut outbox = Outbox::default();
        outbox.push_frame(b"a", b"", Some(100));
        let first = outbox.take(true);
        outbox.push_frame(b"b", b"", Some(100));
        assert_eq!(first.map(|transmit| bytes(&transmit)), Some(b"a".to_vec()));
        assert_eq!(
            outbox.take(true).map(|transmit| bytes(&transmit)),
            Some(b"b".to_vec())
        );
        assert!(outbox.take(true).is_none());
    }
}
