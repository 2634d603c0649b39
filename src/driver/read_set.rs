//! The sockets that JavaScript's thread reads, for it to wait for all of them on its own event loop.
//!
//! May not read.

use super::shared::Members;
use crate::sys::PollSet;
use socket2::Socket;
use std::ffi::c_int;
use std::io;

/// The set of one environment. Without one, tasks alone read.
#[derive(Debug)]
pub struct ReadSet {
    sockets: PollSet,
    /// Late by a moment, which does no harm: a connection that this thread is not to read is not read, and the set stays
    /// readable.
    members: Members,
}

impl ReadSet {
    /// An empty set, if the system has such.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            sockets: PollSet::new()?,
            members: Members::new(),
        })
    }

    /// Puts a connection's socket in.
    pub fn add(&self, socket: &Socket, connection: u32) -> io::Result<()> {
        self.sockets.add(socket, connection)?;
        self.members.add(connection);
        Ok(())
    }

    /// Takes a connection's socket out.
    pub fn remove(&self, socket: &Socket, connection: u32) {
        if self.sockets.remove(socket).is_ok() {
            self.members.remove(connection);
        }
    }

    /// Connections whose sockets are readable, or broken, once the set has been found readable.
    pub fn ready(&self) -> Vec<u32> {
        match self.members.only() {
            Some(only) => vec![only],
            None => self.sockets.ready(),
        }
    }

    /// A descriptor that is readable while one of the sockets is.
    pub fn descriptor(&self) -> c_int {
        self.sockets.descriptor()
    }
}
