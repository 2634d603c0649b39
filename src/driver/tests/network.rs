//! Scripted sockets and what is between them: an ordered byte stream each way with a bounded number of bytes under way, a
//! delay and stalls; partial sends, calls that are interrupted or would block; FIN, reset, and what a close becomes.

use super::Dice;
use crate::driver::connection::Connection;
use crate::driver::io::Io;
use crate::driver::link::Wait;
use crate::driver::pump::task::Waits;
use crate::driver::read_set::ReadSet;
use crate::driver::{clock, testing};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::{Duration, Instant};

/// After so long without traffic a task gives memory back, as in `pump/wait.rs`.
const QUIET: Duration = Duration::from_secs(1);

/// One direction.
#[derive(Debug)]
pub struct Way {
    under_way: VecDeque<(Instant, Vec<u8>)>,
    /// Bytes in `under_way`.
    length: usize,
    pub capacity: usize,
    pub delay: Duration,
    /// What is sent arrives no earlier than this.
    stalled_until: Option<Instant>,
    /// When the sender's FIN arrives, behind all bytes.
    fin: Option<Instant>,
    /// Bytes that were ever sent, and read.
    pub sent: u64,
    read: u64,
}

/// One socket.
#[derive(Debug, Default)]
struct Place {
    /// When a reset arrives.
    broken: Option<Instant>,
    has_shut: bool,
    resets_on_close: bool,
    is_closed: bool,
    is_watched: bool,
    /// So many calls are done before the process is gone.
    calls_left: Option<u32>,
    /// What the reactor has seen, if the task has a place in it.
    seen: Option<Seen>,
    /// The task waits; and when that ends by itself.
    is_waiting: bool,
    due: Option<Instant>,
    /// What JavaScript's thread sent last.
    sent: Option<Sent>,
}

/// One call to send.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Where the last of the bytes were in memory.
    from: usize,
    /// How many bytes there were.
    asked: usize,
    /// How many of them the kernel took.
    pub taken: usize,
}

impl Sent {
    /// Whether the last of the bytes were those, in their place.
    pub fn ends_with(&self, bytes: &[u8]) -> bool {
        self.from == bytes.as_ptr() as usize
    }

    pub fn is_whole(&self) -> bool {
        self.taken == self.asked
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    readable: bool,
    writable: bool,
}

/// Both sockets. Way 0 goes from the connecting end to the listening one.
#[derive(Debug)]
pub struct Net {
    pub ways: [Way; 2],
    places: [Place; 2],
    /// Calls in so many that the kernel does not do at once, or not wholly.
    pub trouble: usize,
}

impl Way {
    fn new(dice: &Dice) -> Self {
        Self {
            under_way: VecDeque::new(),
            length: 0,
            capacity: dice.pick(&[1 << 20, 200_000, 20_000, 3000, 500, 64]),
            delay: Duration::from_micros(dice.pick(&[0, 50, 1000, 20_000, 150_000])),
            stalled_until: None,
            fin: None,
            sent: 0,
            read: 0,
        }
    }

    /// When the next bytes arrive, or the end.
    fn next(&self) -> Option<Instant> {
        self.under_way.front().map(|&(at, _)| at).or(self.fin)
    }

    /// When what is sent now arrives.
    fn arrival(&self) -> Instant {
        let at = clock::now() + self.delay;
        self.stalled_until.map_or(at, |until| until.max(at))
    }

    /// Nothing that has not arrived yet does so before then.
    pub fn stall(&mut self, until: Instant) {
        self.stalled_until = Some(until);
        let now = clock::now();
        let late = self.under_way.iter_mut().map(|(at, _)| at);
        for at in late.chain(&mut self.fin).filter(|at| **at > now) {
            *at = until.max(*at);
        }
    }

    fn is_ready(&self) -> bool {
        self.next().is_some_and(|at| at <= clock::now())
    }

    fn has_bytes(&self) -> bool {
        self.length > 0
    }

    fn lose_unarrived(&mut self) {
        let now = clock::now();
        // What was sent later may have had less to wait for; without what was sent before, it never arrives.
        let arrived = self.under_way.iter().take_while(|&&(at, _)| at <= now);
        self.under_way.truncate(arrived.count());
        self.length = self.under_way.iter().map(|(_, bytes)| bytes.len()).sum();
    }

