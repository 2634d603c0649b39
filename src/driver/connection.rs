//! One connection as both threads see it: its session, its socket's turns, and the commands left behind.
//!
//! Who may send:
//!
//! ```text
//!   lock held, nothing in flight ──application's thread: send at once──▶ rest, if any, in flight
//!   lock held, `writing` false   ──task: takes what is in flight or queued, sets `writing`, lets go of the lock,
//!                                   sends, takes the lock again──▶ rest, if any, in flight
//! ```
//!
//! So bytes leave in one order, whoever sends them, and nobody is in the kernel with the lock held but for a short
//! send of the application's.
//!
//! May not wait on the application's thread, nor make a system call with the lock held but for a short send.

use super::backlog::Backlog;
use super::command;
use super::drained::Drained;
use super::events::{Collector, EventQueue, Flow};
use super::inner::{Failure, Inner};
use super::joining::{Joining, Part};
use super::options::ConnectionOptions;
use super::quiet_set::QuietSet;
use super::quota::{Quota, Quotas};
use super::transport::Transport;
use crate::proto::{Handle, Partial, PeerKind, ProtocolError, Session, Side, Transmit};
use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};
use std::time::Instant;

/// Chunks in one vectored write.
pub const SLICES: usize = 16;

/// Acknowledgements that may wait behind a full outbox before the socket is no longer read. A peer has at most 256
/// opens under way; one that has more of them answered and reads none of the answers would fill our memory with them.
const MAX_ACCEPTS: usize = 1024;

/// How a connection is to end before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It is not.
    No,
    /// The socket closes.
    Close,
    /// The socket closes with a reset.
    Reset,
}

/// Counted bytes of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Totals {
    /// Read from the socket.
    pub read: u64,
    /// Written to the socket, or on the way there.
    pub written: u64,
    /// On the way there, what waits for the peer's readers included.
    pub queued: u64,
    /// What is known of the peer.
    pub peer: PeerKind,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    /// Its number in its environment.
    pub id: u32,
    pub options: ConnectionOptions,
    pub events: Arc<EventQueue>,
    pub flow: Arc<Flow>,
    /// Where the application's thread looks for what to read, if it does.
    pub quiet_set: Option<Arc<QuietSet>>,
    pub bytes_read: AtomicU64,
    pub bytes_written: AtomicU64,
    inner: Mutex<Inner>,
    /// The socket again, for those who set an option on it: this lock is held for a look only.
    socket: Mutex<Option<Weak<Transport>>>,
    deferred: Mutex<Vec<u8>>,
    pub(super) deferred_len: AtomicUsize,
    /// Bytes queued, those deferred not counted.
    pub(super) drained: Drained,
    /// Bytes that wait for the peer's readers.
    pub(super) waiting: AtomicU64,
    /// How often the application was told that a stream is blocked.
    pub(super) blocked_events: AtomicU32,
    stop: AtomicU8,
    /// What is known of the peer, for those who do not hold the lock.
    known: AtomicU8,
    /// There was traffic, or may have been, since spare memory was given back: the task looks again.
    pub(super) is_in_use: AtomicBool,
    /// Makes the next read panic.
    #[cfg(test)]
    pub panics: AtomicBool,
}

impl Connection {
    /// A connection that has no socket yet.
    pub fn new(
        id: u32,
        side: Side,
        options: ConnectionOptions,
        nonce: [u8; 8],
        events: Arc<EventQueue>,
        quiet_set: Option<Arc<QuietSet>>,
    ) -> Arc<Self> {
        let session = Session::new(options.protocol.clone(), side, nonce, Instant::now());
        Arc::new(Self {
            id,
            options,
            events,
            flow: Arc::new(Flow::new(id)),
            quiet_set,
            bytes_read: AtomicU64::new(0),
            bytes_written: AtomicU64::new(0),
            inner: Mutex::new(Inner {
                session,
                socket: None,
                in_flight: Transmit::default(),
                writing: false,
                failure: None,
                quiet: false,
                finish: false,
                write_ended: false,
                paused: false,
                ended: false,
                backlog: Backlog::default(),
                quota: None,
                armed: None,
                is_collecting: false,
                spilled: Collector::default(),
                joining: Joining::default(),
            }),
            socket: Mutex::default(),
            deferred: Mutex::default(),
            deferred_len: AtomicUsize::new(0),
            drained: Drained::default(),
            waiting: AtomicU64::new(0),
            blocked_events: AtomicU32::new(0),
            stop: AtomicU8::new(Stop::No as u8),
            known: AtomicU8::new(PeerKind::Undecided as u8),
            is_in_use: AtomicBool::new(true),
            #[cfg(test)]
            panics: Default::default(),
        })
    }

