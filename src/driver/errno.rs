//! System errors as the numbers that Node knows: libuv's. Those are the system's, negative, but on Windows, where Winsock
//! has numbers of its own and libuv a table of names.
//!
//! May not word an error: JavaScript does.

use std::io;

#[cfg(target_os = "linux")]
mod number {
    pub const EIO: i32 = 5;
    pub const EINVAL: i32 = 22;
    pub const ENOTSUP: i32 = 95;
    pub const ECONNRESET: i32 = 104;
    pub const ETIMEDOUT: i32 = 110;
}

#[cfg(windows)]
mod number {
    /// ERROR_IO_DEVICE.
    pub const EIO: i32 = 1117;
    pub const EINVAL: i32 = 10022;
    pub const ENOTSUP: i32 = 10045;
    pub const ECONNRESET: i32 = 10054;
    pub const ETIMEDOUT: i32 = 10060;
}

#[cfg(not(any(target_os = "linux", windows)))]
mod number {
    // The BSDs' and macOS's.
    pub const EIO: i32 = 5;
    pub const EINVAL: i32 = 22;
    pub const ENOTSUP: i32 = 45;
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
        // What this system does not have, refused without asking it.
        io::ErrorKind::Unsupported => number::ENOTSUP,
        _ => number::EIO,
    });
    #[cfg(windows)]
    return of_windows(number);
    #[cfg(not(windows))]
    -number
}

/// What libuv makes of a number of Windows or Winsock (`uv_translate_sys_error`): the number that stands for the name in
/// `uv/errno.h`. What has no name there is UNKNOWN.
#[cfg(any(windows, test))]
fn of_windows(number: i32) -> i32 {
    match number {
        // ERROR_ACCESS_DENIED.
        5 => -4048,                  // EPERM
        10013 => -4092,              // EACCES
        10048 => -4091,              // EADDRINUSE
        10049 => -4090,              // EADDRNOTAVAIL
        10047 => -4089,              // EAFNOSUPPORT
        10035 => -4088,              // EAGAIN
        10037 => -4084,              // EALREADY
        6 | 10009 => -4083,          // EBADF
        995 | 10004 => -4081,        // ECANCELED
        1236 | 10053 => -4079,       // ECONNABORTED
        1225 | 10061 => -4078,       // ECONNREFUSED
        64 | 10052 | 10054 => -4077, // ECONNRESET
        10039 => -4076,              // EDESTADDRREQ
        10014 => -4074,              // EFAULT
        1232 | 10065 => -4073,       // EHOSTUNREACH
        10022 => -4071,              // EINVAL
        1117 => -4070,               // EIO
        10056 => -4069,              // EISCONN
        4 | 10024 => -4066,          // EMFILE
        10040 => -4065,              // EMSGSIZE
        206 | 10063 => -4064,        // ENAMETOOLONG
        10050 => -4063,              // ENETDOWN
        1231 | 10051 => -4062,       // ENETUNREACH
        10055 => -4060,              // ENOBUFS
        2 | 3 => -4058,              // ENOENT
        8 | 14 => -4057,             // ENOMEM
        10057 => -4053,              // ENOTCONN
        10038 => -4050,              // ENOTSOCK
        50 | 10045 => -4049,         // ENOTSUP
        // A pipe's, and what is written behind our own end.
        230 | 232 | 233 | 10058 => -4047, // EPIPE
        10043 => -4045,                   // EPROTONOSUPPORT
        10041 => -4044,                   // EPROTOTYPE
        121 | 10060 => -4039,             // ETIMEDOUT
        10042 => -4035,                   // ENOPROTOOPT
        10064 => -4031,                   // EHOSTDOWN
        10044 => -4025,                   // ESOCKTNOSUPPORT
        _ => -4094,                       // UNKNOWN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_winsock_have_the_names_that_node_knows() {
        for (winsock, libuv) in [
            (10054, -4077),
            (10053, -4079),
            (10061, -4078),
            (10060, -4039),
            (10048, -4091),
            (10013, -4092),
            (10049, -4090),
            (10065, -4073),
            (10051, -4062),
            (10058, -4047),
            (10024, -4066),
            (12345, -4094),
        ] {
            assert_eq!(of_windows(winsock), libuv, "{winsock}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn numbers_of_the_system_are_negative_and_what_has_none_is_of_input_and_output() {
        assert_eq!(errno(&connection_reset()), -number::ECONNRESET);
        assert_eq!(errno(&timed_out()), -number::ETIMEDOUT);
        assert_eq!(errno(&io::ErrorKind::InvalidInput.into()), -number::EINVAL);
        assert_eq!(errno(&io::ErrorKind::Unsupported.into()), -number::ENOTSUP);
        assert_eq!(errno(&io::ErrorKind::NotConnected.into()), -number::EIO);
    }
}
