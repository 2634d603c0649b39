//! A simulated connection of two whole links: what happens next, by the seed, and what must hold.
//!
//! JavaScript's thread of an end has turns of its own, and turns in the middle of its task's: where that is in the kernel
//! without the lock, and where it holds the lock (`testing::interlude`).

use super::Dice;
use super::endings::Ending;
use super::js::{Js, Mood};
use super::network::{Net, Scripted};
use super::runner::Runner;
use crate::driver::link::greeting::Greeting;
use crate::driver::{Connection, ConnectionOptions, Inbox, ReadSet, clock, testing};
use crate::proto::tests::judge::{Rules, judge_streams};
use crate::proto::tests::ledger::Ledger;
use crate::proto::tests::world::{MIXES, Tally, config};
use crate::proto::{Config, Side};
use serde_json::json;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Rounds in which everything must finish.
const MAX_ROUNDS: usize = 60_000;

/// Rounds in a row in which nothing but time may move.
const MAX_IDLE: usize = 60;

/// Both JavaScript threads, and what is known of both programs.
pub struct Ends {
    pub js: [Js; 2],
    pub ledger: Ledger,
    pub rules: Rules,
    pub mood: Mood,
    /// For so many moments at which it could have a turn, a side's thread is at other work.
    pub busy: [usize; 2],
    /// The side whose process is about to exit in the middle of its task's turn, or is gone.
    pub exits: Option<usize>,
    pub has_exited: bool,
}

type Failure = Rc<RefCell<Option<Box<dyn Any + Send>>>>;

/// One connection.
pub struct World {
    pub dice: Dice,
    pub net: Arc<Mutex<Net>>,
    pub ends: Rc<RefCell<Ends>>,
    pub runners: [Runner; 2],
    /// The side whose task is being polled.
    polled: Rc<Cell<Option<usize>>>,
    /// What went wrong in the middle of that.
    failure: Failure,
    pub now: Instant,
    /// Until when a side's process stands still.
    pub stopped: [Option<Instant>; 2],
    may_stop: [bool; 2],
    /// Most time that passes in a step: an end that pings does not wait long for the other's turn.
    longest: Duration,
    is_encrypted: bool,
}

impl Ends {
    fn turn(&mut self, side: usize) -> bool {
        let Self {
            js,
            ledger,
            rules,
            mood,
            ..
        } = self;
        if self.has_exited && self.exits == Some(side) {
            return false;
        }
        js[side].turn(*mood, ledger, rules)
    }

    /// A moment passes at which a side's thread could have a turn. Returns, if the thread is at other work, whether that
    /// is done now.
    fn passes(&mut self, side: usize) -> Option<bool> {
        let left = self.busy[side].checked_sub(1)?;
        self.busy[side] = left;
        Some(left == 0)
    }

    fn glance(&mut self, side: usize) {
        if !self.has_exited || self.exits != Some(side) {
            self.js[side].glance(&mut self.ledger, &self.rules);
        }
    }

    pub fn exit(&mut self, side: usize, net: &Mutex<Net>) {
        let is_flushed = self.js[side].exit();
        self.has_exited = true;
        let mut net = net.try_lock().expect("one at a time");
        let is_full = net.is_full(side);
        net.kill(side);
        assert!(is_flushed || is_full, "something was left behind");
    }
}

/// One end: its connection, whose JavaScript signals by the flag.
fn connection(
    side: usize,
    config: &Config,
    dice: &Dice,
    low_water: usize,
) -> (Arc<Connection>, Arc<AtomicBool>) {
    let signalled = Arc::new(AtomicBool::new(false));
    let signal = signalled.clone();
    let inbox = Inbox::new(move || signal.store(true, Ordering::Relaxed));
    let options = ConnectionOptions {
        protocol: config.clone(),
        low_water,
        ..ConnectionOptions::default()
    };
    let read_set = dice.once_in(2).then(ReadSet::new).and_then(Result::ok);
    let most_direct = dice.pick(&[u64::MAX, 16 << 10, 100]);
    let connection = Connection::new(
        side as u32 + 5,
        [Side::Connecting, Side::Listening][side],
        options,
        [side as u8 + 1; 8],
        Arc::new(inbox),
        read_set.map(Arc::new),
        most_direct,
    );
    (connection, signalled)
}

