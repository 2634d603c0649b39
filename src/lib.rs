//! The engine of tcp-stream-muxer: many independent streams over one TCP connection.
//!
//! `binding` (Node) → `driver` (sockets and tasks) → `proto` (sans-IO). Nothing looks the other way.

#[cfg(feature = "binding")]
pub mod binding;
#[cfg(feature = "driver")]
pub mod driver;
pub mod proto;
#[cfg(feature = "driver")]
mod sys;
