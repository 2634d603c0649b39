//! QUIC's variable-length integers (RFC 9000, section 16).
//!
//! May not know what a number means.

/// The largest number there is.
pub const MAX: u64 = (1 << 62) - 1;

/// Most bytes a number takes.
pub const MAX_SIZE: usize = 8;

/// Reads one from the front of `input`; gives the value and what is left, or `None` if it is cut short.
#[inline]
pub fn read(input: &[u8]) -> Option<(u64, &[u8])> {
    let (&first, rest) = input.split_first()?;
    // Nearly all numbers are short.
    if first < 0x40 {
        return Some((first.into(), rest));
    }
    let (head, rest) = input.split_at_checked(1 << (first >> 6))?;
    let value = head[1..]
        .iter()
        .fold(u64::from(first & 0x3f), |value, &byte| {
            (value << 8) | u64::from(byte)
        });
    Some((value, rest))
}

/// How many bytes the shortest form of a number takes.
#[inline]
pub fn size(value: u64) -> usize {
    match value {
        0..0x40 => 1,
        0x40..0x4000 => 2,
        0x4000..0x4000_0000 => 4,
        _ => 8,
    }
}

/// Writes the shortest form of a number to the front of `output`; gives its length. A number over [`MAX`] has no form:
/// no caller has one.
#[inline]
pub fn write(value: u64, output: &mut [u8]) -> usize {
    debug_assert!(value <= MAX, "a number with a form");
    let size = size(value);
    write_sized(value, &mut output[..size]);
    size
}

/// Writes a number in exactly as many bytes as `output` has: 1, 2, 4 or 8, and enough for it.
#[inline]
pub fn write_sized(value: u64, output: &mut [u8]) {
    let size = output.len();
    output.copy_from_slice(&value.to_be_bytes()[8 - size..]);
    output[0] |= (size.trailing_zeros() as u8) << 6;
}

/// Appends the shortest form of a number.
pub fn put(value: u64, output: &mut Vec<u8>) {
    let mut bytes = [0; MAX_SIZE];
    let size = write(value, &mut bytes);
    output.extend_from_slice(&bytes[..size]);
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
            assert_eq!(read(bytes), Some((value, &[][..])));
            for cut in 0..bytes.len() {
                assert_eq!(read(&bytes[..cut]), None);
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
            prop_assert_eq!(read(&bytes), Some((value, &[more][..])));
        }
    }
}
