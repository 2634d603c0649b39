//! One connection as both threads see it: its link behind a lock, the commands that found the lock taken, and the numbers
//! that are published without it.
//!
//! ```text
//!   JavaScript's thread ──try_lock──▶ Guarded: link, socket ◀──lock── the connection's task
//!          └── the lock is taken ──▶ deferred ──────absorbed─────────────┘
//! ```
//!
//! The task never holds the lock while it sends or reads, so JavaScript's thread finds the lock taken for the time that it
//! takes to parse or to encode; that thread itself does its I/O with the lock held, since its calls are short and nobody
//! else could use the socket meanwhile. Both hold the lock for what is rare: the last words of a connection, a FIN, the
//! length of a send queue, and reading that changes hands.
//!
//! May not send or receive: pumps do. The options of a socket and its place in the read set are set here.

use super::admission::Refusal;
use super::command;
use super::inbox::collector::Collector;
use super::inbox::flow::Flow;
use super::inbox::queue::Inbox;
use super::io::Io;
use super::link::greeting::Greeting;
use super::link::life::{Failure, Stop};
#[cfg(feature = "tls")]
use super::link::tls::Tls;
use super::link::{Link, Reader};
use super::lock::{Guard, Lock, Rank};
use super::options::ConnectionOptions;
use super::quota::{Quota, Quotas};
use super::read_set::ReadSet;
use super::shared::Counters;
use super::socket::Socket;
#[cfg(feature = "tls")]
use super::tls::config::{Choice, Start};
use super::{boundary::kind, clock};
use crate::proto::{Handle, PeerKind, Side};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Weak};

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
    pub inbox: Arc<Inbox>,
    pub flow: Arc<Flow>,
    pub counters: Counters,
    /// Where JavaScript's thread looks for what to read, if it does.
    read_set: Option<Arc<ReadSet>>,
    /// Most bytes that JavaScript's thread sends at once.
    pub most_direct: u64,
    guarded: Lock<Guarded>,
    /// The socket again, for those who set an option on it: this lock is held for a look only.
    options_of: Lock<Option<Weak<Socket>>>,
    deferred: Lock<Vec<u8>>,
}

/// What stands behind a connection's lock.
#[derive(Debug)]
pub struct Guarded {
    pub link: Link,
    /// None before the connection is connected and after it has ended.
    pub socket: Option<Arc<dyn Io>>,
    /// Its part of what peers at its address may use up, until it has ended.
    quota: Option<Quota>,
}

impl Guarded {
    /// Whether there is something to do that only the task does.
    pub fn needs_task(&self) -> bool {
        let app_sends = self.socket.as_ref().is_some_and(|it| it.is_sent_by_app());
        self.link.needs_task(app_sends)
    }
}

impl Connection {
    /// A connection that has no socket yet.
    pub fn new(
        id: u32,
        side: Side,
        options: ConnectionOptions,
        nonce: [u8; 8],
        inbox: Arc<Inbox>,
        read_set: Option<Arc<ReadSet>>,
        most_direct: u64,
    ) -> Arc<Self> {
        let link = Link::new(options.protocol.clone(), side, nonce, clock::now());
        let guarded = Guarded {
            link,
            socket: None,
            quota: None,
        };
        Arc::new(Self {
            id,
            options,
            inbox,
            flow: Arc::new(Flow::new(id)),
            counters: Counters::new(PeerKind::Undecided as u8),
            read_set,
            most_direct,
            guarded: Lock::new(Rank::Link, guarded),
            options_of: Lock::new(Rank::Deferred, None),
            deferred: Lock::new(Rank::Deferred, Vec::new()),
        })
    }

