//! What two threads know of each other without a lock: the driver's only file with atomics.
//!
//! Where a thread waits to be told something, two rules keep the word from getting lost. Who waits first says that it
//! waits, and then looks at what it waits for; who changes that first publishes the change, and then looks whether
//! somebody waits. So one of them sees the other. A thread may be told without need, and then looks in vain.
//!
//! May not know what is counted. `tests/shared.rs` tries all orders of two threads' steps.

use super::sync::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// What is published of a connection by whoever holds its link, and asked by those who do not.
#[derive(Debug)]
pub struct Counters {
    /// Bytes read from the socket.
    pub read: Counter,
    /// Bytes that the kernel took.
    pub written: Counter,
    /// Bytes of commands that found the link taken.
    pub deferred: Counter,
    /// Bytes queued behind the socket, those deferred not counted, and whether JavaScript waits for them to become few.
    pub queue: Queue,
    /// Bytes that wait for the peer's readers.
    waiting: AtomicU64,
    /// How often JavaScript was told that a stream is blocked, or is about to be.
    blocked_events: AtomicU32,
    /// What is known of the peer, as `PeerKind` numbers it.
    peer: AtomicU8,
    /// How the application wants the connection ended, as its `Stop` says it.
    stop: AtomicU8,
    /// The connection has seen traffic, or may have, since its spare memory was given back.
    is_in_use: AtomicBool,
}

/// What a link says of itself when it is published.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub queued: u64,
    pub waiting: u64,
    pub blocked_events: u32,
    pub peer: u8,
}

impl Counters {
    /// The counters of a connection that has not begun.
    pub fn new(peer: u8) -> Self {
        Self {
            read: Counter::new(),
            written: Counter::new(),
            deferred: Counter::new(),
            queue: Queue::new(),
            waiting: AtomicU64::new(0),
            blocked_events: AtomicU32::new(0),
            peer: AtomicU8::new(peer),
            stop: AtomicU8::new(0),
            is_in_use: AtomicBool::new(true),
        }
    }

    /// Publishes what the link says. Returns how many bytes were published as queued or waiting before.
    pub fn publish(&self, counts: Counts) -> u64 {
        // Before the count of the queue: who sees that fall must know that a stream was told to wait.
        self.blocked_events
            .store(counts.blocked_events, Ordering::Release);
        self.peer.store(counts.peer, Ordering::Relaxed);
        let waited = self.waiting.swap(counts.waiting, Ordering::AcqRel);
        waited + self.queue.publish(counts.queued)
    }

    /// Bytes queued and deferred.
    pub fn queued(&self) -> u64 {
        // In this order: what is absorbed in between counts twice, and never not at all.
        let deferred = self.deferred.get();
        self.queue.length() + deferred
    }

    /// Bytes that wait for the peer's readers.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Acquire)
    }

    /// How often a stream was told that it is blocked, or is about to be.
    pub fn blocked_events(&self) -> u32 {
        self.blocked_events.load(Ordering::Acquire)
    }

    /// What is known of the peer.
    pub fn peer(&self) -> u8 {
        self.peer.load(Ordering::Relaxed)
    }

    /// The application wants the connection ended in this way.
    pub fn stop(&self, how: u8) {
        self.stop.store(how, Ordering::Release);
    }

    /// How the application wants the connection ended; zero while it does not.
    pub fn stopped(&self) -> u8 {
        self.stop.load(Ordering::Acquire)
    }

    /// Bytes moved either way.
    pub fn moved(&self) -> u64 {
        self.read.get().wrapping_add(self.written.get())
    }

    /// The JavaScript thread has moved something. Returns whether the connection's task has to be told.
    pub fn use_again(&self) -> bool {
        !self.is_in_use.load(Ordering::SeqCst) && !self.is_in_use.swap(true, Ordering::SeqCst)
    }

    /// The task looks for traffic from now on, whether it is told of any or not.
    pub fn watch_use(&self) {
        self.is_in_use.store(true, Ordering::SeqCst);
    }

    /// The task is about to give memory back, and wants to be told of traffic from now on.
    pub fn await_use(&self) {
        self.is_in_use.swap(false, Ordering::SeqCst);
    }
}

/// A number that one thread counts and others read.
#[derive(Debug)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Zero.
    pub fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Sets the number.
    pub fn set(&self, number: u64) {
        self.0.store(number, Ordering::SeqCst);
    }

    /// Adds to the number, or takes from it: two's complement wraps a negative change to the right sum.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::SeqCst);
    }
}

/// How many bytes a connection has queued, and whether JavaScript waits for them to become few.
#[derive(Debug)]
pub struct Queue {
    length: AtomicU64,
    is_wanted: AtomicBool,
}

