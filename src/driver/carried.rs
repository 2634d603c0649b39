//! A carrier: a stream of JavaScript's in place of a socket. Bytes wait here on their way between the carrier, which only
//! JavaScript's thread can use, and the link.
//!
//! ```text
//!   JavaScript's thread            Carried                        the connection's task
//!     deliver, deliver_end ──────▶ inbound, FIN ────────────────▶ recv, while JavaScript's thread cannot parse at once
//!     take ◀────────────────────── outbound, FIN, reset, over ◀── send, shutdown_write, reset_on_close, drop
//!       ▲                                  │
//!       └──────── record CARRIED ◀── ask ──┘ only of what JavaScript's thread does not do itself
//! ```
//!
//! Each direction has a limit. Outbound bytes are refused once [`OUTBOUND`] wait. JavaScript is told to pause its carrier
//! once [`INBOUND`] wait, and to resume it when all were read.
//!
//! May not know what the bytes mean. The lock is held to copy or to look, and never while somebody is told.

use super::boundary::{carried, kind};
use super::connection::Connection;
use super::inbox::collector::Collector;
use super::inbox::flow::Flow;
use super::inbox::queue::Inbox;
use super::io::Io;
use super::link::Wait;
use super::lock::{Guard, Lock, Rank};
use super::pump::linger::{self, Ready};
use super::pump::task::{self, Waits};
use super::pump::wait::until;
use super::read_set::ReadSet;
use std::io::{self, IoSlice};
use std::sync::Arc;
use tokio::io::Interest;
use tokio::sync::Notify;

/// The most bytes that wait for JavaScript to take them: what one flush of commands brings about, so that a flush leaves
/// in its turn. A carrier that is full leaves the rest with the link, where priorities and `'drain'` still count.
pub const OUTBOUND: usize = 256 << 10;

/// The inbound bytes at which the carrier is paused. They wait only while the task is in a turn, or while nobody wants
/// them.
pub const INBOUND: usize = 64 << 10;

/// Memory that a queue keeps in any case when it is empty.
const SPARE: usize = 16 << 10;

/// Bytes in order.
#[derive(Debug, Default)]
struct Bytes {
    bytes: Vec<u8>,
    at: usize,
}

impl Bytes {
    fn len(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn take(&mut self, into: &mut [u8]) -> usize {
        let taken = self.len().min(into.len());
        into[..taken].copy_from_slice(&self.bytes[self.at..self.at + taken]);
        self.at += taken;
        if self.at == self.bytes.len() {
            self.clear();
        }
        taken
    }

    /// Keeps the memory that the last bytes needed, and more only if they needed most of it.
    fn clear(&mut self) {
        let needed = self.bytes.len();
        self.bytes.clear();
        self.at = 0;
        if needed < self.bytes.capacity() / 4 {
            self.bytes.shrink_to(SPARE);
        }
    }
}

#[derive(Debug, Default)]
struct State {
    inbound: Bytes,
    /// The carrier has ended: nothing follows the inbound bytes.
    has_ended: bool,
    /// The carrier has failed, and carries nothing any more. JavaScript knows why.
    has_failed: bool,
    /// JavaScript has paused the carrier.
    is_paused: bool,
    /// The task is in a turn, in which it may read: what is delivered meanwhile goes behind what it reads.
    is_task_at_work: bool,
    /// The task waits for room.
    awaits_room: bool,
    outbound: Bytes,
    /// Our FIN goes behind the outbound bytes.
    is_finished: bool,
    /// The carrier is to be destroyed, with what waits.
    is_reset: bool,
    /// Nobody uses the carrier any more.
    is_over: bool,
    /// JavaScript was asked to look, and has not looked yet.
    is_asked: bool,
}

/// What waits between a carrier and its connection.
#[derive(Debug)]
pub struct Carried {
    state: Lock<State>,
    /// Wakes the task that waits for the carrier.
    task: Notify,
}

/// What JavaScript took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The number of bytes.
    pub bytes: usize,
    /// The state of the carrier, in the bits that JavaScript reads.
    pub bits: u32,
}

