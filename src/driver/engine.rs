//! The environment as JavaScript's thread uses it: connections, servers, commands, and the reading by that thread.
//!
//! May not touch a socket or a session itself.

use super::admission::Verdict;
use super::connection::Connection;
use super::environment::{Environment, MAX_NUMBER};
use super::inbox::collector::Collector;
use super::inbox::queue::Inbox;
use super::link::life::Stop;
use super::listener::{self, Server, ServerAddress};
use super::lock::{Guard, Lock, Rank};
use super::options::{ConnectOptions, ListenOptions};
use super::read_set::ReadSet;
use super::runtime::{self, Lease};
use super::secured::Contexts;
use super::socket::Socket;
#[cfg(feature = "tls")]
use super::tls::{config::Choice, options::TlsOptions};
use super::{clock, command, connect};
use crate::proto::Side;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// The time that the process may wait at its exit until its tasks have left the kernel. Their sockets are non-blocking,
/// so they leave at once, unless the machine is stalled.
const EXIT_PATIENCE: Duration = Duration::from_millis(100);

/// An environment with its servers.
pub struct Engine {
    /// The environment, with its connections.
    pub env: Arc<Environment>,
    servers: Lock<Servers>,
    /// What the connections are encrypted with.
    pub contexts: Contexts,
    /// The thread of its tasks, from the first connection or server until the environment ends.
    thread: Lock<Option<Lease>>,
}

#[derive(Default)]
struct Servers {
    by_number: HashMap<u32, Server>,
    next: u32,
}

impl Engine {
    /// An environment without connections. With `read_set`, the environment's thread must call [`Engine::read_ready`]
    /// whenever the set is readable.
    pub fn new(inbox: Arc<Inbox>, read_set: Option<Arc<ReadSet>>) -> Arc<Self> {
        Arc::new(Self {
            env: Arc::new(Environment::new(inbox, read_set)),
            servers: Lock::new(Rank::Tables, Servers::default()),
            contexts: Contexts::new(),
            thread: Lock::new(Rank::Tables, None),
        })
    }

    /// The runtime of its thread.
    pub(super) fn runtime(&self) -> io::Result<Handle> {
        let mut thread = self.thread.lock();
        let lease = match thread.take() {
            Some(lease) => lease,
            None => runtime::lease()?,
        };
        Ok(thread.insert(lease).handle().clone())
    }

