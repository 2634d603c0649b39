//! A simulated connection: two sessions, their applications, a transport with delay, segmentation and stalls, and a
//! clock. Everything that can finish must finish within a bound of steps.

use super::application::Application;
use super::choices::Choices;
use super::judge::{EARLY_CAP, Rules, judge_streams};
use super::ledger::Ledger;
use super::network::Pipe;
use super::pair::{End, Seen};
use super::proto::*;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Rounds in which everything must finish: the smallest window and the longest write take some thousand.
const MAX_ROUNDS: usize = 60_000;

/// Rounds in a row in which nothing but time may move.
const MAX_IDLE: usize = 300;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// All is done, then both finish.
    Fin,
    /// All is done, then one closes with a code.
    Close,
    /// One closes with a code in the middle.
    CloseEarly,
    /// The transport breaks.
    Cut,
    /// The transport ends in good order, anywhere.
    Truncated,
}

/// The protocols of connecting and listening end that can work together.
pub const MIXES: [(Protocol, Protocol); 8] = [
    (Protocol::Auto, Protocol::Auto),
    (Protocol::Qmux, Protocol::Qmux),
    (Protocol::Auto, Protocol::Auto),
    (Protocol::Auto, Protocol::Legacy),
    (Protocol::Qmux, Protocol::Auto),
    (Protocol::Auto, Protocol::Auto),
    (Protocol::Legacy, Protocol::Auto),
    (Protocol::Legacy, Protocol::Legacy),
];

/// One connection.
#[derive(Debug)]
pub struct World {
    ends: [End; 2],
    applications: [Application; 2],
    /// From the connecting to the listening end, and back.
    pipes: [Pipe; 2],
    ledger: Ledger,
    rules: Rules,
    now: Instant,
    configs: [Config; 2],
}

/// Limits that show what they limit.
pub fn config(choices: &mut Choices<'_>, protocol: Protocol) -> Config {
    let stream_window = choices.pick(&[256 << 10, 64, 100, 1000, 5000, 40_000]);
    let connection_window = choices.pick(&[1 << 20, 64, 300, 3000, 20_000, 100_000]);
    let growth = choices.pick(&[1, 4, 64]);
    Config {
        protocol,
        peer_new: choices.once_in(4),
        hold_limit: choices.pick(&[256 << 10, 0, 1000]),
        qmux: QmuxConfig {
            stream_window,
            max_stream_window: stream_window * growth,
            connection_window,
            max_connection_window: connection_window * growth,
            max_held: choices.pick(&[64 << 20, 0, 500, 50_000]),
            max_incoming_streams: choices.pick(&[256, 1, 2, 7]),
            max_pending_streams: choices.pick(&[256, 1, 3]),
            max_record_size: choices.pick(&[65_552, 16_382, 20_000]),
            ping_interval: Duration::from_millis(choices.pick(&[0, 0, 700])),
            ..QmuxConfig::default()
        },
        ..Config::default()
    }
}

impl Rules {
    pub fn new(choices: &mut Choices<'_>, configs: &[Config; 2]) -> Self {
        let [client, server] = configs;
        let legacy = [client, server]
            .iter()
            .any(|config| config.protocol == Protocol::Legacy);
        let whole = |receiver: &Config| match legacy {
            true => MAX_MESSAGE,
            false => (MAX_MESSAGE as u64)
                .min(receiver.qmux.stream_window / 2)
                .min(receiver.qmux.connection_window / 2)
                .min(receiver.qmux.max_record_size - 32) as usize,
        };
        // What takes some hundred round trips at most.
        let narrowest = configs
            .iter()
            .map(|config| config.qmux.stream_window.min(config.qmux.connection_window))
            .min();
        let longest = match legacy {
            true => 200_000,
            false => 200_000.min(narrowest.unwrap_or_default() as usize * 40),
        };
        let both = |value: fn(&Config) -> u64| [value(client), value(server)];
        Self {
            legacy,
            whole: [whole(server), whole(client)],
            stream_window: both(|config| config.qmux.max_stream_window),
            connection_window: both(|config| config.qmux.max_connection_window),
            max_held: both(|config| config.qmux.max_held),
            max_incoming: both(|config| config.qmux.max_incoming_streams),
            cap: choices.pick(&[5, 20, EARLY_CAP, 300]).min(match legacy {
                true => 128,
                false => 300,
            }),
            // A QMux start that meets an offer already written ends the connection, as it should.
            opens_first: [
                true,
                client.protocol != Protocol::Qmux || server.protocol == Protocol::Qmux,
            ],
            longest,
            is_late: false,
        }
    }
}

