//! The wire of tcp-stream-muxer 0.1.0: `u32 length · u8 stream id · u8 type · payload`, big endian.

mod commands;
mod frame;
mod stop;
mod streams;
mod switch;
mod wire;

pub use wire::{Context, Legacy};
