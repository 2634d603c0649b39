//! Records and the frames in them, decoded incrementally under any segmentation.
//!
//! ```text
//!            size                 header                     body complete
//!   Between ──────▶ In a record ──────────▶ In a body ────────────────────────▶ In a record
//!      ◀───────── the record is used up ──────┴───────────── the record is used up
//! ```
//!
//! Bodies are passed on in the pieces in which they arrive, and the decoder keeps at most a header that was cut short.
//! So a size costs nothing, whatever it says. The decoder may not know what a frame means.

use super::super::error::{ProtocolError, Violation};
use super::super::varint;
use super::frame::{self, COMPACT, Frame, MAX_HEADER, MESSAGE};
use bytes::Buf;
use std::ops::Range;

/// The next step of decoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Header(Frame),
    /// A part of the body under way: a range of the input, and whether it is the last part.
    Body(Range<usize>, bool),
}

/// The decoder.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The bytes of a size or a header that was cut short.
    cut: [u8; MAX_HEADER],
    cut_length: usize,
    /// The bytes left of the record; 0 between records.
    record: u64,
    /// The bytes left of the body, within one.
    body: Option<u64>,
    /// The number of records that arrived whole.
    records: u64,
}

fn encoding(what: &'static str) -> ProtocolError {
    Violation::FrameEncoding.error(what)
}

/// The result of reading at the front of some bytes: a value and its length, or `None` if it is cut short.
type Found<T> = Result<Option<(T, usize)>, ProtocolError>;

impl Decoder {
    /// The next step in `input` from `*at` on, or `None` if the input is used up.
    pub fn next(
        &mut self,
        input: &[u8],
        at: &mut usize,
        max_record: u64,
        ours: bool,
    ) -> Result<Option<Step>, ProtocolError> {
        if let Some(left) = self.body {
            let now = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(input.len() - *at);
            if now == 0 && left > 0 {
                return Ok(None);
            }
            let range = *at..*at + now;
            *at += now;
            let left = left - now as u64;
            self.body = (left > 0).then_some(left);
            self.used(now as u64);
            return Ok(Some(Step::Body(range, left == 0)));
        }
        if self.record == 0 {
            let size = self.read(input, at, u64::MAX, |bytes| Ok(varint::peek(bytes)))?;
            let Some(size) = size else { return Ok(None) };
            if size == 0 {
                return Err(ProtocolError::Qmux(
                    Violation::Protocol,
                    "sent an empty record",
                ));
            }
            if size > max_record {
                return Err(encoding("sent a record longer than we accept"));
            }
            self.record = size;
        }
        let (before, left) = (*at, self.record);
        let header = self.read(input, at, left, |bytes| frame::read(bytes, ours))?;
        let taken = (*at - before) as u64;
        match header {
            Some(header) => {
                self.used(taken);
                Ok(Some(Step::Header(header)))
            }
            None if taken == left => Err(encoding("cut a frame short at the end of a record")),
            None => {
                self.record -= taken;
                Ok(None)
            }
        }
    }

    fn used(&mut self, bytes: u64) {
        self.record -= bytes;
        if self.record == 0 && self.body.is_none() {
            self.records += 1;
        }
    }

    /// Reads a value from the front of the input, together with what was kept of it. The value may take `limit` bytes.
    fn read<T>(
        &mut self,
        input: &[u8],
        at: &mut usize,
        limit: u64,
        parse: impl Fn(&[u8]) -> Found<T>,
    ) -> Result<Option<T>, ProtocolError> {
        let rest = &input[*at..];
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let available = &rest[..rest.len().min(limit)];
        if self.cut_length == 0
            && let Some((value, used)) = parse(available)?
        {
            *at += used;
            return Ok(Some(value));
        }
        let had = self.cut_length;
        let more = available.len().min(MAX_HEADER - had);
        self.cut[had..had + more].copy_from_slice(&available[..more]);
        match parse(&self.cut[..had + more])? {
            Some((value, used)) => {
                // The value goes beyond what was kept, which did not suffice alone.
                *at += used.saturating_sub(had);
                self.cut_length = 0;
                Ok(Some(value))
            }
            None => {
                *at += more;
                self.cut_length = had + more;
                Ok(None)
            }
        }
    }

    /// A body of this length follows the header just read; without a length, it reaches to the end of the record.
    /// Returns its length.
    pub fn start_body(&mut self, length: Option<u64>) -> Result<u64, ProtocolError> {
        let length = length.unwrap_or(self.record);
        if length > self.record {
            return Err(encoding("sent a frame longer than its record"));
        }
        if self.record == 0 {
            // The record was counted when its header was read, and is counted again after the empty body.
            self.records -= 1;
        }
        self.body = Some(length);
        Ok(length)
    }

    /// The bytes of the body under way that are still to come.
    pub fn missing(&self) -> Option<u64> {
        self.body
    }

    /// Skips padding behind a frame of padding.
    pub fn skip_padding(&mut self, input: &[u8], at: &mut usize) {
        let left = usize::try_from(self.record).unwrap_or(usize::MAX);
        let rest = &input[*at..];
        let run = rest
            .iter()
            .take(left)
            .take_while(|&&byte| byte == 0)
            .count();
        if run > 0 {
            *at += run;
            self.used(run as u64);
        }
    }

