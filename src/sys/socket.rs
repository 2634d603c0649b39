//! A connected socket, of whatever family. The only file that knows one family from another.
//!
//! May not block: every call returns at once.

use super::error::{connection_reset, wrong_type};
use super::{family, kernel};
use bytes::{Buf, Bytes};
use socket2::{Domain, TcpKeepalive, Type};
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A connected socket, outside Tokio's reactor: whether somebody will wait for it is not known yet. The descriptor closes
/// with the socket, so who has it cannot write to a stranger's.
#[derive(Debug)]
pub struct Socket {
    socket: socket2::Socket,
    is_tcp: bool,
    /// For a socket that somebody else has read before: the bytes that were read, and that are still to be read here.
    ahead: Option<Mutex<Bytes>>,
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
            ahead: None,
        })
    }

    /// A second descriptor of a connected socket that somebody else has, who has read `ahead` of it already. The other
    /// descriptor stays as it is, and may be closed: the peer does not notice. A descriptor of anything but a connected
    /// stream, of TCP or of a Unix domain socket, is an error.
    pub fn adopt(descriptor: i32, ahead: Vec<u8>) -> io::Result<Self> {
        let socket = family::duplicate(descriptor)?;
        if socket.r#type()? != Type::STREAM {
            return Err(wrong_type());
        }
        let mut adopted = Self::new(socket)?;
        if !adopted.is_tcp && adopted.socket.local_addr()?.domain() != Domain::UNIX {
            return Err(wrong_type());
        }
        adopted.socket.peer_addr()?;
        adopted.socket.set_nonblocking(true)?;
        adopted.ahead = (!ahead.is_empty()).then(|| Mutex::new(ahead.into()));
        Ok(adopted)
    }

    /// Whether there are bytes in front of those that the system has.
    pub fn has_ahead(&self) -> bool {
        let ahead = self.ahead.as_ref();
        ahead.is_some_and(|it| !it.lock().unwrap_or_else(PoisonError::into_inner).is_empty())
    }

    /// Takes as many of the bytes in front as there are, and fit. Returns how many.
    pub fn take_ahead(&self, buffer: &mut [u8]) -> usize {
        let Some(ahead) = &self.ahead else {
            return 0;
        };
        let mut ahead = ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = ahead.len().min(buffer.len());
        ahead.copy_to_slice(&mut buffer[..taken]);
        taken
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

    /// Whether the other end is on this machine.
    pub fn is_local(&self) -> bool {
        match self.ends() {
            (Some(local), Some(peer)) => {
                peer.ip().to_canonical().is_loopback() || local.ip() == peer.ip()
            }
            _ => !self.is_tcp,
        }
    }

    /// The addresses of both ends, this one's first, of a family that has such.
    pub fn ends(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        let address = |address: io::Result<socket2::SockAddr>| address.ok()?.as_socket();
        (
            address(self.socket.local_addr()),
            address(self.socket.peer_addr()),
        )
    }

    /// The error that the socket was seen to have.
    pub fn take_error(&self) -> io::Error {
        match self.socket.take_error() {
            Ok(Some(error)) | Err(error) => error,
            Ok(None) => connection_reset(),
        }
    }

    /// Bytes that the send queue holds, if the system tells.
    pub fn send_queue(&self) -> io::Result<usize> {
        kernel::send_queue(&self.socket)
    }
}