impl World {
    fn new(dice: &Dice, budget: usize) -> Self {
        let now = Instant::now();
        clock::set(Some(now));
        let mut choices = dice.all();
        let (client, server) = choices.pick(&MIXES);
        let is_encrypted = cfg!(feature = "tls") && choices.once_in(4);
        let mut configs = [config(&mut choices, client), config(&mut choices, server)];
        // The windows are judged where sessions stand alone: here commands are on their way for a while.
        let mut rules = Rules::new(&mut choices, &configs);
        rules.stream_window = [u64::MAX / 4; 2];
        rules.connection_window = [u64::MAX / 4; 2];
        rules.is_late = true;
        drop(choices);
        let mut net = Net::new(dice);
        // The pings of one end tell whether the other is there: not where the network is slow, or nobody reads.
        let pings = dice.once_in(4).then(|| dice.below(2));
        if let Some(side) = pings {
            configs[side].qmux.ping_interval = Duration::from_millis(500);
            configs[side].qmux.ping_timeout = Duration::from_secs(4);
            for config in &mut configs {
                config.hold_limit = usize::MAX;
                config.qmux.max_held = u64::MAX;
            }
            for way in &mut net.ways {
                way.capacity = way.capacity.max(20_000);
                way.delay = way.delay.min(Duration::from_millis(1));
            }
        }
        let narrowest = net.ways[0].capacity.min(net.ways[1].capacity);
        let budget = budget.min(rules.longest * 4).min(narrowest * 100);
        let net = Arc::new(Mutex::new(net));
        #[cfg(feature = "tls")]
        let secrets = is_encrypted.then(|| super::secrets::Secrets::pick(dice, !rules.legacy));
        let low_water = dice.pick(&[128 << 10, 8 << 10, 1000, 300, 100]);
        let end = |side: usize| {
            let (connection, signalled) = connection(side, &configs[side], dice, low_water);
            let (task, app) = Scripted::pair(&net, side, dice);
            let may_pause = pings.is_none();
            let js = Js::new(side, &connection, signalled, &net, dice, budget, may_pause);
            let is_local = dice.once_in(2);
            #[cfg(feature = "tls")]
            if let Some(secrets) = &secrets {
                connection.encrypt(secrets.start(side));
            }
            connection.attach(app, is_local, Some(Greeting::connected(json!({}))));
            (js, Runner::new(&connection, task))
        };
        let ((client, first), (server, second)) = (end(0), end(1));
        let ends = Ends {
            js: [client, server],
            ledger: Ledger::default(),
            rules,
            mood: Mood::Busy,
            busy: [0; 2],
            exits: None,
            has_exited: false,
        };
        let world = Self {
            dice: dice.clone(),
            net,
            ends: Rc::new(RefCell::new(ends)),
            runners: [first, second],
            polled: Rc::default(),
            failure: Failure::default(),
            now,
            stopped: [None; 2],
            // The other end would be given up, and rightly.
            may_stop: [0, 1].map(|side| pings != Some(1 - side)),
            is_encrypted,
            longest: Duration::from_millis(if pings.is_some() { 50 } else { 1000 }),
        };
        world.set_interlude();
        world
    }

