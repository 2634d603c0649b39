//! The addon: plain data across the boundary, and no decisions. Defaults and validation live in JavaScript.

pub mod engine;
mod options;
#[cfg(target_os = "linux")]
mod poller;
#[cfg(not(target_os = "linux"))]
#[path = "no_poller.rs"]
mod poller;
mod signal;
