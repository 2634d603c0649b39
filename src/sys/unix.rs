//! What Unix systems have alike, and Windows has in another way or not at all.
//!
//! May not read or write by itself.

use super::socket::Socket;
#[cfg(feature = "binding")]
use libloading::os::unix::Library;
use socket2::{Domain, SockAddr, SockRef, Type};
use std::fs::Permissions;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, Ready};
use tokio::net::UnixListener;

pub mod number {
    use rustix::io::Errno;

    pub const EBADF: i32 = Errno::BADF.raw_os_error();
    pub const EACCES: i32 = Errno::ACCESS.raw_os_error();
    pub const EIO: i32 = Errno::IO.raw_os_error();
    pub const EINVAL: i32 = Errno::INVAL.raw_os_error();
    pub const ENOTSOCK: i32 = Errno::NOTSOCK.raw_os_error();
    pub const EPROTOTYPE: i32 = Errno::PROTOTYPE.raw_os_error();
    pub const ENOTSUP: i32 = Errno::NOTSUP.raw_os_error();
    pub const ECONNRESET: i32 = Errno::CONNRESET.raw_os_error();
    pub const ETIMEDOUT: i32 = Errno::TIMEDOUT.raw_os_error();
}

/// libuv's numbers are the system's, negative.
pub fn to_libuv(number: i32) -> i32 {
    -number
}

/// Lets a socket take an address that a connection closed a moment ago still holds, as libuv does.
pub fn reuse_address(socket: SockRef<'_>) -> io::Result<()> {
    socket.set_reuse_address(true)
}

/// A second descriptor of a socket, which new programs do not inherit.
pub fn duplicate(descriptor: i32) -> io::Result<socket2::Socket> {
    if descriptor < 0 {
        return Err(io::Error::from_raw_os_error(number::EBADF));
    }
    // SAFETY: nothing is done with the descriptor but to duplicate it, at once. The system refuses one that is closed.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    Ok(borrowed.try_clone_to_owned()?.into())
}

/// Connects to a Unix domain socket, which happens at once or not at all.
pub fn connect_path(path: &str) -> io::Result<Socket> {
    // By socket2, which knows abstract names.
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    Socket::new(socket)
}

/// A listening Unix domain socket.
pub struct PathListener {
    listener: UnixListener,
    /// None for an abstract name.
    file: Option<PathBuf>,
}

impl PathListener {
    /// Listens. The bits of `more_mode` are added to the file's mode.
    pub fn new(path: &str, backlog: i32, more_mode: u32) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(path)?).map_err(as_libuv_says)?;
        socket.listen(backlog)?;
        socket.set_nonblocking(true)?;
        let file = (!path.starts_with('\0')).then(|| PathBuf::from(path));
        if let Some(file) = file.as_ref().filter(|_| more_mode != 0) {
            let mode = std::fs::metadata(file)?.permissions().mode();
            std::fs::set_permissions(file, Permissions::from_mode(mode | more_mode))?;
        }
        let listener = UnixListener::from_std(socket.into())?;
        Ok(Self { listener, file })
    }

    /// Takes a socket that listens, whose file is somebody else's.
    pub fn inherited(socket: socket2::Socket) -> io::Result<Self> {
        let listener = UnixListener::from_std(socket.into())?;
        let file = None;
        Ok(Self { listener, file })
    }

    /// The name that the socket is bound to, if it is bound. An abstract one begins with a null byte.
    pub fn name(&self) -> Option<String> {
        let address = SockRef::from(&self.listener).local_addr().ok()?;
        if let Some(path) = address.as_pathname() {
            return Some(path.to_string_lossy().into_owned());
        }
        let name = address.as_abstract_namespace()?;
        Some(format!("\0{}", String::from_utf8_lossy(name)))
    }

    /// Accepts a connection.
    pub async fn accept(&self) -> io::Result<io::Result<socket2::Socket>> {
        let (stream, _) = self.listener.accept().await?;
        Ok(stream.into_std().map(Into::into))
    }

    /// Removes the socket's file, and stops listening.
    pub fn stop(&self) -> io::Result<()> {
        if let Some(file) = &self.file {
            let _ = std::fs::remove_file(file);
        }
        SockRef::from(&self.listener).shutdown(Shutdown::Both)
    }
}

/// A path whose folder does not exist counts as one that may not be written, as for `net`.
fn as_libuv_says(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotFound => io::Error::from_raw_os_error(number::EACCES),
        _ => error,
    }
}

/// A socket's place in Tokio's reactor. Made and dropped at will, which Tokio's own socket types do not allow: while it
/// stands, the reactor's thread wakes for every byte that arrives, whoever reads it.
#[derive(Debug)]
pub struct Readiness(AsyncFd<Descriptor>);

#[derive(Debug)]
struct Descriptor(Arc<Socket>);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        (*self.0).as_ref().as_raw_fd()
    }
}

impl Readiness {
    /// Enters the reactor of the runtime that it is called in.
    pub fn new(socket: &Arc<Socket>) -> io::Result<Self> {
        // SAFETY: the reference keeps the socket, and with it the descriptor, which nobody replaces, until the
        // registration has ended.
        let registered = unsafe { AsyncFd::register(Descriptor(socket.clone())) };
        Ok(Self(registered.map_err(io::Error::from)?))
    }

    /// Waits for one of these.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        Ok(self.0.ready(interest).await?.ready())
    }

    /// Does `work` if the reactor has seen the socket ready for it, and remembers that it no longer is when `work`
    /// says so.
    pub fn try_io<R>(
        &self,
        interest: Interest,
        work: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        self.0.try_io(interest, |_| work())
    }
}

/// A symbol of the running program, by its name.
///
/// # Safety
///
/// `T` must be a function pointer of the symbol's signature.
#[cfg(feature = "binding")]
pub unsafe fn symbol<T: Copy>(name: &std::ffi::CStr) -> Option<T> {
    // SAFETY: as the caller promises. The program is never unloaded.
    let symbol = unsafe { Library::this().get::<T>(name) };
    symbol.ok().map(|symbol| *symbol)
}
