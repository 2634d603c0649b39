//! The addon: plain data across the boundary, and no decisions. Defaults and validation live in JavaScript.

pub mod engine;
mod exception;
#[cfg(target_os = "linux")]
mod poller;
mod signal;
mod slab;
#[cfg(unix)]
mod uv;
