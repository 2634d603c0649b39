//! Numbers of Windows and Winsock, and the names that Node knows them by. Compiled for the tests of every system.
//!
//! May not make or read an error.

/// ERROR_IO_DEVICE.
pub const EIO: i32 = 1117;
pub const EINVAL: i32 = 10022;
pub const EBADF: i32 = 10009;
pub const ENOTSOCK: i32 = 10038;
pub const EPROTOTYPE: i32 = 10041;
pub const ENOTSUP: i32 = 10045;
pub const ECONNRESET: i32 = 10054;
pub const ETIMEDOUT: i32 = 10060;

/// What libuv makes of a number of Windows or Winsock (`uv_translate_sys_error`): the number that stands for the name in
/// `uv/errno.h`. What has no name there is UNKNOWN.
pub fn to_libuv(number: i32) -> i32 {
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
            assert_eq!(to_libuv(winsock), libuv, "{winsock}");
        }
    }

    #[test]
    fn the_numbers_that_are_made_here_have_names() {
        let made = [EIO, EINVAL, ENOTSUP, ECONNRESET, ETIMEDOUT];
        assert_eq!(made.map(to_libuv), [-4070, -4071, -4049, -4077, -4039]);
        let made = [EBADF, ENOTSOCK, EPROTOTYPE];
        assert_eq!(made.map(to_libuv), [-4083, -4050, -4044]);
    }
}