    fn lose(&mut self) {
        self.under_way.clear();
        self.length = 0;
    }
}

impl Net {
    pub fn new(dice: &Dice) -> Self {
        Self {
            ways: [Way::new(dice), Way::new(dice)],
            places: [Place::default(), Place::default()],
            trouble: dice.pick(&[0, 20, 5]),
        }
    }

    /// Sockets that take and hand over everything at once.
    pub fn smooth(dice: &Dice) -> Self {
        let mut net = Self::new(dice);
        net.trouble = 0;
        for way in &mut net.ways {
            way.capacity = 1 << 20;
        }
        net
    }

    /// The connection breaks, as both ends find when a reset arrives: until then they can read what has arrived.
    pub fn cut(&mut self) {
        for side in 0..2 {
            self.break_at(side);
            self.ways[side].lose_unarrived();
        }
    }

    fn break_at(&mut self, side: usize) {
        let at = clock::now() + self.ways[1 - side].delay;
        self.places[side].broken.get_or_insert(at);
    }

    /// What was sent so far is the last that arrives of a side, in good order.
    pub fn truncate(&mut self, side: usize) {
        self.shut(side);
    }

    fn is_broken(&self, side: usize) -> bool {
        let place = &self.places[side];
        place.broken.is_some_and(|at| at <= clock::now())
    }

    /// Whether a read would return at once.
    pub fn is_readable(&self, side: usize) -> bool {
        self.is_broken(side) || self.ways[1 - side].is_ready()
    }

    fn is_writable(&self, side: usize) -> bool {
        self.is_broken(side) || self.ways[side].length < self.ways[side].capacity
    }

    /// Whether JavaScript's set of sockets is readable.
    pub fn is_set_readable(&self, side: usize) -> bool {
        self.places[side].is_watched && self.is_readable(side)
    }

    /// A side's task takes a place in the reactor, or leaves it.
    fn enter(&mut self, side: usize, watches: bool) {
        let seen = &mut self.places[side].seen;
        *seen = watches.then(|| seen.unwrap_or_default());
    }

    /// The reactor looks at a side's socket.
    pub fn react(&mut self, side: usize) {
        let now = Seen {
            readable: self.is_readable(side),
            writable: self.is_writable(side),
        };
        if let Some(seen) = &mut self.places[side].seen {
            seen.readable |= now.readable;
            seen.writable |= now.writable;
        }
    }

    /// When something happens by itself.
    pub fn next(&self) -> Option<Instant> {
        let arrivals = self.ways.iter().filter_map(Way::next);
        let resets = self.places.iter().filter_map(|place| place.broken);
        let waits = self.places.iter().filter_map(|place| place.due);
        let now = clock::now();
        let all = arrivals.chain(resets).chain(waits);
        all.filter(|&at| at > now).min()
    }

    /// Whether all that was sent has been read.
    pub fn is_empty(&self) -> bool {
        !self.ways.iter().any(Way::has_bytes)
    }

    /// Bytes that have moved so far.
    pub fn moved(&self) -> u64 {
        self.ways.iter().map(|way| way.sent + way.read).sum()
    }

    /// Whether the kernel takes no more of a side.
    pub fn is_full(&self, side: usize) -> bool {
        !self.is_writable(side) || self.is_broken(side) || self.places[1 - side].is_closed
    }

    /// A side's process is about to be gone. Its other thread may still get through with one call.
    pub fn kill(&mut self, side: usize) {
        self.places[side].calls_left = Some(1);
    }

    /// Where it stands, for a message.
    pub fn state(&self) -> String {
        let now = clock::now();
        let next = |way: &Way| way.next().map(|at| at.saturating_duration_since(now));
        let ways = self.ways.each_ref().map(|way| {
            let (length, capacity) = (way.length, way.capacity);
            format!("{length} of {capacity} bytes, next {:?}", next(way))
        });
        format!("{ways:?} {:?}", self.places)
    }

