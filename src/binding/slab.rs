//! Slabs of JavaScript's, read into by another thread.
//!
//! A slab lives while its environment does: JavaScript keeps each until its records have been drained. Whoever works on
//! one holds the gate open meanwhile; the environment's cleanup closes it, and waits for that.
//!
//! May not be kept from one access to the next.

use crate::driver::inbox::buffers::Memory;
use crate::driver::lock::{Held, Rank};
use std::slice;
use std::sync::{Arc, RwLock};

/// Whether an environment's slabs still exist.
#[derive(Clone, Default)]
pub struct Gate(Arc<RwLock<bool>>);

impl Gate {
    /// The environment ends. Waits for those at work, which takes them as long as a read.
    pub fn close(&self) {
        *self
            .0
            .write()
            .unwrap_or_else(|poisoned| poisoned.into_inner()) = true;
    }
}

/// A slab that is lent.
pub struct Slab {
    start: *mut u8,
    length: usize,
    gate: Gate,
}

// SAFETY: the memory belongs to no thread, and one `Slab` is its only user until JavaScript is told of it.
unsafe impl Send for Slab {}

impl Slab {
    /// A slab over memory that JavaScript keeps as long as the gate is open.
    pub fn new(bytes: &mut [u8], gate: Gate) -> Self {
        Self {
            start: bytes.as_mut_ptr(),
            length: bytes.len(),
            gate,
        }
    }
}

impl Memory for Slab {
    fn with(&mut self, work: &mut dyn FnMut(&mut [u8])) {
        let _held = Held::new(Rank::Gate);
        let is_closed = self
            .gate
            .0
            .read()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if *is_closed {
            return;
        }
        // SAFETY: JavaScript keeps the memory, and leaves it alone, while the gate is held open.
        work(unsafe { slice::from_raw_parts_mut(self.start, self.length) });
    }
}
