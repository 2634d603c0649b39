//! Names and shapes of what crosses the boundary to JavaScript. build.rs makes the constants, the commands and their
//! decoder, which are included here, of `lib/boundary.json`.
//!
//! May not have a number of its own.

use crate::proto::{Handle, PeerKind, Wires};

include!(concat!(env!("OUT_DIR"), "/boundary.rs"));

/// The bits of the first word that are the number of a connection or a server.
pub const NUMBER_MASK: u32 = (1 << NUMBER_BITS) - 1;

/// The first word of a command or a record: its kind, and the number of its connection or server.
pub fn first_word(what: u32, number: u32) -> u32 {
    what << NUMBER_BITS | number
}

/// The kind and the number of a first word.
pub fn split_word(word: u32) -> (u32, u32) {
    (word >> NUMBER_BITS, word & NUMBER_MASK)
}

/// The wires in use, in the bits that JavaScript reads.
pub fn wire_bits(in_use: Wires) -> u32 {
    let bit = |is_set: bool, bit: u32| if is_set { bit } else { 0 };
    bit(in_use.sending, wires::SENDS)
        | bit(in_use.receiving, wires::RECEIVES)
        | bit(in_use.foreign, wires::FOREIGN)
        | bit(in_use.hears_unread, wires::HEARS_UNREAD)
}

/// The kind of the peer, as JavaScript numbers it.
pub fn peer_number(peer: PeerKind) -> u32 {
    match peer {
        PeerKind::Undecided => peers::UNDECIDED,
        PeerKind::Old => peers::OLD,
        PeerKind::New => peers::NEW,
    }
}

/// A handle as a word; `None` becomes the word for the whole connection.
pub fn stream_word(stream: Option<Handle>) -> u32 {
    stream.map_or(WHOLE, |stream| stream.0)
}

/// A handle, unless the word stands for the whole connection.
fn one_or_all(stream: Handle) -> Option<Handle> {
    Some(stream).filter(|stream| stream.0 != WHOLE)
}

/// The code at the front of a payload, and the bytes behind it.
fn code(payload: &[u8]) -> Option<(u64, &[u8])> {
    let (code, rest) = payload.split_first_chunk()?;
    Some((u64::from_le_bytes(*code), rest))
}

/// The text in `bytes`, up to the first bytes that are not text.
fn text(bytes: &[u8]) -> &str {
    let first = bytes.utf8_chunks().next();
    first.map_or("", |chunk| chunk.valid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_says_who_opened_the_stream_as_the_protocol_has_it() {
        assert_eq!(Handle::remote(7).0 & REMOTE, REMOTE);
        assert_eq!(Handle::local(7).0 & REMOTE, 0);
    }
}
