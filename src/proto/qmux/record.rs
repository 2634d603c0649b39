//! Records on their way out. Frames are gathered in one record at the end of the outbox, until that is full or about to
//! be sent.
//!
//! The last frame of a record needs no length, and the size of a short record is one byte. So a message that goes alone
//! costs three bytes, and one of many costs three and its share of the record's two.
//!
//! May not know what a frame means.

use super::super::outbox::Outbox;
use super::super::varint;
use super::frame::LENGTH_BIT;
use super::parameters::DEFAULT_RECORD;
use bytes::BufMut;

/// The longest record that frames are gathered in, which every peer accepts.
pub const MAX_GATHERED: usize = DEFAULT_RECORD as usize;

/// The bytes reserved for the size of a record that is gathered, and of one that is not.
const SIZE: usize = 2;
const LONG_SIZE: usize = 4;

/// The longest last frame whose length field is taken out: the saved byte is worth moving so many.
const SHORT: usize = 256;

/// The record that is gathered, if there is one.
#[derive(Debug, Default)]
pub struct Records {
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    /// The place in the outbox's last chunk where the record starts, with the bytes of its size.
    start: usize,
    /// The place where its last frame starts.
    last: usize,
    /// The place where that frame's length field ends, and the field's length; 0 if there is none.
    length_end: usize,
    length_field: usize,
}

impl Records {
    /// Adds a frame. `length_field` is the number of bytes at the end of the header that are the length of the payload.
    /// They may be left out if this frame turns out to be the last.
    #[inline]
    pub fn push(
        &mut self,
        header: &[u8],
        length_field: usize,
        payload: &[u8],
        outbox: &mut Outbox,
    ) {
        let total = header.len() + payload.len();
        debug_assert!(total <= MAX_GATHERED, "longer frames go alone");
        if !outbox.is_sealed()
            && let Some(open) = &mut self.open
            && let Some(tail) = outbox.tail(total)
            && tail.len() - open.start - SIZE + total <= MAX_GATHERED
        {
            open.last = tail.len();
            open.length_end = tail.len() + header.len();
            open.length_field = length_field;
            tail.put_slice(header);
            tail.put_slice(payload);
            outbox.grew(total);
            return;
        }
        self.complete(outbox);
        if outbox.is_sealed() {
            return;
        }
        let tail = outbox.tail_or_new(SIZE + total);
        let start = tail.len();
        tail.put_bytes(0, SIZE);
        tail.put_slice(header);
        tail.put_slice(payload);
        outbox.grew(SIZE + total);
        self.open = Some(Open {
            start,
            last: start + SIZE,
            length_end: start + SIZE + header.len(),
            length_field,
        });
    }

    /// Adds a frame whose header is the first bytes of an array, if it fits into the record that is open. Returns
    /// whether it did.
    #[inline]
    pub fn push_short(
        &mut self,
        (header, length, length_field): ([u8; 8], usize, usize),
        payload: &[u8],
        outbox: &mut Outbox,
    ) -> bool {
        // All bytes of the array are copied: a fixed number costs less than counting them.
        let room = header.len() + payload.len();
        if let Some(open) = &mut self.open
            && !outbox.is_sealed()
            && let Some(tail) = outbox.tail(room)
            && tail.len() - open.start - SIZE + room <= MAX_GATHERED
        {
            open.last = tail.len();
            open.length_end = open.last + length;
            open.length_field = length_field;
            tail.put_slice(&header);
            tail.truncate(open.length_end);
            tail.put_slice(payload);
            outbox.grew(length + payload.len());
            return true;
        }
        false
    }

    /// Adds a record of one frame, whose payload needs no length.
    pub fn push_alone(&mut self, header: &[u8], payload: &[u8], outbox: &mut Outbox) {
        self.complete(outbox);
        if outbox.is_sealed() {
            return;
        }
        let total = header.len() + payload.len();
        let tail = outbox.tail_or_new(LONG_SIZE + total);
        varint::put_sized(total as u64, LONG_SIZE, tail);
        tail.put_slice(header);
        tail.put_slice(payload);
        outbox.grew(LONG_SIZE + total);
    }

