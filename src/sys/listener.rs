//! A listening socket, as libuv makes them.
//!
//! May not read from or write to a connection.

use super::error::invalid;
use super::family::{self, PathListener, number, reuse_address};
use super::kernel::share_port;
use super::socket::Socket;
use socket2::{Domain, Protocol, SockRef, Type};
use std::io;
use std::net::{Shutdown, SocketAddr};
use tokio::net::TcpListener;

/// A listening socket, in Tokio's reactor.
pub struct Listener {
    kind: Kind,
    /// Others may have descriptors of the socket as well, and go on listening.
    is_inherited: bool,
}

enum Kind {
    Tcp(TcpListener),
    Path(PathListener),
}

impl From<Kind> for Listener {
    fn from(kind: Kind) -> Self {
        let is_inherited = false;
        Self { kind, is_inherited }
    }
}

impl Listener {
    /// Listens on an address. Returns that, too, for the system may have chosen the port. Must be called within the
    /// runtime's context, as `path`.
    pub fn tcp(
        address: SocketAddr,
        backlog: i32,
        ipv6_only: bool,
        shares_port: bool,
    ) -> io::Result<(Self, SocketAddr)> {
        let (domain, protocol) = (Domain::for_address(address), Protocol::TCP);
        let socket = socket2::Socket::new(domain, Type::STREAM, Some(protocol))?;
        reuse_address(SockRef::from(&socket))?;
        if shares_port {
            share_port(&socket)?;
        }
        if address.is_ipv6() {
            socket.set_only_v6(ipv6_only)?;
        }
        socket.bind(&address.into())?;
        socket.listen(backlog)?;
        socket.set_nonblocking(true)?;
        let listener = TcpListener::from_std(socket.into())?;
        let address = listener.local_addr()?;
        Ok((Kind::Tcp(listener).into(), address))
    }

    /// Listens on a Unix domain socket, which everybody may read from or write to if so wished.
    pub fn path(
        path: &str,
        backlog: i32,
        readable_all: bool,
        writable_all: bool,
    ) -> io::Result<Self> {
        let readable = if readable_all { 0o444 } else { 0 };
        let writable = if writable_all { 0o222 } else { 0 };
        let listener = PathListener::new(path, backlog, readable | writable)?;
        Ok(Kind::Path(listener).into())
    }

    /// Listens on a socket that somebody else has bound, by a second descriptor of it. Any other descriptor is an invalid
    /// argument, as for libuv.
    pub fn inherited(descriptor: i32, backlog: i32) -> io::Result<Self> {
        let socket = family::duplicate(descriptor).map_err(as_invalid)?;
        let domain = socket.local_addr().map_err(as_invalid)?.domain();
        if socket.r#type()? != Type::STREAM {
            return Err(invalid());
        }
        socket.listen(backlog)?;
        socket.set_nonblocking(true)?;
        let kind = match domain {
            Domain::IPV4 | Domain::IPV6 => Kind::Tcp(TcpListener::from_std(socket.into())?),
            Domain::UNIX => Kind::Path(PathListener::inherited(socket)?),
            _ => return Err(invalid()),
        };
        let is_inherited = true;
        Ok(Self { kind, is_inherited })
    }

    /// The address of a TCP socket.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Tcp(listener) => listener.local_addr().ok(),
            Kind::Path(_) => None,
        }
    }

    /// The name of a Unix domain socket.
    pub fn name(&self) -> Option<String> {
        match &self.kind {
            Kind::Tcp(_) => None,
            Kind::Path(listener) => listener.name(),
        }
    }

    /// Accepts a connection. Its errors are those of the call; `None` is a connection that was gone before it could be used,
    /// which concerns nobody.
    pub async fn accept(&self) -> io::Result<Option<Socket>> {
        let accepted = match &self.kind {
            Kind::Tcp(listener) => listener.accept().await?.0.into_std().map(Into::into),
            Kind::Path(listener) => listener.accept().await?,
        };
        Ok(usable(accepted))
    }

    /// Stops listening: at once where a listening socket can be shut down, otherwise when it is dropped. A socket's file
    /// is removed. An inherited socket is never shut down, because that would stop everybody who has it.
    pub fn stop(&self) {
        if self.is_inherited {
            return;
        }
        let _ = match &self.kind {
            Kind::Tcp(listener) => SockRef::from(listener).shutdown(Shutdown::Both),
            Kind::Path(listener) => listener.stop(),
        };
    }
}

/// What is no socket cannot be listened on, whatever else it is.
fn as_invalid(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(number::EBADF | number::ENOTSOCK) => invalid(),
        _ => error,
    }
}

/// An accepted socket, if it is still of use.
fn usable(socket: io::Result<socket2::Socket>) -> Option<Socket> {
    Socket::new(socket.ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_is_gone_when_it_was_accepted_is_no_error_of_the_server() {
        assert!(usable(Err(io::ErrorKind::NotConnected.into())).is_none());
        let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None);
        assert!(usable(socket).is_some());
    }
}
