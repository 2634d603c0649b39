//! A connected socket of the system's, of whatever family, and its place in the runtime's reactor. The only file that
//! knows one family of sockets from another.
//!
//! May not block: every call returns at once.

use super::errno::connection_reset;
use super::io::Io;
use super::options::ConnectionOptions;
use super::read_set::ReadSet;
use crate::sys::readiness::Readiness;
use serde_json::{Value, json};
use socket2::{Domain, TcpKeepalive};
use std::io::{self, IoSlice, Read};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;

/// A connected socket. Shared between the connection's task and the application's thread; the descriptor closes
/// with the last reference, so neither can write to a stranger's.
#[derive(Debug)]
pub struct Socket {
    socket: socket2::Socket,
    is_tcp: bool,
}

impl AsRef<socket2::Socket> for Socket {
    fn as_ref(&self) -> &socket2::Socket {
        &self.socket
    }
}

impl Socket {
    /// A socket that is connected and does not block.
    pub fn new(socket: socket2::Socket) -> io::Result<Self> {
        let family = socket.local_addr()?.domain();
        Ok(Self {
            socket,
            is_tcp: family == Domain::IPV4 || family == Domain::IPV6,
        })
    }

    /// Turns Nagle's algorithm off or on; other families have none.
    pub fn set_no_delay(&self, no_delay: bool) -> io::Result<()> {
        match self.is_tcp {
            true => self.socket.set_tcp_nodelay(no_delay),
            false => Ok(()),
        }
    }

    /// Turns TCP keep-alive on, with a delay before the first probe (zero: the system's), or off.
    pub fn set_keep_alive(&self, enable: bool, delay: Duration) -> io::Result<()> {
        if !self.is_tcp {
            return Ok(());
        }
        if enable && !delay.is_zero() {
            self.socket
                .set_tcp_keepalive(&TcpKeepalive::new().with_time(delay))
        } else {
            self.socket.set_keepalive(enable)
        }
    }

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

    /// Whether the other end is on this machine.
    pub fn is_local(&self) -> bool {
        match self.ends() {
            (Some(local), Some(peer)) => {
                peer.ip().to_canonical().is_loopback() || local.ip() == peer.ip()
            }
            _ => !self.is_tcp,
        }
    }

    /// Both ends' addresses, as JavaScript shows them.
    pub fn addresses(&self) -> Value {
        let (local, peer) = self.ends();
        json!({ "local": local.map(describe), "remote": peer.map(describe) })
    }

    /// The peer's address, of a family that has such.
    pub fn peer_address(&self) -> Option<IpAddr> {
        Some(self.ends().1?.ip())
    }

    /// The addresses of both ends, of a family that has such.
    fn ends(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        let address = |address: io::Result<socket2::SockAddr>| address.ok()?.as_socket();
        (
            address(self.socket.local_addr()),
            address(self.socket.peer_addr()),
        )
    }
}

impl Io for Socket {
    fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.socket).read(buffer)
    }

    fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.send_vectored(slices)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    fn reset_on_close(&self) -> io::Result<()> {
        self.socket.set_linger(Some(Duration::ZERO))
    }

    fn unsent(&self) -> usize {
        crate::sys::send_queue(&self.socket).unwrap_or(0)
    }

    fn watch(&self, set: &ReadSet, connection: u32) -> io::Result<()> {
        set.add(&self.socket, connection)
    }

    fn unwatch(&self, set: &ReadSet, connection: u32) {
        set.remove(&self.socket, connection);
    }
}

/// A socket with its place in the reactor, which it has while its task waits for it. Reads and writes pass by what the
/// reactor has seen, so that they are not tried in vain.
#[derive(Debug)]
pub struct Registered {
    socket: Arc<Socket>,
    place: Option<Readiness<Socket>>,
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
        self.enter()?;
        if let Some(place) = &self.place
            && place.ready(interest).await?.is_error()
            && interest.is_error()
        {
            let error = self.socket.socket.take_error()?;
            return Err(error.unwrap_or_else(connection_reset));
        }
        Ok(())
    }
}

impl Io for Registered {
    fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.pass(Interest::READABLE, || self.socket.recv(buffer))
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

/// An address in the form of `net`'s.
pub fn describe(address: SocketAddr) -> Value {
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    json!({ "address": address.ip().to_string(), "family": family, "port": address.port() })
}
