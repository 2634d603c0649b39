//! Reading on the application's thread, on its own event loop, while a connection is quiet.
//!
//! A hop to another thread and back costs more than a short read, so while little comes the bytes take the shortest
//! way. A connection that turns busy goes back to its task, which reads and parses beside the application; so does one
//! whose peer says what only the engine needs to know, such as credit for what the application sends.
//!
//! ```text
//!           little came, nothing undelivered, nothing blocked
//!   task reads ─────────────────────────────────────────────▶ application's thread reads
//!              ◀─────────────────────────────────────────────
//!           a long read or one with nothing for the application, a full queue, an end, an error, a pause, a write that
//!           is blocked or lacks credit
//! ```
//!
//! Only the task gives reading away, and only under the connection's lock; whoever takes it back, on either thread,
//! does so under the same lock.
//!
//! May not wait.

use super::connection::Connection;
use super::events::Collector;
use super::inner::{Failure, Inner};
use super::transport::Transport;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Size of a read on the application's thread.
const QUIET_READ: usize = 64 << 10;

/// A connection that has so much to read at once is not quiet: parsing it on the application's thread would cost that
/// thread more than the hop to the task.
const BUSY: usize = 16 << 10;

/// Whether an error only says: not now.
pub fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

impl Connection {
    /// For the application's thread, while the connection is quiet: reads what its socket has, without ever waiting.
    /// Gives whether there was something.
    pub fn read_quiet(&self, collector: &mut Collector) -> bool {
        // Not if the task is in a turn: the set stays readable, and the next look is near.
        let Some(mut inner) = self.try_lock() else {
            return false;
        };
        let Some(socket) = inner.socket.clone().filter(|_| inner.quiet) else {
            return false;
        };
        let before = self.bytes_read.load(Ordering::Relaxed);
        let stays = inner.failure.is_none()
            && self.wants_read(&inner)
            && self.flow.can_read()
            && self.read_quietly(&mut inner, &socket, collector);
        if !stays || self.needs_task(&inner) {
            if !stays {
                self.end_quiet(&mut inner);
            }
            drop(inner);
            self.wake();
        }
        self.bytes_read.load(Ordering::Relaxed) > before
    }

    /// Reads once. Gives whether the connection is still quiet.
    fn read_quietly(
        &self,
        inner: &mut Inner,
        socket: &Transport,
        collector: &mut Collector,
    ) -> bool {
        // What is begun is the task's to go on with.
        if inner.joining.part().is_some() {
            return false;
        }
        let mut buffer = self.events.read_buffer();
        match socket.recv(&mut buffer[..QUIET_READ]) {
            Ok(read) if read > 0 => {
                collector.start(self.id);
                let now = Instant::now();
                let mut part = None;
                let result = self.parse(inner, (&buffer, 0..read), now, &mut part, collector);
                let used = inner.joining.settle(&mut buffer[..read], 0, part);
                if result.is_ok() {
                    self.send_after(inner, Some(now), collector);
                    // What the peer has just allowed may have left from here.
                    if self.wants_drain() {
                        self.tell_drained(inner, collector);
                    }
                }
                // With the lock held: the task, once it reads again, must not overtake this.
                self.events
                    .push(&self.flow, collector, Some((buffer.into(), used)));
                match result {
                    Ok(tells) => tells && part.is_none() && read < BUSY && inner.failure.is_none(),
                    Err(error) => {
                        inner.failure.get_or_insert(Failure::Protocol(error));
                        false
                    }
                }
            }
            result => {
                self.events.return_buffer(buffer);
                match result {
                    // The task will find the same.
                    Ok(_) => false,
                    Err(error) if is_transient(&error) => true,
                    Err(error) => {
                        inner.failure = Some(Failure::System(error, "read"));
                        false
                    }
                }
            }
        }
    }

    /// The task reads again.
    pub fn end_quiet(&self, inner: &mut Inner) {
        if let (true, Some(set), Some(socket)) = (inner.quiet, &self.quiet_set, &inner.socket) {
            set.remove(socket, self.id);
        }
        inner.quiet = false;
    }

    /// The application's thread reads from now on, if it does so at all.
    pub fn start_quiet(&self, inner: &mut Inner) {
        if let (Some(set), Some(socket)) = (&self.quiet_set, &inner.socket) {
            // Out of memory for it: the task goes on reading.
            inner.quiet = set.add(socket, self.id).is_ok();
        }
    }
}
