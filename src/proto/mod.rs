//! The protocol, sans-IO: bytes, commands and `now` in; bytes, events and the next deadline out.
//!
//! Nothing here may touch a clock, a lock, a socket, a log or a source of randomness, so that a test, a
//! fuzzer or a simulation drives it exactly as the driver does. `session` orchestrates and knows the bytes of no
//! wire; `legacy` and `qmux` know one each; `negotiate` knows how two ends find out what they speak.
#![forbid(unsafe_code)]

pub mod config;
mod context;
pub mod error;
pub mod event;
mod json;
mod legacy;
mod marks;
pub mod negotiate;
pub mod outbox;
mod pace;
mod qmux;
pub mod session;
mod varint;

#[cfg(test)]
pub(crate) mod tests;

pub use config::{Config, Protocol, QmuxConfig, Side};
pub use error::{ProtocolError, Violation};
pub use event::{Event, Handle, MAX_MESSAGE, Partial, Payload, PeerKind, Sink, Wires};
pub use outbox::Transmit;
pub use session::Session;
