//! One end's JavaScript thread: what `lib/engine.js` and `lib/link.js` do there, with the application of `proto::tests`
//! as the program. Like them it sends nothing while it waits for a 'drain', and takes records only if it was asked to.

use super::Dice;
use super::network::Net;
use super::records::{Records, Told};
use crate::driver::boundary::{COMMAND_HEADER, INCREMENTAL, WHOLE, first_word, op};
use crate::driver::{Collector, Connection, Inbox, Stop, clock, testing};
use crate::proto::tests::application::{Api, Application};
use crate::proto::tests::judge::Rules;
use crate::proto::tests::ledger::Ledger;
use crate::proto::tests::pair::Seen;
use crate::proto::tests::world::Tally;
use crate::proto::{Handle, MAX_MESSAGE, Protocol, Wires};
use serde_json::Value;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// What the program commands, until it is flushed.
#[derive(Debug)]
enum Out {
    Commands(Vec<u8>),
    Data(Handle, Vec<u8>),
}

/// The commands' side of the thread.
#[derive(Debug)]
struct Desk {
    connection: Arc<Connection>,
    out: Vec<Out>,
    wires: Wires,
    /// Bytes queued, as far as known.
    queued: u64,
    high_water: u64,
    /// More was written than the queue has room for: nothing is until it has drained.
    waits: bool,
    /// A write of this length goes to the native side in a call of its own.
    long: usize,
}

impl Desk {
    fn put(&mut self, number: u32, stream: u32, argument: u32, payload: &[u8]) {
        if !matches!(self.out.last(), Some(Out::Commands(_))) {
            self.out.push(Out::Commands(Vec::new()));
        }
        if let Some(Out::Commands(bytes)) = self.out.last_mut() {
            for word in [first_word(number, self.connection.id), stream, argument] {
                bytes.extend(word.to_le_bytes());
            }
            bytes.extend_from_slice(payload);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
    }

    fn text(&mut self, number: u32, stream: Handle, payload: &[u8]) {
        self.put(number, stream.0, payload.len() as u32, payload);
    }

    fn code(&mut self, number: u32, stream: Handle, code: u64) {
        self.text(number, stream, &code.to_le_bytes());
    }

    fn plain(&mut self, number: u32, stream: Handle) {
        self.put(number, stream.0, 0, &[]);
    }

    fn count(&mut self, bytes: usize) {
        self.queued += bytes as u64;
        self.waits |= self.queued >= self.high_water;
    }
}

const ALL: Handle = Handle(WHOLE);

impl Api for Desk {
    fn open(&mut self, slot: u32, meta: &str) {
        self.text(op::OPEN, Handle::local(slot), meta.as_bytes());
        self.count(meta.len());
    }

    fn write(&mut self, stream: Handle, payload: &[u8]) {
        if payload.len() < self.long {
            self.text(op::DATA, stream, payload);
        } else {
            let pieces = payload.chunks(MAX_MESSAGE);
            self.out
                .extend(pieces.map(|piece| Out::Data(stream, piece.to_vec())));
        }
        self.count(payload.len());
    }

    fn finish(&mut self, stream: Handle, value: Option<&str>) {
        match value {
            None => self.plain(op::END, stream),
            Some(value) => self.text(op::END_VALUE, stream, value.as_bytes()),
        }
        self.count(value.map_or(0, str::len));
    }

    fn accept(&mut self, stream: Handle) {
        self.plain(op::ACCEPT, stream);
    }

    fn refuse(&mut self, stream: Handle, code: u64) {
        self.code(op::REFUSE, stream, code);
    }

    fn hold(&mut self, stream: Handle, bytes: u32) {
        self.put(op::HOLD, stream.0, bytes, &[]);
    }

    fn release(&mut self, stream: Handle, bytes: u32) {
        self.put(op::RELEASE, stream.0, bytes, &[]);
    }

    fn forget(&mut self, stream: Handle) {
        self.plain(op::FORGET, stream);
    }

