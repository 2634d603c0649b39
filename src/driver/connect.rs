//! Connecting: tries the addresses it is given one after the other, as `net` does.

use super::connection::{Connection, ConnectionOptions, Stop};
use super::errno::{errno, timed_out};
use super::events::kind;
use super::task;
use super::transport::Transport;
use serde_json::{Value, json};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpSocket;

/// Where and how to connect.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// For TCP: the addresses to try, in order.
    pub addresses: Vec<(IpAddr, u16)>,
    /// For a Unix domain socket: its path.
    pub path: Option<String>,
    /// Address to connect from.
    pub local_address: Option<IpAddr>,
    /// Port to connect from.
    pub local_port: u16,
    /// Time an address has before the next is tried; the last has no limit.
    pub attempt_timeout: Duration,
    /// For the connection.
    pub connection: ConnectionOptions,
}

/// Connects, and runs the connection until it ends.
pub async fn run(connection: Arc<Connection>, options: ConnectOptions) {
    let connected = tokio::select! {
        biased;
        connected = connect(&options) => Some(connected),
        () = stopped(&connection) => None,
    };
    match connected {
        Some(Ok(socket)) => {
            // It fails only for a socket that is gone already, which the first read tells.
            let _ = socket.configure(&options.connection);
            drop(options);
            let addresses = socket.addresses().to_string();
            let announce = |collector: &mut super::events::Collector| {
                collector.text(kind::CONNECTED, 0, &addresses, 0);
            };
            task::run(connection, Arc::new(socket), announce).await;
        }
        Some(Err(errors)) => {
            connection.end();
            task::with_collector(&connection, |collector| {
                let text = json!({ "origin": "connect", "errors": errors });
                collector.text(kind::CONN_ERROR, 0, &text.to_string(), 0);
                task::close_event(&connection, collector, true);
                connection.events.push(&connection.flow, collector, None);
            });
        }
        None => {
            connection.end();
            task::close(&connection, None);
        }
    }
}

async fn stopped(connection: &Connection) {
    while connection.stopped() == Stop::No {
        connection.flow.wake.notified().await;
    }
}

async fn connect(options: &ConnectOptions) -> Result<Transport, Vec<Value>> {
    if let Some(path) = &options.path {
        return connect_path(path).map_err(|error| {
            vec![json!({ "errno": errno(&error), "address": path, "syscall": "connect" })]
        });
    }
    let mut errors = Vec::new();
    for (index, &(ip, port)) in options.addresses.iter().enumerate() {
        let attempt = attempt(SocketAddr::new(ip, port), options);
        let is_last = index + 1 == options.addresses.len();
        let result = if is_last {
            attempt.await
        } else {
            let limit = tokio::time::timeout(options.attempt_timeout, attempt).await;
            limit.unwrap_or_else(|_| Err(timed_out()))
        };
        match result {
            Ok(socket) => return Ok(socket),
            Err(error) => errors.push(json!({
                "errno": errno(&error), "address": ip.to_string(), "port": port, "syscall": "connect",
            })),
        }
    }
    Err(errors)
}

async fn attempt(address: SocketAddr, options: &ConnectOptions) -> io::Result<Transport> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    if options.local_address.is_some() || options.local_port != 0 {
        let any = if address.is_ipv4() {
            IpAddr::from([0; 4])
        } else {
            IpAddr::from([0; 16])
        };
        socket.bind(SocketAddr::new(
            options.local_address.unwrap_or(any),
            options.local_port,
        ))?;
    }
    Ok(Transport::Tcp(socket.connect(address).await?))
}

#[cfg(unix)]
fn connect_path(path: &str) -> io::Result<Transport> {
    use socket2::{Domain, SockAddr, Socket, Type};
    // A Unix domain socket connects at once or not at all; by socket2, which knows abstract names.
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(Transport::Unix(tokio::net::UnixStream::from_std(
        socket.into(),
    )?))
}

#[cfg(not(unix))]
fn connect_path(_path: &str) -> io::Result<Transport> {
    Err(io::ErrorKind::Unsupported.into())
}
