//! The pump on JavaScript's thread: executes its commands, sends what it may send from there, and reads while little comes.
//!
//! A hop to another thread and back costs more than a short send or read, so while little moves the bytes take the
//! shortest way. A connection on which much comes goes back to its task, which reads and parses beside JavaScript; so
//! does one whose peer says what only the engine needs to know, such as credit for what is sent here.
//!
//! ```text
//!          little came, nothing undelivered, nothing waits to be written
//!   Reader::Task ──────────────────────────────────────────────────────▶ Reader::App
//!                ◀──────────────────────────────────────────────────────
//!          a long read or one with nothing for JavaScript, a full inbox, an end, an error, a pause, a write that waits
//!          for the kernel or for credit
//! ```
//!
//! Only the task gives reading away; both threads take it back, under the connection's lock.
//!
//! May not wait, but for a moment at the process's exit.

use super::send::Sent;
use crate::driver::connection::{Connection, Guarded};
use crate::driver::inbox::collector::Collector;
use crate::driver::io::{Io, is_transient};
use crate::driver::link::life::Failure;
use crate::driver::link::{Link, Reader, Step};
use crate::driver::lock::Guard;
use crate::driver::{clock, command};
use crate::proto::Handle;
use std::time::Instant;

/// Size of a read on JavaScript's thread.
const SHORT_READ: usize = 64 << 10;

/// A connection that has so much to read at once is the task's: parsing it on JavaScript's thread would cost that thread
/// more than the hop to the task.
const BUSY: usize = 16 << 10;

/// Most bytes read and dropped at the process's exit.
const EXIT_UNREAD: usize = 4 << 20;

impl Connection {
    /// Executes the commands at the front of a buffer that are for this connection. Returns their length, and the bytes
    /// then queued.
    pub fn submit(&self, commands: &[u8], collector: &mut Collector) -> (usize, u64) {
        let Some(mut guarded) = self.try_lock() else {
            let taken = self.run_of(commands);
            let queued = self.defer(|deferred| deferred.extend_from_slice(&commands[..taken]));
            return (taken, queued);
        };
        let could_read = self.begin_submit(&mut guarded, collector);
        let link = &mut guarded.link;
        let taken = link.execute(commands, self.id, clock::now, collector);
        (taken, self.end_submit(guarded, could_read, collector))
    }

    /// Executes one command to send data, whose payload stands by itself: a long one is copied once less so. Returns the
    /// bytes then queued.
    pub fn submit_data(&self, stream: Handle, payload: &[u8], collector: &mut Collector) -> u64 {
        let Some(mut guarded) = self.try_lock() else {
            return self.defer(|deferred| {
                command::put_data(deferred, self.id, stream, payload);
            });
        };
        let could_read = self.begin_submit(&mut guarded, collector);
        // The call sends what is queued in front of the payload as well.
        let is_little = guarded.link.ready() + payload.len() as u64 <= self.most_direct;
        if !is_little || !self.send_in_place(&mut guarded, stream, payload, collector) {
            let link = &mut guarded.link;
            link.execute_data(self.id, stream, payload, collector);
        }
        self.end_submit(guarded, could_read, collector)
    }

    fn begin_submit(&self, guarded: &mut Guarded, collector: &mut Collector) -> bool {
        collector.start(self.id);
        let could_read = guarded.link.wants_read();
        self.absorb(&mut guarded.link, collector);
        could_read
    }

    fn end_submit(
        &self,
        mut guarded: Guard<'_, Guarded>,
        could_read: bool,
        collector: &mut Collector,
    ) -> u64 {
        let queued = self.send_after(&mut guarded, None, collector);
        let task_is_needed = guarded.needs_task() || could_read != guarded.link.wants_read();
        self.let_go(guarded, task_is_needed, collector);
        queued
    }

    /// Lets go of the link. JavaScript is told what has come up, and the task is woken if it is needed.
    pub(super) fn let_go(
        &self,
        guarded: Guard<'_, Guarded>,
        task_is_needed: bool,
        collector: &mut Collector,
    ) {
        let has_told = !collector.is_empty();
        self.tell(collector);
        drop(guarded);
        if has_told {
            self.inbox.notify();
        }
        if task_is_needed {
            self.wake();
        }
    }

    /// Sends what commands, or bytes that came `now`, have brought about, if it is little. Returns the bytes queued.
    fn send_after(
        &self,
        guarded: &mut Guarded,
        now: Option<Instant>,
        collector: &mut Collector,
    ) -> u64 {
        if let Some(socket) = guarded.socket.clone() {
            self.send_directly(guarded, &*socket, now, collector);
        }
        if self.counters.use_again() {
            self.wake();
        }
        let queued = self.publish(&guarded.link);
        if queued > self.low_water() {
            self.counters.queue.want_few();
        }
        queued
    }

