//! The wire of tcp-stream-muxer 0.1.0: `u32 length · u8 stream id · u8 type · payload`, big endian.

mod frame;
mod streams;
mod wire;

pub use wire::{Context, Legacy};
