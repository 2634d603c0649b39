//! The addon: plain data across the boundary, and no decisions. Defaults and validation live in JavaScript.

pub mod engine;
mod options;
mod signal;
