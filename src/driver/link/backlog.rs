//! Commands that a connection cannot execute yet, in the form in which they crossed the boundary.
//!
//! May not execute anything.

use crate::driver::command::{self, Found};

/// The size at which consumed commands at the front of a backlog are cut off.
const COMPACT: usize = 1 << 20;

/// Commands that cannot be executed yet.
#[derive(Debug, Default)]
pub struct Backlog {
    bytes: Vec<u8>,
    at: usize,
    /// The number of acknowledgements among them.
    pub accepts: usize,
}

impl Backlog {
    /// The number of bytes of commands.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Adds a command.
    pub fn push(&mut self, found: &Found<'_>, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.accepts += usize::from(found.command.is_acknowledgement());
    }

    /// Adds a command that is no acknowledgement, which `put` writes.
    pub fn extend(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        put(&mut self.bytes);
    }

    /// Drops the first command.
    pub fn skip(&mut self, length: usize, was_acknowledgement: bool) {
        self.accepts -= usize::from(was_acknowledgement);
        self.at += length;
        if self.at == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(COMPACT);
            self.at = 0;
        } else if self.at >= COMPACT {
            self.bytes.drain(..self.at);
            self.at = 0;
        }
    }

    /// The first command.
    pub fn first(&self) -> Option<Found<'_>> {
        command::first(&self.bytes[self.at..])
    }
}
