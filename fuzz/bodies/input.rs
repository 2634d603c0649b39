//! How the bytes of a fuzzer become what a peer sends.

use super::choices::Choices;

/// A fuzzer's input: choices, and the rest.
pub struct Input<'a> {
    flags: u8,
    cuts: u8,
    pub rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// None without the two bytes of choices.
    pub fn new(data: &'a [u8]) -> Option<Self> {
        let (&[flags, cuts], rest) = data.split_first_chunk()?;
        Some(Self { flags, cuts, rest })
    }

    pub fn flag(&self, bit: u32) -> bool {
        (self.flags >> bit) & 1 == 1
    }

    /// Cuts `bytes` into reads: whole, one by one, or anyhow.
    pub fn reads<'b>(&self, bytes: &'b [u8]) -> Vec<&'b [u8]> {
        let mut choices = Choices::Seed(self.cuts.into());
        let mut rest = bytes;
        let mut reads = Vec::new();
        while !rest.is_empty() {
            let length = match self.cuts {
                0 => rest.len(),
                1 => 1,
                _ => 1 + choices.size(3000),
            };
            let (read, later) = rest.split_at(length.min(rest.len()));
            reads.push(read);
            rest = later;
        }
        reads
    }
}

/// Takes the rest apart: a length of one byte, so many bytes, again.
pub fn parts(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (&length, behind) = rest.split_first()?;
        let (part, later) = behind.split_at(usize::from(length).min(behind.len()));
        rest = later;
        Some(part)
    })
}

/// A varint of RFC 9000, in its shortest form.
pub fn varint(value: u64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    match value {
        0..0x40 => vec![bytes[7]],
        0x40..0x4000 => vec![bytes[6] | 0x40, bytes[7]],
        0x4000..0x4000_0000 => [&[bytes[4] | 0x80], &bytes[5..]].concat(),
        _ => [&[bytes[0] | 0xc0], &bytes[1..]].concat(),
    }
}

/// A record.
pub fn record(frames: &[u8]) -> Vec<u8> {
    [&varint(frames.len() as u64), frames].concat()
}

/// A frame of the legacy wire.
pub fn legacy_frame(id: u8, kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = (6 + payload.len() as u32).to_be_bytes().to_vec();
    frame.extend([id, kind]);
    frame.extend(payload);
    frame
}
