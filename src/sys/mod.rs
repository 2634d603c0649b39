//! What no crate wraps safely: how much a socket's send queue holds, a timer finer than a millisecond, and a place in
//! the reactor that can be left and taken again.
//!
//! Apart from `binding`, the only place with `unsafe` code: `proto` and `driver` forbid it.
//!
//! May not keep state.

pub mod readiness;
pub mod timer;

use std::io;

/// Bytes that a socket's send queue holds: not sent, or sent and not acknowledged.
#[cfg(target_os = "linux")]
pub fn send_queue(socket: impl rustix::fd::AsFd) -> io::Result<usize> {
    use rustix::ioctl::{Getter, ioctl};
    /// SIOCOUTQ, which has the number of TIOCOUTQ (linux/sockios.h).
    const SIOCOUTQ: rustix::ioctl::Opcode = 0x5411;
    // SAFETY: the kernel writes one int for this opcode, whatever the kind of socket, or fails.
    let queued = unsafe { ioctl(socket, Getter::<SIOCOUTQ, i32>::new()) }?;
    Ok(usize::try_from(queued).unwrap_or(0))
}

/// Bytes that a socket's send queue holds: not known on this system, so time alone paces.
#[cfg(not(target_os = "linux"))]
pub fn send_queue<T>(_socket: T) -> io::Result<usize> {
    Ok(0)
}
