//! The pumps, with which two threads do what the link decides with its socket.
//!
//! - `task`: the connection's task, on the runtime's thread. Waits, reads, and sends what the other pump does not.
//! - `app`: JavaScript's thread, when it has commands, when its read set is readable, and at the process's exit.
//! - `carry`: JavaScript's thread, when a carrier has delivered bytes or has room for some.
//! - `send`: sending, as both pumps do it.
//! - `end`: the last words of a connection, and its last events.
//! - `linger`: the socket of a connection that is over.

pub mod app;
mod carry;
pub mod end;
pub mod linger;
pub mod send;
pub mod task;
pub mod wait;