    /// Adds the head of such a record, whose payload, of this length, the caller sends itself.
    pub fn push_head(&mut self, header: &[u8], payload: usize, outbox: &mut Outbox) {
        self.complete(outbox);
        let length = LONG_SIZE + header.len();
        let tail = outbox.tail_or_new(length);
        varint::put_sized((header.len() + payload) as u64, LONG_SIZE, tail);
        tail.put_slice(header);
        outbox.grew(length);
        outbox.expect_payload(payload);
    }

    /// Completes the record that is gathered.
    pub fn complete(&mut self, outbox: &mut Outbox) {
        let Some(open) = self.open.take() else { return };
        let Some(tail) = outbox.tail(0) else { return };
        let before = tail.len();
        if open.length_field > 0 && before - open.length_end <= SHORT {
            tail.copy_within(open.length_end.., open.length_end - open.length_field);
            tail.truncate(before - open.length_field);
            tail[open.last] &= !LENGTH_BIT;
        }
        let body = open.start + SIZE;
        let length = tail.len() - body;
        if varint::size(length as u64) < SIZE {
            tail.copy_within(body.., body - 1);
            tail.truncate(body - 1 + length);
            tail[open.start] = length as u8;
        } else {
            varint::put_sized(length as u64, SIZE, &mut &mut tail[open.start..body]);
        }
        let shrunk = before - tail.len();
        outbox.shrank(shrunk);
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::StreamHeader;
    use super::*;
    use std::io::IoSlice;

    fn sent(outbox: &mut Outbox) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(transmit) = outbox.take(false) {
            let mut slices = [IoSlice::new(&[]); 64];
            let filled = transmit.fill(&mut slices);
            for slice in &slices[..filled] {
                bytes.extend_from_slice(slice);
            }
        }
        bytes
    }

    fn push(records: &mut Records, payload: &[u8], outbox: &mut Outbox) {
        let header = StreamHeader::new(4, None, Some(payload.len()), false);
        records.push(header.as_slice(), header.length_field(), payload, outbox);
    }

    #[test]
    fn a_message_that_goes_alone_costs_three_bytes() {
        let (mut outbox, mut records) = (Outbox::default(), Records::default());
        push(&mut records, b"hello", &mut outbox);
        records.complete(&mut outbox);
        let bytes = [7, 0x38, 4, b'h', b'e', b'l', b'l', b'o'];
        assert_eq!((outbox.len(), outbox.total()), (8, 8));
        assert_eq!(sent(&mut outbox), bytes);
    }

    #[test]
    fn one_of_many_costs_three_bytes_and_its_share() {
        let (mut outbox, mut records) = (Outbox::default(), Records::default());
        for _ in 0..3 {
            push(&mut records, &[7; 21], &mut outbox);
        }
        records.push(&[0x10, 5], 0, &[], &mut outbox);
        records.complete(&mut outbox);
        records.complete(&mut outbox);
        let frame = [&[0x3a, 4, 21][..], &[7; 21]].concat();
        let body = [&frame[..], &frame, &frame, &[0x10, 5]].concat();
        assert_eq!(
            sent(&mut outbox),
            [&[0x40, body.len() as u8][..], &body].concat()
        );
    }

    #[test]
    fn a_full_record_is_followed_by_the_next() {
        let (mut outbox, mut records) = (Outbox::default(), Records::default());
        for _ in 0..1000 {
            push(&mut records, &[1; 1000], &mut outbox);
        }
        records.push_alone(&[0x38, 4], &[2; 65_536], &mut outbox);
        push(&mut records, &[3; 10], &mut outbox);
        records.complete(&mut outbox);
        let total = outbox.len();
        let bytes = sent(&mut outbox);
        assert_eq!(bytes.len(), total);
        let (mut at, mut sizes) = (0, Vec::new());
        while let Some((size, head)) = varint::peek(&bytes[at..]) {
            at += head + size as usize;
            sizes.push(size);
        }
        assert_eq!(at, bytes.len());
        assert!(sizes.iter().all(|&size| size <= 16_382 || size == 65_538));
        assert_eq!(sizes[sizes.len() - 2..], [65_538, 12]);
    }
}