    fn mark(&mut self, stream: Option<Handle>, id: u32) {
        self.put(op::MARK, stream.unwrap_or(ALL).0, id, &[]);
    }

    fn discard(&mut self, stream: Handle) {
        self.plain(op::DISCARD, stream);
    }

    fn reset(&mut self, stream: Handle, code: u64) {
        self.code(op::RESET, stream, code);
    }

    fn stop(&mut self, stream: Handle, code: u64) {
        self.code(op::STOP, stream, code);
    }

    fn unread(&mut self, stream: Handle) {
        self.plain(op::UNREAD, stream);
    }

    fn credit(&mut self, stream: Option<Handle>) {
        self.plain(op::CREDIT, stream.unwrap_or(ALL));
    }

    fn ping(&mut self, id: u32) {
        self.put(op::PING, WHOLE, id, &[]);
    }

    fn set_priority(&mut self, stream: Handle, urgency: u8, incremental: bool) {
        let bit = if incremental { INCREMENTAL } else { 0 };
        self.put(op::PRIORITY, stream.0, u32::from(urgency) | bit, &[]);
    }

    fn go_away(&mut self) {
        self.plain(op::GOAWAY, ALL);
    }

    fn resize_window(&mut self, bytes: u32) {
        self.put(op::RESIZE_WINDOW, ALL.0, bytes, &[]);
    }

    fn wires(&self) -> Wires {
        self.wires
    }

    fn can_send(&self) -> bool {
        !self.waits
    }

    fn is_flushed(&self) -> bool {
        let counters = &self.connection.counters;
        self.out.is_empty() && counters.queued() + counters.waiting() == 0
    }
}

/// What the program is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Busy,
    /// All that was begun comes to its end.
    WindingUp,
}

/// How the connection ended, as JavaScript was told.
#[derive(Debug, Default)]
pub struct Outcome {
    pub peer_ended: bool,
    /// What the peer said at its end with code 0.
    pub told: Option<Value>,
    pub error: Option<Value>,
    pub is_closed: bool,
}

/// The thread.
pub struct Js {
    side: usize,
    pub connection: Arc<Connection>,
    pub inbox: Arc<Inbox>,
    net: Arc<Mutex<Net>>,
    dice: Dice,
    pub application: Application,
    desk: Desk,
    records: Records,
    told: VecDeque<Told>,
    collector: Collector,
    signalled: Arc<AtomicBool>,
    is_open: bool,
    pub has_agreed: bool,
    /// It stopped or closed the connection, or was told of an error.
    is_destroyed: bool,
    has_ended: bool,
    may_pause: bool,
    has_paused: bool,
    /// It looks in a later turn whether the queue has drained.
    looks_soon: bool,
    /// How often it was told that a stream is blocked.
    blocks: u32,
    /// The next input makes its reading panic.
    pub may_panic: bool,
    pub outcome: Outcome,
    /// How often what happened.
    pub tally: Tally,
}

