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
use crate::sys::{Listener, Socket, errno};
use serde_json::json;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
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
    /// Nowhere, or where nobody knows.
    Nowhere,
}

impl ServerAddress {
    /// As JSON: an object like `net`'s, or the path, or null.
    pub fn to_json(&self) -> String {
        match self {
            Self::Tcp(address) => describe(*address).to_string(),
            Self::Path(path) => json!(path).to_string(),
            Self::Nowhere => json!(null).to_string(),
        }
    }
}

/// A server.
pub struct Server {
    pub address: ServerAddress,
    /// How its connections are encrypted.
    pub secured: Secured,
    /// What peers may still reset, by their addresses.
    pub quotas: Arc<Lock<Quotas>>,
    /// `None` after the close, and if the server listens nowhere.
    listener: Option<Arc<Listener>>,
    /// Takes sockets that others have accepted. `None` after the close.
    adopted: Option<UnboundedSender<Socket>>,
    /// Tells the task that the server closes.
    closing: Arc<Notify>,
}

impl Server {
    /// Stops listening, at once where the system can; `SERVER_CLOSED` follows. As for `net`, nobody can connect, and
    /// another can listen, when this returns.
    pub fn close(&mut self) {
        if self.adopted.take().is_none() {
            return;
        }
        // Before the listener stops, which the task would take for an error.
        self.closing.notify_one();
        if let Some(listener) = self.listener.take() {
            listener.stop();
        }
    }

    /// Takes a socket that somebody else has accepted. After the close the socket is closed.
    pub fn adopt(&self, socket: Socket) {
        if let Some(adopted) = &self.adopted {
            // The task is there until the close.
            let _ = adopted.send(socket);
        }
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
    let quotas = Quotas::new(options.connection.protocol.qmux.max_resets);
    let quotas = Arc::new(Lock::new(Rank::Tables, quotas));
    let listener = listener.map(Arc::new);
    let (sender, mut adopted) = unbounded_channel();
    let closing = Arc::new(Notify::new());
    let server = Server {
        address,
        secured: secured.clone(),
        quotas: quotas.clone(),
        listener: listener.clone(),
        adopted: Some(sender),
        closing: closing.clone(),
    };
    let env = env.clone();
    tokio::spawn(async move {
        tokio::select! {
            biased;
            () = closing.notified() => {}
            () = accept(&env, id, listener.as_deref(), &mut adopted, secured, quotas, &options) => {}
        }
        drop(listener);
        env.tell_of_server(kind::SERVER_CLOSED, id, "");
    });
    Ok(server)
}

fn bind(options: &ListenOptions) -> io::Result<(Option<Listener>, ServerAddress)> {
    let backlog = options.backlog;
    if let Some(descriptor) = options.descriptor {
        let listener = Listener::inherited(descriptor, backlog)?;
        let address = match (listener.address(), listener.name()) {
            (Some(address), _) => ServerAddress::Tcp(address),
            (None, Some(name)) => ServerAddress::Path(name),
            (None, None) => ServerAddress::Nowhere,
        };
        return Ok((Some(listener), address));
    }
    if let Some(Address { socket, .. }) = options.address {
        let (ipv6_only, reuse_port) = (options.ipv6_only, options.reuse_port);
        let (listener, address) = Listener::tcp(socket, backlog, ipv6_only, reuse_port)?;
        return Ok((Some(listener), ServerAddress::Tcp(address)));
    }
    let Some(path) = options.path.clone() else {
        return Ok((None, ServerAddress::Nowhere));
    };
    let (readable, writable) = (options.readable_all, options.writable_all);
    let listener = Listener::path(&path, backlog, readable, writable)?;
    Ok((Some(listener), ServerAddress::Path(path)))
}

/// Waits for the next socket, which was accepted here, or by somebody else.
async fn next(
    listener: Option<&Listener>,
    adopted: &mut UnboundedReceiver<Socket>,
) -> io::Result<Option<Socket>> {
    let Some(listener) = listener else {
        return Ok(adopted.recv().await);
    };
    tokio::select! {
        accepted = listener.accept() => accepted,
        Some(socket) = adopted.recv() => Ok(Some(socket)),
    }
}

async fn accept(
    env: &Arc<Environment>,
    server: u32,
    listener: Option<&Listener>,
    adopted: &mut UnboundedReceiver<Socket>,
    secured: Secured,
    quotas: Arc<Lock<Quotas>>,
    options: &ListenOptions,
) {
    let announced = Arc::new(Flow::of_server());
    let door = Arc::new(Door {
        env: env.clone(),
        server,
        announced: announced.clone(),
        quotas,
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
        match next(listener, adopted).await {
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
