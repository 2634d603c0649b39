//! The task of a connection: reads, writes, waits, and ends it.
//!
//! ```text
//!   Open ──peer's FIN──▶ Read-ended ──our FIN sent──▶ Closed
//!     └────our FIN sent──▶ Write-ended ──peer's FIN──▶ Closed
//!   any ──protocol error, socket error, stop, close──▶ Closed, behind what `ending` does
//! ```
//!
//! May not hold the lock over a system call, nor run long without letting others have their turn.

use super::boundary::kind;
use super::connection::{Connection, SLICES, Stop};
use super::ending;
use super::errno::connection_reset;
use super::events::{Collector, HANDED_OVER, READ};
use super::inner::{Failure, Inner};
use super::lending::{READ_LENT, ReadBuffer};
use super::thread::{Busy, caught, with_collector};
use super::transport::Transport;
use super::waiting::until;
use crate::sys::readiness::Readiness;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::Interest;

/// Most bytes parsed in one turn with the lock held, so that the application's thread seldom finds it taken.
const TURN: usize = READ_LENT;

/// Reads, and writes, of one connection in a row before the others have their turn: some 250 µs.
const IN_A_ROW: usize = 8;

/// Bytes read in a row while other connections have more to read as well: each of them makes a turn of the thread longer,
/// and that is what a quiet connection waits for.
const SHARED: usize = 64 << 10;

/// A read that finds less than this found little.
const SHORT: usize = 8 << 10;

/// So many of them with something for the application, with all of it delivered in between, and its thread reads.
const SHORT_READS: u32 = 2;

/// A deadline that has come and not moved waits for something else, most likely for the peer to read: it is looked at
/// again after this time.
const STALLED: Duration = Duration::from_millis(100);

struct Task<'a> {
    connection: &'a Arc<Connection>,
    socket: &'a Arc<Transport>,
    /// The socket's place in the reactor, while this task waits for it.
    readiness: Option<Readiness<Transport>>,
    /// What the last read found.
    last_read: usize,
    busy: Busy,
    /// Reads since the last long one that found something for the application.
    short_reads: u32,
    /// What was read may have brought about something to send.
    answers: bool,
    /// When the session was last let act on its deadline.
    looked: Option<Instant>,
    /// By the clock nothing came for too long; whether something waits to be read has yet to be seen.
    expired: bool,
    read_ended: bool,
    write_ended: bool,
}

/// What a task waits for.
struct Wait {
    /// In the socket, if anything.
    interest: Option<Interest>,
    deadline: Option<Instant>,
    /// The deadline is that of pacing, for which a millisecond is long.
    is_fine: bool,
}

/// Runs a connection on its socket until it ends. `announce` queues the event that tells of the connection, behind
/// which the first bytes are read, so that what has arrived by then decides before the application acts.
pub async fn run(
    connection: Arc<Connection>,
    socket: Arc<Transport>,
    announce: impl FnOnce(&mut Collector),
) {
    connection.attach(&socket);
    let mut task = Task::new(&connection, &socket);
    let result = caught(async {
        task.first_read(announce)?;
        task.run().await
    });
    let result = result.await.and_then(|result| result);
    let ended = (task.read_ended, task.write_ended);
    let readiness = task.readiness.take();
    drop(task);
    ending::end(connection, socket, readiness, ended, result.err()).await;
}

fn read_error(error: io::Error) -> Failure {
    Failure::System(error, "read")
}

impl<'a> Task<'a> {
    fn new(connection: &'a Arc<Connection>, socket: &'a Arc<Transport>) -> Self {
        Self {
            connection,
            socket,
            readiness: None,
            last_read: 0,
            busy: Busy::default(),
            short_reads: SHORT_READS,
            answers: false,
            looked: None,
            expired: false,
            read_ended: false,
            write_ended: false,
        }
    }

