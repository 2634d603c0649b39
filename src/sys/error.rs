//! System errors as the numbers that Node knows: libuv's.
//!
//! May not word an error: JavaScript does.

use super::family::{number, to_libuv};
use std::io;

/// The peer reset the connection, and the socket no longer says so itself.
pub fn connection_reset() -> io::Error {
    io::Error::from_raw_os_error(number::ECONNRESET)
}

/// An attempt took longer than it was given.
pub fn timed_out() -> io::Error {
    io::Error::from_raw_os_error(number::ETIMEDOUT)
}

/// An argument is not one that the call takes.
pub fn invalid() -> io::Error {
    io::Error::from_raw_os_error(number::EINVAL)
}

/// A descriptor is that of another kind of socket.
pub fn wrong_type() -> io::Error {
    io::Error::from_raw_os_error(number::EPROTOTYPE)
}

/// The negative number of an error. One without a number did not come from the system: EIO says least.
pub fn errno(error: &io::Error) -> i32 {
    to_libuv(error.raw_os_error().unwrap_or(match error.kind() {
        // A path that is too long, refused before the system saw it.
        io::ErrorKind::InvalidInput => number::EINVAL,
        // What this system does not have, refused without asking it.
        io::ErrorKind::Unsupported => number::ENOTSUP,
        _ => number::EIO,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_systems_and_an_error_without_one_is_of_input_and_output() {
        assert_eq!(errno(&connection_reset()), to_libuv(number::ECONNRESET));
        assert_eq!(errno(&timed_out()), to_libuv(number::ETIMEDOUT));
        for (kind, number) in [
            (io::ErrorKind::InvalidInput, number::EINVAL),
            (io::ErrorKind::Unsupported, number::ENOTSUP),
            (io::ErrorKind::NotConnected, number::EIO),
        ] {
            assert_eq!(errno(&kind.into()), to_libuv(number), "{kind}");
        }
    }
}
