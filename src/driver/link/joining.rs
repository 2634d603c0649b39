//! Puts messages together that arrive in several reads, so that one write is one message, up to 64 KiB.
//!
//! ```text
//!   read ──▶ parse ──▶ the last event is a part of a message: taken back, its bytes kept here
//!                                                  │
//!   next read, behind room for them ──▶ parse ─────┴──▶ still a part: its bytes are added here
//!                                                  └──▶ complete: copied in front of the rest, one event for both
//! ```
//!
//! So a byte is copied at most twice, however small the reads are. The session does likewise for messages of up to 16
//! KiB.
//!
//! May not hold more than one message, nor know what a frame looks like.

use crate::driver::inbox::collector::Collector;
use crate::proto::{Event, Handle, Payload, Sink};

/// A message that goes on in the next input: its stream, and the place where its part in this input starts.
pub type Part = Option<(Handle, usize)>;

/// The bytes that are kept between two reads.
#[derive(Debug, Default)]
pub struct Joining {
    stream: Option<Handle>,
    bytes: Vec<u8>,
}

impl Joining {
    /// The message that the next read goes on with. The bytes of that read must have room for the kept ones in front.
    pub fn part(&self) -> Part {
        self.stream.map(|stream| (stream, 0))
    }

    /// The number of bytes that are kept.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes a parsed read: `bytes`, of which the first `at` are room for what is kept, and `part`, which is now to go
    /// on. Returns how many of the bytes are of events.
    pub fn settle(&mut self, bytes: &mut [u8], at: usize, part: Part) -> usize {
        debug_assert_eq!(at, self.bytes.len(), "there is room for all that is kept");
        match part {
            Some((_, 0)) if at > 0 => {
                self.bytes.extend_from_slice(&bytes[at..]);
                0
            }
            _ => {
                bytes[..at].copy_from_slice(&self.bytes);
                self.bytes.clear();
                let used = part.map_or(bytes.len(), |(_, start)| start);
                self.bytes.extend_from_slice(&bytes[used..]);
                self.stream = part.map(|(stream, _)| stream);
                used
            }
        }
    }

    /// The rest never comes, so the part of the message that came is an event by itself.
    pub fn give_up(&mut self, collector: &mut Collector) {
        if let Some(stream) = self.stream.take() {
            collector.emit(Event::Data(stream), Payload::Owned(&self.bytes));
            self.bytes = Vec::new();
        }
    }

    /// Frees spare memory.
    pub fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: Handle = Handle(3);

    /// Reads `reads` behind each other, as parts of one message of `length` bytes behind 5 bytes of other things. Returns what
    /// stands in the buffer when it is complete.
    fn read(reads: &[usize], length: usize) -> Vec<u8> {
        let all: Vec<u8> = (0..5 + length).map(|at| at as u8).collect();
        let (mut joining, mut from) = (Joining::default(), 0);
        for &read in reads {
            let at = joining.len();
            let mut bytes = [vec![0; at], all[from..from + read].to_vec()].concat();
            from += read;
            let start = joining.part().map_or(5, |(_, start)| start);
            let part = (from < all.len()).then_some((STREAM, start));
            let used = joining.settle(&mut bytes, at, part);
            assert_eq!(used, if part.is_some() { start } else { bytes.len() });
            if part.is_none() {
                assert_eq!((joining.len(), joining.part()), (0, None));
                return bytes[start..].to_vec();
            }
        }
        panic!("never complete");
    }

    #[test]
    fn a_message_is_put_together_however_it_is_cut() {
        let expected: Vec<u8> = (5..1005).map(|at| at as u8).collect();
        for reads in [&[1005][..], &[6, 999], &[500, 1, 504], &[5 + 999, 1]] {
            assert_eq!(read(reads, 1000), expected, "{reads:?}");
        }
        assert_eq!(read(&[[6].as_slice(), &[1; 999]].concat(), 1000), expected);
    }

    #[test]
    fn what_never_becomes_whole_is_an_event_all_the_same() {
        let (mut joining, mut collector) = (Joining::default(), Collector::default());
        collector.start(5);
        joining.give_up(&mut collector);
        assert!(collector.is_empty());
        assert_eq!(joining.settle(&mut [1, 2, 3], 0, Some((STREAM, 1))), 1);
        joining.give_up(&mut collector);
        assert_eq!((collector.len(), collector.texts()), (1, &[2, 3][..]));
        assert_eq!(joining.part(), None);
    }
}
