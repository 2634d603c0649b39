//! All connections and servers of one environment (a JS thread).
//!
//! May not touch a socket or a session itself.

use super::boundary::NUMBER_BITS;
use super::connect;
use super::connection::Connection;
use super::inbox::collector::Collector;
use super::inbox::flow::Flow;
use super::inbox::queue::Inbox;
use super::link::life::Stop;
use super::listener::{self, Server, ServerAddress};
use super::lock::{Guard, Lock, Rank};
use super::options::{ConnectOptions, ListenOptions};
use super::read_set::ReadSet;
use super::{command, runtime};
use crate::proto::Side;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the numbers of connections and of servers stay below.
const MAX_NUMBER: u32 = 1 << NUMBER_BITS;

/// How long the process may wait at its exit for its tasks to leave the kernel: they do so at once, their sockets being
/// non-blocking, unless the machine is stalled.
const EXIT_PATIENCE: Duration = Duration::from_millis(100);

/// Most bytes that JavaScript's thread sends at once where there are threads enough for all: the copy of more into the
/// kernel costs that thread more than the hop to the task.
const LITTLE: u64 = 16 << 10;

/// So many processors are busy with one JavaScript thread at each end of a connection: a hop to the task then takes a
/// processor from one of them, and costs more than all it could do meanwhile.
const FEW_CORES: usize = 2;

fn most_direct(cores: usize) -> u64 {
    if cores <= FEW_CORES { u64::MAX } else { LITTLE }
}

/// An environment's connections and servers.
pub struct Engine {
    /// Their events.
    pub inbox: Arc<Inbox>,
    /// Those of its connections that its own thread reads, if it looks for them.
    pub read_set: Option<Arc<ReadSet>>,
    /// Most bytes that its own thread sends at once.
    pub most_direct: u64,
    tables: Lock<Tables>,
    server_flow: Arc<Flow>,
    seed: RandomState,
}

#[derive(Default)]
struct Tables {
    closed: bool,
    connections: Vec<Option<Arc<Connection>>>,
    free: Vec<u32>,
    servers: HashMap<u32, Server>,
    next_server: u32,
    nonces: u64,
}

impl Engine {
    /// An environment without connections. With `read_set`, its thread must call [`Engine::read_ready`] whenever that
    /// is readable.
    pub fn new(inbox: Arc<Inbox>, read_set: Option<Arc<ReadSet>>) -> Arc<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Arc::new(Self {
            inbox,
            read_set,
            most_direct: most_direct(cores),
            tables: Lock::new(Rank::Tables, Tables::default()),
            server_flow: Arc::new(Flow::of_server()),
            seed: RandomState::new(),
        })
    }

    /// Held to look something up or to put it in, and to stop a server listening.
    fn tables(&self) -> Guard<'_, Tables> {
        self.tables.lock()
    }

    /// A number that no other connection has: random keys of the standard library over a counter and the process.
    pub fn nonce(&self) -> [u8; 8] {
        let mut hasher = self.seed.build_hasher();
        let mut tables = self.tables();
        tables.nonces += 1;
        hasher.write_u64(tables.nonces);
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
        let nonce = self.nonce();
        let connection = self
            .add(|id| {
                Connection::new(
                    id,
                    Side::Connecting,
                    config,
                    nonce,
                    self.inbox.clone(),
                    self.read_set.clone(),
                    self.most_direct,
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
        self.inbox.push(&self.server_flow, &mut collector, None);
        self.inbox.notify();
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

    /// For the environment's thread: reads the connections that are its to read and have something, and queues their
    /// events. Returns whether there are any, which the thread must then take without being asked to.
    pub fn read_ready(&self, collector: &mut Collector) -> bool {
        let Some(read_set) = &self.read_set else {
            return false;
        };
        let mut has_read = false;
        for id in read_set.ready() {
            if let Some(connection) = self.connection(id) {
                has_read |= connection.read_as_app(collector);
            }
        }
        has_read
    }

    /// For the environment's thread: tasks read all its connections again.
    pub fn take_reading_back(&self) {
        for connection in self.all() {
            connection.take_reading_back(&mut connection.lock());
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