impl World {
    fn new(choices: &mut Choices<'_>, budget: usize) -> Self {
        let (client, server) = choices.pick(&MIXES);
        let configs = [config(choices, client), config(choices, server)];
        let now = Instant::now();
        let end = |side, nonce, at: usize| End::at(now, side, nonce, configs[at].clone());
        let rules = Rules::new(choices, &configs);
        let pipes = [Pipe::new(choices), Pipe::new(choices)];
        let narrowest = pipes[0].capacity.min(pipes[1].capacity);
        let budget = budget.min(rules.longest * 4).min(narrowest * 200);
        Self {
            ends: [end(Side::Connecting, 1, 0), end(Side::Listening, 2, 1)],
            applications: [Application::new(0, budget), Application::new(1, budget)],
            pipes,
            ledger: Ledger::default(),
            rules,
            now,
            configs,
        }
    }

    fn absorb(&mut self, side: usize) {
        let sent = self.pipes[side].sent;
        self.applications[side].judge.absorb(
            &mut self.ends[side],
            &mut self.ledger,
            &self.rules,
            sent,
        );
    }

    fn send(&mut self, side: usize) -> bool {
        let moved = self.pipes[side].send(&mut self.ends[side], self.now);
        self.absorb(side);
        moved
    }

    /// Delivers up to `most` bytes to an end that reads.
    fn deliver(&mut self, to: usize, most: usize) -> Result<bool, ProtocolError> {
        let paused = self.applications[to].is_paused;
        if !self.ends[to].session.wants_read(paused) {
            return Ok(false);
        }
        let result = self.pipes[1 - to].deliver(&mut self.ends[to], self.now, most);
        self.absorb(to);
        result.map_or(Ok(false), |result| result.map(|()| true))
    }

    fn react(&mut self, side: usize, count: usize) -> bool {
        let moved = self.applications[side].react(count, &mut self.ends[side], &mut self.ledger);
        self.absorb(side);
        moved
    }

    /// Moves the clock, and does what is due.
    fn advance(&mut self, to: Instant) {
        self.now = self.now.max(to);
        for side in 0..2 {
            let unsent = self.pipes[side].length;
            let result = self.ends[side].timeouts(self.now, unsent);
            assert_eq!(result, Ok(()), "nothing here may time out");
            self.absorb(side);
        }
    }

    /// When something happens by itself.
    fn next(&self) -> Option<Instant> {
        let arrivals = self.pipes.iter().filter_map(Pipe::next);
        let deadlines = self.ends.iter().filter_map(|end| end.session.deadline());
        arrivals.chain(deadlines).filter(|&at| at > self.now).min()
    }

    /// Lets an application do something, whose write may be sent from its own memory.
    fn act(&mut self, side: usize, choices: &mut Choices<'_>) {
        let (end, pipe) = (&mut self.ends[side], &mut self.pipes[side]);
        let application = &mut self.applications[side];
        end.sends_in_place = pipe.is_clear() && choices.once_in(2);
        application.act(choices, end, &mut self.ledger, &self.rules);
        end.sends_in_place = false;
        if let Some((transmit, payload)) = end.taken.take() {
            let what = match pipe.send_with(end, transmit, &payload, self.now) {
                true => "sent in place",
                false => "sent in place, a part of it",
            };
            *application.judge.tally.entry(what).or_default() += 1;
        }
        self.absorb(side);
    }

    /// One step of something.
    fn step(&mut self, choices: &mut Choices<'_>) {
        let kind = choices.below(16);
        let side = choices.below(2);
        match kind {
            0..=5 => self.act(side, choices),
            6 | 7 => {
                let count = choices.pick(&[100, 1, 3, 10]);
                self.react(side, count);
            }
            8 | 9 => {
                self.send(side);
            }
            10..=12 => {
                let most = 1 + choices.size(100_000);
                let result = self.deliver(side, most);
                assert!(result.is_ok(), "{result:?}");
            }
            13 | 14 => {
                if let Some(next) = self.next() {
                    self.advance(next.min(self.now + Duration::from_secs(1)));
                }
            }
            _ => {
                let time = Duration::from_micros(choices.size(300_000) as u64);
                match choices.once_in(3) {
                    true => self.pipes[side].stall(self.now + time),
                    false => self.advance(self.now + time),
                }
            }
        }
    }

