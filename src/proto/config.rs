//! The configuration of a connection. The defaults live in JavaScript (`lib/options.js`), where they are validated and
//! documented. The ones here serve Rust callers and tests. A configuration comes from JavaScript as JSON text, with the
//! names of the fields.
//!
//! May not validate: a wrong option is the caller's error, and JavaScript words it.

use serde::Deserialize;
use std::time::Duration;

/// Which end of the connection this is: the offer, and later the stream numbers, depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The end that called `connect`.
    Connecting,
    /// The end that accepted.
    Listening,
}

/// The protocol that an end speaks.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Protocol {
    /// Legacy frames first, and QMux when the peer is new.
    Auto,
    /// Legacy frames for ever: offers are neither sent nor understood.
    Legacy,
    /// QMux records at once.
    Qmux,
}

/// Limits and choices of one connection.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// The protocol to speak.
    pub protocol: Protocol,
    /// The caller vouches that the peer is not 0.1.0 (`peer: 'new'`): nothing is paced from the first byte on.
    pub peer_new: bool,
    /// The connection ends if the peer takes longer than this to say what it speaks. Zero: never.
    #[serde(with = "milliseconds")]
    pub handshake_timeout: Duration,
    /// The number of streams that the peer may reset at once at first, if that is less than its budget because the peer
    /// has used the rest up on another connection.
    #[serde(skip)]
    pub resets_left: Option<u32>,
    /// The longest JSON text of a stream's meta, in bytes.
    pub max_meta_size: usize,
    /// The longest sum of the metas of the peer's live streams, in bytes of JSON text.
    pub max_meta_total: usize,
    /// The longest JSON text of an end value or of a JSON data frame, in bytes.
    pub max_end_value_size: usize,
    /// The deepest nesting of arrays and objects in JSON from the peer.
    pub max_json_depth: usize,
    /// The bytes that the application may hold for paused streams before the socket is no longer read.
    pub hold_limit: usize,
    /// The limits and choices of QMux.
    pub qmux: QmuxConfig,
}

/// Limits and choices of QMux. Bytes, unless said otherwise.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QmuxConfig {
    /// The bytes that the peer may send on a stream ahead of the application's consumption, at first and at most.
    pub stream_window: u64,
    pub max_stream_window: u64,
    /// The bytes that the peer may send on all streams together, at first and at most.
    pub connection_window: u64,
    pub max_connection_window: u64,
    /// The bytes that slow readers may hold before they count against the connection's window.
    pub max_held: u64,
    /// The number of the peer's streams that may live.
    pub max_incoming_streams: u64,
    /// The number of the peer's streams that may wait to be accepted.
    pub max_pending_streams: u64,
    /// The longest record that this end accepts.
    pub max_record_size: u64,
    /// The connection ends after this time without a record, or without a frame of the legacy wire. Zero: never.
    #[serde(with = "milliseconds")]
    pub idle_timeout: Duration,
    /// A ping is sent after this time without a record from the peer. Zero: never.
    #[serde(with = "milliseconds")]
    pub ping_interval: Duration,
    /// The connection ends if a ping was due for this time and nothing has come since. Zero: never.
    #[serde(with = "milliseconds")]
    pub ping_timeout: Duration,
    /// Budgets: each is a number at once, and as many each second.
    pub max_resets: u32,
    pub max_pings: u32,
    pub max_empty_frames: u32,
    pub max_useless_frames: u32,
}

/// A time as a whole number of milliseconds.
pub mod milliseconds {
    use serde::{Deserialize, Deserializer};
    use std::time::Duration;

    /// Reads the number of milliseconds.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

impl Default for QmuxConfig {
    fn default() -> Self {
        Self {
            stream_window: 256 << 10,
            max_stream_window: 16 << 20,
            connection_window: 1 << 20,
            max_connection_window: 64 << 20,
            max_held: 64 << 20,
            max_incoming_streams: 256,
            max_pending_streams: 256,
            // 64 KiB of payload and the header of its frame.
            max_record_size: (64 << 10) + 16,
            idle_timeout: Duration::ZERO,
            ping_interval: Duration::ZERO,
            ping_timeout: Duration::ZERO,
            max_resets: 1000,
            max_pings: 100,
            max_empty_frames: 100_000,
            max_useless_frames: 1000,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            protocol: Protocol::Auto,
            peer_new: false,
            handshake_timeout: Duration::ZERO,
            resets_left: None,
            // The original had no limit, and survives 300,000 characters. 4 MiB is an order of magnitude more, and
            // still bounds what 256 simultaneous openers can make us hold to one text at a time.
            max_meta_size: 4 << 20,
            // 64 KiB for each of 256 streams. A hostile text takes 22 times its length when it is parsed.
            max_meta_total: 16 << 20,
            max_end_value_size: 4 << 20,
            // JSON.parse itself is iterative, but code that walks the value afterwards often is not.
            max_json_depth: 512,
            hold_limit: 256 << 10,
            qmux: QmuxConfig::default(),
        }
    }
}
