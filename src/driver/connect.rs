//! Connecting: tries the addresses it is given one after the other, as `net` does.
//!
//! May not look names up: JavaScript has.

use super::boundary::kind;
use super::connection::Connection;
use super::last_events;
use super::link::greeting::Greeting;
use super::link::life::Stop;
use super::options::{Address, ConnectOptions};
use super::pump::task;
use super::socket::Socket;
use super::thread;
use crate::sys::{self, errno};
use serde_json::{Value, json};
use socket2::SockRef;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::net::TcpSocket;

/// Connects, and runs the connection until it ends.
pub async fn run(connection: Arc<Connection>, options: ConnectOptions) {
    let connected = tokio::select! {
        biased;
        connected = connect(&options) => Some(connected),
        () = stopped(&connection) => None,
    };
    match connected {
        Some(Ok(socket)) => {
            // The call fails only for a socket that is gone already, which the first read tells.
            let _ = socket.configure(&options.connection);
            drop(options);
            let greeting = Greeting::connected(socket.addresses());
            let socket = Arc::new(socket);
            task::attach(&connection, &socket, greeting);
            task::run(connection, socket).await;
        }
        Some(Err(errors)) => {
            connection.end();
            thread::with_collector(&connection, |collector| {
                let text = json!({ "origin": "connect", "errors": errors });
                collector.text(kind::CONN_ERROR, 0, &text.to_string(), 0);
                last_events::close(&connection, collector, true);
                connection.tell(collector);
            });
            connection.inbox.notify();
        }
        None => {
            connection.end();
            last_events::tell(&connection, None);
        }
    }
}

/// Waits until the application wants the connection ended.
pub async fn stopped(connection: &Connection) {
    while connection.stopped() == Stop::No {
        connection.flow.wake.notified().await;
    }
}

async fn connect(options: &ConnectOptions) -> Result<Socket, Vec<Value>> {
    if let Some(path) = &options.path {
        return sys::connect_path(path).map_err(|error| {
            vec![json!({ "errno": errno(&error), "address": path, "syscall": "connect" })]
        });
    }
    let mut errors = Vec::new();
    for (index, address) in options.addresses.iter().enumerate() {
        let attempt = attempt(address, options);
        let is_last = index + 1 == options.addresses.len();
        let result = if is_last {
            attempt.await
        } else {
            let limit = tokio::time::timeout(options.attempt_timeout, attempt).await;
            limit.unwrap_or_else(|_| Err(failed(&sys::timed_out(), "connect", address)))
        };
        match result {
            Ok(socket) => return Ok(socket),
            Err(error) => errors.push(error),
        }
    }
    Err(errors)
}

/// What JavaScript is told of a failed attempt.
fn failed(error: &io::Error, syscall: &str, address: &Address) -> Value {
    let Address { socket, text } = address;
    json!({ "errno": errno(error), "syscall": syscall, "address": text, "port": socket.port() })
}

async fn attempt(to: &Address, options: &ConnectOptions) -> Result<Socket, Value> {
    let connect_failed = |error| failed(&error, "connect", to);
    let address = to.socket;
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    };
    let socket = socket.map_err(connect_failed)?;
    if let Some(from) = &options.local {
        let local = from.socket;
        sys::reuse_address(SockRef::from(&socket)).map_err(connect_failed)?;
        // A port alone was asked for: any address of the family at hand.
        let any_or_local = match (local.ip().is_unspecified(), address.is_ipv4()) {
            (true, true) => SocketAddr::new(IpAddr::from([0; 4]), local.port()),
            (true, false) => SocketAddr::new(IpAddr::from([0; 16]), local.port()),
            (false, _) => local,
        };
        socket
            .bind(any_or_local)
            .map_err(|error| failed(&error, "bind", from))?;
    }
    let connected = socket.connect(address).await.map_err(connect_failed)?;
    let socket = connected.into_std().map_err(connect_failed)?;
    Socket::new(socket.into()).map_err(connect_failed)
}