    /// One round of everything. Returns whether anything moved.
    fn round(&mut self, choices: &mut Choices<'_>) -> bool {
        let mut moved = false;
        self.advance(self.now);
        for side in 0..2 {
            moved |= self.react(side, usize::MAX);
            moved |= self.send(side);
        }
        for side in 0..2 {
            let most = choices.pick(&[1 << 20, 1 << 16, 1448, 100]);
            match self.deliver(side, most) {
                Ok(delivered) => moved |= delivered,
                Err(error) => panic!("{error} at end {side}"),
            }
        }
        if !moved && let Some(next) = self.next() {
            self.advance(next);
        }
        moved
    }

    fn is_done(&self) -> bool {
        let mut all = self.applications.iter().zip(&self.ends);
        all.all(|(application, end)| application.is_done(end))
            && self.pipes.iter().all(Pipe::is_empty)
    }

    /// Runs until everything that was begun is done.
    fn wind_up(&mut self, choices: &mut Choices<'_>) {
        let mut idle = 0;
        for _ in 0..MAX_ROUNDS {
            let mut moved = self.round(choices);
            for side in 0..2 {
                moved |= self.applications[side].wind_up(
                    &mut self.ends[side],
                    &mut self.ledger,
                    &self.rules,
                );
                self.absorb(side);
            }
            if self.is_done() {
                return self.judge_end();
            }
            idle = if moved { 0 } else { idle + 1 };
            if idle > MAX_IDLE {
                break;
            }
        }
        panic!(
            "{}\nclient: {}\nserver: {}\npipes: {}\nstreams: {:?}",
            if idle > MAX_IDLE {
                "deadlock"
            } else {
                "no end of it"
            },
            self.applications[0].state(&self.ends[0]),
            self.applications[1].state(&self.ends[1]),
            self.pipes
                .each_ref()
                .map(|pipe| pipe.state(self.now))
                .join(" "),
            self.applications
                .iter()
                .flat_map(|application| application.judge.known.values())
                .map(|&number| (number, &self.ledger.streams[number]))
                .collect::<BTreeMap<_, _>>(),
        );
    }

    /// What must hold when all is done.
    fn judge_end(&self) {
        judge_streams(&self.ledger, &self.rules);
        for side in 0..2 {
            let has_to_know = self.applications[side].has_gone() && !self.rules.legacy;
            assert!(
                !has_to_know || self.applications[1 - side].peer_goes,
                "nobody was told that end {side} goes away"
            );
        }
        let both_new = !self.rules.legacy;
        for (end, config) in self.ends.iter().zip(&self.configs) {
            let wires = end.session.wires();
            assert_eq!(
                (wires.sending, wires.receiving, wires.foreign),
                (both_new, both_new, false),
                "{:?}",
                config.protocol
            );
        }
        // Replies without end, and frames without use, would show here.
        let payload: u64 = self.applications.iter().map(|it| it.written).sum();
        let calls: u64 = self.applications.iter().map(|it| it.calls).sum();
        let sent: u64 = self.pipes.iter().map(|pipe| pipe.sent).sum();
        let limit = payload * 4 + calls * 300 + 20_000;
        assert!(
            sent <= limit,
            "{sent} bytes for {payload} and {calls} calls"
        );
    }

    /// Time passes without anything to do: nearly nothing may be sent, and nothing told.
    fn rest(&mut self, choices: &mut Choices<'_>) {
        let before: u64 = self.pipes.iter().map(|pipe| pipe.sent).sum();
        let until = self.now + Duration::from_secs(10);
        for _ in 0..1000 {
            self.round(choices);
            if self.now >= until || self.next().is_none() {
                break;
            }
        }
        let sent = self.pipes.iter().map(|pipe| pipe.sent).sum::<u64>() - before;
        assert!(sent < 3000, "{sent} bytes were sent in 10 s of rest");
    }

    /// Both ends finish.
    fn fin(&mut self, choices: &mut Choices<'_>) {
        let first = choices.below(2);
        for side in [first, 1 - first] {
            self.ends[side].session.finish();
            self.send(side);
            let until = self.now + Duration::from_secs(600);
            while !self.pipes[side].is_empty() {
                self.send(side);
                self.advance(self.pipes[side].next().unwrap_or(until));
                let result = self.deliver(1 - side, usize::MAX);
                assert!(result.is_ok(), "{result:?}");
            }
            assert_eq!(self.ends[1 - side].session.receive_fin(), Ok(()));
        }
    }