impl Queue {
    /// Nothing queued, and nobody waits.
    pub fn new() -> Self {
        Self {
            length: AtomicU64::new(0),
            is_wanted: AtomicBool::new(false),
        }
    }

    /// Bytes queued, as far as published.
    pub fn length(&self) -> u64 {
        self.length.load(Ordering::SeqCst)
    }

    /// Publishes the length. Returns what was published before.
    pub fn publish(&self, length: u64) -> u64 {
        self.length.swap(length, Ordering::SeqCst)
    }

    /// Adds to the length.
    pub fn add(&self, more: u64) {
        self.length.fetch_add(more, Ordering::SeqCst);
    }

    /// For JavaScript's thread: it has more queued than it likes, and waits to be told of few.
    pub fn want_few(&self) {
        self.is_wanted.store(true, Ordering::SeqCst);
    }

    /// Whether JavaScript waits to be told.
    pub fn wants_few(&self) -> bool {
        self.is_wanted.load(Ordering::SeqCst)
    }

    /// For JavaScript's thread: counts what is queued, and waits to be told if that is more than `low`.
    pub fn ask(&self, low: u64, count: impl FnOnce() -> u64) -> u64 {
        self.want_few();
        let queued = count();
        if queued <= low {
            self.is_wanted.store(false, Ordering::SeqCst);
        }
        queued
    }

    /// For the task, which has published that `queued` bytes are left. Returns whether JavaScript is to be told that
    /// this is at most `low`.
    pub fn tell(&self, low: u64, queued: u64) -> bool {
        if !self.is_wanted.swap(false, Ordering::SeqCst) {
            return false;
        }
        if queued > low {
            self.want_few();
        }
        queued <= low
    }
}

/// How much of a connection's events JavaScript has not seen, and whether its task waits for that to become less.
#[derive(Debug)]
pub struct Undelivered {
    work: AtomicUsize,
    is_reader_waiting: AtomicBool,
    /// Work at which reading stops.
    most: usize,
}

impl Undelivered {
    /// Nothing undelivered; reading stops at `most`.
    pub fn new(most: usize) -> Self {
        Self {
            work: AtomicUsize::new(0),
            is_reader_waiting: AtomicBool::new(false),
            most,
        }
    }

    /// Whether JavaScript has seen all there was.
    pub fn is_none(&self) -> bool {
        self.work.load(Ordering::SeqCst) == 0
    }

    /// Whether there is room for more.
    pub fn has_room(&self) -> bool {
        self.work.load(Ordering::SeqCst) < self.most
    }

    /// For the reader: whether there is room for more. If not, the reader waits, and is told of room.
    pub fn has_room_or_wait(&self) -> bool {
        if self.has_room() {
            return true;
        }
        self.is_reader_waiting.store(true, Ordering::SeqCst);
        // What was delivered between the two must not be missed.
        self.has_room()
    }

    /// So much more waits.
    pub fn add(&self, work: usize) {
        self.work.fetch_add(work, Ordering::SeqCst);
    }

    /// So much was delivered. Returns whether the reader is to be told of room.
    pub fn deliver(&self, work: usize) -> bool {
        let left = self.work.fetch_sub(work, Ordering::SeqCst) - work;
        left < self.most / 2 && self.is_reader_waiting.swap(false, Ordering::SeqCst)
    }
}

/// Whether the JavaScript thread was asked to come and take what is queued, and has not come yet.
#[derive(Debug)]
pub struct Asked(AtomicBool);

impl Asked {
    /// Nobody asked.
    pub fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Asks. Returns whether that is news, so that the thread has to be woken.
    pub fn ask(&self) -> bool {
        !self.0.swap(true, Ordering::SeqCst)
    }

    /// For the JavaScript thread, before it takes what is queued: what is queued later is asked for again.
    pub fn answer(&self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// How many connections a set has, and which one if there is only one: without a system call.
#[derive(Debug)]
pub struct Members(AtomicU64);

/// One member, and the part of a member's number, in the count of them.
const ONE: u64 = 1 << 32;
const NUMBER: u64 = ONE - 1;

impl Members {
    /// No members.
    pub fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// A member comes.
    pub fn add(&self, number: u32) {
        self.change(number, |members| members.wrapping_add(ONE));
    }

    /// A member goes.
    pub fn remove(&self, number: u32) {
        self.change(number, |members| members.wrapping_sub(ONE));
    }

    /// The only member. Others that come or go meanwhile may be missed.
    pub fn only(&self) -> Option<u32> {
        let members = self.0.load(Ordering::Acquire);
        (members & !NUMBER == ONE).then_some((members & NUMBER) as u32)
    }

    // How many are in, times 2^32, and the exclusive or of their numbers.
    fn change(&self, number: u32, count: impl Fn(u64) -> u64) {
        let changed = |members| Some(count(members) ^ u64::from(number));
        // It never says no.
        let _ = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, changed);
    }
}
