//! The connections of one environment (one JavaScript thread), and what they share.
//!
//! May not make a socket, nor read or write one.

use super::admission::Admissions;
use super::boundary::NUMBER_BITS;
use super::connection::Connection;
use super::inbox::collector::Collector;
use super::inbox::flow::Flow;
use super::inbox::queue::Inbox;
use super::lock::{Guard, Lock, Rank};
use super::options::ConnectionOptions;
use super::read_set::ReadSet;
use crate::proto::Side;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

/// The numbers of connections and of servers are below this.
pub const MAX_NUMBER: u32 = 1 << NUMBER_BITS;

/// The most bytes that JavaScript's thread sends itself if there are enough processors for all threads. Copying more
/// into the kernel costs that thread more than the hop to the task.
const LITTLE: u64 = 16 << 10;

/// This many processors are busy with one JavaScript thread at each end of a connection. A hop to the task then takes a
/// processor from one of them, and costs more than the task could do meanwhile.
const FEW_CORES: usize = 2;

fn most_direct(cores: usize) -> u64 {
    if cores <= FEW_CORES { u64::MAX } else { LITTLE }
}

/// An environment's connections.
pub struct Environment {
    /// The queue of the events of its connections and servers.
    pub inbox: Arc<Inbox>,
    /// The connections that the environment's own thread reads, if it can watch them.
    pub read_set: Option<Arc<ReadSet>>,
    /// The most bytes that the environment's own thread sends at once, unless a connection has a limit of its own.
    pub most_direct: u64,
    /// The connections that wait for JavaScript's verdict.
    pub admissions: Admissions,
    connections: Lock<Connections>,
    server_flow: Arc<Flow>,
    seed: RandomState,
}

#[derive(Default)]
struct Connections {
    is_closed: bool,
    by_number: Vec<Option<Arc<Connection>>>,
    free: Vec<u32>,
    /// The number of connections that were ever made.
    made: u64,
}

impl Environment {
    /// An environment without connections.
    pub fn new(inbox: Arc<Inbox>, read_set: Option<Arc<ReadSet>>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            inbox,
            read_set,
            most_direct: most_direct(cores),
            admissions: Admissions::new(),
            connections: Lock::new(Rank::Tables, Connections::default()),
            server_flow: Arc::new(Flow::of_server()),
            seed: RandomState::new(),
        }
    }

    /// The lock is held to look a connection up or to insert one.
    fn connections(&self) -> Guard<'_, Connections> {
        self.connections.lock()
    }

    /// Makes a connection that has no socket yet. `None` if the environment is closed, or full.
    pub fn open(&self, side: Side, options: ConnectionOptions) -> Option<Arc<Connection>> {
        let limit = options.direct_send_limit.map(u64::from);
        let most_direct = limit.unwrap_or(self.most_direct);
        self.add(|id, nonce| {
            let (inbox, read_set) = (self.inbox.clone(), self.read_set.clone());
            Connection::new(id, side, options, nonce, inbox, read_set, most_direct)
        })
    }

    /// Inserts a connection, which `make` makes of a number and a nonce. `None` if the environment is closed, or full.
    pub fn add(
        &self,
        make: impl FnOnce(u32, [u8; 8]) -> Arc<Connection>,
    ) -> Option<Arc<Connection>> {
        let mut connections = self.connections();
        let Connections {
            is_closed,
            by_number,
            free,
            made,
        } = &mut *connections;
        if *is_closed || (free.is_empty() && by_number.len() == MAX_NUMBER as usize) {
            return None;
        }
        let id = free.pop().unwrap_or_else(|| {
            by_number.push(None);
            (by_number.len() - 1) as u32
        });
        *made += 1;
        let connection = make(id, self.nonce(*made));
        by_number[id as usize] = Some(connection.clone());
        Some(connection)
    }

    /// A nonce that no other connection has: random keys of the standard library over a count and the process's number.
    fn nonce(&self, count: u64) -> [u8; 8] {
        let mut hasher = self.seed.build_hasher();
        hasher.write_u64(count);
        hasher.write_u32(std::process::id());
        hasher.finish().to_be_bytes()
    }

    /// A connection by its number.
    pub fn connection(&self, id: u32) -> Option<Arc<Connection>> {
        self.connections().by_number.get(id as usize)?.clone()
    }

    /// All connections.
    pub fn all(&self) -> Vec<Arc<Connection>> {
        let connections = self.connections();
        connections.by_number.iter().flatten().cloned().collect()
    }

    /// Frees the number of a connection that has closed.
    pub fn release(&self, id: u32) {
        let mut connections = self.connections();
        let place = connections.by_number.get_mut(id as usize);
        if place.and_then(Option::take).is_some() {
            connections.free.push(id);
        }
    }

    /// Lets no connection be made any more.
    pub fn close(&self) {
        self.connections().is_closed = true;
    }

    /// Queues an event of a server.
    pub fn tell_of_server(&self, kind: u32, server: u32, text: &str) {
        let mut collector = Collector::default();
        collector.start(server);
        collector.text(kind, 0, text, 0);
        self.inbox.push(&self.server_flow, &mut collector, None);
        self.inbox.notify();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_the_connections_own_goes_before_what_the_processors_suggest() {
        assert_eq!([2, 3].map(most_direct), [u64::MAX, LITTLE]);
        let environment = Environment::new(Arc::new(Inbox::new(|| {})), None);
        for (direct_send_limit, expected) in [(None, environment.most_direct), (Some(0), 0)] {
            let options = ConnectionOptions {
                direct_send_limit,
                ..ConnectionOptions::default()
            };
            let connection = environment.open(Side::Connecting, options);
            assert_eq!(connection.map(|it| it.most_direct), Some(expected));
        }
    }
}