impl Carried {
    /// Nothing waits yet.
    pub fn new() -> Arc<Self> {
        let state = State {
            is_task_at_work: true,
            ..State::default()
        };
        Arc::new(Self {
            state: Lock::new(Rank::Carried, state),
            task: Notify::new(),
        })
    }

    fn state(&self) -> Guard<'_, State> {
        self.state.lock()
    }

    /// The state of a carrier that has not failed. JavaScript puts the carrier's own error in the place of this one.
    fn working(&self) -> io::Result<Guard<'_, State>> {
        let state = self.state();
        match state.has_failed {
            true => Err(crate::sys::connection_reset()),
            false => Ok(state),
        }
    }

    /// Whether bytes that JavaScript's thread delivers may be parsed there at once: nothing waits before them, and the task
    /// is not about to read.
    pub fn is_clear_to_parse(&self) -> bool {
        let state = self.state();
        state.inbound.len() == 0 && !state.is_task_at_work
    }

    /// Leaves bytes to the task. Returns whether the carrier is to be paused.
    pub fn deliver(&self, bytes: &[u8]) -> bool {
        let mut state = self.state();
        if state.is_over {
            return false;
        }
        state.inbound.put(bytes);
        state.is_paused |= state.inbound.len() >= INBOUND;
        let is_paused = state.is_paused;
        drop(state);
        self.task.notify_one();
        is_paused
    }

    /// The carrier has ended.
    pub fn deliver_end(&self) {
        self.state().has_ended = true;
        self.task.notify_one();
    }

    /// The carrier has failed. What was delivered and not read is lost, as with a socket that is reset.
    pub fn fail(&self) {
        let mut state = self.state();
        state.has_failed = true;
        state.inbound.clear();
        state.outbound.clear();
        drop(state);
        self.task.notify_one();
    }

    /// Takes outbound bytes, for JavaScript to write them to its carrier.
    pub fn take(&self, into: &mut [u8]) -> Taken {
        let mut state = self.state();
        state.is_asked = false;
        let bytes = state.outbound.take(into);
        let has_more = state.outbound.len() > 0;
        let wants_read = state.is_paused && state.inbound.len() == 0;
        if wants_read {
            state.is_paused = false;
        }
        let mut bits = 0;
        for (is_set, bit) in [
            (has_more, carried::MORE),
            (state.is_finished && !has_more, carried::FINISHED),
            (state.is_over && !has_more, carried::OVER),
            (state.is_reset, carried::RESET),
            (wants_read, carried::RESUME),
        ] {
            bits |= if is_set { bit } else { 0 };
        }
        let wakes = bytes > 0 && state.awaits_room;
        drop(state);
        if wakes {
            self.task.notify_one();
        }
        Taken { bytes, bits }
    }

    /// Changes the state. Returns whether JavaScript has to be asked to look.
    fn change(&self, work: impl FnOnce(&mut State)) -> bool {
        let mut state = self.state();
        work(&mut state);
        !std::mem::replace(&mut state.is_asked, true)
    }
}

/// JavaScript's thread takes what it sends here itself, so nobody is asked to.
impl Io for Carried {
    fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.working()?;
        match state.inbound.take(buffer) {
            0 if state.has_ended => Ok(0),
            0 => Err(io::ErrorKind::WouldBlock.into()),
            taken => Ok(taken),
        }
    }

    fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.working()?;
        let room = OUTBOUND.saturating_sub(state.outbound.len());
        if room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut left = room;
        for slice in slices {
            let fits = slice.len().min(left);
            state.outbound.put(&slice[..fits]);
            left -= fits;
        }
        Ok(room - left)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        let mut state = self.working()?;
        state.is_finished = true;
        Ok(())
    }

    fn reset_on_close(&self) -> io::Result<()> {
        let mut state = self.state();
        state.is_reset = true;
        state.outbound.clear();
        Ok(())
    }

    fn unsent(&self) -> usize {
        self.state().outbound.len()
    }

    fn is_sent_by_app(&self) -> bool {
        true
    }

    /// JavaScript's thread is told by the carrier itself, so the set is of no use.
    fn watch(&self, _: &ReadSet, _: u32) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn unwatch(&self, _: &ReadSet, _: u32) {}
}

