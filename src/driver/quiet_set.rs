//! The sockets of quiet connections, for the application's thread to wait for all of them on its own event loop.
//!
//! May not read.

use super::transport::Transport;
use std::io;

/// Connections found ready in one turn; the others are found in the next.
#[cfg(target_os = "linux")]
const MAX_READY: usize = 64;

/// The set of one environment. Itself a descriptor that is readable while one of its sockets is.
#[cfg(target_os = "linux")]
#[derive(Debug)]
pub struct QuietSet(rustix::fd::OwnedFd);

#[cfg(target_os = "linux")]
impl QuietSet {
    /// An empty set.
    pub fn new() -> io::Result<Self> {
        Ok(Self(rustix::event::epoll::create(
            rustix::event::epoll::CreateFlags::CLOEXEC,
        )?))
    }

    /// Puts a connection's socket in.
    pub fn add(&self, socket: &Transport, connection: u32) -> io::Result<()> {
        use rustix::event::epoll::{EventData, EventFlags, add};
        let data = EventData::new_u64(connection.into());
        Ok(add(&self.0, socket.as_ref(), data, EventFlags::IN)?)
    }

    /// Takes a socket out.
    pub fn remove(&self, socket: &Transport) {
        // It fails only for one that is not in.
        let _ = rustix::event::epoll::delete(&self.0, socket.as_ref());
    }

    /// Connections whose sockets are readable, or broken.
    pub fn ready(&self) -> impl Iterator<Item = u32> {
        use rustix::event::{Timespec, epoll};
        let mut events = Vec::with_capacity(MAX_READY);
        let at_once = Timespec::default();
        let buffer = rustix::buffer::spare_capacity(&mut events);
        // It fails for a signal only: the set stays readable, so the next turn finds the same.
        let _ = epoll::wait(&self.0, buffer, Some(&at_once));
        events
            .into_iter()
            .map(|event: epoll::Event| event.data.u64() as u32)
    }
}

#[cfg(target_os = "linux")]
impl std::os::fd::AsRawFd for QuietSet {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_raw_fd()
    }
}

/// The set of one environment. This system has none: tasks alone read.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub enum QuietSet {}

#[cfg(not(target_os = "linux"))]
impl QuietSet {
    /// There is none.
    pub fn new() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Puts a connection's socket in.
    pub fn add(&self, _socket: &Transport, _connection: u32) -> io::Result<()> {
        match *self {}
    }

    /// Takes a socket out.
    pub fn remove(&self, _socket: &Transport) {
        match *self {}
    }

    /// Connections whose sockets are readable, or broken.
    pub fn ready(&self) -> impl Iterator<Item = u32> {
        match *self {}
        #[allow(unreachable_code)]
        std::iter::empty()
    }
}