    fn first_read(&mut self, announce: impl FnOnce(&mut Collector)) -> Result<(), Failure> {
        with_collector(self.connection, |collector| {
            announce(collector);
            let mut buffer = self.connection.events.read_buffer();
            match self.socket.recv(&mut buffer[..READ]) {
                Ok(0) => self.take_fin(buffer.into(), collector),
                Ok(read) => self.take_read(buffer.into(), 0, read, collector).map(drop),
                Err(error) => {
                    self.connection.events.return_buffer(buffer);
                    self.connection
                        .events
                        .push(&self.connection.flow, collector, None);
                    if error.kind() == io::ErrorKind::WouldBlock {
                        Ok(())
                    } else {
                        Err(Failure::System(error, "read"))
                    }
                }
            }
        })
    }

    async fn run(&mut self) -> Result<(), Failure> {
        loop {
            match self.connection.stopped() {
                Stop::No => {}
                stop => return Err(Failure::Stopped(stop)),
            }
            let more = self.turn()?;
            if self.read_ended && self.write_ended {
                return Ok(());
            }
            if more {
                tokio::task::yield_now().await;
            } else {
                self.wait().await?;
            }
        }
    }

    /// Sends and reads what there is. Returns whether it stopped for the others' sake.
    fn turn(&mut self) -> Result<bool, Failure> {
        let mut more = self.write()?;
        let expired = std::mem::take(&mut self.expired);
        if expired {
            self.connection.end_quiet(&mut self.connection.lock());
            // What the reactor has seen may be old: this process may have been stopped, and only its clock went on. Without a
            // place there the socket itself is asked.
            self.readiness = None;
        }
        more |= self.read()?;
        if expired {
            self.expire()?;
        }
        if std::mem::take(&mut self.answers) {
            more |= self.write()?;
        }
        Ok(more)
    }

    /// Sends what may be sent. Gives whether it stopped for the others' sake.
    fn write(&mut self) -> Result<bool, Failure> {
        with_collector(self.connection, |collector| {
            let result = self.write_turn(collector);
            // What is left of a turn that failed.
            if !collector.is_empty() {
                let mut inner = self.connection.lock();
                self.connection.tell(&mut inner, collector);
            }
            result
        })
    }

    fn write_turn(&mut self, collector: &mut Collector) -> Result<bool, Failure> {
        let connection = self.connection;
        let mut inner = connection.lock();
        let mut now = Instant::now();
        self.looked = Some(now);
        match inner.look(self.socket, now) {
            Ok(()) => {}
            // Only what has not been read either did not come.
            Err(error) if error.is_timeout() => self.expired = true,
            Err(error) => return Err(Failure::Protocol(error)),
        }
        for _ in 0..IN_A_ROW {
            connection.absorb(&mut inner, collector);
            if let Some(failure) = inner.failure.take() {
                return Err(failure);
            }
            if inner.in_flight.is_empty() {
                let transmit = match self.write_ended {
                    true => None,
                    false => inner.session.take_transmit(now, collector),
                };
                match transmit {
                    Some(transmit) => inner.in_flight = transmit,
                    None => {
                        self.finish(&mut inner)?;
                        connection.tell_drained(&inner, collector);
                        connection.tell(&mut inner, collector);
                        return Ok(false);
                    }
                }
            }
            inner.writing = true;
            let mut transmit = std::mem::take(&mut inner.in_flight);
            connection.tell(&mut inner, collector);
            drop(inner);
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = transmit.fill(&mut slices);
            let send = || self.socket.send(&slices[..filled]);
            let result = match &self.readiness {
                Some(readiness) => readiness.try_io(Interest::WRITABLE, send),
                None => send(),
            };
            inner = connection.lock();
            inner.writing = false;
            match result {
                Ok(sent) => {
                    transmit.advance(sent);
                    connection.sent(&mut inner, sent, collector);
                    if transmit.is_empty() {
                        now = Instant::now();
                        inner.session.transmit_done(transmit, now);
                    } else {
                        inner.in_flight = transmit;
                    }
                    connection.tell_drained(&inner, collector);
                    connection.tell(&mut inner, collector);
                }
                Err(error) => {
                    inner.in_flight = transmit;
                    return match error.kind() {
                        io::ErrorKind::WouldBlock => Ok(false),
                        io::ErrorKind::Interrupted => Ok(true),
                        _ => Err(Failure::System(error, "write")),
                    };
                }
            }
        }
        Ok(true)
    }

