//! What a connection may be told before it starts. Defaults live in JavaScript (`lib/options.js`), where they are
//! validated and documented; the ones here serve Rust callers and tests. From there they come as JSON text, by the names
//! of the fields.
//!
//! May not validate: a wrong option is the caller's error, and JavaScript's to word.

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

/// What an end speaks.
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
    /// The caller vouches that the peer is not 0.1.0 (`peer: 'new'`): no pacing from the first byte.
    pub peer_new: bool,
    /// Ends the connection when the peer has taken so long to say what it speaks. Zero: never.
    #[serde(with = "milliseconds")]
    pub handshake_timeout: Duration,
    /// How many streams the peer may reset at once at first, if that is less than its budget: it has used the rest up on
    /// another connection.
    #[serde(skip)]
    pub resets_left: Option<u32>,
    /// Longest JSON text of a stream's meta, in bytes.
    pub max_meta_size: usize,
    /// Longest sum of the meta of those streams of the peer that live, in bytes of JSON text.
    pub max_meta_total: usize,
    /// Longest JSON text of an end value or of a JSON data frame, in bytes.
    pub max_end_value_size: usize,
    /// Deepest nesting of arrays and objects in JSON from the peer.
    pub max_json_depth: usize,
    /// Bytes the application may hold for paused streams before the socket is no longer read.
    pub hold_limit: usize,
    /// Of QMux.
    pub qmux: QmuxConfig,
}

/// Limits and choices of QMux. Bytes, unless said otherwise.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QmuxConfig {
    /// What a peer may send on a stream ahead of the application's consumption, at first and at most.
    pub stream_window: u64,
    pub max_stream_window: u64,
    /// What a peer may send on all streams together, at first and at most.
    pub connection_window: u64,
    pub max_connection_window: u64,
    /// What slow readers may hold before it counts against the connection's window.
    pub max_held: u64,
    /// Streams of the peer's that may live.
    pub max_incoming_streams: u64,
    /// Streams of the peer's that may wait to be accepted.
    pub max_pending_streams: u64,
    /// Longest record we accept.
    pub max_record_size: u64,
    /// Ends the connection after so long without a record, or a frame of the legacy wire. Zero: never.
    #[serde(with = "milliseconds")]
    pub idle_timeout: Duration,
    /// Sends a ping after so long without a record from the peer. Zero: never.
    #[serde(with = "milliseconds")]
    pub ping_interval: Duration,
    /// Ends the connection when a ping was due for so long and nothing has come since. Zero: never.
    #[serde(with = "milliseconds")]
    pub ping_timeout: Duration,
    /// Budgets: so many at once, and so many each second.
    pub max_resets: u32,
    pub max_pings: u32,
    pub max_empty_frames: u32,
    pub max_useless_frames: u32,
}

/// A time as a whole number of milliseconds.
pub mod milliseconds {
    use serde::{Deserialize, Deserializer};
    use std::time::Duration;

    /// Takes it from where it stands.
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
            // The original had no limit and survives 300,000 characters; 4 MiB leaves an order of magnitude and
            // still bounds what 256 simultaneous openers can make us hold to one text at a time.
            max_meta_size: 4 << 20,
            // 64 KiB for each of 256 streams. Parsed, a hostile text takes 22 times its length.
            max_meta_total: 16 << 20,
            max_end_value_size: 4 << 20,
            // JSON.parse itself is iterative; what walks the value afterwards often is not.
            max_json_depth: 512,
            hold_limit: 256 << 10,
            qmux: QmuxConfig::default(),
        }
    }
}
