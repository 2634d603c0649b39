//! The atomics of `shared.rs`, named in one place so that a checker can substitute its own.

pub use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
