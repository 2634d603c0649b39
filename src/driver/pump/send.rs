//! Sending on the thread at hand: with the lock held but for [`send_some`], which the task calls without.
//!
//! May not wait.

use crate::driver::clock;
use crate::driver::connection::{Connection, Guarded};
use crate::driver::inbox::collector::Collector;
use crate::driver::io::{Io, is_transient};
use crate::driver::link::Link;
use crate::driver::link::life::Failure;
use crate::proto::{Handle, Transmit};
use std::io::{self, IoSlice};

/// The number of chunks in one vectored write.
const SLICES: usize = 16;

/// Sends as much of a transmit as fits into one call.
pub fn send_some(io: &dyn Io, transmit: &Transmit) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let filled = transmit.fill(&mut slices);
    io.send(&slices[..filled])
}

impl Connection {
    /// Counts what the kernel took of a transmit. Returns whether it was all.
    pub fn count_sent(
        &self,
        link: &mut Link,
        transmit: Transmit,
        bytes: usize,
        collector: &mut Collector,
    ) -> bool {
        self.counters.written.add(bytes as u64);
        link.sent(transmit, bytes, clock::now(), collector)
    }

    /// Sends a transmit as far as the kernel takes it.
    pub fn send_now(
        &self,
        link: &mut Link,
        io: &dyn Io,
        mut transmit: Transmit,
        collector: &mut Collector,
    ) -> Sent {
        loop {
            let (bytes, error) = match send_some(io, &transmit) {
                Ok(bytes) => (bytes, None),
                Err(error) => (0, Some(error)),
            };
            if self.count_sent(link, transmit, bytes, collector) {
                return Sent::All;
            }
            match error {
                Some(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Some(error) if is_transient(&error) => return Sent::Some,
                Some(error) => {
                    link.fail(Failure::System(error, "write"));
                    return Sent::Failed;
                }
                None => {}
            }
            match link.take_held() {
                Some(held) => transmit = held,
                None => return Sent::All,
            }
        }
    }

    /// Sends a long message from the caller's memory, and copies only what the kernel does not take. Returns whether
    /// the message is on its way. If not, something else goes before it.
    pub fn send_in_place(
        &self,
        guarded: &mut Guarded,
        stream: Handle,
        payload: &[u8],
        collector: &mut Collector,
    ) -> bool {
        let (Some(socket), link) = (guarded.socket.clone(), &mut guarded.link) else {
            return false;
        };
        let Some(transmit) = link.begin_data(stream, payload.len(), clock::now(), collector) else {
            return false;
        };
        if link.is_encrypted() {
            if let Some(sealed) = link.seal_with(transmit, payload) {
                self.send_now(link, &*socket, sealed, collector);
            }
            return true;
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let filled = transmit.fill(&mut slices[..SLICES - 1]);
        // Chunks that did not fit go before the payload.
        let has_all = transmit.len()
            == slices[..filled]
                .iter()
                .map(|slice| slice.len())
                .sum::<usize>();
        let end = filled + usize::from(has_all);
        slices[filled] = IoSlice::new(payload);
        let (sent, error) = match socket.send(&slices[..end]) {
            Ok(sent) => (sent, None),
            Err(error) => (0, Some(error).filter(|error| !is_transient(error))),
        };
        self.counters.written.add(sent as u64);
        link.sent_with(transmit, payload, sent, clock::now(), collector);
        if let Some(error) = error {
            link.fail(Failure::System(error, "write"));
        }
        true
    }

    /// Sends all that is queued, without pacing, as far as the kernel takes it at once. Returns whether the socket
    /// still works.
    pub fn send_rest(&self, link: &mut Link, io: &dyn Io, collector: &mut Collector) -> bool {
        loop {
            self.absorb(link, collector);
            let Some(transmit) = link.next_of_rest(collector) else {
                return true;
            };
            match self.send_now(link, io, transmit, collector) {
                Sent::All => {}
                Sent::Some => return true,
                Sent::Failed => return false,
            }
        }
    }

    /// Sends all that is queued of a connection, if it has a socket: see [`Connection::send_rest`].
    pub fn send_rest_of(&self, guarded: &mut Guarded, collector: &mut Collector) -> bool {
        match guarded.socket.clone() {
            Some(socket) => self.send_rest(&mut guarded.link, &*socket, collector),
            None => true,
        }
    }
}

/// The result of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The kernel has taken all.
    All,
    /// The kernel has no room for the rest.
    Some,
    /// The socket is broken, and the link knows.
    Failed,
}
