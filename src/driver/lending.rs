//! Memory of the application's that it lends for long reads: what arrives is then where the application wants it, and
//! is not copied once more on its thread.
//!
//! ```text
//!   application ──lend──▶ free ──a task reads into it──▶ in a batch ──delivered──▶ application, never lent again
//!                          ▲              │
//!                          └──────────────┘ little was read, and copied
//! ```
//!
//! May not be touched but through [`Memory::with`]: it can be gone when the application is.

use super::events::{BEHIND, READ};
use crate::proto::MAX_MESSAGE;

/// Memory that is lent.
pub trait Memory: Send {
    /// Works on it; on nothing, when it is gone.
    fn with(&mut self, work: &mut dyn FnMut(&mut [u8]));
}

/// A piece of memory, under the number that the application knows it by.
pub struct Lent {
    /// Its number.
    pub id: u32,
    memory: Box<dyn Memory>,
}

/// Bytes read beyond a message that is under way: the header of the next, so that a read ends little behind a message
/// where they are long, and little has to be put together.
pub const AHEAD: usize = 64;

/// Longest read into lent memory: one message that is put together, and a little.
pub const READ_LENT: usize = MAX_MESSAGE + AHEAD;

/// Room behind a read into lent memory: for the longest message that is put together of two reads.
pub const BEHIND_LENT: usize = 16 << 10;

impl Lent {
    /// Memory for reads of [`READ_LENT`] bytes, with [`BEHIND_LENT`] behind them. None is read into it if it is shorter.
    pub fn new(id: u32, memory: impl Memory + 'static) -> Self {
        let memory = Box::new(memory);
        Self { id, memory }
    }

    /// Writes `bytes` behind the first `filled`. Gives whether they fit.
    pub fn append(&mut self, filled: usize, bytes: &[u8]) -> bool {
        let mut fits = false;
        self.memory.with(&mut |memory| {
            if let Some(room) = memory.get_mut(filled..filled + bytes.len()) {
                room.copy_from_slice(bytes);
                fits = true;
            }
        });
        fits
    }
}

impl std::fmt::Debug for Lent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lent").field("id", &self.id).finish()
    }
}

/// What a task reads into.
#[derive(Debug)]
pub enum ReadBuffer {
    /// A recycled buffer of [`READ`] bytes and room behind them.
    Own(Vec<u8>),
    /// Memory of the application's.
    Lent(Lent),
}

impl From<Vec<u8>> for ReadBuffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Own(bytes)
    }
}

impl ReadBuffer {
    /// Works on its bytes, of which the first so many may be read into.
    pub fn with<R>(&mut self, mut work: impl FnMut(&mut [u8], usize) -> R) -> Option<R> {
        match self {
            Self::Own(bytes) => {
                debug_assert_eq!(bytes.len(), READ + BEHIND);
                Some(work(bytes, READ))
            }
            Self::Lent(lent) => {
                let mut result = None;
                lent.memory.with(&mut |bytes| {
                    if bytes.len() >= READ_LENT + BEHIND_LENT {
                        result = Some(work(bytes, READ_LENT));
                    }
                });
                result
            }
        }
    }
}
