//! Memory to read into: recycled buffers of our own, and memory that JavaScript lends for long reads. Bytes that arrive
//! in lent memory are where JavaScript wants them, and are not copied once more on its thread.
//!
//! ```text
//!   application ──lend──▶ free ──a task reads into it──▶ in a batch ──delivered──▶ application, never lent again
//!                          ▲              │
//!                          └──────────────┘ little was read, and copied
//! ```
//!
//! Lent memory may be touched through [`Memory::with`] only, because it is gone when the application is.

use crate::proto::MAX_MESSAGE;

/// The length of a read. Longer reads were no faster.
pub const READ: usize = 256 << 10;

/// The room behind a read, for messages that are put together of two reads: nearly every long read ends within a
/// message.
const BEHIND: usize = 32 << 10;

/// A read shorter than this is copied, because a buffer of [`READ`] bytes is too much memory for it.
pub const HANDED_OVER: usize = 16 << 10;

/// The number of read buffers kept for reuse.
pub const SPARE: usize = 8;

/// Memory that is lent.
pub trait Memory: Send {
    /// Calls `work` on the memory, unless it is gone.
    fn with(&mut self, work: &mut dyn FnMut(&mut [u8]));
}

/// A piece of lent memory, with the number under which the application knows it.
pub struct Lent {
    /// The number of the memory.
    pub id: u32,
    memory: Box<dyn Memory>,
}

/// The bytes that a read takes beyond the message under way, for the header of the next one. So, if messages are long,
/// a read ends soon after the end of one, and little has to be put together.
pub const AHEAD: usize = 64;

/// The longest read into lent memory: one message of the greatest length that is put together, and the header of the
/// next.
pub const READ_LENT: usize = MAX_MESSAGE + AHEAD;

/// The room behind a read into lent memory: for the longest message that the session puts together.
pub const BEHIND_LENT: usize = 16 << 10;

impl Lent {
    /// Memory for reads of [`READ_LENT`] bytes, with [`BEHIND_LENT`] behind them. Shorter memory is never read into.
    pub fn new(id: u32, memory: impl Memory + 'static) -> Self {
        let memory = Box::new(memory);
        Self { id, memory }
    }

    /// Writes `bytes` behind the first `filled` bytes. Returns whether they fit.
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

/// The buffer that a task reads into.
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
    /// Calls `work` with the buffer's bytes, and with the number of the first ones that may be read into.
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

/// The buffers of an environment that are not in use.
#[derive(Debug, Default)]
pub struct Buffers {
    own: Vec<Vec<u8>>,
    lent: Vec<Lent>,
    /// A long read found no lent memory.
    is_lent_short: bool,
}

impl Buffers {
    /// A buffer of our own: [`READ`] bytes, and room behind them.
    pub fn new_own() -> Vec<u8> {
        vec![0; READ + BEHIND]
    }

    /// A spare buffer of our own.
    pub fn pop_own(&mut self) -> Option<Vec<u8>> {
        self.own.pop()
    }

    /// Lent memory. If there is none, that is remembered.
    pub fn pop_lent(&mut self) -> Option<Lent> {
        let lent = self.lent.pop();
        self.is_lent_short |= lent.is_none();
        lent
    }

    /// Keeps a buffer. A buffer of our own is dropped if it was lengthened for a text, or if there are too many.
    pub fn push(&mut self, buffer: ReadBuffer) {
        match buffer {
            ReadBuffer::Own(bytes) if bytes.len() == READ + BEHIND && self.own.len() < SPARE => {
                self.own.push(bytes);
            }
            ReadBuffer::Own(_) => {}
            ReadBuffer::Lent(lent) => self.lent.push(lent),
        }
    }

    /// Returns whether a long read has found no lent memory since the last call.
    pub fn take_lent_short(&mut self) -> bool {
        std::mem::take(&mut self.is_lent_short)
    }
}
