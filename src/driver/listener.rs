//! Listening sockets, as `net.Server` makes them.
//!
//! May not read from or write to a connection.

use super::boundary::kind;
use super::environment::Environment;
use super::errno::errno;
use super::inbox::flow::{Charge, Flow, MAX_UNDELIVERED};
use super::lock::{Lock, Rank};
use super::options::{ConnectionOptions, ListenOptions};
use super::pump::task;
use super::quota::Quotas;
use super::socket::{Socket, describe};
use crate::proto::Side;
use serde_json::json;
use socket2::{Domain, Protocol, SockAddr, SockRef, Type};
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;
use tokio::sync::Notify;

/// How long accepting rests when the process or the system has no descriptor left: long enough not to spin, short
/// enough to go unnoticed when one is freed.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(100);

/// What an accepted connection counts for until the application is told of it: 64 at a time. The others wait in the
/// system's backlog: a crowd that connects and leaves would otherwise be let in faster than it is let out.
const ANNOUNCED: usize = MAX_UNDELIVERED / 64;

/// Where a server listens.
#[derive(Clone, Debug)]
pub enum ServerAddress {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix domain socket's path.
    Path(String),
}

impl ServerAddress {
    /// As JSON: an object like `net`'s, or the path.
    pub fn to_json(&self) -> String {
        match self {
            Self::Tcp(address) => describe(*address).to_string(),
            Self::Path(path) => json!(path).to_string(),
        }
    }
}

enum Listening {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Listening {
    /// Accepts a connection. Its errors are those of the call; `None` is a connection that was gone before it could be used,
    /// which concerns nobody.
    async fn accept(&self) -> io::Result<Option<Socket>> {
        // Out of Tokio's reactor: whether the task will wait for this socket is not known yet.
        Ok(match self {
            Self::Tcp(listener) => usable(listener.accept().await?.0.into_std()),
            #[cfg(unix)]
            Self::Unix(listener) => usable(listener.accept().await?.0.into_std()),
        })
    }
}

/// An accepted socket, if it is still of use.
fn usable(socket: io::Result<impl Into<socket2::Socket>>) -> Option<Socket> {
    Socket::new(socket.ok()?.into()).ok()
}

/// A listening server.
pub struct Server {
    pub address: ServerAddress,
    listening: Option<Arc<Listening>>,
    unlink: Option<PathBuf>,
    /// Tells the task that the server closes.
    closing: Arc<Notify>,
}

impl Server {
    /// Stops listening, at once where the system can; `SERVER_CLOSED` follows. As for `net`, nobody can connect, and
    /// another can listen, when this returns.
    pub fn close(&mut self) {
        let Some(listening) = self.listening.take() else {
            return;
        };
        // Before the shutdown, which the task would take for an error.
        self.closing.notify_one();
        if let Some(path) = self.unlink.take() {
            let _ = std::fs::remove_file(path);
        }
        // Where a listening socket cannot be shut down, it stops listening when the task has dropped it.
        let _ = match &*listening {
            Listening::Tcp(listener) => SockRef::from(listener).shutdown(Shutdown::Both),
            #[cfg(unix)]
            Listening::Unix(listener) => SockRef::from(listener).shutdown(Shutdown::Both),
        };
    }
}

/// Starts listening. Must be called within the runtime's context.
pub fn listen(env: &Arc<Environment>, id: u32, options: ListenOptions) -> io::Result<Server> {
    let (listening, address, unlink) = bind(&options)?;
    let listening = Arc::new(listening);
    let closing = Arc::new(Notify::new());
    let server = Server {
        address,
        listening: Some(listening.clone()),
        unlink,
        closing: closing.clone(),
    };
    let env = env.clone();
    tokio::spawn(async move {
        tokio::select! {
            biased;
            () = closing.notified() => {}
            () = accept(&env, id, &listening, &options.connection) => {}
        }
        drop(listening);
        env.tell_of_server(kind::SERVER_CLOSED, id, "");
    });
    Ok(server)
}

fn bind(options: &ListenOptions) -> io::Result<(Listening, ServerAddress, Option<PathBuf>)> {
    if let Some(address) = &options.address {
        let address = address.socket;
        let socket = socket2::Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        if options.reuse_port {
            share_port(&socket)?;
        }
        if address.is_ipv6() {
            socket.set_only_v6(options.ipv6_only)?;
        }
        socket.bind(&address.into())?;
        socket.listen(options.backlog)?;
        socket.set_nonblocking(true)?;
        let listener = TcpListener::from_std(socket.into())?;
        let address = listener.local_addr()?;
        return Ok((Listening::Tcp(listener), ServerAddress::Tcp(address), None));
    }
    let path = options.path.clone().unwrap_or_default();
    bind_path(&path, options)
}

#[cfg(target_os = "linux")]
fn share_port(socket: &socket2::Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

/// Where the last to listen would get all connections, or nobody knows who, it is not offered.
#[cfg(not(target_os = "linux"))]
fn share_port(_socket: &socket2::Socket) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(unix)]
fn bind_path(
    path: &str,
    options: &ListenOptions,
) -> io::Result<(Listening, ServerAddress, Option<PathBuf>)> {
    use std::os::unix::fs::PermissionsExt;
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?).map_err(as_libuv_says)?;
    socket.listen(options.backlog)?;
    socket.set_nonblocking(true)?;
    let unlink = (!path.starts_with('\0')).then(|| PathBuf::from(path));
    if let Some(path) = unlink
        .as_ref()
        .filter(|_| options.readable_all || options.writable_all)
    {
        let mut mode = std::fs::metadata(path)?.permissions().mode();
        mode |= if options.readable_all { 0o444 } else { 0 };
        mode |= if options.writable_all { 0o222 } else { 0 };
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode))?;
    }
    let listener = UnixListener::from_std(socket.into())?;
    Ok((
        Listening::Unix(listener),
        ServerAddress::Path(path.to_owned()),
        unlink,
    ))
}

