//! A connected socket, of whatever family. The only file that knows one family from another.
//!
//! May not block: every call is one that returns at once.

use super::options::ConnectionOptions;
use serde_json::{Value, json};
use socket2::{Domain, Socket, TcpKeepalive};
use std::io::{self, IoSlice, Read};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::time::Duration;

/// A connected socket. Shared between the connection's task and the application's thread; the descriptor closes
/// with the last reference, so neither can write to a stranger's.
#[derive(Debug)]
pub struct Transport {
    socket: Socket,
    is_tcp: bool,
}

impl AsRef<Socket> for Transport {
    fn as_ref(&self) -> &Socket {
        &self.socket
    }
}

impl Transport {
    /// A socket that is connected and does not block.
    pub fn new(socket: Socket) -> io::Result<Self> {
        let family = socket.local_addr()?.domain();
        Ok(Self {
            socket,
            is_tcp: family == Domain::IPV4 || family == Domain::IPV6,
        })
    }

    /// Reads what is there, on any thread.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.socket).read(buffer)
    }

    /// Writes what fits, on any thread.
    pub fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.send_vectored(slices)
    }

    /// The error that waits on the socket, if any.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    /// Finishes sending.
    pub fn shutdown_write(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// Lets the close that follows be a reset.
    pub fn reset_on_close(&self) -> io::Result<()> {
        self.socket.set_linger(Some(Duration::ZERO))
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

    /// Bytes the send queue holds.
    pub fn unsent(&self) -> io::Result<usize> {
        crate::sys::send_queue(&self.socket)
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

/// An address in the form of `net`'s.
pub fn describe(address: SocketAddr) -> Value {
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    json!({ "address": address.ip().to_string(), "family": family, "port": address.port() })
}
