//! What systems other than Linux have in another way, or not at all. `linux.rs` says what each item is for.
//!
//! May not ask the system.

use std::convert::Infallible;
use std::ffi::c_int;
use std::io;
use std::time::Instant;

/// The length is not known.
pub fn send_queue(_socket: &socket2::Socket) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Where the last to listen would get all connections, or nobody knows who, it is not offered.
pub fn share_port(_socket: &socket2::Socket) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// An interface has no name here, only a number.
pub fn interface(_name: &str) -> Option<u32> {
    None
}

pub async fn sleep_until(deadline: Instant) {
    tokio::time::sleep_until(deadline.into()).await;
}

/// There is none.
#[derive(Debug)]
pub struct PollSet(Infallible);

impl PollSet {
    pub fn new() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn add(&self, _socket: &socket2::Socket, _number: u32) -> io::Result<()> {
        match self.0 {}
    }

    pub fn remove(&self, _socket: &socket2::Socket) -> io::Result<()> {
        match self.0 {}
    }

    pub fn ready(&self) -> Vec<u32> {
        match self.0 {}
    }

    pub fn descriptor(&self) -> c_int {
        match self.0 {}
    }
}
