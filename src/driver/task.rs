//! The task of a connection: reads, writes, waits, and ends it.
//!
//! ```text
//!   Open ──peer's FIN──▶ Read-ended ──our FIN sent──▶ Closed
//!     └────our FIN sent──▶ Write-ended ──peer's FIN──▶ Closed
//!   any ──protocol error, socket error, stop──▶ Closed
//! ```
//!
//! May not hold the lock over a system call, nor run long without letting others have their turn.

use super::connection::{Connection, SLICES, Stop};
use super::errno::{connection_reset, errno};
use super::events::{Collector, HANDED_OVER, READ, kind};
use super::inner::{Failure, Inner};
use super::lending::ReadBuffer;
use super::transport::Transport;
use crate::sys::readiness::Readiness;
use crate::sys::timer::sleep_until;
use serde_json::json;
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::io::Interest;

/// Most bytes parsed in one turn with the lock held, so that the application's thread seldom finds it taken.
const TURN: usize = 64 << 10;

/// Reads, and writes, of one connection in a row before the others have their turn.
const IN_A_ROW: usize = 8;

/// A read that finds less than this found little.
const SHORT: usize = 8 << 10;

/// So many of them in a row, with all of it delivered in between, and the application's thread reads.
const SHORT_READS: u32 = 2;

/// A quiet connection gives its spare memory back after this time.
const QUIET: Duration = Duration::from_secs(1);

thread_local! {
    /// Used by whichever connection has its turn on this thread.
    static COLLECTOR: RefCell<Collector> = RefCell::default();
}

/// Works with the thread's collector, set up for `connection`.
pub fn with_collector<R>(connection: &Connection, work: impl FnOnce(&mut Collector) -> R) -> R {
    COLLECTOR.with_borrow_mut(|collector| {
        collector.start(connection.id);
        work(collector)
    })
}

struct Task<'a> {
    connection: &'a Arc<Connection>,
    socket: &'a Arc<Transport>,
    /// The socket's place in the reactor, while this task waits for it.
    readiness: Option<Readiness<Transport>>,
    /// What the last read found.
    last_read: usize,
    /// Reads in a row that found little.
    short_reads: u32,
    read_ended: bool,
    write_ended: bool,
}

/// Runs a connection on its socket until it ends. `announce` queues the event that tells of the connection, behind
/// which the first bytes are read, so that what has arrived by then decides before the application acts.
pub async fn run(
    connection: Arc<Connection>,
    socket: Arc<Transport>,
    announce: impl FnOnce(&mut Collector),
) {
    connection.attach(&socket);
    let mut task = Task {
        connection: &connection,
        socket: &socket,
        readiness: None,
        last_read: 0,
        short_reads: SHORT_READS,
        read_ended: false,
        write_ended: false,
    };
    let result = match task.first_read(announce) {
        Ok(()) => task.run().await,
        Err(failure) => Err(failure),
    };
    let failure = result.err();
    if matches!(failure, Some(Failure::Stopped(Stop::Reset))) {
        // A socket that cannot be reset any more is closed all the same.
        let _ = socket.reset_on_close();
    }
    connection.end();
    // Told before the socket closes: whoever sees that at the other end finds that we know it too.
    close(&connection, failure);
    drop(socket);
}

/// Queues the last events of a connection.
pub fn close(connection: &Arc<Connection>, failure: Option<Failure>) {
    with_collector(connection, |collector| {
        let error = match failure {
            Some(Failure::Protocol(error)) => Some(
                json!({ "origin": "peer", "code": error.code(), "message": error.to_string() }),
            ),
            Some(Failure::System(error, syscall)) => {
                Some(json!({ "origin": "system", "errno": errno(&error), "syscall": syscall }))
            }
            Some(Failure::Stopped(_)) | None => None,
        };
        if let Some(error) = &error {
            collector.text(kind::CONN_ERROR, 0, &error.to_string(), 0);
        }
        close_event(connection, collector, error.is_some());
        connection.events.push(&connection.flow, collector, None);
    });
}

/// Adds the last event of a connection.
pub fn close_event(connection: &Connection, collector: &mut Collector, had_error: bool) {
    let totals = json!({
        "bytesRead": connection.bytes_read.load(Ordering::Relaxed),
        "bytesWritten": connection.bytes_written.load(Ordering::Relaxed),
    });
    collector.text(kind::CONN_CLOSE, 0, &totals.to_string(), had_error.into());
}

fn read_error(error: io::Error) -> Failure {
    Failure::System(error, "read")
}

