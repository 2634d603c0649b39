//! Sockets, tasks and queues around the protocol. Knows how bytes travel and nothing of what they mean.
//!
//! Each connection's session stands behind one mutex together with the socket's turns. The connection's task reads
//! and writes outside of it and holds it to parse and to encode; a thread of the application only ever tries it, and
//! leaves its commands behind when it is taken, so it never waits.
#![forbid(unsafe_code)]

mod backlog;
pub mod boundary;
mod collector;
pub mod command;
mod connect;
mod connection;
pub mod delivery;
mod drained;
mod ending;
pub mod engine;
mod errno;
pub mod events;
mod inner;
mod joining;
mod lanes;
pub mod lending;
mod listener;
mod options;
mod quiet;
mod quiet_set;
mod quota;
mod runtime;
mod sending;
mod task;
#[cfg(test)]
mod testing;
mod thread;
mod transport;
mod waiting;

pub use connection::{Connection, Stop, Totals};
pub use engine::Engine;
pub use errno::errno;
pub use events::{Batch, EventQueue, Record};
pub use listener::ServerAddress;
pub use options::{ConnectOptions, ConnectionOptions, ListenOptions};
pub use quiet_set::QuietSet;
