//! What a pump needs of a socket, whatever stands behind it.
//!
//! May not block: every call returns at once.

use super::read_set::ReadSet;
use std::fmt::Debug;
use std::io::{self, IoSlice};

/// A connected socket, or what takes its place. Both pumps may call it at any time, each from its own thread.
pub trait Io: Debug + Send + Sync {
    /// Reads what is there. Zero bytes are the peer's FIN.
    fn recv(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes what fits.
    fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Finishes sending.
    fn shutdown_write(&self) -> io::Result<()>;

    /// Lets the close that follows be a reset.
    fn reset_on_close(&self) -> io::Result<()>;

    /// Bytes that were sent and that the peer's side has not acknowledged. A length that is not known counts as zero: then
    /// time alone paces.
    fn unsent(&self) -> usize;

    /// Forgets what is known of the socket's readiness: this process may have been stopped meanwhile, and only its clock
    /// have gone on.
    fn ask_anew(&mut self) {}

    /// Lets the JavaScript thread find the socket readable in its set.
    fn watch(&self, set: &ReadSet, connection: u32) -> io::Result<()>;

    /// Takes the socket out of the set again.
    fn unwatch(&self, set: &ReadSet, connection: u32);
}

/// Whether an error only says: not now.
pub fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
