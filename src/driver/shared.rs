//! State that threads share without a lock: the driver's only file with atomics.
//!
//! If a thread waits to be told something, two rules keep the message from getting lost. A thread that waits first says
//! so, and then looks at what it waits for. A thread that changes something first publishes the change, and then looks
//! whether somebody waits. So one of them sees the other. A thread may be told without need, and then looks in vain.
//!
//! May not know what is counted. `tests/shared.rs` tries all orders of two threads' steps.

use super::sync::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// The state of a connection that a thread with its link publishes, and that threads without the link read.
#[derive(Debug)]
pub struct Counters {
    /// The bytes read from the socket.
    pub read: Counter,
    /// The bytes that the kernel took.
    pub written: Counter,
    /// The bytes of commands that found the link locked.
    pub deferred: Counter,
    /// The bytes queued towards the socket, except for deferred ones, and whether JavaScript waits for them to become
    /// few.
    pub queue: Queue,
    /// The bytes that wait for the peer's readers.
    waiting: AtomicU64,
    /// The number of times that JavaScript was told, or is about to be told, that a stream is blocked.
    blocked_events: AtomicU32,
    /// The kind of the peer, in the numbers of `PeerKind`.
    peer: AtomicU8,
    /// The way in which the application wants the connection stopped, in the numbers of `Stop`.
    stop: AtomicU8,
    /// The connection has seen traffic, or may have, since its spare memory was given back.
    is_in_use: AtomicBool,
}

/// The counts of a link that are published.
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

    /// Publishes the link's counts. Returns how many bytes were published as queued or waiting before.
    pub fn publish(&self, counts: Counts) -> u64 {
        // This count comes before the length of the queue: a thread that sees the queue shrink must know that a stream
        // was told to wait.
        self.blocked_events
            .store(counts.blocked_events, Ordering::Release);
        self.peer.store(counts.peer, Ordering::Relaxed);
        let waited = self.waiting.swap(counts.waiting, Ordering::AcqRel);
        waited + self.queue.publish(counts.queued)
    }

    /// The bytes queued and deferred.
    pub fn queued(&self) -> u64 {
        // The order matters: bytes that are absorbed in between count twice, and are never missed.
        let deferred = self.deferred.get();
        self.queue.length() + deferred
    }

    /// The bytes that wait for the peer's readers.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Acquire)
    }

    /// The number of times that JavaScript was told, or is about to be told, that a stream is blocked.
    pub fn blocked_events(&self) -> u32 {
        self.blocked_events.load(Ordering::Acquire)
    }

    /// The kind of the peer.
    pub fn peer(&self) -> u8 {
        self.peer.load(Ordering::Relaxed)
    }

    /// Notes that the application wants the connection stopped in this way.
    pub fn stop(&self, how: u8) {
        self.stop.store(how, Ordering::Release);
    }

    /// The way in which the application wants the connection stopped; zero if it does not.
    pub fn stopped(&self) -> u8 {
        self.stop.load(Ordering::Acquire)
    }

    /// The bytes moved in both directions.
    pub fn moved(&self) -> u64 {
        self.read.get().wrapping_add(self.written.get())
    }

    /// Notes that the JavaScript thread has moved something. Returns whether the connection's task has to be told.
    pub fn use_again(&self) -> bool {
        !self.is_in_use.load(Ordering::SeqCst) && !self.is_in_use.swap(true, Ordering::SeqCst)
    }

    /// Notes that the task itself looks for traffic from now on.
    pub fn watch_use(&self) {
        self.is_in_use.store(true, Ordering::SeqCst);
    }

    /// Notes that the task is about to give memory back, and wants to be told of traffic from now on.
    pub fn await_use(&self) {
        self.is_in_use.swap(false, Ordering::SeqCst);
    }
}

/// A number that one thread counts and others read.
#[derive(Debug)]
pub struct Counter(AtomicU64);

impl Counter {
    /// A counter at zero.
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