    fn send_directly(
        &self,
        guarded: &mut Guarded,
        io: &dyn Io,
        now: Option<Instant>,
        collector: &mut Collector,
    ) {
        let link = &mut guarded.link;
        let is_little = link.ready() <= self.most_direct;
        if !is_little || !link.is_clear_to_send() || !link.wants_write() {
            return;
        }
        let now = now.unwrap_or_else(clock::now);
        // Whether nothing came for too long is not known before the socket has been read: the task does, being due.
        if let Err(failure) = link.act_on_deadline(now, || io.unsent()) {
            link.fail(failure);
            return;
        }
        // More than one transmit is there only where this thread sends all it can.
        self.send_while_clear(link, io, now, collector);
    }

    /// Sends what the link has, as long as all of it is taken.
    pub(super) fn send_while_clear(
        &self,
        link: &mut Link,
        io: &dyn Io,
        now: Instant,
        collector: &mut Collector,
    ) {
        while link.is_clear_to_send() {
            // As if something were deferred: a FIN is the task's to send.
            let Step::Send(transmit) = link.next(true, now, collector) else {
                return;
            };
            if self.send_now(link, io, transmit, collector) != Sent::All {
                return;
            }
        }
    }

    /// Answers what was parsed `now`, and fails with the connection if that could not be parsed. Returns whether JavaScript is
    /// told anything of it.
    pub(super) fn answer(
        &self,
        guarded: &mut Guarded,
        parsed: Result<bool, Failure>,
        now: Instant,
        collector: &mut Collector,
    ) -> bool {
        match parsed {
            Ok(tells) => {
                self.send_after(guarded, Some(now), collector);
                // What the peer has just allowed may have left from here.
                if self.counters.queue.wants_few() {
                    self.tell_drained(&guarded.link, collector);
                }
                tells
            }
            Err(failure) => {
                guarded.link.fail(failure);
                false
            }
        }
    }

    /// Reads once, if this thread is the reader. Returns whether there was something.
    pub fn read_as_app(&self, collector: &mut Collector) -> bool {
        // Not if the task is in a turn: the set stays readable, and the next look is near.
        let Some(mut guarded) = self.try_lock() else {
            return false;
        };
        let Some(socket) = guarded.socket.clone() else {
            return false;
        };
        if guarded.link.reader() != Reader::App {
            return false;
        }
        let before = self.counters.read.get();
        let may = guarded.link.may_app_read() && self.flow.ask_for_room();
        let stays = may && self.read_once(&mut guarded, &*socket, collector);
        if !stays {
            self.take_reading_back(&mut guarded);
        }
        let task_is_needed = !stays || guarded.needs_task();
        drop(guarded);
        if task_is_needed {
            self.wake();
        }
        self.counters.read.get() > before
    }

    /// Reads once. Returns whether this thread goes on reading.
    fn read_once(&self, guarded: &mut Guarded, io: &dyn Io, collector: &mut Collector) -> bool {
        let mut buffer = self.inbox.read_buffer();
        let at = guarded.link.room_ahead();
        let read = match io.recv(&mut buffer[at..at + SHORT_READ]) {
            Ok(read @ 1..) => read,
            result => {
                self.inbox.return_buffer(buffer);
                return match result {
                    // The task will find the FIN again.
                    Ok(_) => false,
                    Err(error) if is_transient(&error) => true,
                    Err(error) => {
                        guarded.link.fail(Failure::System(error, "read"));
                        false
                    }
                };
            }
        };
        self.counters.read.add(read as u64);
        collector.start(self.id);
        let now = clock::now();
        let (result, used) = guarded
            .link
            .received(&mut buffer, at..at + read, now, collector);
        let tells = self.answer(guarded, result, now, collector);
        // With the lock held: the task, once it reads again, must not overtake this.
        let read_into = Some((buffer.into(), used));
        self.inbox.push(&self.flow, collector, read_into);
        // A message that is begun is the task's to go on with.
        tells && read < BUSY && guarded.link.may_app_read()
    }