    /// One end closes with a code, which the other is told.
    fn close(&mut self, choices: &mut Choices<'_>) {
        let side = choices.below(2);
        let (code, application) = (choices.below(1 << 20) as u64, choices.once_in(2));
        let wires = |end: &End| end.session.wires();
        if !wires(&self.ends[side]).sending || !wires(&self.ends[1 - side]).receiving {
            return;
        }
        self.applications[1 - side].is_paused = false;
        self.ends[side].session.close(code, application, "because");
        for _ in 0..10_000 {
            self.send(side);
            self.send(1 - side);
            match self.deliver(1 - side, usize::MAX) {
                Ok(_) => {}
                Err(error) => {
                    let expected = ProtocolError::ClosedByPeer {
                        code,
                        application,
                        reason: "because".into(),
                    };
                    assert_eq!(error, expected);
                    assert!(self.pipes[side].is_empty(), "nothing comes behind it");
                    return;
                }
            }
            let next = self.next().unwrap_or(self.now + Duration::from_secs(1));
            self.advance(next);
        }
        panic!("the other end was never told");
    }

    /// The transport is gone: nothing more arrives, and the sessions go on as far as they do.
    fn cut(&mut self, choices: &mut Choices<'_>) {
        for side in 0..2 {
            self.pipes[side].cut();
        }
        for _ in 0..20 {
            self.step(choices);
        }
    }

    /// The transport ends in good order where it is: in the middle of something or not.
    fn truncate(&mut self, choices: &mut Choices<'_>) {
        let side = choices.below(2);
        let result = self.ends[side].session.receive_fin();
        if let Err(error) = result {
            let codes = ["ERR_MUX_FRAME_TRUNCATED", "ERR_MUX_FRAME_ENCODING"];
            assert!(codes.contains(&error.code()), "{error:?}");
        }
        self.absorb(side);
    }
}

/// How often there was each kind of event.
pub type Tally = BTreeMap<&'static str, u64>;

/// Runs a whole connection of about so many steps. Panics where anything is wrong.
pub fn run(choices: &mut Choices<'_>, steps: usize, budget: usize) -> Tally {
    let ending = choices.pick(&[
        Ending::Fin,
        Ending::Close,
        Ending::Fin,
        Ending::CloseEarly,
        Ending::Fin,
        Ending::Cut,
        Ending::Fin,
        Ending::Truncated,
    ]);
    let mut world = World::new(choices, budget);
    let count = choices.below(steps) + 1;
    for _ in 0..count {
        if choices.is_spent() {
            break;
        }
        world.step(choices);
    }
    if matches!(ending, Ending::Fin | Ending::Close) {
        world.wind_up(choices);
        world.rest(choices);
    }
    match ending {
        Ending::Fin => world.fin(choices),
        Ending::Close | Ending::CloseEarly => world.close(choices),
        Ending::Cut => world.cut(choices),
        Ending::Truncated => world.truncate(choices),
    }
    let mut tally = Tally::new();
    for application in world.applications {
        for (kind, count) in application.judge.tally {
            *tally.entry(kind).or_default() += count;
        }
    }
    tally
}

/// Two ends whose protocols do not fit: at least one is told so with a code, and none sees a stream.
pub fn run_misfit(choices: &mut Choices<'_>) {
    let misfits = [
        (Protocol::Qmux, Protocol::Legacy),
        (Protocol::Legacy, Protocol::Qmux),
        (Protocol::Auto, Protocol::Qmux),
    ];
    let (client, server) = choices.pick(&misfits);
    let mut world = World::new(choices, 0);
    for (side, protocol, at) in [(Side::Connecting, client, 0), (Side::Listening, server, 1)] {
        let config = Config {
            protocol,
            ..Config::default()
        };
        world.ends[at] = End::at(world.now, side, at as u8 + 1, config);
        world.ends[at].open(0, "[0]");
    }
    for _ in 0..1000 {
        for side in 0..2 {
            world.pipes[side].send(&mut world.ends[side], world.now);
            let most = 1 + choices.size(100);
            let result = world.pipes[side].deliver(&mut world.ends[1 - side], world.now, most);
            if let Some(Err(error)) = result {
                let seen = world.ends[1 - side].seen();
                let streams = seen.iter().any(|event| matches!(event, Seen::Stream(..)));
                assert!(!streams, "a stream came through: {seen:?}");
                let codes = ["ERR_MUX_NOT_QMUX", "ERR_MUX_QMUX_START"];
                assert!(codes.contains(&error.code()), "{error:?}");
                return;
            }
        }
        let next = world.next();
        world.now = next.unwrap_or(world.now + Duration::from_millis(1));
        for end in &mut world.ends {
            assert_eq!(end.timeouts(world.now, 0), Ok(()));
        }
    }
    panic!("{client:?} and {server:?} went on in silence");
}
