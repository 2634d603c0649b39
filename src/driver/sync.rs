//! The atomics that `shared.rs` is made of: the standard library's. `tests/shared.rs` compiles that file with loom's in
//! their place, and tries every order in which two threads can pass through it.

pub use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
