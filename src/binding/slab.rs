//! Slabs: memory of JavaScript's that another thread reads into.
//!
//! JavaScript keeps each slab until its records have been drained, or until the environment ends. A thread that works
//! on a slab holds the gate open meanwhile. The environment's cleanup closes the gate, and waits until no thread holds
//! it.
//!
//! A caller may not keep the memory from one access to the next.

use crate::driver::inbox::buffers::Memory;
use crate::driver::lock::{Held, Rank};
use std::slice;
use std::sync::{Arc, RwLock};

/// The gate of an environment's slabs: false while they exist.
#[derive(Clone, Default)]
pub struct Gate(Arc<RwLock<bool>>);

impl Gate {
    /// Closes the gate, because the environment ends. The call waits for threads at work on a slab, as long as a read
    /// takes.
    pub fn close(&self) {
        *self
            .0
            .write()
            .unwrap_or_else(|poisoned| poisoned.into_inner()) = true;
    }
}

/// A slab that JavaScript has lent.
pub struct Slab {
    start: *mut u8,
    length: usize,
    gate: Gate,
}

// SAFETY: the memory belongs to no thread, and this `Slab` is its only user until JavaScript learns of its contents.
unsafe impl Send for Slab {}

impl Slab {
    /// A slab over memory that JavaScript keeps while the gate is open.
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
        // SAFETY: while the gate is held open, JavaScript keeps the memory and does not access it.
        work(unsafe { slice::from_raw_parts_mut(self.start, self.length) });
    }
}