impl Js {
    pub fn new(
        side: usize,
        connection: &Arc<Connection>,
        signalled: Arc<AtomicBool>,
        net: &Arc<Mutex<Net>>,
        dice: &Dice,
        budget: usize,
        may_pause: bool,
    ) -> Self {
        let speaks_qmux = connection.options.protocol.protocol == Protocol::Qmux;
        Self {
            side,
            connection: connection.clone(),
            inbox: connection.inbox.clone(),
            net: net.clone(),
            dice: dice.clone(),
            application: Application::new(side, budget),
            desk: Desk {
                connection: connection.clone(),
                out: Vec::new(),
                wires: Wires {
                    sending: speaks_qmux,
                    receiving: speaks_qmux,
                    ..Wires::default()
                },
                queued: 0,
                high_water: 2 * connection.low_water(),
                waits: false,
                long: dice.pick(&[8192, 1, 50, 1]),
            },
            records: Records::new(connection.id, dice),
            told: VecDeque::new(),
            collector: Collector::default(),
            signalled,
            is_open: false,
            has_agreed: false,
            is_destroyed: false,
            has_ended: false,
            may_pause,
            has_paused: false,
            looks_soon: false,
            blocks: 0,
            may_panic: false,
            outcome: Outcome::default(),
            tally: Tally::new(),
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    fn can_command(&self) -> bool {
        self.is_open && !self.is_destroyed && !self.outcome.is_closed
    }

    /// The beginning of a turn: it hears what it is told, and does nothing about it yet.
    pub fn glance(&mut self, ledger: &mut Ledger, rules: &Rules) {
        self.hear_some(usize::MAX, ledger, rules);
    }

    /// One turn of the thread. Returns whether it did anything.
    pub fn turn(&mut self, mood: Mood, ledger: &mut Ledger, rules: &Rules) -> bool {
        let is_locked = self.connection.try_lock().is_none();
        if self.dice.once_in(6) {
            testing::refuse_lock(1 + self.dice.below(3) as u32);
        }
        let mut moved = std::mem::take(&mut self.looks_soon);
        if moved {
            self.look();
        }
        if self.net().is_set_readable(self.side) {
            moved |= self.read();
        }
        moved |= self.take(mood, ledger, rules);
        if mood == Mood::Busy && self.dice.once_in(8) {
            self.ask(is_locked);
        }
        if self.can_command() && (mood == Mood::WindingUp || self.dice.once_in(2)) {
            moved |= self.program(mood, ledger, rules);
        }
        if mood == Mood::WindingUp || !self.dice.once_in(6) {
            moved |= self.flush();
        }
        testing::refuse_lock(0);
        moved
    }

    fn net(&self) -> std::sync::MutexGuard<'_, Net> {
        self.net.try_lock().expect("one at a time")
    }

    /// Reads the connection, as the thread does when its set of sockets is readable.
    fn read(&mut self) -> bool {
        let read = || self.connection.read_as_app(&mut self.collector);
        match catch_unwind(AssertUnwindSafe(read)) {
            Ok(has_read) => {
                // It takes what it read itself without being asked to.
                self.signalled.fetch_or(has_read, Ordering::Relaxed);
                self.count("read here");
                has_read
            }
            Err(panic) if !self.may_panic => resume_unwind(panic),
            // The program has an exception.
            Err(_) => {
                self.count("panic here");
                true
            }
        }
    }

    /// Takes records, if it was asked to, and reacts to some of them.
    fn take(&mut self, mood: Mood, ledger: &mut Ledger, rules: &Rules) -> bool {
        let most = match mood {
            Mood::WindingUp => usize::MAX,
            Mood::Busy => self.dice.pick(&[usize::MAX, 1, 3, 10]),
        };
        let mut moved = self.hear_some(most, ledger, rules);
        if self.can_command() {
            moved |= self.application.react(most, &mut self.desk, ledger);
        }
        moved
    }

    /// Takes records, as it was asked to.
    fn take_records(&mut self, most: usize) {
        self.signalled.store(false, Ordering::Relaxed);
        let mut told = Vec::new();
        let has_more = self.records.take(&self.inbox, most, &mut told);
        self.signalled.fetch_or(has_more, Ordering::Relaxed);
        self.told.extend(told);
    }

    fn hear_some(&mut self, most: usize, ledger: &mut Ledger, rules: &Rules) -> bool {
        if self.signalled.load(Ordering::Relaxed) {
            let most = self.dice.pick(&[200, 200, 5, 1]);
            self.take_records(most);
        }
        for done in 0..most {
            let Some(told) = self.told.pop_front() else {
                return done > 0;
            };
            self.hear(told, ledger, rules);
        }
        true
    }

    fn hear(&mut self, told: Told, ledger: &mut Ledger, rules: &Rules) {
        assert!(!self.outcome.is_closed, "{told:?} behind the close");
        if let Told::Closed { had_error } = told {
            assert_eq!(had_error, self.outcome.error.is_some());
            self.outcome.is_closed = true;
            return;
        }
        if self.is_destroyed {
            return;
        }
        match told {
            Told::Connected(has_agreed) => {
                self.is_open = true;
                self.has_agreed = has_agreed;
            }
            Told::Drain => {
                self.count("drain told");
                self.flush();
                self.desk.queued = self.connection.queued_or_want_few();
                if self.desk.queued > self.connection.low_water() {
                    self.count("refilled");
                }
                self.look();
            }
            Told::Seen(seen) => {
                match seen {
                    Seen::Wires(wires) => self.desk.wires = wires,
                    Seen::Blocked(_) => {
                        self.blocks += 1;
                        self.looks_soon |= self.desk.waits;
                    }
                    _ => {}
                }
                let sent = self.net().ways[self.side].sent;
                self.application.judge.see(seen, ledger, rules, sent);
            }
            Told::End(told) => {
                assert!(!self.outcome.peer_ended || told.is_some(), "a second end");
                self.outcome.peer_ended = true;
                self.outcome.told = told;
            }
            Told::Error(error) => {
                self.outcome.error = Some(error);
                self.is_destroyed = true;
            }
            Told::Closed { .. } => {}
        }
    }

    /// Looks whether the queue has drained.
    fn look(&mut self) {
        let is_about_to_block =
            self.desk.wires.sending && self.connection.counters.blocked_events() != self.blocks;
        let has_drained = self.desk.queued <= self.connection.low_water() && !is_about_to_block;
        if self.desk.waits && has_drained {
            self.count("drained");
            self.desk.waits = false;
        }
    }

    /// What a program may ask at any time.
    fn ask(&mut self, is_locked: bool) {
        if !self.can_command() {
            return;
        }
        match self.dice.below(4) {
            0 => _ = self.connection.totals(),
            1 => _ = self.connection.waiting_on(Handle::local(0)),
            2 => _ = self.connection.queued(),
            // The event loop is closing, or cannot wait for the set: the tasks read.
            _ if !is_locked => {
                self.connection
                    .take_reading_back(&mut self.connection.lock());
                self.connection.wake();
            }
            _ => {}
        }
    }

    fn program(&mut self, mood: Mood, ledger: &mut Ledger, rules: &Rules) -> bool {
        let mut moved = false;
        match mood {
            Mood::WindingUp if self.has_ended => {
                moved = self.application.read_all(&mut self.desk, ledger);
            }
            Mood::WindingUp => {
                moved = self.application.wind_up(&mut self.desk, ledger, rules);
            }
            Mood::Busy if self.has_ended => {}
            Mood::Busy => {
                let choices = &mut self.dice.all();
                for _ in 0..choices.below(4) {
                    self.application.act(choices, &mut self.desk, ledger, rules);
                }
            }
        }
        self.application.is_paused &= self.may_pause;
        if self.application.is_paused != self.has_paused {
            self.has_paused = self.application.is_paused;
            match self.has_paused {
                true => self.desk.plain(op::CONN_PAUSE, Handle(0)),
                false => self.desk.plain(op::CONN_RESUME, Handle(0)),
            }
        }
        moved
    }

    /// Hands all commands to the native side. Returns whether there were any.
    fn flush(&mut self) -> bool {
        let out = std::mem::take(&mut self.desk.out);
        if self.outcome.is_closed {
            // The number is free, so these are of nobody.
            return false;
        }
        for part in &out {
            let queued = match part {
                Out::Commands(bytes) => {
                    assert!(bytes.len() >= COMMAND_HEADER);
                    let (taken, queued) = self.connection.submit(bytes, &mut self.collector);
                    assert_eq!(taken, bytes.len());
                    queued
                }
                Out::Data(stream, bytes) => self.send_long(*stream, bytes),
            };
            if self.connection.has_deferred() {
                self.count("deferred");
            }
            self.desk.queued = queued;
            self.looks_soon |= self.desk.waits && queued <= self.connection.low_water();
        }
        !out.is_empty()
    }

    /// Sends data in a call of its own. Returns the bytes then queued.
    fn send_long(&mut self, stream: Handle, bytes: &[u8]) -> u64 {
        self.net().take_sent(self.side);
        let collector = &mut self.collector;
        let queued = self.connection.submit_data(stream, bytes, collector);
        let sent = self.net().take_sent(self.side);
        if let Some(sent) = sent.filter(|sent| sent.ends_with(bytes)) {
            self.count(match sent.taken {
                _ if sent.is_whole() => "sent in place",
                0 => "sent in place, nothing of it",
                _ => "sent in place, a part of it",
            });
        }
        queued
    }

    /// Whether it waits for a 'drain' that nobody will tell it of, if its task waits as well: little is queued, and nothing
    /// on the way to it says so.
    pub fn is_forgotten(&mut self) -> bool {
        let counters = &self.connection.counters;
        let is_about_to_look = self.looks_soon
            || !self.desk.out.is_empty()
            || counters.blocked_events() != self.blocks;
        let should_know = counters.queued() <= self.connection.low_water();
        if !self.desk.waits || !self.can_command() || is_about_to_look || !should_know {
            return false;
        }
        while self.signalled.load(Ordering::Relaxed) {
            self.take_records(1000);
        }
        !self.told.iter().any(|told| matches!(told, Told::Drain))
    }

    /// Whether all that the program began is done.
    pub fn is_done(&self) -> bool {
        self.application.is_done(&self.desk) && self.told.is_empty() && !self.desk.waits
    }

    /// Serves no more streams of the peer's.
    pub fn go_away(&mut self) {
        if self.can_command() {
            self.application.go_away(&mut self.desk);
            self.flush();
        }
    }

    /// Half-closes the connection.
    pub fn finish(&mut self) {
        if self.can_command() && !std::mem::replace(&mut self.has_ended, true) {
            self.desk.plain(op::CONN_END, Handle(0));
            self.flush();
        }
    }

    /// Closes the connection with a code.
    pub fn close(&mut self, code: u64, reason: &str) {
        let payload = [&code.to_le_bytes()[..], reason.as_bytes()].concat();
        self.desk.text(op::CLOSE, Handle(0), &payload);
        self.flush();
        self.is_destroyed = true;
    }

    /// Destroys the connection.
    pub fn stop(&mut self, stop: Stop) {
        self.flush();
        self.connection.stop(stop);
        self.is_destroyed = true;
    }

    /// The process exits. Returns whether all that was queued has gone, as far as this thread could see to it.
    pub fn exit(&mut self) -> bool {
        self.flush();
        let was_away = self.connection.lock().link.is_away();
        let mut collector = Collector::default();
        self.connection
            .flush_at_exit(clock::now(), true, &mut collector);
        self.count(match was_away {
            true => "exit in the middle of a send",
            false => "exit",
        });
        self.is_destroyed = true;
        let link = &mut self.connection.lock().link;
        let is_empty = !link.is_in_flight() && link.next_of_rest(&mut collector).is_none();
        was_away || (is_empty && !self.connection.has_deferred())
    }

    pub fn is_connected(&self) -> bool {
        self.is_open
    }

    pub fn sends_qmux(&self) -> bool {
        self.desk.wires.sending
    }

    /// What holds it up, for a message.
    pub fn state(&self) -> String {
        format!(
            "{}\n{:?} waits {} queued {} soon {} destroyed {} paused {} {:?} {:?}",
            self.application.state(&self.desk),
            self.outcome,
            self.desk.waits,
            self.desk.queued,
            self.looks_soon,
            self.is_destroyed,
            self.has_paused,
            self.connection.counters,
            self.connection.try_lock().map(|it| {
                let link = &it.link;
                let flight = (link.is_in_flight(), link.wants_write(), it.needs_task());
                format!("{:?} {:?} {flight:?}", link.life(), link.reader())
            }),
        )
    }
}
