//! The addon: plain data across the boundary, and no decisions. Defaults and validation live in JavaScript.

pub mod carrier;
pub mod engine;
mod exception;
mod poller;
#[cfg(feature = "tls")]
mod secure;
mod signal;
mod slab;
mod uv;
