//! Frames of the legacy wire, decoded incrementally under any segmentation.
//!
//! ```text
//!             6 bytes                        payload complete
//!   Header ────────────▶ Payload(remaining) ──────────────────▶ Header
//! ```
//!
//! The decoder passes payloads on in the pieces in which they arrive, and keeps none of them, so a length field costs
//! nothing, whatever it says. May not know what a frame means.

use super::super::error::ProtocolError;
use bytes::{Buf, BufMut};
use std::ops::Range;

/// Length of a header.
pub const HEADER: usize = 6;

/// Types of frames.
pub const DATA: u8 = 0;
pub const JSON: u8 = 1;
pub const OPEN: u8 = 2;
pub const END: u8 = 3;
pub const ACK: u8 = 4;
/// A type of ours, which 0.1.0 skips as unknown: the acceptor wants no more of a stream.
pub const STOP: u8 = 0xf2;

/// The text of `null`, which is the payload of an ack and of an end without a value.
pub const NULL: &[u8] = b"null";

/// The header of a frame with `payload` bytes behind it.
pub fn header(kind: u8, id: u8, payload: usize) -> [u8; HEADER] {
    // A payload comes from one command, which is bounded far below this; its caller bounds a JSON text.
    let length = u32::try_from(HEADER + payload).unwrap_or(u32::MAX);
    let mut header = [0; HEADER];
    let mut output = &mut header[..];
    output.put_u32(length);
    output.put_u8(id);
    output.put_u8(kind);
    header
}

/// A part of a frame's payload: a range of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub kind: u8,
    pub id: u8,
    /// Length of the frame's whole payload.
    pub length: usize,
    pub range: Range<usize>,
    /// The frame starts with this piece.
    pub is_first: bool,
    /// The frame is complete with this piece.
    pub is_last: bool,
}

/// The decoder.
#[derive(Debug, Default)]
pub struct Decoder {
    header: [u8; HEADER],
    /// The bytes of the header that were seen; all of them while a payload is under way.
    seen: u8,
    remaining: usize,
}

impl Decoder {
    /// The next frame of `input` from `at` on, if none is under way and the whole of it is there: its type, id and
    /// payload. Most frames are found here with the least work. All others are for [`Decoder::next`].
    #[inline]
    pub fn peek_frame(&self, input: &[u8], at: usize) -> Option<(u8, u8, Range<usize>)> {
        if self.seen != 0 {
            return None;
        }
        let mut header = &input.get(at..)?.first_chunk::<HEADER>()?[..];
        let length = header.get_u32() as usize;
        let (id, kind) = (header.get_u8(), header.get_u8());
        let end = at.checked_add(length)?;
        (length >= HEADER && end <= input.len()).then_some((kind, id, at + HEADER..end))
    }

    /// The next piece of `input` from `*at` on, or `None` if the input is used up. If nothing of a frame's payload has
    /// arrived, its first piece is empty, so that its header is judged at once.
    pub fn next(&mut self, input: &[u8], at: &mut usize) -> Result<Option<Piece>, ProtocolError> {
        let is_first = usize::from(self.seen) < HEADER;
        if is_first {
            let seen = usize::from(self.seen);
            let new = (HEADER - seen).min(input.len() - *at);
            if new == 0 {
                return Ok(None);
            }
            (&input[*at..]).copy_to_slice(&mut self.header[seen..seen + new]);
            *at += new;
            self.seen += new as u8;
            if seen + new < HEADER {
                return Ok(None);
            }
            let length = self.length();
            self.remaining = (length as usize)
                .checked_sub(HEADER)
                .ok_or(ProtocolError::FrameLength(length))?;
        } else if *at == input.len() {
            return Ok(None);
        }
        let new = self.remaining.min(input.len() - *at);
        let range = *at..*at + new;
        *at += new;
        self.remaining -= new;
        let is_last = self.remaining == 0;
        if is_last {
            self.seen = 0;
        }
        let [.., id, kind] = self.header;
        Ok(Some(Piece {
            kind,
            id,
            length: self.length() as usize - HEADER,
            range,
            is_first,
            is_last,
        }))
    }

    fn length(&self) -> u32 {
        (&self.header[..]).get_u32()
    }

    /// The length of the payload under way, and how much of it is still to come.
    pub fn under_way(&self) -> Option<(usize, usize)> {
        let length = (self.length() as usize).checked_sub(HEADER)?;
        let is_in_payload = usize::from(self.seen) == HEADER;
        is_in_payload.then_some((length, self.remaining))
    }

    /// Whether no frame is under way.
    pub fn is_between_frames(&self) -> bool {
        self.seen == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Frames = Vec<(u8, u8, Vec<u8>)>;

    fn decode(chunks: &[&[u8]]) -> Result<Frames, ProtocolError> {
        let mut decoder = Decoder::default();
        let mut frames = Frames::new();
        for chunk in chunks {
            let mut at = 0;
            while let Some(piece) = decoder.next(chunk, &mut at)? {
                if piece.is_first {
                    frames.push((piece.kind, piece.id, Vec::new()));
                }
                let frame = frames.last_mut().expect("a piece belongs to a frame");
                frame.2.extend(&chunk[piece.range]);
                assert_eq!(piece.is_last, frame.2.len() == piece.length);
            }
            assert_eq!(at, chunk.len());
        }
        Ok(frames)
    }

    proptest! {
        #[test]
        fn any_segmentation_leads_to_the_same_frames(
            frames in prop::collection::vec((any::<u8>(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)), 0..20),
            cuts in prop::collection::vec(0usize..1000, 0..30),
        ) {
            let mut wire = Vec::new();
            for (kind, id, payload) in &frames {
                wire.extend(header(*kind, *id, payload.len()));
                wire.extend(payload);
            }
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut % (wire.len() + 1)).chain([0, wire.len()]).collect();
            cuts.sort_unstable();
            let chunks: Vec<_> = cuts.windows(2).map(|pair| &wire[pair[0]..pair[1]]).collect();
            prop_assert_eq!(decode(&chunks), Ok(frames.clone()));
            let bytes: Vec<_> = wire.chunks(1).collect();
            prop_assert_eq!(decode(&bytes), Ok(frames));
        }
    }

    #[test]
    fn a_length_below_the_header_is_refused_before_anything_else() {
        for length in 0..6u8 {
            assert_eq!(
                decode(&[&[0, 0, 0, length, 1, 0, 9, 9]]),
                Err(ProtocolError::FrameLength(length.into()))
            );
        }
        let huge = decode(&[&[0xff, 0xff, 0xff, 0xff, 1, 0, 9, 9]]);
        assert_eq!(huge, Ok(vec![(0, 1, vec![9, 9])]));
    }
}
