//! A connected socket, of whatever family. The only file that names socket types.
//!
//! May not block: every call is one that returns at once.

use super::connection::ConnectionOptions;
use serde_json::{Value, json};
use socket2::{SockRef, TcpKeepalive};
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;
use tokio::io::{Interest, Ready};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

/// A connected socket. Shared between the connection's task and the application's thread; the descriptor closes
/// with the last reference, so neither can write to a stranger's.
#[derive(Debug)]
pub enum Transport {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix domain socket.
    #[cfg(unix)]
    Unix(UnixStream),
}

/// Does the same to a socket of any family.
macro_rules! each {
    ($self:expr, $socket:ident => $work:expr) => {
        match $self {
            Transport::Tcp($socket) => $work,
            #[cfg(unix)]
            Transport::Unix($socket) => $work,
        }
    };
}

impl Transport {
    /// Waits for readiness.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        each!(self, socket => socket.ready(interest).await)
    }

    /// Reads what is there, for the task: goes by Tokio's cached readiness.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        each!(self, socket => socket.try_read(buffer))
    }

    /// Writes what fits, for the task: goes by Tokio's cached readiness.
    pub fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        each!(self, socket => socket.try_write_vectored(slices))
    }

    /// Reads past Tokio's cached readiness, which is false until its first event.
    pub fn recv_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        each!(self, socket => io::Read::read(&mut &*SockRef::from(socket), buffer))
    }

    /// Writes past Tokio's cached readiness, for any thread.
    pub fn send_now(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        each!(self, socket => SockRef::from(socket).send_vectored(slices))
    }

    /// The error that waits on the socket, if any.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        each!(self, socket => SockRef::from(socket).take_error())
    }

    /// Finishes sending.
    pub fn shutdown_write(&self) -> io::Result<()> {
        each!(self, socket => SockRef::from(socket).shutdown(Shutdown::Write))
    }

    /// Lets the close that follows be a reset.
    pub fn reset_on_close(&self) -> io::Result<()> {
        each!(self, socket => SockRef::from(socket).set_linger(Some(Duration::ZERO)))
    }

    /// Turns Nagle's algorithm off or on; other families have none.
    pub fn set_no_delay(&self, no_delay: bool) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_nodelay(no_delay),
            #[cfg(unix)]
            Self::Unix(_) => Ok(()),
        }
    }

    /// Turns TCP keep-alive on, with a delay before the first probe (zero: the system's), or off.
    pub fn set_keep_alive(&self, enable: bool, delay: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => {
                let socket = SockRef::from(socket);
                if enable && !delay.is_zero() {
                    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(delay))
                } else {
                    socket.set_keepalive(enable)
                }
            }
            #[cfg(unix)]
            Self::Unix(_) => Ok(()),
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
        each!(self, socket => crate::sys::send_queue(socket))
    }

    /// Whether the other end is on this machine.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(socket) => match (socket.local_addr(), socket.peer_addr()) {
                (Ok(local), Ok(peer)) => {
                    peer.ip().to_canonical().is_loopback() || local.ip() == peer.ip()
                }
                _ => false,
            },
            #[cfg(unix)]
            Self::Unix(_) => true,
        }
    }

    /// Both ends' addresses, as JavaScript shows them.
    pub fn addresses(&self) -> Value {
        match self {
            Self::Tcp(socket) => json!({
                "local": socket.local_addr().ok().map(describe),
                "remote": socket.peer_addr().ok().map(describe),
            }),
            #[cfg(unix)]
            Self::Unix(_) => json!({ "local": null, "remote": null }),
        }
    }
}

/// The number of a network interface, for the scope of an address.
#[cfg(target_os = "linux")]
pub fn interface(name: &str) -> Option<u32> {
    use rustix::net::{AddressFamily, SocketType, netdevice::name_to_index, socket};
    let any = socket(AddressFamily::INET6, SocketType::DGRAM, None).ok()?;
    name_to_index(any, name).ok()
}

/// The number of a network interface: only given as a number on this system.
#[cfg(not(target_os = "linux"))]
pub fn interface(_name: &str) -> Option<u32> {
    None
}

/// An address in the form of `net`'s.
pub fn describe(address: SocketAddr) -> Value {
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    json!({ "address": address.ip().to_string(), "family": family, "port": address.port() })
}
