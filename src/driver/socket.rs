//! The system's sockets as pumps use them, and their place in the runtime's reactor.
//!
//! May not block: every call returns at once.

use super::io::Io;
use super::options::ConnectionOptions;
use super::read_set::ReadSet;
use crate::sys::Readiness;
use serde_json::{Value, json};
use std::io::{self, IoSlice, Read};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;

pub use crate::sys::Socket;

/// The addresses of both ends, this one's first, of a family that has such.
pub type Ends = (Option<SocketAddr>, Option<SocketAddr>);

impl Socket {
    /// Sets the socket up as its options say.
    pub fn configure(&self, options: &ConnectionOptions) -> io::Result<()> {
        if options.no_delay {
            self.set_no_delay(true)?;
        }
        if options.keep_alive {
            self.set_keep_alive(true, options.keep_alive_delay)?;
        }
        Ok(())
    }

    /// Both ends' addresses, as JavaScript shows them.
    pub fn addresses(&self) -> Value {
        describe_ends(self.ends())
    }
}

impl Io for Socket {
    fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.take_ahead(buffer) {
            0 => self.as_ref().read(buffer),
            taken => Ok(taken),
        }
    }

    fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.as_ref().send_vectored(slices)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.as_ref().shutdown(Shutdown::Write)
    }

    fn reset_on_close(&self) -> io::Result<()> {
        self.as_ref().set_linger(Some(Duration::ZERO))
    }

    fn unsent(&self) -> usize {
        self.send_queue().unwrap_or(0)
    }

    fn watch(&self, set: &ReadSet, connection: u32) -> io::Result<()> {
        // The set would not find bytes that the system does not have.
        if self.has_ahead() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        set.add(self.as_ref(), connection)
    }

    fn unwatch(&self, set: &ReadSet, connection: u32) {
        set.remove(self.as_ref(), connection);
    }
}

/// A socket with its place in the reactor, which it has while its task waits for it. Reads and writes pass by what the
/// reactor has seen, so that they are not tried in vain.
#[derive(Debug)]
pub struct Registered {
    socket: Arc<Socket>,
    place: Option<Readiness>,
}

impl Registered {
    /// A socket that nobody has waited for yet.
    pub fn new(socket: Arc<Socket>) -> Self {
        let place = None;
        Self { socket, place }
    }

    fn pass<R>(&self, interest: Interest, work: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        match &self.place {
            Some(place) => place.try_io(interest, work),
            None => work(),
        }
    }

    /// Takes a place in the reactor of the runtime that this is called in.
    pub fn enter(&mut self) -> io::Result<()> {
        if self.place.is_none() {
            self.place = Some(Readiness::new(&self.socket)?);
        }
        Ok(())
    }

    /// Waits for the socket; for ever, if for nothing, and then without a place in the reactor, which would wake its
    /// thread for every byte. An error that was waited for is returned.
    pub async fn ready(&mut self, interest: Option<Interest>) -> io::Result<()> {
        let Some(interest) = interest else {
            self.place = None;
            return std::future::pending().await;
        };
        if interest.is_readable() && self.socket.has_ahead() {
            return Ok(());
        }
        self.enter()?;
        if let Some(place) = &self.place
            && place.ready(interest).await?.is_error()
            && interest.is_error()
        {
            return Err(self.socket.take_error());
        }
        Ok(())
    }
}

impl Io for Registered {
    fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.socket.take_ahead(buffer) {
            0 => self.pass(Interest::READABLE, || self.socket.recv(buffer)),
            taken => Ok(taken),
        }
    }

    fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.pass(Interest::WRITABLE, || self.socket.send(slices))
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.socket.shutdown_write()
    }

    fn reset_on_close(&self) -> io::Result<()> {
        self.socket.reset_on_close()
    }

    fn unsent(&self) -> usize {
        self.socket.unsent()
    }

    fn ask_anew(&mut self) {
        self.place = None;
    }

    fn watch(&self, set: &ReadSet, connection: u32) -> io::Result<()> {
        self.socket.watch(set, connection)
    }

    fn unwatch(&self, set: &ReadSet, connection: u32) {
        self.socket.unwatch(set, connection);
    }
}

/// Both ends' addresses, this one's first, as JavaScript shows them.
pub fn describe_ends((local, peer): Ends) -> Value {
    json!({ "local": local.map(describe), "remote": peer.map(describe) })
}

/// An address in the form of `net`'s.
pub fn describe(address: SocketAddr) -> Value {
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    json!({ "address": address.ip().to_string(), "family": family, "port": address.port() })
}
