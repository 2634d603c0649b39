//! The sockets that JavaScript's thread reads, for it to wait for all of them on its own event loop.
//!
//! May not read.

use super::shared::Members;
use std::io;

/// Connections found ready in one turn; the others are found in the next. Far more than can be accepted meanwhile, so
/// that those who leave are seen before more come.
#[cfg(target_os = "linux")]
const MAX_READY: usize = 1024;

/// The set of one environment. Itself a descriptor that is readable while one of its sockets is.
#[cfg(target_os = "linux")]
#[derive(Debug)]
pub struct ReadSet {
    epoll: rustix::fd::OwnedFd,
    /// Late by a moment, which does no harm: a connection that this thread is not to read is not read, and the set stays
    /// readable.
    members: Members,
}

#[cfg(target_os = "linux")]
impl ReadSet {
    /// An empty set.
    pub fn new() -> io::Result<Self> {
        use rustix::event::epoll::{CreateFlags, create};
        Ok(Self {
            epoll: create(CreateFlags::CLOEXEC)?,
            members: Members::new(),
        })
    }

    /// Puts a connection's socket in.
    pub fn add(&self, socket: &socket2::Socket, connection: u32) -> io::Result<()> {
        use rustix::event::epoll::{EventData, EventFlags, add};
        let data = EventData::new_u64(connection.into());
        add(&self.epoll, socket, data, EventFlags::IN)?;
        self.members.add(connection);
        Ok(())
    }

    /// Takes a connection's socket out.
    pub fn remove(&self, socket: &socket2::Socket, connection: u32) {
        if rustix::event::epoll::delete(&self.epoll, socket).is_ok() {
            self.members.remove(connection);
        }
    }

    /// Connections whose sockets are readable, or broken, once the set has been found readable.
    pub fn ready(&self) -> Vec<u32> {
        use rustix::event::{Timespec, epoll};
        if let Some(only) = self.members.only() {
            return vec![only];
        }
        let mut events: Vec<epoll::Event> = Vec::with_capacity(MAX_READY);
        let at_once = Timespec::default();
        let buffer = rustix::buffer::spare_capacity(&mut events);
        // It fails for a signal only: the set stays readable, so the next turn finds the same.
        let _ = epoll::wait(&self.epoll, buffer, Some(&at_once));
        let number = |event: &epoll::Event| event.data.u64() as u32;
        events.iter().map(number).collect()
    }
}

#[cfg(target_os = "linux")]
impl std::os::fd::AsRawFd for ReadSet {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.epoll.as_raw_fd()
    }
}

/// The set of one environment. This system has none: tasks alone read.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub enum ReadSet {}

#[cfg(not(target_os = "linux"))]
impl ReadSet {
    /// There is none.
    pub fn new() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Puts a connection's socket in.
    pub fn add(&self, _socket: &socket2::Socket, _connection: u32) -> io::Result<()> {
        match *self {}
    }

    /// Takes a connection's socket out.
    pub fn remove(&self, _socket: &socket2::Socket, _connection: u32) {
        match *self {}
    }

    /// Connections whose sockets are readable, or broken.
    pub fn ready(&self) -> Vec<u32> {
        match *self {}
    }
}