    /// Adds to the number. A negative change in two's complement wraps to the right sum.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::SeqCst);
    }
}

/// The number of bytes that a connection has queued, and whether JavaScript waits for them to become few.
#[derive(Debug)]
pub struct Queue {
    length: AtomicU64,
    is_wanted: AtomicBool,
}

impl Queue {
    /// An empty queue that nobody waits for.
    pub fn new() -> Self {
        Self {
            length: AtomicU64::new(0),
            is_wanted: AtomicBool::new(false),
        }
    }

    /// The bytes queued, as last published.
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

    /// For JavaScript's thread: notes that it waits to be told when few bytes are queued.
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

/// The work of a connection's events that JavaScript has not seen, and whether the connection's reader waits for that
/// to become less.
#[derive(Debug)]
pub struct Undelivered {
    work: AtomicUsize,
    is_reader_waiting: AtomicBool,
    /// The work at which reading stops.
    most: usize,
}

impl Undelivered {
    /// Nothing is undelivered, and reading stops at `most`.
    pub fn new(most: usize) -> Self {
        Self {
            work: AtomicUsize::new(0),
            is_reader_waiting: AtomicBool::new(false),
            most,
        }
    }

    /// Whether JavaScript has seen all events.
    pub fn is_none(&self) -> bool {
        self.work.load(Ordering::SeqCst) == 0
    }

    /// Whether there is room for more.
    pub fn has_room(&self) -> bool {
        self.work.load(Ordering::SeqCst) < self.most
    }

    /// For the reader: returns whether there is room for more. If not, the reader is noted as waiting, and is told of
    /// room.
    pub fn ask_for_room(&self) -> bool {
        if self.has_room() {
            return true;
        }
        self.is_reader_waiting.store(true, Ordering::SeqCst);
        // Work that was delivered between the two steps must not be missed.
        self.has_room()
    }

    /// Counts work as undelivered.
    pub fn add(&self, work: usize) {
        self.work.fetch_add(work, Ordering::SeqCst);
    }

    /// Counts work as delivered. Returns whether the reader is to be told of room.
    pub fn deliver(&self, work: usize) -> bool {
        let left = self.work.fetch_sub(work, Ordering::SeqCst) - work;
        left < self.most / 2 && self.is_reader_waiting.swap(false, Ordering::SeqCst)
    }
}

/// Whether the JavaScript thread was asked to come and take what is queued, and has not come yet.
#[derive(Debug)]
pub struct Asked(AtomicBool);

impl Asked {
    /// Nobody has asked yet.
    pub fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Asks. Returns whether the thread has to be woken, because nobody had asked before.
    pub fn ask(&self) -> bool {
        !self.0.swap(true, Ordering::SeqCst)
    }

    /// For the JavaScript thread, before it takes what is queued: batches that are queued later are asked for anew.
    pub fn answer(&self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// The number of connections in a set, and the only one if there is one, without a system call.
#[derive(Debug)]
pub struct Members(AtomicU64);

/// The unit of the count of members, and the mask of the member's number below it.
const ONE: u64 = 1 << 32;
const NUMBER: u64 = ONE - 1;

impl Members {
    /// No members.
    pub fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Counts a new member.
    pub fn add(&self, number: u32) {
        self.change(number, |members| members.wrapping_add(ONE));
    }

    /// Removes a member from the count.
    pub fn remove(&self, number: u32) {
        self.change(number, |members| members.wrapping_sub(ONE));
    }

    /// The only member. Members that come or go meanwhile may be missed.
    pub fn only(&self) -> Option<u32> {
        let members = self.0.load(Ordering::Acquire);
        (members & !NUMBER == ONE).then_some((members & NUMBER) as u32)
    }

    // The state is the number of members times 2^32, and the exclusive or of their numbers.
    fn change(&self, number: u32, count: impl Fn(u64) -> u64) {
        let changed = |members| Some(count(members) ^ u64::from(number));
        // The update never refuses.
        let _ = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, changed);
    }
}