    /// The thread exits: sends all that is queued as far as the kernel takes it at once. The one place where JavaScript's
    /// thread may wait: for the lock, and until `deadline` for a task that is in the kernel with earlier bytes. If that
    /// task does not come back, nothing is sent, since the peer would read it in place of those bytes.
    ///
    /// With `is_last` the whole process exits, and nothing else will be done with the socket.
    pub fn flush_at_exit(&self, deadline: Instant, is_last: bool, collector: &mut Collector) {
        let mut guarded = self.lock();
        while guarded.link.is_away() {
            drop(guarded);
            if clock::now() >= deadline {
                return;
            }
            std::thread::yield_now();
            guarded = self.lock();
        }
        collector.start(self.id);
        self.send_rest_of(&mut guarded, collector);
        if guarded.link.close_channel() {
            self.send_rest_of(&mut guarded, collector);
        }
        let Some(socket) = guarded.socket.clone() else {
            return;
        };
        if !is_last {
            return;
        }
        // A socket that is closed with something unread resets the connection, and what was just sent may be lost. The
        // task must not go on in the middle of what is discarded.
        guarded.link.set_reader(Reader::App);
        let mut unread = [0; 4 << 10];
        let mut left = EXIT_UNREAD;
        while left > 0
            && let Ok(read @ 1..) = socket.recv(&mut unread)
        {
            left = left.saturating_sub(read);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{Engine, Inbox, testing};
    use crate::proto::{Side, Transmit};
    use std::io::{self, Read};
    use std::net::TcpStream;
    use std::sync::Arc;
    use std::time::Duration;

    /// A connection whose task is in the kernel, and which has something queued behind that.
    fn stuck(engine: &Engine) -> (Arc<Connection>, Transmit, TcpStream) {
        let (socket, peer) = testing::pair();
        let connection = testing::connection(engine);
        connection.attach(socket, true, None);
        let mut collector = Collector::default();
        let mut guarded = connection.lock();
        let (open, now) = (testing::open(connection.id), clock::now());
        let link = &mut guarded.link;
        link.execute(&open, connection.id, clock::now, &mut collector);
        let Step::Send(transmit) = link.next(false, now, &mut collector) else {
            panic!("the open has to be sent");
        };
        drop(guarded);
        let mut more = Vec::new();
        command::put_data(&mut more, connection.id, Handle::local(0), b"more");
        connection.submit(&more, &mut collector);
        peer.set_nonblocking(true).expect("a socket");
        (connection, transmit, peer)
    }

    #[test]
    fn nothing_is_sent_at_the_exit_past_what_the_task_holds() {
        let engine = Engine::new(Arc::new(Inbox::new(|| {})), None);
        let (connection, transmit, mut peer) = stuck(&engine);
        assert!(connection.queued() > 0);
        connection.flush_at_exit(clock::now(), true, &mut Collector::default());
        let error = peer.read(&mut [0; 100]).expect_err("nothing was sent");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        let mut guarded = connection.lock();
        let link = &mut guarded.link;
        link.sent(transmit, 0, clock::now(), &mut Collector::default());
        drop(guarded);
        connection.flush_at_exit(clock::now(), true, &mut Collector::default());
        assert!(peer.read(&mut [0; 100]).expect("all of it") > 0);
    }

    #[test]
    fn commands_that_find_the_lock_taken_are_counted_and_executed_behind_it() {
        let engine = Engine::new(Arc::new(Inbox::new(|| {})), None);
        let connection = testing::connection(&engine);
        let mut collector = Collector::default();
        let open = testing::open(connection.id);
        testing::refuse_lock(1);
        let (taken, queued) = connection.submit(&open, &mut collector);
        assert_eq!((taken, queued), (open.len(), open.len() as u64));
        assert!(connection.has_deferred());
        connection.absorb(&mut connection.lock().link, &mut collector);
        assert!(!connection.has_deferred() && connection.queued() > 0);
    }

    #[test]
    fn a_limit_of_what_this_thread_sends_holds_for_a_long_write_with_what_goes_before_it() {
        let engine = Engine::new(Arc::new(Inbox::new(|| {})), None);
        for (limit, queued, sends) in [
            (65_536, 60_000, false),
            (65_536, 70_000, false),
            (140_000, 60_000, true),
        ] {
            let mut options = testing::options();
            options.protocol.peer_new = true;
            options.direct_send_limit = Some(limit);
            let connection = engine.env.open(Side::Connecting, options);
            let connection = connection.expect("room in the table");
            let (socket, peer) = testing::pair();
            connection.attach(socket, false, None);
            let mut collector = Collector::default();
            let mut commands = testing::open(connection.id);
            let stream = Handle::local(0);
            for payload in vec![1; queued].chunks(60_000) {
                command::put_data(&mut commands, connection.id, stream, payload);
            }
            // As if another were at it: the commands are queued, and nothing is sent.
            let mut guarded = connection.lock();
            let link = &mut guarded.link;
            link.execute(&commands, connection.id, clock::now, &mut collector);
            drop(guarded);
            let before = connection.counters.written.get();
            connection.submit_data(stream, &[2; 65_536], &mut collector);
            let sent = connection.counters.written.get() - before;
            assert_eq!(sent > 0, sends, "{limit} {queued}: {sent}");
            assert!(sent <= u64::from(limit));
            drop(peer);
        }
    }

    #[test]
    fn the_exit_waits_once_for_all_connections() {
        let engine = Engine::new(Arc::new(Inbox::new(|| {})), None);
        let all: Vec<_> = (0..10).map(|_| stuck(&engine)).collect();
        let started = Instant::now();
        engine.flush_at_exit(true);
        assert!(
            started.elapsed() < Duration::from_millis(500),
            "{:?}",
            started.elapsed()
        );
        drop(all);
    }
}
