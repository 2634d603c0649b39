//! The pumps: what two threads do with a link and its socket, as the link decides.
//!
//! - `task`: the connection's task, on the runtime's thread. Waits, reads, and sends what the other does not.
//! - `app`: JavaScript's thread, when it has commands, when its set of sockets is readable, and at the process's exit.
//! - `send`: what both do to send.
//! - `linger`: what becomes of the socket of a connection that is over.

pub mod app;
pub mod linger;
pub mod send;
pub mod task;
mod wait;
