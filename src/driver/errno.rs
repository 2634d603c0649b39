//! System errors as the numbers that Node knows: libuv's, which are the system's, negative.
//!
//! May not word an error: JavaScript does.

use std::io;

#[cfg(target_os = "linux")]
mod number {
    pub const EIO: i32 = 5;
    pub const EINVAL: i32 = 22;
    pub const ECONNRESET: i32 = 104;
    pub const ETIMEDOUT: i32 = 110;
}

#[cfg(not(target_os = "linux"))]
mod number {
    // The BSDs' and macOS's.
    pub const EIO: i32 = 5;
    pub const EINVAL: i32 = 22;
    pub const ECONNRESET: i32 = 54;
    pub const ETIMEDOUT: i32 = 60;
}

/// The peer reset the connection, and the socket no longer says so itself.
pub fn connection_reset() -> io::Error {
    io::Error::from_raw_os_error(number::ECONNRESET)
}

/// An attempt took longer than it was given.
pub fn timed_out() -> io::Error {
    io::Error::from_raw_os_error(number::ETIMEDOUT)
}

/// The negative number of an error. One without a number did not come from the system: EIO says least.
pub fn errno(error: &io::Error) -> i32 {
    let number = error.raw_os_error().unwrap_or(match error.kind() {
        // A path that is too long, refused before the system saw it.
        io::ErrorKind::InvalidInput => number::EINVAL,
        _ => number::EIO,
    });
    -number
}
