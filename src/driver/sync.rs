//! The atomics that `shared.rs` is made of, named in one place so that a checker's can take theirs.

pub use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
