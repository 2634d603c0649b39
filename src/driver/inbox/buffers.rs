//! What is read into: recycled buffers of our own, and memory that JavaScript lends for long reads. What arrives in lent
//! memory is where JavaScript wants it, and is not copied once more on its thread.
//!
//! ```text
//!   application ──lend──▶ free ──a task reads into it──▶ in a batch ──delivered──▶ application, never lent again
//!                          ▲              │
//!                          └──────────────┘ little was read, and copied
//! ```
//!
//! May not be touched but through [`Memory::with`]: it can be gone when the application is.

use crate::proto::MAX_MESSAGE;

/// Size of a read. Larger ones were no faster.
pub const READ: usize = 256 << 10;

/// Room behind a read for what is put together of two: nearly every long read ends within a message.
const BEHIND: usize = 32 << 10;

/// Reads shorter than this are copied: a buffer of [`READ`] bytes is too dear for them.
pub const HANDED_OVER: usize = 16 << 10;

/// Read buffers kept for reuse.
pub const SPARE: usize = 8;

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

/// The buffers of an environment that nothing is read into.
#[derive(Debug, Default)]
pub struct Buffers {
    own: Vec<Vec<u8>>,
    lent: Vec<Lent>,
    /// A long read found no lent memory.
    is_lent_short: bool,
}

impl Buffers {
    /// A buffer of our own, [`READ`] bytes and room behind them.
    pub fn new_own() -> Vec<u8> {
        vec![0; READ + BEHIND]
    }

    /// A spare buffer of our own.
    pub fn pop_own(&mut self) -> Option<Vec<u8>> {
        self.own.pop()
    }

    /// Lent memory, whose lack is remembered.
    pub fn pop_lent(&mut self) -> Option<Lent> {
        let lent = self.lent.pop();
        self.is_lent_short |= lent.is_none();
        lent
    }

    /// Keeps a buffer. One of our own that was lengthened for a text is dropped, as are those too many.
    pub fn push(&mut self, buffer: ReadBuffer) {
        match buffer {
            ReadBuffer::Own(bytes) if bytes.len() == READ + BEHIND && self.own.len() < SPARE => {
                self.own.push(bytes);
            }
            ReadBuffer::Own(_) => {}
            ReadBuffer::Lent(lent) => self.lent.push(lent),
        }
    }

    /// Whether a long read has found no lent memory since this was last asked.
    pub fn take_lent_short(&mut self) -> bool {
        std::mem::take(&mut self.is_lent_short)
    }
}
