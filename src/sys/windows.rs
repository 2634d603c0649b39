//! What Windows has in another way than Unix systems, or not at all. `unix.rs` says what each item is for.
//!
//! May not read or write by itself.

pub use super::winsock::to_libuv;

pub(super) use super::winsock as number;

use super::socket::Socket;
use socket2::SockRef;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use tokio::io::{Interest, Ready};
use tokio::net::TcpStream;

/// An address is free here as soon as nobody listens on it, and the option would take it from who does.
pub fn reuse_address(_socket: SockRef<'_>) -> io::Result<()> {
    Ok(())
}

/// A socket has no descriptor here.
pub fn duplicate(_descriptor: i32) -> io::Result<socket2::Socket> {
    Err(io::ErrorKind::Unsupported.into())
}

pub fn connect_path(_path: &str) -> io::Result<Socket> {
    Err(io::ErrorKind::Unsupported.into())
}

/// There is none.
pub struct PathListener(Infallible);

impl PathListener {
    pub fn new(_path: &str, _backlog: i32, _more_mode: u32) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn inherited(_socket: socket2::Socket) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn name(&self) -> Option<String> {
        match self.0 {}
    }

    pub async fn accept(&self) -> io::Result<io::Result<socket2::Socket>> {
        match self.0 {}
    }

    pub fn stop(&self) -> io::Result<()> {
        match self.0 {}
    }
}

/// This system's reactor wants a socket of Tokio's: a second one on the same connection.
#[derive(Debug)]
pub struct Readiness(TcpStream);

impl Readiness {
    pub fn new(socket: &Arc<Socket>) -> io::Result<Self> {
        let again = (**socket).as_ref().try_clone()?;
        Ok(Self(TcpStream::from_std(again.into())?))
    }

    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        self.0.ready(interest).await
    }

    pub fn try_io<R>(
        &self,
        interest: Interest,
        work: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        self.0.try_io(interest, work)
    }
}

/// Nothing is looked up: without libuv's functions, Node's own take their place.
///
/// # Safety
///
/// Nothing is asked of the caller.
#[cfg(feature = "binding")]
pub unsafe fn symbol<T: Copy>(_name: &std::ffi::CStr) -> Option<T> {
    None
}