    /// The next frame, if it is whole at the front of the input, and is a message of ours that does not end its stream:
    /// the stream's id and the payload. Most frames are found here with the least work.
    #[inline]
    pub fn peek_message(&self, input: &[u8], at: usize) -> Option<(u64, Range<usize>)> {
        if self.cut_length != 0 || self.body.is_some() || self.record == 0 {
            return None;
        }
        let rest = &input[at..];
        // Busy streams have short numbers.
        let short = match *rest {
            [MESSAGE, id @ 0..0x40, length @ 0..0x40, ..] => Some((u64::from(id), length, 3)),
            [MESSAGE, high @ 0x40..0x80, low, length @ 0..0x40, ..] => {
                Some((u64::from(high & 0x3f) << 8 | u64::from(low), length, 4))
            }
            _ => None,
        };
        if let Some((id, length, header)) = short {
            let end = header + usize::from(length);
            let fits = end <= rest.len() && end as u64 <= self.record;
            return fits.then(|| (id, at + header..at + end));
        }
        let mut after = rest;
        let kind = after.try_get_u8().ok()?;
        let has_length = kind == MESSAGE;
        if !has_length && kind != COMPACT as u8 {
            return None;
        }
        let id = varint::get(&mut after)?;
        let length = match has_length {
            true => varint::get(&mut after)?,
            false => {
                let header = (rest.len() - after.len()) as u64;
                self.record.checked_sub(header)?
            }
        };
        let header = rest.len() - after.len();
        let fits = length <= after.len() as u64 && header as u64 + length <= self.record;
        let start = at + header;
        fits.then(|| (id, start..start + length as usize))
    }

    /// Takes the frame that [`Decoder::peek_message`] found, of `bytes` bytes.
    #[inline]
    pub fn take_message(&mut self, bytes: usize) {
        self.used(bytes as u64);
    }

    /// The number of records that arrived whole.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Whether the peer may end its direction here.
    pub fn is_between_records(&self) -> bool {
        self.record == 0 && self.cut_length == 0 && self.body.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Frames = Vec<(Frame, Vec<u8>)>;

    /// Decodes chunks; bodies are put together. Returns what there was, and how many records.
    fn decode(chunks: &[&[u8]]) -> Result<(Frames, u64), ProtocolError> {
        let mut decoder = Decoder::default();
        let mut frames = Vec::new();
        for chunk in chunks {
            let mut at = 0;
            while let Some(step) = decoder.next(chunk, &mut at, 1 << 16, true)? {
                match step {
                    Step::Header(frame) => {
                        let length = match frame {
                            Frame::Stream { length, .. } => Some(length),
                            Frame::Close { reason, .. } => Some(Some(reason)),
                            _ => None,
                        };
                        if let Some(length) = length {
                            decoder.start_body(length)?;
                        }
                        frames.push((frame, Vec::new()));
                    }
                    Step::Body(range, _) => {
                        let last = frames.last_mut().expect("a body has a header");
                        last.1.extend(&chunk[range]);
                    }
                }
            }
            assert_eq!(at, chunk.len());
        }
        Ok((frames, decoder.records))
    }

    fn record(body: &[u8]) -> Vec<u8> {
        let mut record = Vec::new();
        varint::put(body.len() as u64, &mut record);
        record.extend_from_slice(body);
        record
    }

    proptest! {
        #[test]
        fn any_segmentation_leads_to_the_same_frames(
            messages in prop::collection::vec((0u64..1 << 20, prop::collection::vec(any::<u8>(), 0..80), any::<bool>()), 1..20),
            cuts in prop::collection::vec(0usize..2000, 0..30),
        ) {
            let (mut wire, mut body) = (Vec::new(), Vec::new());
            for (id, payload, last) in &messages {
                let header = frame::StreamHeader::new(*id, None, (!last).then_some(payload.len()), *last);
                body.extend_from_slice(header.as_slice());
                body.extend_from_slice(payload);
                if *last {
                    wire.extend(record(&std::mem::take(&mut body)));
                }
            }
            if !body.is_empty() {
                wire.extend(record(&body));
            }
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut % (wire.len() + 1)).chain([0, wire.len()]).collect();
            cuts.sort_unstable();
            let chunks: Vec<_> = cuts.windows(2).map(|pair| &wire[pair[0]..pair[1]]).collect();
            let whole = decode(&[&wire]).expect("frames");
            let payloads: Vec<_> = whole.0.iter().map(|(_, payload)| payload.clone()).collect();
            prop_assert_eq!(payloads, messages.into_iter().map(|(_, payload, _)| payload).collect::<Vec<_>>());
            prop_assert_eq!(decode(&chunks).expect("frames"), whole.clone());
            prop_assert_eq!(decode(&wire.chunks(1).collect::<Vec<_>>()).expect("frames"), whole);
        }
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for bytes in [
            &[0][..],                        // empty
            &[0x80, 1, 0, 1],                // of 65537 bytes
            &[2, 0x3a, 4],                   // a header cut short
            &[4, 0x3a, 4, 5, 0],             // a body longer than the record
            &[3, 0x10, 0x40, 0x05, 1, 0x40], // a number that would end behind the record
        ] {
            assert!(decode(&[bytes]).is_err(), "{bytes:?}");
            assert!(
                decode(&bytes.chunks(1).collect::<Vec<_>>()).is_err(),
                "{bytes:?} in pieces"
            );
        }
    }

    #[test]
    fn a_huge_size_costs_nothing() {
        let mut decoder = Decoder::default();
        let mut at = 0;
        let huge = [0xff; 8];
        let result = decoder.next(&huge, &mut at, varint::MAX, true);
        assert_eq!((result, at), (Ok(None), 8));
        assert!(!decoder.is_between_records());
    }
}
