//! The pump of a connection's task: sends, reads, waits, and ends the connection.
//!
//! ```text
//!   first read ──▶ turn: send ▶ read ▶ send the answers ──▶ wait: woken, readable, writable, deadline ──▶ turn …
//!                    └─ both directions over, or a failure ──▶ farewell ──▶ linger (linger.rs)
//! ```
//!
//! May not hold the lock over a send or a read, the last words of a connection excepted, nor run long without letting other
//! connections have their turn.

use super::end::end;
use super::linger;
use super::send::send_some;
use super::wait::until;
use crate::driver::clock;
use crate::driver::connection::Connection;
use crate::driver::inbox::buffers::{HANDED_OVER, READ, ReadBuffer};
use crate::driver::inbox::collector::Collector;
use crate::driver::io::{Io, is_transient};
use crate::driver::link::farewell::Linger;
use crate::driver::link::greeting::Greeting;
use crate::driver::link::life::{Failure, Stop};
use crate::driver::link::{ReadPlan, Reader, Step, Wait};
use crate::driver::socket::{Registered, Socket};
use crate::driver::thread::{Busy, caught, with_collector};
use std::io;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::Interest;

/// Reads, and sends, of one connection in a row before the others have their turn: some 250 µs.
const IN_A_ROW: usize = 8;

/// Bytes read in a row while other connections have more to read as well: each of them makes a turn of the thread longer,
/// and that is what a quiet connection waits for.
const SHARED: usize = 64 << 10;

/// A read that finds less than this found little.
const SHORT: usize = 8 << 10;

/// So many of them with something for JavaScript, with all of it delivered in between, and its thread reads.
const SHORT_READS: u32 = 2;

/// The connection's life has come to its end, or to a failure that it knows.
#[derive(Debug)]
pub struct Ended;

/// The task of a connection, on whatever it reads and writes.
pub struct Task<'a, I> {
    connection: &'a Arc<Connection>,
    pub io: I,
    /// What the last read found.
    last_read: usize,
    busy: Busy,
    /// Reads since the last long one that found something for JavaScript.
    short_reads: u32,
    /// What was read may have brought about something to send.
    has_answers: bool,
    /// When the session was last let act on its deadline.
    acted: Option<Instant>,
    /// By the clock nothing came for too long; whether something waits to be read has yet to be seen.
    is_silent: bool,
}

/// Attaches a socket to its connection. The greeting tells JavaScript of the connection.
pub fn attach(connection: &Connection, socket: &Arc<Socket>, greeting: Greeting) {
    connection.attach(socket.clone(), socket.is_local(), Some(greeting));
    connection.attach_options(socket);
}

/// Runs a connection that has this socket until it ends.
pub async fn run(connection: Arc<Connection>, socket: Arc<Socket>) {
    let (io, lingers) = serve(&connection, Registered::new(socket)).await;
    drop(connection);
    if let Some(lingers) = lingers {
        linger::run(io, lingers).await;
    }
}

/// Serves a connection that has its socket until it ends, and ends it. Returns the socket, and what remains to be done
/// with it.
pub async fn serve<I: Waits>(connection: &Arc<Connection>, io: I) -> (I, Option<Linger>) {
    let mut task = Task::new(connection, io);
    let result = caught(async {
        task.first_read()?;
        task.run().await
    });
    if result.await.is_err() {
        connection.lock().link.fail(Failure::Defect);
    }
    let Task { io, .. } = task;
    let lingers = end(connection, &io);
    (io, lingers)
}

/// How a task waits for whatever its connection has for it to do.
pub trait Waits: Io {
    /// Waits until the task is woken, or until what it waits for has come. An error that was waited for is returned.
    async fn wait(&mut self, connection: &Connection, wait: Wait) -> io::Result<()>;
}

impl<'a, I: Io> Task<'a, I> {
    pub fn new(connection: &'a Arc<Connection>, io: I) -> Self {
        Self {
            connection,
            io,
            last_read: 0,
            busy: Busy::default(),
            short_reads: SHORT_READS,
            has_answers: false,
            acted: None,
            is_silent: false,
        }
    }

