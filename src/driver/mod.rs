//! Sockets, tasks and queues around the protocol. The driver knows how bytes travel, and nothing of what they mean.
//!
//! ```text
//!   engine ── listener, connect: make connections, of an environment
//!      └── connection: a link, behind a lock, and what is published of it (shared)
//!             │   link: decides; no I/O, no clock, no atomics
//!             │     └── session (proto)
//!             ├── pump: does what the link decides, on the task's thread and on JavaScript's, with an io (socket)
//!             └── inbox: events on their way to JavaScript
//! ```
//!
//! A file names only those below itself and beside it. `lock` has the order of all locks.
#![forbid(unsafe_code)]

mod admission;
pub mod boundary;
pub mod carried;
mod clock;
pub mod command;
mod connect;
mod connection;
pub mod engine;
mod environment;
mod handed;
pub mod inbox;
mod io;
mod last_events;
mod link;
mod listener;
pub mod lock;
mod options;
/// What the fuzz target of the header needs.
pub mod proxy_header {
    pub use super::proxy::header::{Malformed, Next, next};
}
/// What the fuzz target of encryption needs.
#[cfg(feature = "tls")]
pub mod tls_channel {
    pub use super::link::{channel::Opened, tls::Tls};
}
mod proxy;
mod pump;
mod quota;
mod read_set;
mod runtime;
mod secured;
mod shared;
mod socket;
mod sync;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod thread;
#[cfg(feature = "tls")]
pub mod tls;

pub use crate::sys::errno;
pub use admission::{AdmissionOptions, Refusal, Verdict};
pub use carried::Carried;
pub use connection::{Connection, Totals};
pub use engine::Engine;
pub use inbox::collector::Collector;
pub use inbox::delivery::Delivery;
pub use inbox::queue::Inbox;
pub use link::channel::TlsError;
pub use link::life::Stop;
pub use listener::ServerAddress;
pub use options::{ConnectOptions, ConnectionOptions, HandedOptions, ListenOptions};
pub use read_set::ReadSet;
#[cfg(feature = "tls")]
pub use secured::ServerContext;
