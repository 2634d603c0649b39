//! TLS as a connection is configured for it: keys and certificates, whom to trust, and what a failure is called.
//!
//! ```text
//!   options ──▶ config ──▶ rustls' configurations ──▶ link/tls.rs, which speaks
//!                 └─ verifier ──▶ certificate, codes
//!                         └─ notes ◀── what rustls tells in the middle of a call
//! ```
//!
//! May not touch a socket, and may not encrypt anything.

mod base64;
mod certificate;
pub mod codes;
pub mod config;
pub mod notes;
pub mod options;
mod verifier;

#[cfg(test)]
pub mod testing;

pub use base64::base64;

/// The identifier that this package's protocol has in TLS. As the QMux draft wants it of a protocol over TLS, it stands
/// for the application and for the version of what is spoken: QMux records from the first byte on.
pub const ALPN: &[u8] = b"tcp-stream-muxer/1";
