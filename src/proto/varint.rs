//! QUIC's variable-length integers (RFC 9000, section 16).
//!
//! May not know what a number means.

/// Reads one from the front of `input`; gives the value and what is left, or `None` if it is cut short.
pub fn read(input: &[u8]) -> Option<(u64, &[u8])> {
    let (&first, _) = input.split_first()?;
    let (head, rest) = input.split_at_checked(1 << (first >> 6))?;
    let value = head[1..]
        .iter()
        .fold(u64::from(first & 0x3f), |value, &byte| {
            (value << 8) | u64::from(byte)
        });
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::read;

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
}
