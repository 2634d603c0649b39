//! What stands between the bytes of the socket and those of the session.
//!
//! The channel lies inside the link, so both threads pass through it under the link's lock: received bytes become plain
//! in place, where ranges of them can be handed to JavaScript, and what the session wants sent is sealed before it is in
//! flight. A connection in the clear has nothing to do there.
//!
//! May not know what the bytes mean.

use crate::proto::Transmit;
use std::ops::Range;

/// The channel of a connection.
#[derive(Debug)]
pub enum Channel {
    /// In the clear.
    Plain,
}

impl Channel {
    /// Makes received bytes plain, in place. Returns where they are.
    pub fn open(&mut self, _bytes: &mut [u8], received: Range<usize>) -> Range<usize> {
        match self {
            Self::Plain => received,
        }
    }

    /// Makes bytes ready to be sent.
    pub fn seal(&mut self, transmit: Transmit) -> Transmit {
        match self {
            Self::Plain => transmit,
        }
    }
}
