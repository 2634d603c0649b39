//! Servers: they listen, as `net.Server` does, and leave each socket that they accept to their door (`admission.rs`).
//!
//! May not read from or write to a connection.

use super::admission::{Door, REFUSED};
use super::boundary::kind;
use super::environment::Environment;
use super::inbox::flow::Flow;
use super::lock::{Lock, Rank};
use super::options::{Address, ListenOptions};
use super::quota::Quotas;
use super::secured::Secured;
use super::socket::describe;
use crate::sys::{Listener, errno};
use serde_json::json;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

/// How long accepting rests when the process or the system has no descriptor left: long enough not to spin, short
/// enough to go unnoticed when one is freed.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(100);

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

/// A listening server.
pub struct Server {
    pub address: ServerAddress,
    /// How its connections are encrypted.
    #[cfg(feature = "tls")]
    pub secured: Secured,
    listener: Option<Arc<Listener>>,
    /// Tells the task that the server closes.
    closing: Arc<Notify>,
}

impl Server {
    /// Stops listening, at once where the system can; `SERVER_CLOSED` follows. As for `net`, nobody can connect, and
    /// another can listen, when this returns.
    pub fn close(&mut self) {
        let Some(listener) = self.listener.take() else {
            return;
        };
        // Before the listener stops, which the task would take for an error.
        self.closing.notify_one();
        listener.stop();
    }
}

/// Starts listening. Must be called within the runtime's context.
pub fn listen(
    env: &Arc<Environment>,
    id: u32,
    secured: Secured,
    options: ListenOptions,
) -> io::Result<Server> {
    let (listener, address) = bind(&options)?;
    let listener = Arc::new(listener);
    let closing = Arc::new(Notify::new());
    let server = Server {
        address,
        #[cfg(feature = "tls")]
        secured: secured.clone(),
        listener: Some(listener.clone()),
        closing: closing.clone(),
    };
    let env = env.clone();
    tokio::spawn(async move {
        tokio::select! {
            biased;
            () = closing.notified() => {}
            () = accept(&env, id, &listener, secured, &options) => {}
        }
        drop(listener);
        env.tell_of_server(kind::SERVER_CLOSED, id, "");
    });
    Ok(server)
}

fn bind(options: &ListenOptions) -> io::Result<(Listener, ServerAddress)> {
    let backlog = options.backlog;
    if let Some(Address { socket, .. }) = options.address {
        let (ipv6_only, reuse_port) = (options.ipv6_only, options.reuse_port);
        let (listener, address) = Listener::tcp(socket, backlog, ipv6_only, reuse_port)?;
        return Ok((listener, ServerAddress::Tcp(address)));
    }
    let path = options.path.clone().unwrap_or_default();
    let (readable, writable) = (options.readable_all, options.writable_all);
    let listener = Listener::path(&path, backlog, readable, writable)?;
    Ok((listener, ServerAddress::Path(path)))
}

async fn accept(
    env: &Arc<Environment>,
    server: u32,
    listener: &Listener,
    secured: Secured,
    options: &ListenOptions,
) {
    let announced = Arc::new(Flow::of_server());
    let quotas = Quotas::new(options.connection.protocol.qmux.max_resets);
    let door = Arc::new(Door {
        env: env.clone(),
        server,
        announced: announced.clone(),
        quotas: Arc::new(Lock::new(Rank::Tables, quotas)),
        admission: options.admission.clone(),
        options: options.connection.clone(),
        secured,
        refused: Arc::new(Semaphore::new(REFUSED)),
    });
    let mut waiting = JoinSet::new();
    let mut failing = false;
    loop {
        while !announced.ask_for_room() {
            announced.wake.notified().await;
        }
        match listener.accept().await {
            Ok(socket) => {
                failing = false;
                if let Some(socket) = socket {
                    door.receive(socket, &mut waiting);
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