/// A path whose folder does not exist counts as one that may not be written, as for `net`.
#[cfg(unix)]
fn as_libuv_says(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotFound => {
            io::Error::from_raw_os_error(rustix::io::Errno::ACCESS.raw_os_error())
        }
        _ => error,
    }
}

#[cfg(not(unix))]
fn bind_path(
    _path: &str,
    _options: &ListenOptions,
) -> io::Result<(Listening, ServerAddress, Option<PathBuf>)> {
    Err(io::ErrorKind::Unsupported.into())
}

async fn accept(
    env: &Arc<Environment>,
    server: u32,
    listening: &Listening,
    options: &ConnectionOptions,
) {
    let announced = Arc::new(Flow::of_server());
    let quotas = Quotas::new(options.protocol.qmux.max_resets);
    let quotas = Arc::new(Lock::new(Rank::Tables, quotas));
    let mut failing = false;
    loop {
        while !announced.can_read() {
            announced.wake.notified().await;
        }
        match listening.accept().await {
            Ok(socket) => {
                failing = false;
                if let Some(socket) = socket {
                    start(env, server, socket, &announced, &quotas, options);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                // A server that is being closed is no longer here behind this: its socket was shut down.
                tokio::task::yield_now().await;
                // Most likely out of descriptors: told once, while connections wait in the backlog.
                if !failing {
                    let text =
                        json!({ "origin": "system", "errno": errno(&error), "syscall": "accept" });
                    env.tell_of_server(kind::SERVER_ERROR, server, &text.to_string());
                }
                failing = true;
                tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
            }
        }
    }
}

fn start(
    env: &Arc<Environment>,
    server: u32,
    socket: Socket,
    announced: &Arc<Flow>,
    quotas: &Arc<Lock<Quotas>>,
    options: &ConnectionOptions,
) {
    // It fails only for a socket that is gone already, which the first read tells.
    let _ = socket.configure(options);
    let Some(connection) = env.open(Side::Listening, options.clone()) else {
        return;
    };
    if let Some(address) = socket.peer_address() {
        connection.limit_resets(quotas, address);
    }
    let announced = Charge::new(announced.clone(), ANNOUNCED);
    tokio::spawn(async move {
        let addresses = socket.addresses().to_string();
        task::run(connection, Arc::new(socket), move |collector| {
            collector.text(kind::CONNECTION, server, &addresses, 0);
            collector.pays(announced);
        })
        .await;
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_is_gone_when_it_was_accepted_is_no_error_of_the_server() {
        let gone: io::Result<socket2::Socket> = Err(io::ErrorKind::NotConnected.into());
        assert!(usable(gone).is_none());
        let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        assert!(usable(Ok(socket)).is_some());
    }
}