    /// Gives up, if still nothing has come now that the socket has been read.
    fn expire(&mut self) -> Result<(), Failure> {
        let mut inner = self.connection.lock();
        let now = Instant::now();
        match inner.look(self.socket, now) {
            Err(error) if error.is_timeout() && !self.read_ended && !self.can_read(&inner) => {
                inner.session.excuse(now);
                Ok(())
            }
            result => result.map_err(Failure::Protocol),
        }
    }

    /// Half-closes the connection once all that goes before is sent.
    fn finish(&mut self, inner: &mut Inner) -> Result<(), Failure> {
        if inner.finish && !self.write_ended && self.connection.is_flushed(inner) {
            self.write_ended = true;
            inner.write_ended = true;
            inner.session.write_ended();
            inner.finish = false;
            match self.socket.shutdown_write() {
                // The peer has closed already, which is as good.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
                Err(error) => return Err(Failure::System(error, "shutdown")),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    fn can_read(&self, inner: &Inner) -> bool {
        !self.read_ended
            && !inner.quiet
            && self.connection.wants_read(inner)
            && self.connection.flow.can_read()
    }

    /// Reads what is there. Gives whether it stopped for the others' sake.
    fn read(&mut self) -> Result<bool, Failure> {
        let more = self.read_turn()?;
        self.busy.set(more);
        Ok(more)
    }

    fn read_turn(&mut self) -> Result<bool, Failure> {
        let mut left = match self.busy.is_shared() {
            true => SHARED,
            false => IN_A_ROW * READ,
        };
        for _ in 0..IN_A_ROW {
            if left == 0 {
                return Ok(true);
            }
            let (at, most) = match &self.connection.lock() {
                inner if !self.can_read(inner) => return Ok(false),
                inner => inner.next_read(),
            };
            let mut buffer = match self.last_read < HANDED_OVER {
                true => self.connection.events.read_buffer().into(),
                false => self.connection.events.long_read_buffer(),
            };
            let received = buffer.with(|bytes, room| {
                let room = room.saturating_sub(at).min(most);
                let mut recv = || Ok((self.socket.recv(&mut bytes[at..at + room])?, room));
                match &self.readiness {
                    Some(readiness) => readiness.try_io(Interest::READABLE, recv),
                    None => recv(),
                }
            });
            // Without its memory the application is gone, and so will this connection be.
            let (result, room) = match received.unwrap_or(Err(io::ErrorKind::WouldBlock.into())) {
                Ok((read, room)) => (Ok(read), room),
                Err(error) => (Err(error), 0),
            };
            match result {
                Ok(0) => with_collector(self.connection, |collector| {
                    self.take_fin(buffer, collector)
                })?,
                Ok(read) => {
                    self.last_read = read;
                    left = left.saturating_sub(read);
                    let caught_up = self.connection.flow.is_delivered();
                    let tells = with_collector(self.connection, |collector| {
                        self.take_read(buffer, at, read, collector)
                    })?;
                    self.short_reads = match read < SHORT && caught_up {
                        true => self.short_reads.saturating_add(tells.into()),
                        false => 0,
                    };
                    if read < room {
                        // Most likely there is no more: the wait that follows finds out without a read.
                        return Ok(false);
                    }
                }
                Err(error) => {
                    self.connection.events.return_buffer(buffer);
                    return match error.kind() {
                        io::ErrorKind::WouldBlock => Ok(false),
                        io::ErrorKind::Interrupted => Ok(true),
                        _ => Err(Failure::System(error, "read")),
                    };
                }
            }
        }
        Ok(true)
    }

    /// Parses what was read, behind `at` bytes of room for what is kept of a message. Gives whether there was anything in it
    /// that the application is told.
    fn take_read(
        &mut self,
        mut buffer: ReadBuffer,
        at: usize,
        read: usize,
        collector: &mut Collector,
    ) -> Result<bool, Failure> {
        let connection = self.connection;
        let now = Instant::now();
        let mut tells = false;
        let end = at + read;
        let mut part = connection.lock().joining.part();
        let parsed = buffer.with(|bytes, _| {
            for start in (at..end).step_by(TURN) {
                let range = start..end.min(start + TURN);
                let mut inner = connection.lock();
                // What the application's thread brought about between two parts belongs there.
                collector.append(&mut inner.spilled);
                inner.is_collecting = true;
                tells |= connection.parse(&mut inner, (bytes, range), now, &mut part, collector)?;
                self.answers |= connection.needs_write(&inner);
            }
            Ok(())
        });
        let result = parsed.unwrap_or(Ok(()));
        let mut inner = connection.lock();
        collector.append(&mut inner.spilled);
        inner.is_collecting = false;
        let used = buffer.with(|bytes, _| inner.joining.settle(&mut bytes[..end], at, part));
        connection.events.push(
            &connection.flow,
            collector,
            Some((buffer, used.unwrap_or(0))),
        );
        drop(inner);
        result.map_err(Failure::Protocol)?;
        Ok(tells)
    }

    fn take_fin(&mut self, buffer: ReadBuffer, collector: &mut Collector) -> Result<(), Failure> {
        self.connection.events.return_buffer(buffer);
        self.read_ended = true;
        let mut inner = self.connection.lock();
        let result = inner.session.receive_fin();
        if result.is_ok() {
            collector.plain(kind::CONN_END, 0, 0);
        }
        self.connection.tell(&mut inner, collector);
        drop(inner);
        result.map_err(Failure::Protocol)
    }

    /// Who reads while this task waits, what it waits for in the socket, and until when.
    fn prepare_wait(&mut self) -> Wait {
        let connection = self.connection;
        let mut inner = connection.lock();
        let blocked = !inner.in_flight.is_empty();
        let waits_to_write = blocked || inner.lacks_credit();
        if waits_to_write && inner.quiet {
            connection.end_quiet(&mut inner);
        }
        let can_read = self.can_read(&inner);
        let is_between = inner.joining.part().is_none();
        if can_read && !waits_to_write && is_between && self.short_reads >= SHORT_READS {
            connection.start_quiet(&mut inner);
            // What turns out to be busy proves quiet anew.
            self.short_reads = 0;
        }
        let read = match (inner.quiet || self.read_ended, can_read) {
            (true, _) => None,
            (false, true) => Some(Interest::READABLE),
            // A reset is to be noticed also while nothing is read. Behind the peer's FIN only a write has to notice it.
            (false, false) => Some(Interest::ERROR),
        };
        let write = blocked.then_some(Interest::WRITABLE);
        let interest = match (read, write) {
            (Some(read), Some(write)) => Some(read | write),
            (read, write) => read.or(write),
        };
        let deadline = inner.session.deadline();
        inner.armed = deadline;
        Wait {
            interest,
            deadline: match (deadline, self.looked) {
                (Some(deadline), Some(looked)) if deadline <= looked => Some(looked + STALLED),
                _ => deadline,
            },
            is_fine: inner.session.wants_look(),
        }
    }

    /// Waits until there is something to do.
    async fn wait(&mut self) -> Result<(), Failure> {
        let wait = self.prepare_wait();
        match (wait.interest, &self.readiness) {
            (None, _) => self.readiness = None,
            (Some(_), Some(_)) => {}
            (Some(_), None) => {
                self.readiness = Some(Readiness::new(self.socket).map_err(read_error)?);
            }
        }
        let ready = async {
            let (Some(interest), Some(readiness)) = (wait.interest, &self.readiness) else {
                return std::future::pending().await;
            };
            let ready = readiness.ready(interest).await.map_err(read_error)?;
            if ready.is_error() && interest.is_error() {
                let error = self.socket.take_error().map_err(read_error)?;
                return Err(read_error(error.unwrap_or_else(connection_reset)));
            }
            Ok(())
        };
        tokio::select! {
            biased;
            () = self.connection.flow.wake.notified() => Ok(()),
            result = ready => result,
            () = until(self.connection, wait.deadline, wait.is_fine) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
