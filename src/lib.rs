//! The engine of tcp-stream-muxer: many independent streams over one TCP connection.
//!
//! `binding` (Node) uses `driver` (sockets and tasks), and `driver` uses `proto` (sans-IO). No layer knows one that
//! uses it.

#[cfg(feature = "binding")]
pub mod binding;
#[cfg(feature = "driver")]
pub mod driver;
pub mod proto;
#[cfg(feature = "driver")]
mod sys;