/// The task's end of a carrier. JavaScript is asked to look whenever something changes for it. Once this end is dropped,
/// the carrier is over, as a socket is that closes.
#[derive(Debug)]
pub struct TaskEnd {
    carried: Arc<Carried>,
    inbox: Arc<Inbox>,
    flow: Arc<Flow>,
    /// The number by which JavaScript knows the carrier.
    number: u32,
}

impl TaskEnd {
    /// The task's end of `carried`.
    pub fn new(carried: Arc<Carried>, inbox: Arc<Inbox>, number: u32) -> Self {
        let flow = Arc::new(Flow::of_server());
        Self {
            carried,
            inbox,
            flow,
            number,
        }
    }

    fn change(&self, work: impl FnOnce(&mut State)) {
        if self.carried.change(work) {
            let mut collector = Collector::default();
            collector.start(0);
            collector.plain(kind::CARRIED, self.number, 0);
            self.inbox.push(&self.flow, &mut collector, None);
            self.inbox.notify();
        }
    }

    fn set_at_work(&self, is_task_at_work: bool) {
        self.carried.state().is_task_at_work = is_task_at_work;
    }

    /// Waits for the carrier. A failure of the carrier's is returned in any case, since nobody else finds it.
    async fn ready_for(&self, to_read: bool, to_write: bool) -> io::Result<()> {
        loop {
            {
                let mut state = self.carried.working()?;
                if to_read && (state.inbound.len() > 0 || state.has_ended) {
                    return Ok(());
                }
                let has_room = state.outbound.len() < OUTBOUND;
                if to_write && has_room {
                    return Ok(());
                }
                state.awaits_room = to_write;
            }
            self.carried.task.notified().await;
        }
    }
}

impl Drop for TaskEnd {
    fn drop(&mut self) {
        self.change(|state| {
            state.is_over = true;
            state.inbound.clear();
        });
    }
}

impl Io for TaskEnd {
    fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.carried.recv(buffer);
        let state = self.carried.state();
        let wants_read = state.is_paused && state.inbound.len() == 0;
        drop(state);
        if wants_read {
            self.change(|_| {});
        }
        result
    }

    fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let sent = self.carried.send(slices)?;
        self.change(|_| {});
        Ok(sent)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        let result = self.carried.shutdown_write();
        self.change(|_| {});
        result
    }

    fn reset_on_close(&self) -> io::Result<()> {
        self.carried.reset_on_close()
    }

    fn unsent(&self) -> usize {
        self.carried.unsent()
    }

    fn watch(&self, set: &ReadSet, connection: u32) -> io::Result<()> {
        self.carried.watch(set, connection)
    }

    fn unwatch(&self, set: &ReadSet, connection: u32) {
        self.carried.unwatch(set, connection);
    }
}

impl Waits for TaskEnd {
    async fn wait(&mut self, connection: &Connection, wait: Wait) -> io::Result<()> {
        self.set_at_work(false);
        let result = tokio::select! {
            biased;
            () = connection.flow.wake.notified() => Ok(()),
            result = self.ready_for(wait.to_read, wait.to_write) => result,
            () = until(connection, wait.deadline, wait.is_fine) => Ok(()),
        };
        self.set_at_work(true);
        result
    }
}

impl Ready for TaskEnd {
    async fn ready(&mut self, interest: Interest) -> io::Result<()> {
        self.ready_for(interest.is_readable(), interest.is_writable())
            .await
    }
}

/// Runs a connection on its carrier until it ends.
pub async fn run(connection: Arc<Connection>, io: TaskEnd) {
    let (io, lingers) = task::serve(&connection, io).await;
    drop(connection);
    if let Some(lingers) = lingers {
        linger::run(io, lingers).await;
    }
}

#[cfg(test)]
mod tests;
