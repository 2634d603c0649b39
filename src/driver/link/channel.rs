//! The channel: the place for encryption, between the bytes of the socket and those of the session.
//!
//! The channel is inside the link, so both threads use it under the link's lock. Received bytes become plain in place,
//! so that ranges of them can be handed to JavaScript. Bytes that the session wants sent are sealed before they are in
//! flight. A connection in the clear does nothing of this.
//!
//! May not know what the bytes mean.

use crate::proto::Transmit;
use std::ops::Range;

/// The channel of a connection.
#[derive(Debug)]
pub enum Channel {
    /// Bytes in the clear.
    Plain,
}

impl Channel {
    /// Makes received bytes plain, in place. Returns their range.
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