    fn recv(&mut self, side: usize, buffer: &mut [u8], dice: &Dice) -> io::Result<usize> {
        if self.is_broken(side) {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let way = &mut self.ways[1 - side];
        if !way.is_ready() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let is_short = self.trouble > 0 && dice.once_in(self.trouble);
        let most = match is_short {
            true => 1 + dice.size(buffer.len() - 1),
            false => buffer.len(),
        };
        let mut read = 0;
        while read < most && way.has_bytes() && way.is_ready() {
            let Some((_, first)) = way.under_way.front_mut() else {
                break;
            };
            let taken = first.len().min(most - read);
            buffer[read..read + taken].copy_from_slice(&first[..taken]);
            first.drain(..taken);
            if first.is_empty() {
                way.under_way.pop_front();
            }
            way.length -= taken;
            read += taken;
        }
        way.read += read as u64;
        Ok(read)
    }

    fn send(&mut self, side: usize, slices: &[IoSlice<'_>], dice: &Dice) -> io::Result<usize> {
        if self.is_broken(side) {
            return Err(ErrorKind::ConnectionReset.into());
        }
        if self.places[side].has_shut {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let is_short = self.trouble > 0 && dice.once_in(self.trouble);
        let way = &mut self.ways[side];
        let mut room = way.capacity - way.length;
        if room == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        if is_short {
            room = 1 + dice.size(room - 1);
        }
        let mut bytes = Vec::new();
        for slice in slices {
            bytes.extend_from_slice(&slice[..slice.len().min(room - bytes.len())]);
        }
        assert!(!bytes.is_empty(), "a transmit is never empty");
        let sent = bytes.len();
        way.sent += sent as u64;
        if self.places[side].broken.is_some() {
            // The sender has yet to hear that the connection is cut.
            return Ok(sent);
        }
        if self.places[1 - side].is_closed {
            // Nobody is there: the answer is a reset.
            self.break_at(side);
            return Ok(sent);
        }
        way.length += sent;
        let at = way.arrival();
        way.under_way.push_back((at, bytes));
        Ok(sent)
    }

    fn shut(&mut self, side: usize) {
        let at = self.ways[side].arrival();
        self.places[side].has_shut = true;
        self.ways[side].fin.get_or_insert(at);
    }

    /// The last reference to a socket is gone.
    fn close(&mut self, side: usize) {
        let has_unread = self.ways[1 - side].has_bytes();
        let place = &mut self.places[side];
        place.is_closed = true;
        place.is_watched = false;
        place.is_waiting = false;
        place.due = None;
        if place.resets_on_close || has_unread {
            self.ways[1 - side].lose();
            self.break_at(1 - side);
        } else {
            self.shut(side);
        }
    }

    /// Whether a side's task waits, with nothing left that woke it.
    pub fn is_waiting(&self, side: usize) -> bool {
        self.places[side].is_waiting
    }

    /// What a side's JavaScript thread has sent last, since this was asked.
    pub fn take_sent(&mut self, side: usize) -> Option<Sent> {
        self.places[side].sent.take()
    }

    /// Whether a side's socket has closed.
    pub fn is_closed(&self, side: usize) -> bool {
        self.places[side].is_closed
    }
}

/// What the two pumps of an end have of a socket: it closes when both have let go of it.
#[derive(Debug)]
struct Descriptor {
    net: Arc<Mutex<Net>>,
    side: usize,
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        if let Ok(mut net) = self.net.lock() {
            net.close(self.side);
        }
    }
}

/// A scripted socket, as one of the two pumps sees it.
#[derive(Debug)]
pub struct Scripted {
    descriptor: Arc<Descriptor>,
    dice: Dice,
    /// Which moments of its calls are JavaScript's as well: those of the task.
    is_task: bool,
}

impl Scripted {
    /// An end's socket: the task's, and JavaScript's.
    pub fn pair(net: &Arc<Mutex<Net>>, side: usize, dice: &Dice) -> (Self, Arc<Self>) {
        let net = net.clone();
        let descriptor = Arc::new(Descriptor { net, side });
        let scripted = |is_task| Self {
            descriptor: descriptor.clone(),
            dice: dice.clone(),
            is_task,
        };
        (scripted(true), Arc::new(scripted(false)))
    }

    fn net(&self) -> MutexGuard<'_, Net> {
        self.descriptor.net.try_lock().expect("one at a time")
    }

    fn side(&self) -> usize {
        self.descriptor.side
    }

    /// A call of the system's, as the kernel does it: by what the reactor has seen, if this is the task's and it has a
    /// place there; `seen` says which part of that.
    fn call(
        &self,
        seen: fn(&mut Seen) -> &mut bool,
        work: impl FnOnce(&mut Net, &Dice) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if !self.is_task {
            return self.try_call(work);
        }
        testing::interlude();
        let is_hopeless = self.net().places[self.side()]
            .seen
            .as_mut()
            .is_some_and(|it| !*seen(it));
        let result = match is_hopeless {
            true => Err(ErrorKind::WouldBlock.into()),
            false => self.try_call(work),
        };
        if let Err(error) = &result
            && error.kind() == ErrorKind::WouldBlock
            && let Some(it) = &mut self.net().places[self.side()].seen
        {
            *seen(it) = false;
        }
        testing::interlude();
        result
    }

    fn try_call(
        &self,
        work: impl FnOnce(&mut Net, &Dice) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut net = self.net();
        match &mut net.places[self.side()].calls_left {
            Some(0) => return Err(ErrorKind::WouldBlock.into()),
            Some(left) => *left -= 1,
            None => {}
        }
        // A call of JavaScript's thread is interrupted more often: it is rarer, and not repeated.
        let calls = net.trouble * if self.is_task { 4 } else { 1 };
        if calls > 0 && self.dice.once_in(calls) {
            return Err(ErrorKind::Interrupted.into());
        }
        work(&mut net, &self.dice)
    }
}

impl Io for Scripted {
    fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let work = |net: &mut Net, dice: &Dice| net.recv(self.side(), buffer, dice);
        self.call(|seen| &mut seen.readable, work)
    }

    fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let work = |net: &mut Net, dice: &Dice| net.send(self.side(), slices, dice);
        let result = self.call(|seen| &mut seen.writable, work);
        if !self.is_task {
            self.net().places[self.side()].sent = slices.last().map(|last| Sent {
                from: last.as_ptr() as usize,
                asked: slices.iter().map(|slice| slice.len()).sum(),
                taken: *result.as_ref().unwrap_or(&0),
            });
        }
        result
    }

    fn shutdown_write(&self) -> io::Result<()> {
        let mut net = self.net();
        if net.is_broken(self.side()) {
            return Err(ErrorKind::NotConnected.into());
        }
        net.shut(self.side());
        Ok(())
    }

    fn reset_on_close(&self) -> io::Result<()> {
        self.net().places[self.side()].resets_on_close = true;
        Ok(())
    }

    fn unsent(&self) -> usize {
        self.net().ways[self.side()].length
    }

    fn ask_anew(&mut self) {
        self.net().places[self.side()].seen = None;
    }

    fn watch(&self, _: &ReadSet, _: u32) -> io::Result<()> {
        // Out of memory for it, now and then.
        if self.dice.once_in(20) {
            return Err(ErrorKind::OutOfMemory.into());
        }
        self.net().places[self.side()].is_watched = true;
        Ok(())
    }

    fn unwatch(&self, _: &ReadSet, _: u32) {
        self.net().places[self.side()].is_watched = false;
    }
}

impl Waits for Scripted {
    async fn wait(&mut self, connection: &Connection, wait: Wait) -> io::Result<()> {
        let side = self.side();
        let watches = wait.to_read || wait.for_error || wait.to_write;
        // One that waits for nothing has no place in the reactor.
        self.net().enter(side, watches);
        let mut woken = pin!(connection.flow.wake.notified());
        let mut rests = !wait.is_fine || wait.deadline.is_none();
        let mut since = clock::now();
        let mut moved = connection.counters.moved();
        connection.counters.watch_use();
        let result = poll_fn(|context| {
            if woken.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut net = self.net();
            let seen = net.places[side].seen.unwrap_or_default();
            if wait.for_error && net.is_broken(side) {
                return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
            }
            if (wait.to_read && seen.readable) || (wait.to_write && seen.writable) {
                return Poll::Ready(Ok(()));
            }
            let now = clock::now();
            if wait.deadline.is_some_and(|deadline| deadline <= now) {
                return Poll::Ready(Ok(()));
            }
            let quiet = rests.then(|| since + QUIET).filter(|&at| at > now);
            net.places[side].is_waiting = true;
            net.places[side].due = wait.deadline.into_iter().chain(quiet).min();
            drop(net);
            if rests && since + QUIET <= now {
                connection.counters.await_use();
                let before = std::mem::replace(&mut moved, connection.counters.moved());
                rests = before != moved;
                since = now;
                match rests {
                    true => connection.counters.watch_use(),
                    false => connection.lock().link.shrink(),
                }
            }
            Poll::Pending
        });
        let result = result.await;
        let mut net = self.net();
        net.places[side].is_waiting = false;
        net.places[side].due = None;
        result
    }
}
