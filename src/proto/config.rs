//! What a connection may be told before it starts. Defaults live in JavaScript (`lib/options.js`), where they are
//! validated and documented; the ones here serve Rust callers and tests.
//!
//! May not validate: a wrong option is the caller's error, and JavaScript's to word.

/// Which end of the connection this is: the offer, and later the stream numbers, depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The end that called `connect`.
    Connecting,
    /// The end that accepted.
    Listening,
}

/// Limits and choices of one connection.
#[derive(Clone, Debug)]
pub struct Config {
    /// Takes part in the negotiation (`protocol: 'auto'`); otherwise offers are neither sent nor understood.
    pub offer: bool,
    /// The caller vouches that the peer is not 0.1.0 (`peer: 'new'`): no pacing from the first byte.
    pub peer_new: bool,
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
}

impl Default for Config {
    fn default() -> Self {
        Self {
            offer: true,
            peer_new: false,
            // The original had no limit and survives 300,000 characters; 4 MiB leaves an order of magnitude and
            // still bounds what 256 simultaneous openers can make us hold to one text at a time.
            max_meta_size: 4 << 20,
            // 64 KiB for each of 256 streams. Parsed, a hostile text takes 30 times its length.
            max_meta_total: 16 << 20,
            max_end_value_size: 4 << 20,
            // JSON.parse itself is iterative; what walks the value afterwards often is not.
            max_json_depth: 512,
            hold_limit: 256 << 10,
        }
    }
}