    /// Notes a failure, of which the first counts.
    fn fail(&self, failure: Failure) -> Ended {
        self.connection.lock().link.fail(failure);
        Ended
    }

    /// Tells JavaScript of the connection, and reads once before JavaScript is woken: what has arrived by then decides before
    /// the application acts.
    pub fn first_read(&mut self) -> Result<(), Ended> {
        let result = with_collector(self.connection, |collector| {
            let mut guarded = self.connection.lock();
            guarded.link.greet(collector);
            let at = guarded.link.room_ahead();
            drop(guarded);
            let mut buffer: ReadBuffer = self.connection.inbox.read_buffer().into();
            let received = buffer.with(|bytes, _| self.io.recv(&mut bytes[at..READ]));
            match received.unwrap_or(Ok(0)) {
                Err(error) => {
                    self.connection.inbox.return_buffer(buffer);
                    self.connection.tell(collector);
                    match is_transient(&error) {
                        true => Ok(()),
                        false => Err(self.fail(Failure::System(error, "read"))),
                    }
                }
                Ok(0) => self.take_fin(buffer, collector),
                Ok(read) => self.take_read(buffer, at, read, collector).map(drop),
            }
        });
        self.connection.inbox.notify();
        result
    }

    /// Sends and reads what there is. Returns whether it stopped for the others' sake.
    pub fn turn(&mut self) -> Result<bool, Ended> {
        let result = self.take_turn();
        // Once a turn: JavaScript's thread, which is woken by it, finds all of it together.
        self.connection.inbox.notify();
        result
    }

    fn take_turn(&mut self) -> Result<bool, Ended> {
        let stop = self.connection.stopped();
        if stop != Stop::No {
            return Err(self.stop(stop));
        }
        let mut more = self.send()?;
        let is_silent = std::mem::take(&mut self.is_silent);
        if is_silent {
            let mut guarded = self.connection.lock();
            self.connection.take_reading_back(&mut guarded);
            drop(guarded);
            self.io.ask_anew();
        }
        let mut before = self.connection.counters.read.get();
        let mut has_more = self.read()?;
        // The rest of a record that came in part may wait as well: only a read that finds nothing proves silence.
        while is_silent && !has_more && self.connection.counters.read.get() > before {
            before = self.connection.counters.read.get();
            has_more = self.read()?;
        }
        more |= has_more;
        match is_silent {
            // A read that was interrupted has not seen whether something waits.
            true if has_more => self.is_silent = true,
            true => self.expire()?,
            false => {}
        }
        if std::mem::take(&mut self.has_answers) {
            more |= self.send()?;
        }
        match self.connection.lock().link.life().is_complete() {
            true => Err(Ended),
            false => Ok(more),
        }
    }

    /// The application wants the connection ended, behind what it has commanded so far.
    fn stop(&mut self, stop: Stop) -> Ended {
        with_collector(self.connection, |collector| {
            let mut guarded = self.connection.lock();
            self.connection.absorb(&mut guarded.link, collector);
            guarded.link.fail(Failure::Stopped(stop));
            self.connection.tell(collector);
        });
        Ended
    }

    /// Sends what may be sent. Returns whether it stopped for the others' sake.
    fn send(&mut self) -> Result<bool, Ended> {
        with_collector(self.connection, |collector| {
            let result = self.send_turn(collector);
            // What is left of a turn that failed.
            if !collector.is_empty() {
                let _guarded = self.connection.lock();
                self.connection.tell(collector);
            }
            result
        })
    }

