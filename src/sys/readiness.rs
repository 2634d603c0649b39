//! A socket's place in Tokio's reactor. Made and dropped at will, which Tokio's own socket types do not allow: while it
//! stands, the reactor's thread wakes for every byte that arrives, whoever reads it.
//!
//! May not read or write by itself.

use socket2::Socket;
use std::io;
use std::sync::Arc;
use tokio::io::{Interest, Ready};

#[cfg(unix)]
use tokio::io::unix::AsyncFd;

/// Readiness of a socket that is shared.
#[cfg(unix)]
#[derive(Debug)]
pub struct Readiness<T: AsRef<Socket>>(AsyncFd<Descriptor<T>>);

#[cfg(unix)]
#[derive(Debug)]
struct Descriptor<T>(Arc<T>);

#[cfg(unix)]
impl<T: AsRef<Socket>> std::os::fd::AsRawFd for Descriptor<T> {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        (*self.0).as_ref().as_raw_fd()
    }
}

#[cfg(unix)]
impl<T: AsRef<Socket>> Readiness<T> {
    /// Enters the reactor of the runtime that it is called in.
    pub fn new(socket: &Arc<T>) -> io::Result<Self> {
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

/// Readiness of a socket that is shared. This system's reactor wants a socket of Tokio's: a second one on the same
/// connection.
#[cfg(not(unix))]
#[derive(Debug)]
pub struct Readiness<T: AsRef<Socket>>(tokio::net::TcpStream, std::marker::PhantomData<T>);

#[cfg(not(unix))]
impl<T: AsRef<Socket>> Readiness<T> {
    /// Enters the reactor of the runtime that it is called in.
    pub fn new(socket: &Arc<T>) -> io::Result<Self> {
        let again = (**socket).as_ref().try_clone()?;
        Ok(Self(
            tokio::net::TcpStream::from_std(again.into())?,
            std::marker::PhantomData,
        ))
    }

    /// Waits for one of these.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        self.0.ready(interest).await
    }

    /// Does `work` if the reactor has seen the socket ready for it, and remembers that it no longer is when `work`
    /// says so.
    pub fn try_io<R>(
        &self,
        interest: Interest,
        work: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        self.0.try_io(interest, work)
    }
}