    /// The lock is held to look a server up or to insert one, and to stop a server listening.
    fn servers(&self) -> Guard<'_, Servers> {
        self.servers.lock()
    }

    /// Connects. Returns the connection's number.
    pub fn connect(&self, options: ConnectOptions) -> io::Result<u32> {
        let runtime = self.runtime()?;
        let start = self.contexts.start(&options)?;
        let connection = self
            .env
            .open(Side::Connecting, options.connection.clone())
            .ok_or(io::ErrorKind::NotConnected)?;
        Contexts::encrypt(&connection, start);
        let id = connection.id;
        runtime.spawn(connect::run(connection, options));
        Ok(id)
    }

    /// Listens. Returns the server's number.
    pub fn listen(&self, options: ListenOptions) -> io::Result<u32> {
        let runtime = self.runtime()?;
        let _context = runtime.enter();
        // The numbers of servers are not reused soon, because the last connection that was accepted may be announced
        // after the close.
        let id = {
            let mut servers = self.servers();
            while servers.by_number.contains_key(&servers.next) {
                servers.next = (servers.next + 1) % MAX_NUMBER;
            }
            let id = servers.next;
            servers.next = (id + 1) % MAX_NUMBER;
            id
        };
        let secured = self.contexts.server(&options)?;
        let server = listener::listen(&self.env, id, secured, options)?;
        self.servers().by_number.insert(id, server);
        Ok(id)
    }

    /// Encrypts a connection as those of a server are, and lets its peer reset what others at its address have left.
    pub(super) fn prepare(
        &self,
        server: u32,
        connection: &Connection,
        asks_for_names: bool,
        peer: Option<IpAddr>,
    ) {
        if let Some(server) = self.servers().by_number.get(&server) {
            server.secured.encrypt(connection);
            server.secured.admit(connection, asks_for_names);
            if let Some(peer) = peer {
                connection.limit_resets(&server.quotas, peer);
            }
        }
    }

    /// Takes other options for the encryption of connections that a server accepts from now on.
    #[cfg(feature = "tls")]
    pub fn secure_server(&self, id: u32, options: &TlsOptions) -> io::Result<()> {
        let secured = self
            .servers()
            .by_number
            .get(&id)
            .map(|server| server.secured.clone());
        match secured {
            Some(secured) => self.contexts.replace(&secured, options),
            None => Ok(()),
        }
    }

    /// JavaScript has chosen what a connection goes on with whose client asks for a name. It may be over by then.
    #[cfg(feature = "tls")]
    pub fn choose(&self, id: u32, choice: Choice) {
        if let Some(connection) = self.env.connection(id) {
            connection.choose(choice);
        }
    }

    /// JavaScript has decided about a connection that a server asked about. A connection may also be refused that JavaScript
    /// was told of, and of which nobody knows yet. It may be over by then.
    pub fn decide(&self, id: u32, verdict: Verdict) {
        if let Some(Verdict::Refuse(refusal)) = self.env.admissions.answer(id, verdict)
            && let Some(connection) = self.env.connection(id)
        {
            connection.close(&refusal);
        }
    }

    /// The address that a server listens on.
    pub fn server_address(&self, id: u32) -> Option<ServerAddress> {
        Some(self.servers().by_number.get(&id)?.address.clone())
    }

    /// Lets a server receive a connected socket that somebody else has accepted, and has read `ahead` of. The other
    /// descriptor is no longer needed then.
    pub fn receive(&self, server: u32, descriptor: i32, ahead: Vec<u8>) -> io::Result<()> {
        let socket = Socket::adopt(descriptor, ahead)?;
        if let Some(server) = self.servers().by_number.get(&server) {
            server.adopt(socket);
        }
        Ok(())
    }

    /// Stops a server listening.
    pub fn close_server(&self, id: u32) {
        if let Some(server) = self.servers().by_number.get_mut(&id) {
            server.close();
        }
    }

    /// Frees the number of a server that has closed.
    pub fn release_server(&self, id: u32) {
        self.servers().by_number.remove(&id);
    }

    /// Executes a buffer of commands to any number of connections. For each run of commands to one connection, `told`
    /// gets the connection's number and its queued bytes.
    pub fn submit(&self, buffer: &[u8], collector: &mut Collector, mut told: impl FnMut(u32, u64)) {
        let mut rest = buffer;
        while let Some(found) = command::first(rest) {
            let taken = match self.env.connection(found.target) {
                Some(connection) => {
                    let (taken, queued) = connection.submit(rest, collector);
                    told(found.target, queued);
                    taken
                }
                None => command::run(rest, found.target),
            };
            rest = &rest[taken..];
        }
    }

    /// For the environment's thread: reads the connections that this thread is to read and that have something, and
    /// queues their events. Returns whether there are any. The thread must then take them without being asked to.
    pub fn read_ready(&self, collector: &mut Collector) -> bool {
        let Some(read_set) = &self.env.read_set else {
            return false;
        };
        let mut has_read = false;
        for id in read_set.ready() {
            if let Some(connection) = self.env.connection(id) {
                has_read |= connection.read_as_app(collector);
            }
        }
        has_read
    }

    /// For the environment's thread: lets tasks read all connections again.
    pub fn take_reading_back(&self) {
        for connection in self.env.all() {
            connection.take_reading_back(&mut connection.lock());
            connection.wake();
        }
    }

    /// Sends what is queued, because the thread exits, with one short wait for all connections. With `is_last` the whole
    /// process exits.
    pub fn flush_at_exit(&self, is_last: bool) {
        let deadline = clock::now() + EXIT_PATIENCE;
        let mut collector = Collector::default();
        for connection in self.env.all() {
            connection.flush_at_exit(deadline, is_last, &mut collector);
        }
    }

    /// Ends the environment and everything in it.
    pub fn close(&self) {
        self.env.close();
        for connection in self.env.all() {
            connection.stop(Stop::Close);
        }
        for server in self.servers().by_number.values_mut() {
            server.close();
        }
        // What its tasks still have to do, they do beside the next environment's.
        self.thread.lock().take();
    }
}
