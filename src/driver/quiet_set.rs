//! The sockets of quiet connections, for the application's thread to wait for all of them on its own event loop.
//!
//! May not read.

use super::transport::Transport;
use std::io;
#[cfg(target_os = "linux")]
use std::sync::atomic::{AtomicU64, Ordering};

/// Connections found ready in one turn; the others are found in the next. Far more than can be accepted meanwhile, so
/// that those who leave are seen before more come.
#[cfg(target_os = "linux")]
const MAX_READY: usize = 1024;

/// One member, and the part of a member's number, in the count of them.
#[cfg(target_os = "linux")]
const ONE: u64 = 1 << 32;
#[cfg(target_os = "linux")]
const NUMBER: u64 = ONE - 1;

/// The set of one environment. Itself a descriptor that is readable while one of its sockets is.
#[cfg(target_os = "linux")]
#[derive(Debug)]
pub struct QuietSet {
    epoll: rustix::fd::OwnedFd,
    /// How many are in, times 2^32, and the exclusive or of their numbers: of one alone it is known without a system call
    /// which it is. Late by a moment, which does no harm: a connection that is not quiet is not read, and the set
    /// stays readable.
    members: AtomicU64,
}

#[cfg(target_os = "linux")]
impl QuietSet {
    /// An empty set.
    pub fn new() -> io::Result<Self> {
        use rustix::event::epoll::{CreateFlags, create};
        Ok(Self {
            epoll: create(CreateFlags::CLOEXEC)?,
            members: AtomicU64::new(0),
        })
    }

    /// Puts a connection's socket in.
    pub fn add(&self, socket: &Transport, connection: u32) -> io::Result<()> {
        use rustix::event::epoll::{EventData, EventFlags, add};
        let data = EventData::new_u64(connection.into());
        add(&self.epoll, socket.as_ref(), data, EventFlags::IN)?;
        self.count(connection, |members| members.wrapping_add(ONE));
        Ok(())
    }

    /// Takes a connection's socket out.
    pub fn remove(&self, socket: &Transport, connection: u32) {
        if rustix::event::epoll::delete(&self.epoll, socket.as_ref()).is_ok() {
            self.count(connection, |members| members.wrapping_sub(ONE));
        }
    }

    fn count(&self, connection: u32, change: impl Fn(u64) -> u64) {
        let changed = |members| Some(change(members) ^ u64::from(connection));
        // It never says no.
        let _ = self
            .members
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, changed);
    }

    /// Connections whose sockets are readable, or broken, once the set has been found readable.
    pub fn ready(&self) -> Vec<u32> {
        use rustix::event::{Timespec, epoll};
        let members = self.members.load(Ordering::Acquire);
        if members & !NUMBER == ONE {
            return vec![(members & NUMBER) as u32];
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
impl std::os::fd::AsRawFd for QuietSet {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.epoll.as_raw_fd()
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

    /// Takes a connection's socket out.
    pub fn remove(&self, _socket: &Transport, _connection: u32) {
        match *self {}
    }

    /// Connections whose sockets are readable, or broken.
    pub fn ready(&self) -> Vec<u32> {
        match *self {}
    }
}
