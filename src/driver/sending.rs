//! Sending a connection's bytes: from the application's thread where it is little, at the end whatever is left; and the
//! counts of what waits.
//!
//! May not wait, but for a moment at the process's exit.

use super::boundary::kind;
use super::connection::{Connection, SLICES};
use super::events::Collector;
use super::inner::{Failure, Inner};
use super::transport::Transport;
use std::io::{self, IoSlice};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Most bytes sent from the application's thread: for more, the copy into the kernel costs that thread more than the
/// hop to the task.
const DIRECT: u64 = 16 << 10;

/// Most bytes read and dropped at the process's exit.
const EXIT_UNREAD: usize = 4 << 20;

impl Connection {
    /// Sends from this thread what commands, or bytes that came `now`, have brought about, if it is little. Gives the bytes
    /// queued.
    pub fn send_after(
        &self,
        inner: &mut Inner,
        now: Option<Instant>,
        collector: &mut Collector,
    ) -> u64 {
        self.send_directly(inner, now, collector);
        self.keep_in_use();
        let queued = self.update_queued(inner);
        if queued > self.options.low_water as u64 {
            self.drained.want();
        }
        queued
    }

    /// Sends what is queued from this thread, if it is little and nobody else is at it.
    fn send_directly(&self, inner: &mut Inner, now: Option<Instant>, collector: &mut Collector) {
        let idle = !inner.writing && inner.in_flight.is_empty() && inner.backlog.len() == 0;
        if !idle || !inner.wants_write() || inner.session.queued() > DIRECT {
            return;
        }
        let Some(socket) = inner.socket.clone() else {
            return;
        };
        let now = now.unwrap_or_else(Instant::now);
        match inner.look(&socket, now) {
            // Whether nothing came for too long is not known before the socket has been read: the task does, being due.
            Ok(()) => {}
            Err(error) if error.is_timeout() => {}
            Err(error) => {
                inner.failure.get_or_insert(Failure::Protocol(error));
                return;
            }
        }
        if let Some(transmit) = inner.session.take_transmit(now, collector) {
            inner.in_flight = transmit;
            self.send_now(inner, &socket, collector);
        }
    }

