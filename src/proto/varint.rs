//! QUIC's variable-length integers (RFC 9000, section 16).
//!
//! May not know what a number means.

use bytes::{Buf, BufMut};

/// The largest number that has a form.
pub const MAX: u64 = (1 << 62) - 1;

/// The most bytes that a number takes.
pub const MAX_SIZE: usize = 8;

/// Reads a number from the front of `input`. `None`: the number is cut short, and nothing is taken.
#[inline]
pub fn get(input: &mut impl Buf) -> Option<u64> {
    let &first = input.chunk().first()?;
    match first >> 6 {
        // Nearly all numbers are short.
        0 => {
            input.advance(1);
            Some(first.into())
        }
        1 => input
            .try_get_u16()
            .ok()
            .map(|value| u64::from(value & 0x3fff)),
        2 => input
            .try_get_u32()
            .ok()
            .map(|value| u64::from(value & 0x3fff_ffff)),
        _ => input.try_get_u64().ok().map(|value| value & MAX),
    }
}

/// The number at the front of `input`, and its length in bytes. `None`: the number is cut short.
#[inline]
pub fn peek(input: &[u8]) -> Option<(u64, usize)> {
    let mut rest = input;
    let value = get(&mut rest)?;
    Some((value, input.len() - rest.len()))
}

/// The length of a number's shortest form, in bytes.
#[inline]
pub fn size(value: u64) -> usize {
    match value {
        0..0x40 => 1,
        0x40..0x4000 => 2,
        0x4000..0x4000_0000 => 4,
        _ => 8,
    }
}

/// Appends the shortest form of a number. A number over [`MAX`] has no form, and no caller has one.
#[inline]
pub fn put(value: u64, output: &mut impl BufMut) {
    debug_assert!(value <= MAX, "a number with a form");
    put_sized(value, size(value), output);
}

/// Appends a number in `size` bytes: 1, 2, 4 or 8, and enough for it.
#[inline]
pub fn put_sized(value: u64, size: usize, output: &mut impl BufMut) {
    match size {
        1 => output.put_u8(value as u8),
        2 => output.put_u16(value as u16 | 0x4000),
        4 => output.put_u32(value as u32 | 0x8000_0000),
        _ => output.put_u64(value | 0xc000_0000_0000_0000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_examples_of_the_rfc() {
        let cases: [(&[u8], u64); 5] = [
            (
                &[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c],
                151_288_809_941_952_652,
            ),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ];
        for (bytes, value) in cases {
            assert_eq!(peek(bytes), Some((value, bytes.len())));
            for cut in 0..bytes.len() {
                let mut rest = &bytes[..cut];
                assert_eq!((get(&mut rest), rest.len()), (None, cut));
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in prop_oneof![0..=MAX, 0u64..100, 0u64..20_000, Just(MAX)], more in any::<u8>()) {
            let mut bytes = Vec::new();
            put(value, &mut bytes);
            prop_assert_eq!(bytes.len(), size(value));
            bytes.push(more);
            prop_assert_eq!(peek(&bytes), Some((value, bytes.len() - 1)));
        }
    }
}
