//! The header of a load balancer: any bytes, in any reads. However it is cut, the same comes of it, and nothing behind it
//! is asked for.

use super::driver::proxy_header::{Next, next};

/// The most bytes that a header has.
const LONGEST: usize = 16 + 4096;

/// The first byte says how the rest is cut into reads.
pub fn proxy(data: &[u8]) {
    let Some((&cut, bytes)) = data.split_first() else {
        return;
    };
    let whole = read(bytes, usize::MAX);
    let cut = read(bytes, 1 + usize::from(cut));
    assert_eq!(whole, cut);
}

/// What comes of a header in reads of at most `most` bytes, and how many were read.
fn read(bytes: &[u8], most: usize) -> (usize, String) {
    let mut read = 0;
    loop {
        match next(&bytes[..read]) {
            Ok(Next::Read(wanted)) => {
                assert!(
                    wanted > 0 && read + wanted <= LONGEST,
                    "asks for more than a header"
                );
                let left = bytes.len() - read;
                if left == 0 {
                    return (read, "cut".into());
                }
                read += wanted.min(most).min(left);
            }
            // Where a malformed header is noticed depends on the reads.
            Err(_) => return (0, "malformed".into()),
            done => return (read, format!("{done:?}")),
        }
    }
}