    /// JavaScript's thread may have its turn wherever the task passes an interlude.
    fn set_interlude(&self) {
        let (ends, polled, failure) =
            (self.ends.clone(), self.polled.clone(), self.failure.clone());
        let (net, dice) = (self.net.clone(), self.dice.clone());
        let often = dice.pick(&[6, 40, 2]);
        testing::set_interlude(Some(Box::new(move || {
            let Some(side) = polled.get() else {
                return;
            };
            let is_due = match ends.borrow_mut().passes(side) {
                Some(is_due) => is_due,
                None => dice.once_in(often),
            };
            if !is_due {
                return;
            }
            let turn = || {
                let mut ends = ends.borrow_mut();
                let may_exit = ends.exits == Some(side) && !ends.has_exited;
                // In the middle of a send: where the task holds the lock, the exit waits for that.
                let guarded = ends.js[side].connection.try_lock();
                let is_away = guarded.is_some_and(|it| it.link.is_away());
                match may_exit && is_away {
                    true => {
                        ends.turn(side);
                        ends.exit(side, &net);
                    }
                    false if dice.once_in(2) => ends.glance(side),
                    false => _ = ends.turn(side),
                }
            };
            // A failed check is none of the task's panics.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(turn)) {
                polled.set(None);
                failure.replace(Some(panic));
            }
        })));
    }

    pub fn net(&self) -> MutexGuard<'_, Net> {
        self.net.try_lock().expect("one at a time")
    }

    /// Whether a side's process runs.
    fn runs(&mut self, side: usize) -> bool {
        if self.stopped[side].is_some_and(|until| until <= self.now) {
            self.stopped[side] = None;
        }
        self.stopped[side].is_none()
    }

    /// Runs a side's task once. `is_stale`: the reactor has not looked since the process stood still.
    pub fn poll(&mut self, side: usize, is_stale: bool) {
        if !self.runs(side) {
            return;
        }
        if !is_stale {
            self.net().react(side);
        }
        self.polled.set(Some(side));
        self.runners[side].poll();
        self.polled.set(None);
        if let Some(panic) = self.failure.take() {
            resume_unwind(panic);
        }
        let is_waiting = self.net().is_waiting(side);
        let mut ends = self.ends.borrow_mut();
        let js = &mut ends.js[side];
        assert!(
            !is_waiting || !js.is_forgotten(),
            "nobody tells end {side} that its queue has drained: {}",
            js.state()
        );
        if ends.has_exited && ends.exits == Some(side) && !self.runners[side].is_over() {
            self.runners[side].kill();
            ends.js[side].connection.lock().socket = None;
        }
    }

    pub fn turn(&mut self, side: usize) -> bool {
        self.runs(side) && self.ends.borrow_mut().turn(side)
    }

    pub fn advance(&mut self, to: Instant) {
        self.now = self.now.max(to);
        clock::set(Some(self.now));
    }

    /// When something happens by itself.
    pub fn next(&self) -> Option<Instant> {
        let lingering = self.runners.iter().filter_map(Runner::due);
        let stopped = self.stopped.iter().copied().flatten();
        let all = self
            .net()
            .next()
            .into_iter()
            .chain(lingering)
            .chain(stopped);
        all.filter(|&at| at > self.now).min()
    }

    /// One step of something.
    pub fn step(&mut self) {
        let (kind, side) = (self.dice.below(20), self.dice.below(2));
        match kind {
            0..=5 => {
                let passes = self.ends.borrow_mut().passes(side);
                if passes != Some(false) {
                    self.turn(side);
                }
            }
            // One that pings does not wait long for a thread that reads and is at other work.
            6 if self.longest > Duration::from_millis(50) => {
                self.ends.borrow_mut().busy[side] = self.dice.below(60);
            }
            7..=14 => self.poll(side, false),
            15..=17 => {
                if let Some(next) = self.next() {
                    self.advance(next.min(self.now + self.longest));
                }
            }
            18 => {
                let time = Duration::from_micros(self.dice.size(300_000) as u64);
                match self.dice.once_in(3) {
                    true => self.net().ways[side].stall(self.now + time),
                    false => self.advance(self.now + time),
                }
            }
            _ if self.may_stop[side] => self.stand_still(side),
            _ => {}
        }
    }

    /// A side's process stands still, and with it its reactor, while the other one goes on.
    fn stand_still(&mut self, side: usize) {
        for _ in 0..3 {
            self.poll(side, false);
        }
        // A ping that waits to be sent is waited for as well, and nobody can answer it.
        let ends = self.ends.clone();
        let is_busy = || ends.borrow().js[side].connection.lock().link.wants_write();
        if !self.runs(side) || is_busy() {
            return;
        }
        let time = Duration::from_millis(1 + self.dice.size(8000) as u64);
        let until = self.now + time;
        self.stopped[side] = Some(until);
        if self.dice.once_in(2) {
            return;
        }
        for _ in 0..100 {
            // Calls that were interrupted are tried again before time passes.
            for _ in 0..3 {
                self.turn(1 - side);
                self.poll(1 - side, false);
            }
            let next = self.next().unwrap_or(until).min(until);
            self.advance(next);
            if self.now >= until {
                break;
            }
        }
        self.advance(until);
        self.poll(side, self.dice.once_in(2));
    }

    /// Lets everything do what it has to do now. Returns whether anything moved.
    fn pass(&mut self) -> bool {
        let before = self.net().moved();
        let mut moved = false;
        for side in 0..2 {
            moved |= self.turn(side);
            self.poll(side, false);
        }
        let after = self.net().moved();
        moved || before != after
    }

    /// Goes on until nothing moves any more without time.
    fn quiesce(&mut self) {
        let mut idle = 0;
        while idle < 4 {
            idle = if self.pass() { 0 } else { idle + 1 };
        }
    }

    /// One round of everything. Returns whether anything moved but time.
    pub fn round(&mut self) -> bool {
        // Calls that were interrupted are tried again before time passes.
        let moved = (0..3).any(|_| self.pass());
        if !moved && let Some(next) = self.next() {
            self.advance(next);
        }
        moved
    }

    /// Runs until `is_done`.
    pub fn settle(&mut self, what: &str, is_done: impl Fn(&Self) -> bool) {
        let mut idle = 0;
        for _ in 0..MAX_ROUNDS {
            let moved = self.round();
            if is_done(self) {
                return;
            }
            idle = if moved { 0 } else { idle + 1 };
            if idle > MAX_IDLE {
                break;
            }
        }
        let ends = self.ends.borrow();
        panic!(
            "{what}: {}\nclient: {}\nserver: {}\nnet: {}",
            match idle > MAX_IDLE {
                true => "deadlock",
                false => "no end of it",
            },
            ends.js[0].state(),
            ends.js[1].state(),
            self.net().state(),
        );
    }

    /// Runs until everything that was begun is done.
    fn wind_up(&mut self) {
        self.stopped = [None; 2];
        self.ends.borrow_mut().mood = Mood::WindingUp;
        self.ends.borrow_mut().busy = [0; 2];
        self.settle("winding up", |world| {
            let ends = world.ends.borrow();
            ends.js.iter().all(Js::is_done) && world.net().is_empty()
        });
        self.quiesce();
        while !self.net().is_empty() {
            self.round();
            self.quiesce();
        }
        let ends = self.ends.borrow();
        judge_streams(&ends.ledger, &ends.rules);
        for side in 0..2 {
            let js = &ends.js[side];
            let has_to_know = js.application.has_gone() && !ends.rules.legacy;
            assert!(
                !has_to_know || ends.js[1 - side].application.peer_goes,
                "nobody was told that end {side} goes away"
            );
            let guarded = js.connection.lock();
            let (published, counts) = (&js.connection.counters, guarded.link.counts());
            assert_eq!(
                (
                    published.queued(),
                    published.waiting(),
                    published.blocked_events()
                ),
                (counts.queued, counts.waiting, counts.blocked_events),
                "what is published is stale"
            );
            assert_eq!((counts.queued, js.inbox.held()), (0, 0));
        }
    }

    /// Time passes without anything to do: nearly nothing may be sent.
    fn rest(&mut self) {
        let before = self.net().moved();
        let until = self.now + Duration::from_secs(10);
        for _ in 0..1000 {
            self.round();
            if self.now >= until || self.next().is_none() {
                break;
            }
        }
        let moved = self.net().moved() - before;
        assert!(
            moved < 6000,
            "{moved} bytes were sent and read in 10 s of rest"
        );
    }
}

