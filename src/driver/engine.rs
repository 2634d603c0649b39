//! All connections and servers of one environment (a JS thread).
//!
//! May not touch a socket or a session itself.

use super::boundary::NUMBER_BITS;
use super::connect;
use super::connection::{Connection, Stop};
use super::events::{Collector, EventQueue, Flow};
use super::listener::{self, Server, ServerAddress};
use super::options::{ConnectOptions, ListenOptions};
use super::quiet_set::QuietSet;
use super::{command, runtime};
use crate::proto::Side;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// What the numbers of connections and of servers stay below.
const MAX_NUMBER: u32 = 1 << NUMBER_BITS;

/// How long the process may wait at its exit for its tasks to leave the kernel: they do so at once, their sockets being
/// non-blocking, unless the machine is stalled.
const EXIT_PATIENCE: Duration = Duration::from_millis(100);

/// An environment's connections and servers.
pub struct Engine {
    /// Their events.
    pub events: Arc<EventQueue>,
    /// Those of its connections that its own thread reads, if it looks for them.
    pub quiet_set: Option<Arc<QuietSet>>,
    tables: Mutex<Tables>,
    server_flow: Arc<Flow>,
    nonces: AtomicU64,
    seed: RandomState,
}

#[derive(Default)]
struct Tables {
    closed: bool,
    connections: Vec<Option<Arc<Connection>>>,
    free: Vec<u32>,
    servers: HashMap<u32, Server>,
    next_server: u32,
}

impl Engine {
    /// An environment without connections. With `quiet_set`, its thread must call [`Engine::read_quiet`] whenever that
    /// is readable.
    pub fn new(events: Arc<EventQueue>, quiet_set: Option<Arc<QuietSet>>) -> Arc<Self> {
        Arc::new(Self {
            events,
            quiet_set,
            tables: Mutex::default(),
            server_flow: Arc::default(),
            nonces: AtomicU64::new(0),
            seed: RandomState::new(),
        })
    }

    /// Held to look something up or to put it in, and to stop a server listening.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A number that no other connection has: random keys of the standard library over a counter and the process.
    pub fn nonce(&self) -> [u8; 8] {
        let mut hasher = self.seed.build_hasher();
        hasher.write_u64(self.nonces.fetch_add(1, Ordering::Relaxed));
        hasher.write_u32(std::process::id());
        hasher.finish().to_be_bytes()
    }

    /// Puts a connection into the table. `None` once the environment is closed, or full.
    pub fn add(&self, make: impl FnOnce(u32) -> Arc<Connection>) -> Option<Arc<Connection>> {
        let mut tables = self.tables();
        if tables.closed
            || (tables.free.is_empty() && tables.connections.len() == MAX_NUMBER as usize)
        {
            return None;
        }
        let id = tables.free.pop().unwrap_or_else(|| {
            tables.connections.push(None);
            (tables.connections.len() - 1) as u32
        });
        let connection = make(id);
        tables.connections[id as usize] = Some(connection.clone());
        Some(connection)
    }

    /// A connection by its number.
    pub fn connection(&self, id: u32) -> Option<Arc<Connection>> {
        self.tables().connections.get(id as usize)?.clone()
    }

    /// Forgets a connection that has closed.
    pub fn release(&self, id: u32) {
        let mut tables = self.tables();
        if tables
            .connections
            .get_mut(id as usize)
            .and_then(Option::take)
            .is_some()
        {
            tables.free.push(id);
        }
    }

    /// Connects. Gives the connection's number.
    pub fn connect(&self, options: ConnectOptions) -> io::Result<u32> {
        let runtime = runtime::handle()?;
        let config = options.connection.clone();
        let connection = self
            .add(|id| {
                Connection::new(
                    id,
                    Side::Connecting,
                    config,
                    self.nonce(),
                    self.events.clone(),
                    self.quiet_set.clone(),
                )
            })
            .ok_or(io::ErrorKind::NotConnected)?;
        let id = connection.id;
        runtime.spawn(connect::run(connection, options));
        Ok(id)
    }

    /// Listens. Gives the server's number.
    pub fn listen(self: &Arc<Self>, options: ListenOptions) -> io::Result<u32> {
        let runtime = runtime::handle()?;
        let _context = runtime.enter();
        // Numbers of servers are not used again soon: a connection accepted last may be announced behind the close.
        let id = {
            let mut tables = self.tables();
            while tables.servers.contains_key(&tables.next_server) {
                tables.next_server = (tables.next_server + 1) % MAX_NUMBER;
            }
            let id = tables.next_server;
            tables.next_server = (id + 1) % MAX_NUMBER;
            id
        };
        let server = listener::listen(self, id, options)?;
        self.tables().servers.insert(id, server);
        Ok(id)
    }

    /// Where a server listens.
    pub fn server_address(&self, id: u32) -> Option<ServerAddress> {
        Some(self.tables().servers.get(&id)?.address.clone())
    }

    /// Stops a server listening.
    pub fn close_server(&self, id: u32) {
        if let Some(server) = self.tables().servers.get_mut(&id) {
            server.close();
        }
    }

    /// Frees the number of a server that has closed.
    pub fn release_server(&self, id: u32) {
        self.tables().servers.remove(&id);
    }

    /// Queues an event of a server.
    pub fn server_event(&self, kind: u32, server: u32, text: &str) {
        let mut collector = Collector::default();
        collector.start(server);
        collector.text(kind, 0, text, 0);
        self.events.push(&self.server_flow, &mut collector, None);
    }

    /// Executes a buffer of commands to any number of connections, and tells of each run of them what is then queued.
    pub fn submit(&self, buffer: &[u8], collector: &mut Collector, mut told: impl FnMut(u32, u64)) {
        let mut rest = buffer;
        while let Some(found) = command::first(rest) {
            let taken = match self.connection(found.target) {
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

    /// For the environment's thread: reads the quiet connections that have something, and queues their events without
    /// a signal. Gives whether there are any, which the thread must then take.
    pub fn read_quiet(&self, collector: &mut Collector) -> bool {
        let Some(quiet_set) = &self.quiet_set else {
            return false;
        };
        let was_signalled = self.events.will_take();
        let mut has_read = false;
        for id in quiet_set.ready() {
            if let Some(connection) = self.connection(id) {
                has_read |= connection.read_quiet(collector);
            }
        }
        if !has_read && !was_signalled {
            self.events.will_not_take();
        }
        has_read
    }

    /// For the environment's thread: tasks read all its connections again.
    pub fn end_quiet(&self) {
        for connection in self.all() {
            connection.end_quiet(&mut connection.lock());
            connection.wake();
        }
    }

    /// The process exits: sends what is queued, with one short wait for all connections.
    pub fn flush_at_exit(&self) {
        let deadline = Instant::now() + EXIT_PATIENCE;
        let mut collector = Collector::default();
        for connection in self.all() {
            connection.flush_at_exit(deadline, &mut collector);
        }
    }

    /// The environment ends: so does everything in it.
    pub fn close(&self) {
        self.tables().closed = true;
        for connection in self.all() {
            connection.stop(Stop::Close);
        }
        for server in self.tables().servers.values_mut() {
            server.close();
        }
    }

    fn all(&self) -> Vec<Arc<Connection>> {
        self.tables()
            .connections
            .iter()
            .flatten()
            .cloned()
            .collect()
    }
}
