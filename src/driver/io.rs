//! The transport as a pump needs it, whatever it is.
//!
//! May not block: every call returns at once.

use super::read_set::ReadSet;
use std::fmt::Debug;
use std::io::{self, IoSlice};

/// A connected socket, or its substitute. Both pumps may call it at any time, each from its own thread.
pub trait Io: Debug + Send + Sync {
    /// Reads what is there. Zero bytes mean the peer's FIN.
    fn recv(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes as much as fits.
    fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Sends the FIN.
    fn shutdown_write(&self) -> io::Result<()>;

    /// Makes the close that follows a reset.
    fn reset_on_close(&self) -> io::Result<()>;

    /// The number of bytes that were sent and that the peer's side has not acknowledged. If the number is not known,
    /// zero is returned, and pacing goes by time alone.
    fn unsent(&self) -> usize;

    /// Whether JavaScript's thread comes for what waits to be sent, so that the task need not be woken to send it.
    fn is_sent_by_app(&self) -> bool {
        false
    }

    /// Forgets what is known of the socket's readiness. The process may have been stopped meanwhile, so that only its
    /// clock went on.
    fn ask_anew(&mut self) {}

    /// Puts the socket into the set in which the JavaScript thread finds readable ones.
    fn watch(&self, set: &ReadSet, connection: u32) -> io::Result<()>;

    /// Takes the socket out of the set again.
    fn unwatch(&self, set: &ReadSet, connection: u32);
}

/// Whether an error only means that the call should be repeated later.
pub fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