    /// For the task: waits while the application's thread is in a short turn.
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner
            .lock()
            .unwrap_or_else(|poisoned| self.give_up(poisoned.into_inner()))
    }

    /// For the application's thread: `None` while the task is in a turn.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, Inner>> {
        match self.inner.try_lock() {
            Ok(inner) => Some(inner),
            Err(TryLockError::Poisoned(poisoned)) => Some(self.give_up(poisoned.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// A thread panicked with the lock held: nothing more is done with what it left, and the task ends the connection.
    fn give_up<'a>(&self, mut inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        self.inner.clear_poison();
        inner.ended = true;
        inner.failure = Some(Failure::Defect);
        self.wake();
        inner
    }

    /// The connection has its socket.
    pub fn attach(&self, socket: &Arc<Transport>) {
        let mut inner = self.lock();
        inner.session.set_local(socket.is_local());
        inner.session.connected(Instant::now());
        inner.socket = Some(socket.clone());
        self.keep_known(&inner);
        drop(inner);
        *self
            .socket
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(Arc::downgrade(socket));
    }

    /// What the peer may reset is what is left of that at its address.
    pub fn limit_resets(&self, quotas: &Arc<Mutex<Quotas>>, address: IpAddr) {
        let (quota, left) = Quota::new(quotas, address, Instant::now());
        let mut inner = self.lock();
        inner.session.set_resets(left);
        inner.quota = Some(quota);
    }

    /// Wakes the task.
    pub fn wake(&self) {
        self.flow.wake.notify_one();
    }

    /// Executes the commands at the front of a buffer that are for this connection, on the application's thread, without
    /// ever waiting. Gives their length, and the bytes then queued.
    pub fn submit(&self, commands: &[u8], collector: &mut Collector) -> (usize, u64) {
        let Some(mut inner) = self.try_lock() else {
            let taken = command::run(commands, self.id);
            let queued = self.defer(|deferred| deferred.extend_from_slice(&commands[..taken]));
            return (taken, queued);
        };
        let could_read = self.start_submit(&mut inner, collector);
        let taken = inner.execute(commands, self.id, collector);
        (taken, self.end_submit(inner, could_read, collector))
    }

    /// Executes one command to send data, whose payload stands by itself: a long one is copied once less so. Gives the
    /// bytes then queued.
    pub fn submit_data(&self, stream: Handle, payload: &[u8], collector: &mut Collector) -> u64 {
        let Some(mut inner) = self.try_lock() else {
            return self.defer(|deferred| command::put_data(deferred, self.id, stream, payload));
        };
        let could_read = self.start_submit(&mut inner, collector);
        inner.execute_data(self.id, stream, payload, collector);
        self.end_submit(inner, could_read, collector)
    }

    /// Queues events before the lock is let go of: the application must see what both threads find in the order in which
    /// they held it.
    pub fn tell(&self, inner: &mut Inner, collector: &mut Collector) {
        match inner.is_collecting {
            true => inner.spilled.append(collector),
            false => self.events.push(&self.flow, collector, None),
        }
    }

    /// Leaves commands to the task. Gives the bytes then queued.
    fn defer(&self, put: impl FnOnce(&mut Vec<u8>)) -> u64 {
        let mut deferred = self
            .deferred
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        put(&mut deferred);
        let waiting = deferred.len();
        self.deferred_len.store(waiting, Ordering::Release);
        drop(deferred);
        self.drained.want();
        self.wake();
        self.drained.queued() + waiting as u64
    }

    fn start_submit(&self, inner: &mut Inner, collector: &mut Collector) -> bool {
        collector.start(self.id);
        let could_read = self.wants_read(inner);
        self.absorb(inner, collector);
        could_read
    }

    fn end_submit(
        &self,
        mut inner: MutexGuard<'_, Inner>,
        could_read: bool,
        collector: &mut Collector,
    ) -> u64 {
        let queued = self.send_after(&mut inner, None, collector);
        let task_is_needed = self.needs_task(&inner) || could_read != self.wants_read(&inner);
        self.tell(&mut inner, collector);
        drop(inner);
        if task_is_needed {
            self.wake();
        }
        queued
    }

    /// Whether there is something that only the task does.
    pub fn needs_task(&self, inner: &Inner) -> bool {
        inner.wants_write()
            || !inner.in_flight.is_empty()
            || inner.backlog.len() > 0
            || inner.finish
            || inner.failure.is_some()
            || inner.is_due_earlier()
            || (inner.quiet && inner.lacks_credit())
    }

    /// Whether what was read may have brought about something for the task to send, or to tell.
    pub fn needs_write(&self, inner: &Inner) -> bool {
        let can_take = inner.backlog.len() > 0 && inner.session.can_encode();
        inner.in_flight.is_empty()
            && (inner.wants_write() || can_take || inner.finish || self.wants_drain())
    }

    /// Parses what was read, a range of `bytes`. `part` is the message that it goes on with, then the one that goes on
    /// behind it. Gives whether there was anything in it that the application is told.
    pub fn parse(
        &self,
        inner: &mut Inner,
        (bytes, range): (&[u8], Range<usize>),
        now: Instant,
        part: &mut Part,
        collector: &mut Collector,
    ) -> Result<bool, ProtocolError> {
        self.bytes_read
            .fetch_add(range.len() as u64, Ordering::Relaxed);
        let before = collector.len();
        #[cfg(test)]
        assert!(
            !self.panics.swap(false, Ordering::SeqCst),
            "as the test wants it"
        );
        collector.base = range.start;
        if let Some((stream, start)) = part.take() {
            collector.join(stream, start);
        }
        let end = range.end;
        let result = inner.session.receive(&bytes[range], now, collector);
        self.keep_known(inner);
        result?;
        if let Some(Partial { stream, .. }) = inner.session.partial() {
            let start = collector.take_back(stream, end);
            *part = start.map(|start| (stream, start));
        }
        Ok(collector.len() > before)
    }

    /// Whether the socket may be read, as far as the application and the protocol are concerned.
    pub fn wants_read(&self, inner: &Inner) -> bool {
        // A session that can encode, as one that has changed wires always can, is about to take them.
        let has_room = inner.backlog.accepts < MAX_ACCEPTS || inner.session.can_encode();
        has_room && inner.session.wants_read(inner.paused)
    }

    /// Executes what was left behind while the lock was taken, and what the session can encode by now.
    pub fn absorb(&self, inner: &mut Inner, collector: &mut Collector) {
        inner.apply_backlog(collector);
        if self.deferred_len.load(Ordering::Acquire) > 0 {
            let mut deferred = self
                .deferred
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            let commands = std::mem::take(&mut *deferred);
            // Those who ask without the lock meanwhile find them counted.
            let waiting = commands.len() as u64;
            self.drained.add(waiting);
            self.events.add_held(waiting, 0);
            self.deferred_len.store(0, Ordering::Release);
            drop(deferred);
            inner.execute(&commands, self.id, collector);
        }
    }

    /// Ends the connection before its time; its task does the rest.
    pub fn stop(&self, stop: Stop) {
        self.stop.store(stop as u8, Ordering::Release);
        self.wake();
    }

    /// Whether and how it is to end.
    pub fn stopped(&self) -> Stop {
        match self.stop.load(Ordering::Acquire) {
            0 => Stop::No,
            1 => Stop::Close,
            _ => Stop::Reset,
        }
    }

    /// Nothing is sent any more; what is still commanded is dropped.
    pub fn end(&self) {
        let mut inner = self.lock();
        self.end_quiet(&mut inner);
        inner.ended = true;
        inner.socket = None;
        inner.in_flight = Transmit::default();
        inner.backlog = Backlog::default();
        let now = Instant::now();
        let quota = inner.quota.take();
        if let (Some(quota), Some(left)) = (quota, inner.session.resets_left(now)) {
            quota.end(left, now);
        }
        let waited = self.waiting.swap(0, Ordering::AcqRel);
        self.events.add_held(0, self.drained.publish(0) + waited);
    }

    /// Bytes commanded and not with the kernel, for an application that was told that the queue has drained. If it has
    /// filled again it will be told once more, although nobody wrote: bytes that waited for a stream's credit count again
    /// once that has come.
    pub fn queued_after_drain(&self) -> u64 {
        let low_water = self.options.low_water as u64;
        self.drained.ask(low_water, || self.queued())
    }

    /// Bytes commanded and not with the kernel.
    pub fn queued(&self) -> u64 {
        match self.try_lock() {
            Some(inner) => self.update_queued(&inner),
            None => {
                let deferred = self.deferred_len.load(Ordering::Acquire);
                self.drained.queued() + deferred as u64
            }
        }
    }

    /// Bytes that wait on one stream for the peer's reader; while the task is in a turn, those of all streams.
    pub fn waiting_on(&self, stream: Handle) -> u64 {
        match self.try_lock() {
            Some(mut inner) => inner.session.queued_on(stream),
            None => self.waiting.load(Ordering::Acquire),
        }
    }

    /// How often the application was told that a stream is blocked, or is about to be.
    pub fn blocked_events(&self) -> u32 {
        self.blocked_events.load(Ordering::Acquire)
    }

    /// Counted bytes.
    pub fn totals(&self) -> Totals {
        let known = self.known.load(Ordering::Relaxed);
        let written = self.bytes_written.load(Ordering::Relaxed);
        let queued = self.queued() + self.waiting.load(Ordering::Acquire);
        Totals {
            read: self.bytes_read.load(Ordering::Relaxed),
            written: written + queued,
            queued,
            peer: match known {
                peer if peer == PeerKind::New as u8 => PeerKind::New,
                peer if peer == PeerKind::Old as u8 => PeerKind::Old,
                _ => PeerKind::Undecided,
            },
        }
    }

    /// Keeps what the session has learnt of the peer where it can be read without the lock.
    fn keep_known(&self, inner: &Inner) {
        let known = inner.session.peer() as u8;
        self.known.store(known, Ordering::Relaxed);
    }

    /// Works on the socket, if there is one: to set an option.
    pub fn with_socket(&self, work: impl FnOnce(&Transport) -> io::Result<()>) -> io::Result<()> {
        let slot = self
            .socket
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let socket = slot.as_ref().and_then(Weak::upgrade);
        drop(slot);
        socket.map_or(Ok(()), |socket| work(&socket))
    }
}