    fn send_turn(&mut self, collector: &mut Collector) -> Result<bool, Ended> {
        let connection = self.connection;
        let mut guarded = connection.lock();
        let mut now = clock::now();
        self.acted = Some(now);
        let acted = guarded.link.act_on_deadline(now, || self.io.unsent());
        match acted {
            // Only what has not been read either did not come.
            Ok(is_silent) => self.is_silent |= is_silent,
            Err(failure) => guarded.link.fail(failure),
        }
        for _ in 0..IN_A_ROW {
            connection.absorb(&mut guarded.link, collector);
            let step = guarded.link.next(connection.has_deferred(), now, collector);
            let transmit = match step {
                Step::Send(transmit) => transmit,
                Step::Close => return Err(Ended),
                Step::ShutdownWrite => {
                    // The peer may have closed already, which is as good.
                    match self.io.shutdown_write() {
                        Err(error) if error.kind() != io::ErrorKind::NotConnected => {
                            guarded.link.fail(Failure::System(error, "shutdown"));
                            return Err(Ended);
                        }
                        _ => continue,
                    }
                }
                Step::Wait => {
                    connection.tell_drained(&guarded.link, collector);
                    connection.tell(collector);
                    return Ok(false);
                }
            };
            connection.tell(collector);
            drop(guarded);
            let result = send_some(&self.io, &transmit);
            guarded = connection.lock();
            let (sent, error) = match result {
                Ok(sent) => (sent, None),
                Err(error) => (0, Some(error)),
            };
            let is_all = connection.count_sent(&mut guarded.link, transmit, sent, collector);
            if is_all {
                now = clock::now();
            }
            match error {
                None => {
                    connection.tell_drained(&guarded.link, collector);
                    connection.tell(collector);
                }
                Some(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
                Some(error) if is_transient(&error) => {
                    // Little may be left although nothing was sent: what has no credit waits for that.
                    connection.tell_drained(&guarded.link, collector);
                    connection.tell(collector);
                    return Ok(false);
                }
                Some(error) => {
                    guarded.link.fail(Failure::System(error, "write"));
                    return Err(Ended);
                }
            }
        }
        Ok(true)
    }

    /// Gives up, if still nothing has come now that the socket has been read.
    fn expire(&mut self) -> Result<(), Ended> {
        let has_room = self.connection.flow.ask_for_room();
        let mut guarded = self.connection.lock();
        let link = &mut guarded.link;
        let result = link.expire(has_room, clock::now(), || self.io.unsent());
        result.map_err(|failure| {
            link.fail(failure);
            Ended
        })
    }

    /// How to read next, if this task may.
    fn plan_read(&self) -> Option<ReadPlan> {
        let plan = self.connection.lock().link.plan_read()?;
        self.connection.flow.ask_for_room().then_some(plan)
    }

    /// Reads what is there. Returns whether it stopped for the others' sake.
    fn read(&mut self) -> Result<bool, Ended> {
        let more = self.read_turn()?;
        self.busy.set(more);
        Ok(more)
    }

    fn read_turn(&mut self) -> Result<bool, Ended> {
        let mut left = match self.busy.is_shared() {
            true => SHARED,
            false => IN_A_ROW * READ,
        };
        for _ in 0..IN_A_ROW {
            if left == 0 {
                return Ok(true);
            }
            let Some(plan) = self.plan_read() else {
                return Ok(false);
            };
            let ReadPlan { at, beyond, most } = plan;
            let mut buffer = match self.last_read < HANDED_OVER || !plan.fits_lent() {
                true => self.connection.inbox.read_buffer().into(),
                false => self.connection.inbox.long_read_buffer(),
            };
            let received = buffer.with(|bytes, room| {
                let room = (room + beyond).saturating_sub(at).min(most);
                io::Result::Ok((self.io.recv(&mut bytes[at..at + room])?, room))
            });
            // Without its memory the application is gone, and so will this connection be.
            let (read, room) = match received.unwrap_or(Err(io::ErrorKind::WouldBlock.into())) {
                Ok(received) => received,
                Err(error) => {
                    self.connection.inbox.return_buffer(buffer);
                    return match error.kind() {
                        io::ErrorKind::WouldBlock => Ok(false),
                        io::ErrorKind::Interrupted => Ok(true),
                        _ => Err(self.fail(Failure::System(error, "read"))),
                    };
                }
            };
            if read == 0 {
                with_collector(self.connection, |collector| {
                    self.take_fin(buffer, collector)
                })?;
                return Ok(false);
            }
            self.last_read = read;
            left = left.saturating_sub(read);
            let has_caught_up = self.connection.flow.is_delivered();
            let tells = with_collector(self.connection, |collector| {
                self.take_read(buffer, at, read, collector)
            })?;
            self.short_reads = match read < SHORT && has_caught_up {
                true => self.short_reads.saturating_add(tells.into()),
                false => 0,
            };
            if read < room {
                // Most likely there is no more: the wait that follows finds out without a read.
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes what was read, behind `at` bytes of room. Returns whether there was anything in it that JavaScript is told.
    fn take_read(
        &mut self,
        mut buffer: ReadBuffer,
        at: usize,
        read: usize,
        collector: &mut Collector,
    ) -> Result<bool, Ended> {
        let connection = self.connection;
        connection.counters.read.add(read as u64);
        let now = clock::now();
        let mut guarded = connection.lock();
        let link = &mut guarded.link;
        let received = buffer.with(|bytes, _| link.received(bytes, at..at + read, now, collector));
        // Without its memory the application is gone.
        let (result, used) = received.unwrap_or((Ok(false), 0));
        // Published first: see `shared.rs`.
        connection.publish(link);
        self.has_answers |= link.has_answers() || connection.counters.queue.wants_few();
        let result = result.map_err(|failure| {
            link.fail(failure);
            Ended
        });
        let read_into = Some((buffer, used));
        connection
            .inbox
            .push(&connection.flow, collector, read_into);
        result
    }

    fn take_fin(&mut self, buffer: ReadBuffer, collector: &mut Collector) -> Result<(), Ended> {
        self.connection.inbox.return_buffer(buffer);
        let mut guarded = self.connection.lock();
        let result = guarded.link.received_fin(collector);
        // What waited for the peer's credit never gets any: our own FIN may be due.
        self.has_answers |= guarded.link.has_answers();
        self.connection.tell(collector);
        result.map_err(|failure| {
            guarded.link.fail(failure);
            Ended
        })
    }

    /// Settles who reads while this task waits, and what it waits for.
    pub fn plan_wait(&mut self) -> Wait {
        let connection = self.connection;
        let has_room = connection.flow.ask_for_room();
        let mut guarded = connection.lock();
        if guarded.link.reader() == Reader::App && guarded.link.waits_to_write() {
            connection.take_reading_back(&mut guarded);
        }
        let wait = guarded.link.wait(has_room, self.acted);
        let is_quiet = self.short_reads >= SHORT_READS;
        if wait.to_read && is_quiet && guarded.link.may_give_reading_away() {
            connection.give_reading_away(&mut guarded);
            // What turns out to be busy proves quiet anew.
            self.short_reads = 0;
            return guarded.link.wait(has_room, self.acted);
        }
        wait
    }
}

impl<I: Waits> Task<'_, I> {
    async fn run(&mut self) -> Result<(), Ended> {
        loop {
            if self.turn()? {
                tokio::task::yield_now().await;
            } else {
                self.wait().await?;
            }
        }
    }

    /// Waits until there is something to do.
    async fn wait(&mut self) -> Result<(), Ended> {
        let wait = self.plan_wait();
        let result = self.io.wait(self.connection, wait).await;
        result.map_err(|error| self.fail(Failure::System(error, "read")))
    }
}

impl Waits for Registered {
    async fn wait(&mut self, connection: &Connection, wait: Wait) -> io::Result<()> {
        let read = match (wait.to_read, wait.for_error) {
            (true, _) => Some(Interest::READABLE),
            (false, true) => Some(Interest::ERROR),
            (false, false) => None,
        };
        let write = wait.to_write.then_some(Interest::WRITABLE);
        let interest = match (read, write) {
            (Some(read), Some(write)) => Some(read | write),
            (read, write) => read.or(write),
        };
        tokio::select! {
            biased;
            () = connection.flow.wake.notified() => Ok(()),
            result = self.ready(interest) => result,
            () = until(connection, wait.deadline, wait.is_fine) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