    /// Sends what is in flight without Tokio's help, as far as it goes.
    fn send_now(&self, inner: &mut Inner, socket: &Transport, collector: &mut Collector) {
        while !inner.in_flight.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = inner.in_flight.fill(&mut slices);
            match socket.send(&slices[..filled]) {
                Ok(sent) => {
                    inner.in_flight.advance(sent);
                    self.sent(inner, sent, collector);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        inner.failure.get_or_insert(Failure::System(error, "write"));
                    }
                    return;
                }
            }
        }
        let transmit = std::mem::take(&mut inner.in_flight);
        inner.session.transmit_done(transmit, Instant::now());
    }

    /// Counts bytes that the kernel took.
    pub fn sent(&self, inner: &mut Inner, bytes: usize, collector: &mut Collector) {
        self.bytes_written
            .fetch_add(bytes as u64, Ordering::Relaxed);
        inner.session.transmitted(bytes, collector);
    }

    /// Brings the count of queued bytes up to date, which other threads read without the lock.
    pub fn update_queued(&self, inner: &Inner) -> u64 {
        let (queued, waiting) = match inner.ended {
            true => (0, 0),
            false => (
                inner.session.queued() + inner.backlog.len() as u64,
                inner.session.waiting(),
            ),
        };
        // Before the count of the queue: who sees that fall must know that a stream was told to wait.
        self.blocked_events
            .store(inner.session.blocked_events(), Ordering::Release);
        let waited = self.waiting.swap(waiting, Ordering::AcqRel);
        let before = self.drained.publish(queued);
        self.events.add_held(queued + waiting, before + waited);
        queued + self.deferred_len.load(Ordering::Acquire) as u64
    }

    /// After sending: tells an application that waits for it that the queue has drained.
    pub fn tell_drained(&self, inner: &Inner, collector: &mut Collector) {
        let low_water = self.options.low_water as u64;
        if self.drained.tell(low_water, || self.update_queued(inner)) {
            collector.plain(kind::DRAIN, 0, 0);
        }
    }

    /// Whether all that the application wanted sent before its half-close is with the kernel.
    pub fn is_flushed(&self, inner: &Inner) -> bool {
        inner.session.is_flushed()
            && inner.backlog.len() == 0
            && self.deferred_len.load(Ordering::Acquire) == 0
    }

    /// Whether an application waits to be told that the queue has drained.
    pub fn wants_drain(&self) -> bool {
        self.drained.is_wanted()
    }

    /// The process exits: sends all that is queued as far as the kernel takes it at once. The one place where the
    /// application's thread may wait: for the lock, and until `deadline` for a task that is in the kernel with earlier
    /// bytes. If that does not come back nothing is sent, since the peer would read it in their place.
    pub fn flush_at_exit(&self, deadline: Instant, collector: &mut Collector) {
        let mut inner = self.lock();
        while inner.writing {
            drop(inner);
            if Instant::now() >= deadline {
                return;
            }
            std::thread::yield_now();
            inner = self.lock();
        }
        collector.start(self.id);
        self.send_rest(&mut inner, collector);
        let Some(socket) = inner.socket.clone().filter(|_| inner.in_flight.is_empty()) else {
            return;
        };
        // A socket that is closed with something unread resets the connection, and what was just sent may be lost.
        let _ = socket.shutdown_write();
        let mut unread = [0; 4 << 10];
        let mut left = EXIT_UNREAD;
        while left > 0
            && let Ok(read @ 1..) = socket.recv(&mut unread)
        {
            left = left.saturating_sub(read);
        }
    }

    /// Sends all that is queued, whatever the pace, as far as the kernel takes it at once.
    pub fn send_rest(&self, inner: &mut Inner, collector: &mut Collector) {
        let Some(socket) = inner.socket.clone() else {
            return;
        };
        loop {
            self.absorb(inner, collector);
            if inner.in_flight.is_empty() {
                match inner.session.take_rest(collector) {
                    Some(transmit) => inner.in_flight = transmit,
                    None => return,
                }
            }
            self.send_now(inner, &socket, collector);
            if !inner.in_flight.is_empty() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::events::EventQueue;
    use super::super::testing;
    use super::super::{Connection, Engine};
    use super::*;
    use std::io::Read;
    use std::net::TcpStream;
    use std::sync::Arc;
    use std::time::Duration;

    /// A connection whose task is in the kernel, and which has something queued behind that.
    fn stuck(engine: &Engine) -> (Arc<Connection>, TcpStream) {
        let (socket, peer) = testing::pair();
        let connection = testing::connection(engine);
        connection.attach(&socket);
        connection.lock().writing = true;
        connection.submit(&testing::open(connection.id), &mut Collector::default());
        peer.set_nonblocking(true).expect("a socket");
        (connection, peer)
    }

    #[test]
    fn nothing_is_sent_at_the_exit_past_what_the_task_holds() {
        let engine = Engine::new(Arc::new(EventQueue::new(|| {})), None);
        let (connection, mut peer) = stuck(&engine);
        assert!(connection.queued() > 0);
        connection.flush_at_exit(Instant::now(), &mut Collector::default());
        let error = peer.read(&mut [0; 100]).expect_err("nothing was sent");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        connection.lock().writing = false;
        connection.flush_at_exit(Instant::now(), &mut Collector::default());
        assert!(peer.read(&mut [0; 100]).expect("all of it") > 0);
    }

    #[test]
    fn the_exit_waits_once_for_all_connections() {
        let engine = Engine::new(Arc::new(EventQueue::new(|| {})), None);
        let all: Vec<_> = (0..10).map(|_| stuck(&engine)).collect();
        let started = Instant::now();
        engine.flush_at_exit();
        assert!(
            started.elapsed() < Duration::from_millis(500),
            "{:?}",
            started.elapsed()
        );
        drop(all);
    }
}