    /// For the task, and for the exit: waits while the other thread is in a short turn.
    pub fn lock(&self) -> Guard<'_, Guarded> {
        self.guarded.lock_or_else(|guard| self.give_up(guard))
    }

    /// For JavaScript's thread: `None` while the task is in a turn.
    pub fn try_lock(&self) -> Option<Guard<'_, Guarded>> {
        #[cfg(test)]
        if super::testing::refuses_lock() {
            return None;
        }
        self.guarded.try_lock_or_else(|guard| self.give_up(guard))
    }

    /// A thread panicked with the lock held: nothing more is done with what it left, and the task ends the connection.
    fn give_up<'a>(&self, mut guarded: Guard<'a, Guarded>) -> Guard<'a, Guarded> {
        guarded.link.fail(Failure::Defect);
        self.wake();
        guarded
    }

    /// The connection has its socket, whose peer is on this machine or not.
    pub fn attach(&self, socket: Arc<dyn Io>, is_local: bool, greeting: Option<Greeting>) {
        let mut guarded = self.lock();
        guarded.link.connected(is_local, greeting, clock::now());
        guarded.socket = Some(socket);
        self.publish(&guarded.link);
    }

    /// Encrypts everything that is sent and received. Must be called before anybody else knows of the connection.
    #[cfg(feature = "tls")]
    pub fn encrypt(&self, start: Start) {
        self.lock().link.encrypt(Tls::new(start));
    }

    /// Lets JavaScript choose by the name that the client asks for. Must be called before the connection has its socket.
    #[cfg(feature = "tls")]
    pub fn ask_for_name(&self) {
        self.lock().link.ask_for_name();
    }

    /// JavaScript has chosen what the handshake goes on with. As for [`Connection::close`], its thread waits for the lock.
    #[cfg(feature = "tls")]
    pub fn choose(&self, choice: Choice) {
        self.lock().link.choose(choice);
        self.wake();
    }

    /// Lets options be set on the socket.
    pub fn attach_options(&self, socket: &Arc<Socket>) {
        *self.options_of.lock() = Some(Arc::downgrade(socket));
    }

    /// Works on the socket, if there is one: to set an option.
    pub fn with_socket(&self, work: impl FnOnce(&Socket) -> io::Result<()>) -> io::Result<()> {
        let socket = self.options_of.lock().as_ref().and_then(Weak::upgrade);
        socket.map_or(Ok(()), |socket| work(&socket))
    }

    /// What the peer may reset is what is left of that at its address.
    pub fn limit_resets(&self, quotas: &Arc<Lock<Quotas>>, address: IpAddr) {
        let (quota, left) = Quota::new(quotas, address, clock::now());
        let mut guarded = self.lock();
        guarded.link.set_resets(left);
        guarded.quota = Some(quota);
    }

    /// Wakes the task.
    pub fn wake(&self) {
        self.flow.wake.notify_one();
    }

    /// Ends the connection before its time; its task does the rest.
    pub fn stop(&self, stop: Stop) {
        self.counters.stop(stop as u8);
        self.wake();
    }

    /// Whether and how the application wants the connection ended.
    pub fn stopped(&self) -> Stop {
        Stop::from_number(self.counters.stopped())
    }

    /// Closes the connection with a code and a reason. If JavaScript's thread calls this, it waits for the lock, as it does for
    /// little else in a connection's life: refusals are rare, and the task's turns are short.
    pub fn close(&self, refusal: &Refusal) {
        let link = &mut self.lock().link;
        link.close(refusal.code, refusal.application, &refusal.reason);
        self.wake();
    }

    /// Nothing is sent any more; what is still commanded is dropped.
    pub fn end(&self) {
        let mut guarded = self.lock();
        self.take_reading_back(&mut guarded);
        guarded.link.end();
        guarded.socket = None;
        let quota = guarded.quota.take();
        let left = guarded.link.resets_left(clock::now());
        self.publish(&guarded.link);
        drop(guarded);
        if let (Some(quota), Some(left)) = (quota, left) {
            quota.end(left, clock::now());
        }
    }

    // ---- commands ----

    /// Leaves commands to the task. Returns the bytes then queued.
    pub fn defer(&self, put: impl FnOnce(&mut Vec<u8>)) -> u64 {
        let mut deferred = self.deferred.lock();
        put(&mut deferred);
        self.counters.deferred.set(deferred.len() as u64);
        drop(deferred);
        self.counters.queue.want_few();
        self.wake();
        self.counters.queued()
    }

    /// Executes what was deferred, behind what waits for the session, as far as that can encode it.
    pub fn absorb(&self, link: &mut Link, collector: &mut Collector) {
        #[cfg(test)]
        super::testing::interlude();
        link.execute_backlog(clock::now, collector);
        if !self.has_deferred() {
            return;
        }
        let mut deferred = self.deferred.lock();
        let commands = std::mem::take(&mut *deferred);
        // Those who ask without the lock meanwhile find them counted.
        let length = commands.len() as u64;
        self.counters.queue.add(length);
        self.inbox.add_held(length);
        self.counters.deferred.set(0);
        drop(deferred);
        link.execute(&commands, self.id, clock::now, collector);
    }

    /// Whether commands wait that found the lock taken.
    pub fn has_deferred(&self) -> bool {
        self.counters.deferred.get() > 0
    }

    /// The length of the commands at the front of a buffer that are for this connection.
    pub fn run_of(&self, commands: &[u8]) -> usize {
        command::run(commands, self.id)
    }

    // ---- what others are told ----

    /// Publishes what the link says of itself. Returns the bytes queued, those deferred included.
    pub fn publish(&self, link: &Link) -> u64 {
        #[cfg(test)]
        super::testing::interlude();
        let counts = link.counts();
        let before = self.counters.publish(counts);
        let now = counts.queued + counts.waiting;
        self.inbox.add_held(now.wrapping_sub(before));
        counts.queued + self.counters.deferred.get()
    }

    /// Behind a change of what is queued: tells JavaScript that few is left, if it waits for that.
    pub fn tell_drained(&self, link: &Link, collector: &mut Collector) {
        // Published first: see `shared.rs`.
        let queued = self.publish(link);
        if self.counters.queue.tell(self.low_water(), queued) {
            collector.plain(kind::DRAIN, 0, 0);
        }
    }

    /// Queues events for JavaScript. With the lock held: it must see what both threads find in the order in which they
    /// held the lock. Who called asks JavaScript to come ([`Inbox::notify`]) once the lock is released.
    pub fn tell(&self, collector: &mut Collector) {
        #[cfg(test)]
        super::testing::interlude();
        self.inbox.push(&self.flow, collector, None);
    }

    /// Queued bytes at which a full queue counts as drained.
    pub fn low_water(&self) -> u64 {
        self.options.low_water as u64
    }

    /// Bytes commanded and not with the kernel, for an application that was told that the queue has drained. If it has
    /// filled again it will be told once more, although nobody wrote: bytes that waited for a stream's credit count again
    /// once that has come.
    pub fn queued_or_want_few(&self) -> u64 {
        self.counters.queue.ask(self.low_water(), || self.queued())
    }

    /// Bytes commanded and not with the kernel.
    pub fn queued(&self) -> u64 {
        match self.try_lock() {
            Some(guarded) => self.publish(&guarded.link),
            None => self.counters.queued(),
        }
    }

    /// Bytes that wait on one stream for the peer's reader; while the task is in a turn, those of all streams.
    pub fn waiting_on(&self, stream: Handle) -> u64 {
        match self.try_lock() {
            Some(mut guarded) => guarded.link.waiting_on(stream),
            None => self.counters.waiting(),
        }
    }

    /// Counted bytes.
    pub fn totals(&self) -> Totals {
        let queued = self.queued() + self.counters.waiting();
        Totals {
            read: self.counters.read.get(),
            written: self.counters.written.get() + queued,
            queued,
            peer: match self.counters.peer() {
                peer if peer == PeerKind::New as u8 => PeerKind::New,
                peer if peer == PeerKind::Old as u8 => PeerKind::Old,
                _ => PeerKind::Undecided,
            },
        }
    }

    // ---- who reads ----

    /// Lets JavaScript's thread read from now on, if it does so at all.
    pub fn give_reading_away(&self, guarded: &mut Guarded) {
        if let (Some(set), Some(socket)) = (&self.read_set, &guarded.socket) {
            // Out of memory for it, or bytes are in front of what the system has: the task goes on reading.
            if socket.watch(set, self.id).is_ok() {
                guarded.link.set_reader(Reader::App);
            }
        }
    }

    /// The task reads again.
    pub fn take_reading_back(&self, guarded: &mut Guarded) {
        if guarded.link.reader() == Reader::Task {
            return;
        }
        if let (Some(set), Some(socket)) = (&self.read_set, &guarded.socket) {
            socket.unwatch(set, self.id);
        }
        guarded.link.set_reader(Reader::Task);
    }
}