impl Drop for World {
    fn drop(&mut self) {
        testing::set_interlude(None);
        testing::refuse_lock(0);
        clock::set(None);
    }
}

/// Runs a whole connection of about so many steps. Panics where anything is wrong.
pub fn run(seed: u64, steps: usize, budget: usize) -> Tally {
    let dice = Dice::new(seed);
    let ending = dice.pick(&[
        Ending::Fin,
        Ending::Close,
        Ending::Fin,
        Ending::CloseEarly,
        Ending::Fin,
        Ending::Cut,
        Ending::Stop,
        Ending::Truncated,
        Ending::Fin,
        Ending::Reset,
        Ending::Panic,
        Ending::Exit,
        Ending::Exit,
    ]);
    let mut world = World::new(&dice, budget);
    let steps = match dice.once_in(8) {
        true => dice.below(10) + 1,
        false => dice.below(steps) + 1,
    };
    let goes_away = dice.once_in(16).then(|| dice.below(2));
    for _ in 0..steps {
        if let Some(side) = goes_away {
            let js = &mut world.ends.borrow_mut().js[side];
            if !js.application.has_gone() {
                js.go_away();
            }
        }
        world.step();
    }
    if matches!(ending, Ending::Fin | Ending::Close) {
        world.wind_up();
        world.rest();
    }
    world.finish(ending, &dice);
    let mut tally = Tally::new();
    let has_agreed = world.ends.borrow().js[0].has_agreed;
    match (world.is_encrypted, has_agreed) {
        (false, _) => {}
        (true, false) => _ = tally.insert("encrypted", 1),
        (true, true) => _ = tally.insert("encrypted, QMux by agreement", 1),
    }
    for js in &world.ends.borrow().js {
        for (kind, count) in js.application.judge.tally.iter().chain(&js.tally) {
            *tally.entry(kind).or_default() += count;
        }
    }
    tally
}