impl Task<'_> {
    fn first_read(&mut self, announce: impl FnOnce(&mut Collector)) -> Result<(), Failure> {
        with_collector(self.connection, |collector| {
            announce(collector);
            let mut buffer = self.connection.events.read_buffer();
            match self.socket.recv(&mut buffer[..READ]) {
                Ok(0) => self.take_fin(buffer.into(), collector),
                Ok(read) => self.take_read(buffer.into(), read, collector),
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
                Stop::Close => {
                    // What was written goes out as far as the kernel has room, as if each write had gone there at once.
                    with_collector(self.connection, |collector| {
                        self.connection
                            .send_rest(&mut self.connection.lock(), collector);
                    });
                    return Err(Failure::Stopped(Stop::Close));
                }
                Stop::Reset => return Err(Failure::Stopped(Stop::Reset)),
            }
            let more_to_write = self.write()?;
            let more_to_read = self.read()?;
            if self.read_ended && self.write_ended {
                return Ok(());
            }
            if more_to_write || more_to_read {
                tokio::task::yield_now().await;
            } else {
                self.wait().await?;
            }
        }
    }

    /// Sends what may be sent. Gives whether it stopped for the others' sake.
    fn write(&mut self) -> Result<bool, Failure> {
        with_collector(self.connection, |collector| {
            let result = self.write_turn(collector);
            self.connection
                .events
                .push(&self.connection.flow, collector, None);
            result
        })
    }

    fn write_turn(&mut self, collector: &mut Collector) -> Result<bool, Failure> {
        let connection = self.connection;
        let mut inner = connection.lock();
        inner.look(self.socket);
        for _ in 0..IN_A_ROW {
            if let Some(failure) = inner.failure.take() {
                return Err(failure);
            }
            connection.absorb(&mut inner, collector);
            if inner.in_flight.is_empty() {
                match inner.session.take_transmit() {
                    Some(transmit) => inner.in_flight = transmit,
                    None => {
                        self.finish(&mut inner)?;
                        connection.tell_drained(&inner, collector);
                        return Ok(false);
                    }
                }
            }
            inner.writing = true;
            let mut transmit = std::mem::take(&mut inner.in_flight);
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
                        inner.session.transmit_done(transmit, Instant::now());
                    } else {
                        inner.in_flight = transmit;
                    }
                    connection.tell_drained(&inner, collector);
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

    /// Half-closes the connection once all that goes before is sent.
    fn finish(&mut self, inner: &mut Inner) -> Result<(), Failure> {
        if inner.finish && !self.write_ended && self.connection.is_flushed(inner) {
            self.write_ended = true;
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
        for _ in 0..IN_A_ROW {
            if !self.can_read(&self.connection.lock()) {
                return Ok(false);
            }
            let mut buffer = match self.last_read < HANDED_OVER {
                true => self.connection.events.read_buffer().into(),
                false => self.connection.events.long_read_buffer(),
            };
            let received = buffer.with(|bytes, room| {
                let mut recv = || Ok((self.socket.recv(&mut bytes[..room])?, room));
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
                    let caught_up = self.connection.flow.is_delivered();
                    self.short_reads = match read < SHORT && caught_up {
                        true => self.short_reads.saturating_add(1),
                        false => 0,
                    };
                    with_collector(self.connection, |collector| {
                        self.take_read(buffer, read, collector)
                    })?;
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

    fn take_read(
        &mut self,
        mut buffer: ReadBuffer,
        read: usize,
        collector: &mut Collector,
    ) -> Result<(), Failure> {
        let parsed = buffer.with(|bytes, _| {
            for (turn, part) in bytes[..read].chunks(TURN).enumerate() {
                collector.base = turn * TURN;
                let mut inner = self.connection.lock();
                self.connection.parse(&mut inner, part, collector)?;
            }
            Ok(())
        });
        let result = parsed.unwrap_or(Ok(()));
        self.connection
            .events
            .push(&self.connection.flow, collector, Some((buffer, read)));
        result.map_err(Failure::Protocol)
    }

    fn take_fin(&mut self, buffer: ReadBuffer, collector: &mut Collector) -> Result<(), Failure> {
        self.connection.events.return_buffer(buffer);
        self.read_ended = true;
        let result = self.connection.lock().session.receive_fin();
        if result.is_ok() {
            collector.plain(kind::CONN_END, 0, 0);
        }
        self.connection
            .events
            .push(&self.connection.flow, collector, None);
        result.map_err(Failure::Protocol)
    }

    /// Who reads while this task waits, what it waits for in the socket, and until when.
    fn prepare_wait(&mut self) -> (Option<Interest>, Option<Instant>) {
        let connection = self.connection;
        let mut inner = connection.lock();
        let blocked = !inner.in_flight.is_empty();
        if blocked && inner.quiet {
            connection.end_quiet(&mut inner);
        }
        let can_read = self.can_read(&inner);
        if can_read && !blocked && self.short_reads >= SHORT_READS {
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
        (interest, inner.session.deadline())
    }

    /// Waits until there is something to do.
    async fn wait(&mut self) -> Result<(), Failure> {
        let (interest, deadline) = self.prepare_wait();
        match (interest, &self.readiness) {
            (None, _) => self.readiness = None,
            (Some(_), Some(_)) => {}
            (Some(_), None) => {
                self.readiness = Some(Readiness::new(self.socket).map_err(read_error)?);
            }
        }
        let ready = async {
            let (Some(interest), Some(readiness)) = (interest, &self.readiness) else {
                return std::future::pending().await;
            };
            let ready = readiness.ready(interest).await.map_err(read_error)?;
            if ready.is_error() && interest.is_error() {
                let error = self.socket.take_error().map_err(read_error)?;
                return Err(read_error(error.unwrap_or_else(connection_reset)));
            }
            Ok(())
        };
        let timer = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => {
                    tokio::time::sleep(QUIET).await;
                    self.connection.lock().session.shrink();
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            biased;
            () = self.connection.flow.wake.notified() => Ok(()),
            result = ready => result,
            () = timer => Ok(()),
        }
    }
}
