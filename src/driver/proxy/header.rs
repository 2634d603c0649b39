//! The header of the PROXY protocol, as its bytes come: how many more may be read, and what they say at last.
//!
//! The crate proxy-header parses whole headers. This file knows where a header ends, so that nothing behind it is read,
//! and tells at the first byte that cannot be part of one.
//!
//! May not read anything itself.

use crate::driver::socket::Ends;
use proxy_header::{ParseConfig, ProxyHeader};

/// The beginning of version 1, a line of text.
const TEXT: &[u8] = b"PROXY ";

/// The longest line of version 1.
const LONGEST_TEXT: usize = 107;

/// The beginning of version 2.
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The length of the fixed part of version 2: its beginning, command, family, and the length of the rest.
const FIXED: usize = 16;

/// The length of the shortest header of all, `PROXY UNKNOWN\r\n`.
const SHORTEST: usize = 15;

/// The longest rest of version 2 that is read. Addresses take 216 bytes at most; the additional fields that load balancers
/// add, of which the largest are names and certificates' subjects, some hundred.
const LONGEST_REST: usize = 4096;

/// The command of version 2 that says nothing about a client, as health checks do.
const LOCAL: u8 = 0x20;

/// The next step with the bytes of a header.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// So many bytes more may be read: they are part of the header.
    Read(usize),
    /// The header is whole. It tells the ends of the connection that it speaks of, ours first, or of none.
    Done(Option<Ends>),
}

/// The bytes are no header. Says what the peer did.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

const GARBAGE: Malformed = Malformed("did not begin with a PROXY header");
const MALFORMED: Malformed = Malformed("sent a malformed PROXY header");
const TOO_LONG: Malformed = Malformed("sent a PROXY header that is too long");

/// What follows from the bytes of a header that have come so far, which must have been read as this function said.
pub fn next(bytes: &[u8]) -> Result<Next, Malformed> {
    let begins = |with: &[u8]| {
        bytes
            .iter()
            .zip(with)
            .all(|(byte, expected)| byte == expected)
    };
    if begins(TEXT) && !bytes.is_empty() {
        text(bytes)
    } else if begins(BINARY) {
        binary(bytes)
    } else {
        Err(GARBAGE)
    }
}

fn text(bytes: &[u8]) -> Result<Next, Malformed> {
    if bytes.len() < SHORTEST {
        return Ok(Next::Read(SHORTEST - bytes.len()));
    }
    match bytes {
        [.., b'\r', b'\n'] => parse(bytes),
        // Whatever is missing of the line, its end is.
        _ if bytes.len() >= LONGEST_TEXT => Err(TOO_LONG),
        [.., b'\r'] => Ok(Next::Read(1)),
        _ if bytes.contains(&b'\r') => Err(MALFORMED),
        _ => Ok(Next::Read(2.min(LONGEST_TEXT - bytes.len()))),
    }
}

fn binary(bytes: &[u8]) -> Result<Next, Malformed> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED>() else {
        // No more than a line of version 1 would have, while nothing has come that tells them apart.
        let most = match bytes.is_empty() {
            true => SHORTEST,
            false => FIXED,
        };
        return Ok(Next::Read(most - bytes.len()));
    };
    let [.., command, _, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST_REST {
        return Err(TOO_LONG);
    }
    if rest.len() < length {
        return Ok(Next::Read(length - rest.len()));
    }
    match command {
        // Whatever else such a header says is to be ignored.
        LOCAL => Ok(Next::Done(None)),
        _ => parse(bytes),
    }
}

/// Parses a whole header.
fn parse(bytes: &[u8]) -> Result<Next, Malformed> {
    let config = ParseConfig {
        include_tlvs: false,
        ..ParseConfig::default()
    };
    match ProxyHeader::parse(bytes, config) {
        Ok((header, length)) if length == bytes.len() => {
            let ends = header.proxied_address();
            Ok(Next::Done(
                ends.map(|ends| (Some(ends.destination), Some(ends.source))),
            ))
        }
        // One that needs more than its own length says as well.
        _ => Err(MALFORMED),
    }
}
