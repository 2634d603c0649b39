//! Random operations on a pair, under random segmentation and delay: each application must see, per stream, exactly
//! what the other did, whatever the two ends speak and whenever they change it; and no bytes whatever may do more than
//! end a connection.

use super::pair::{End, Pair, Seen};
use super::proto::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Longest write that must arrive in one piece.
const WHOLE: usize = 16 << 10;

#[derive(Clone, Debug)]
enum Op {
    /// Opens a stream; an eager one is written to before it is accepted.
    Open {
        eager: bool,
    },
    Data {
        stream: usize,
        length: usize,
    },
    End {
        stream: usize,
        value: bool,
    },
    Accept,
    /// Sends, and lets the other end read so much of what is under way.
    Move {
        length: usize,
    },
    /// Sends without anything arriving.
    Send,
    Wait,
}

fn ops() -> impl Strategy<Value = Vec<(bool, Op)>> {
    let length = || prop_oneof![4 => 0usize..100, 1 => 0usize..WHOLE, 1 => 0usize..70_000];
    let op = prop_oneof![
        3 => any::<bool>().prop_map(|eager| Op::Open { eager }),
        9 => (any::<usize>(), length()).prop_map(|(stream, length)| Op::Data { stream, length }),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(stream, value)| Op::End { stream, value }),
        3 => Just(Op::Accept),
        8 => prop_oneof![1usize..20, 1usize..300, 1usize..100_000].prop_map(|length| Op::Move { length }),
        2 => Just(Op::Send),
        1 => Just(Op::Wait),
    ];
    prop::collection::vec((any::<bool>(), op), 0..250)
}

fn windows() -> impl Strategy<Value = QmuxConfig> {
    let window = || prop_oneof![Just(256u64 << 10), 50u64..300, 1000u64..50_000];
    (window(), window(), prop_oneof![1u64..4, Just(256)]).prop_map(
        |(stream, connection, streams)| QmuxConfig {
            stream_window: stream,
            max_stream_window: stream * 4,
            connection_window: connection,
            max_connection_window: connection * 4,
            max_incoming_streams: streams,
            ..QmuxConfig::default()
        },
    )
}

/// What one application did on one stream, as the other has to see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Transcript {
    meta: String,
    messages: Vec<Vec<u8>>,
    end: Option<Option<String>>,
}

impl Transcript {
    fn opened(meta: &str) -> Self {
        Self {
            meta: meta.to_owned(),
            ..Self::default()
        }
    }

    /// Long messages may arrive in parts: the same with every two put together.
    fn joined(&self) -> (&String, Vec<u8>, &Option<Option<String>>) {
        (&self.meta, self.messages.concat(), &self.end)
    }
}

/// A stream that this application opened.
#[derive(Debug)]
struct Own {
    slot: u32,
    /// Whether it may be written to.
    ready: bool,
    /// What it has to do once it may.
    waiting: VecDeque<Act>,
    /// Nothing is done on it any more.
    ended: bool,
}

#[derive(Debug)]
enum Act {
    Data(usize),
    End(Option<String>),
}

/// An application: does the same on each stream whatever the connection speaks, as soon as it can.
#[derive(Default)]
struct Application {
    own: Vec<Own>,
    /// By slot.
    numbers: BTreeMap<u32, usize>,
    free: Vec<u32>,
    slots: u32,
    did: Vec<Transcript>,
    saw: Vec<Transcript>,
    remote: BTreeMap<Handle, usize>,
    unaccepted: VecDeque<Handle>,
}

impl Application {
    fn act(&mut self, end: &mut End, op: &Op) {
        let streams = self.own.len();
        match *op {
            Op::Open { eager } if streams < 100 => {
                let slot = self.free.pop().unwrap_or_else(|| {
                    self.slots += 1;
                    self.slots - 1
                });
                let meta = format!("{{\"n\":{streams}}}");
                end.open(slot, &meta);
                self.did.push(Transcript::opened(&meta));
                self.numbers.insert(slot, streams);
                self.own.push(Own {
                    slot,
                    ready: eager,
                    waiting: VecDeque::new(),
                    ended: false,
                });
            }
            Op::Data { stream, length } if streams > 0 => {
                self.order(end, stream % streams, Act::Data(length));
            }
            Op::End { stream, value } if streams > 0 => {
                let number = stream % streams;
                let value = value.then(|| format!("[{number}]"));
                self.order(end, number, Act::End(value));
            }
            Op::Accept => {
                if let Some(stream) = self.unaccepted.pop_front() {
                    self.accept(end, stream);
                }
            }
            _ => {}
        }
    }

    fn order(&mut self, end: &mut End, number: usize, act: Act) {
        let own = &mut self.own[number];
        if own.ended {
            return;
        }
        own.ended = matches!(act, Act::End(_));
        own.waiting.push_back(act);
        self.work(end, number);
    }

    fn work(&mut self, end: &mut End, number: usize) {
        let own = &mut self.own[number];
        let did = &mut self.did[number];
        while own.ready
            && let Some(act) = own.waiting.pop_front()
        {
            match act {
                Act::Data(length) => {
                    let before = did.messages.len();
                    let payload: Vec<u8> =
                        (0..length).map(|at| (at ^ number ^ before) as u8).collect();
                    end.data(own.slot, &payload);
                    did.messages.push(payload);
                }
                Act::End(value) => {
                    end.end(own.slot, value.as_deref());
                    did.end = Some(value);
                }
            }
        }
    }

    /// Accepts, and ends the own half, where there is one: at once, or when the opener has ended.
    fn accept(&mut self, end: &mut End, stream: Handle) {
        end.accept(stream);
        if stream.slot().is_multiple_of(2) || self.saw[self.remote[&stream]].end.is_some() {
            end.finish(stream, None);
        }
    }

    /// Takes what has come. Returns whether there was anything.
    fn see(&mut self, end: &mut End) -> bool {
        let seen = end.seen();
        let any = !seen.is_empty();
        for event in seen {
            match event {
                Seen::Opened(stream, _) => {
                    let number = self.numbers[&(stream.slot() as u32)];
                    self.own[number].ready = true;
                    self.work(end, number);
                }
                Seen::Closed(stream) if stream.is_local() => {
                    self.numbers.remove(&(stream.slot() as u32));
                    self.free.push(stream.slot() as u32);
                }
                Seen::Closed(stream) => {
                    // An opener that has ended still waits for it.
                    if self.unaccepted.contains(&stream) {
                        self.unaccepted.retain(|&other| other != stream);
                        self.accept(end, stream);
                    }
                    end.session.forget(stream);
                }
                Seen::Stream(stream, _, meta) => {
                    self.remote.insert(stream, self.saw.len());
                    self.saw.push(Transcript::opened(&meta));
                    self.unaccepted.push_back(stream);
                }
                Seen::Data(stream, bytes) => {
                    let saw = &mut self.saw[self.remote[&stream]];
                    assert_eq!(saw.end, None);
                    saw.messages.push(bytes);
                }
                Seen::End(stream, value) if !stream.is_local() => {
                    let saw = &mut self.saw[self.remote[&stream]];
                    assert_eq!(saw.end, None);
                    saw.end = Some(value);
                    if !self.unaccepted.contains(&stream) {
                        end.finish(stream, None);
                    }
                }
                _ => {}
            }
        }
        any
    }

    fn wind_up(&mut self, end: &mut End) {
        while let Some(stream) = self.unaccepted.pop_front() {
            self.accept(end, stream);
        }
        for number in 0..self.own.len() {
            self.order(end, number, Act::End(None));
        }
    }
}

fn transfer(from: &mut End, to: &mut End, now: std::time::Instant, length: usize) {
    from.send(now, length.max(5000));
    let length = length.min(from.wire.len());
    let bytes: Vec<u8> = from.wire.drain(..length).collect();
    assert_eq!(to.receive(&bytes), Ok(()));
}

/// What each application did, and what each saw, in the order of the streams.
#[derive(Debug)]
struct Run {
    did: [Vec<Transcript>; 2],
    saw: [Vec<Transcript>; 2],
    wires: [Wires; 2],
}

fn run(ops: &[(bool, Op)], protocols: [Protocol; 2], qmux: &[QmuxConfig; 2]) -> Run {
    let config = |at: usize| Config {
        protocol: protocols[at],
        qmux: qmux[at].clone(),
        ..Config::default()
    };
    let mut pair = Pair::new(config(0), config(1));
    let mut client = Application::default();
    let mut server = Application::default();
    for (at_client, op) in ops {
        let now = pair.now;
        let ends = (&mut pair.client, &mut pair.server);
        let (near, far, actor) = match at_client {
            true => (ends.0, ends.1, &mut client),
            false => (ends.1, ends.0, &mut server),
        };
        match op {
            Op::Move { length } => transfer(near, far, now, *length),
            Op::Send => drop(near.send(now, usize::MAX)),
            Op::Wait => pair.advance(Duration::from_millis(1)),
            op => actor.act(near, op),
        }
        client.see(&mut pair.client);
        server.see(&mut pair.server);
    }
    for round in 0.. {
        assert!(round < 2000, "it does not come to an end");
        client.wind_up(&mut pair.client);
        server.wind_up(&mut pair.server);
        pair.settle();
        let any = [client.see(&mut pair.client), server.see(&mut pair.server)];
        if any == [false; 2] {
            break;
        }
    }
    for (application, end) in [(&client, &pair.client), (&server, &pair.server)] {
        assert!(application.numbers.is_empty(), "streams that never close");
        assert!(end.session.is_flushed());
    }
    Run {
        did: [client.did, server.did],
        saw: [client.saw, server.saw],
        wires: [pair.client.session.wires(), pair.server.session.wires()],
    }
}

/// The seen transcripts are the done ones: in order, and each message that is short enough in one piece.
fn compare(did: &[Transcript], saw: &[Transcript], whole: usize) {
    let metas = |transcripts: &[Transcript]| -> Vec<String> {
        transcripts.iter().map(|it| it.meta.clone()).collect()
    };
    assert_eq!(
        metas(saw),
        metas(did),
        "streams are announced in the order they were opened"
    );
    for (did, saw) in did.iter().zip(saw) {
        assert!(did.joined() == saw.joined(), "stream {} differs", did.meta);
        if did.messages.iter().all(|message| message.len() <= whole) {
            assert!(
                did.messages == saw.messages,
                "messages of {} differ",
                did.meta
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn each_application_sees_what_the_other_did_as_if_there_were_one_wire(
        ops in ops(), mix in 0usize..6, qmux in [windows(), windows()],
    ) {
        let protocols = [
            [Protocol::Auto, Protocol::Auto],
            [Protocol::Auto, Protocol::Auto],
            [Protocol::Auto, Protocol::Auto],
            [Protocol::Auto, Protocol::Legacy],
            [Protocol::Legacy, Protocol::Auto],
            [Protocol::Qmux, Protocol::Qmux],
        ][mix];
        let never = run(&ops, [Protocol::Legacy; 2], &qmux);
        let switched = run(&ops, protocols, &qmux);
        for (at, other) in [(0, 1), (1, 0)] {
            prop_assert_eq!(&never.did[at], &switched.did[at], "the applications do the same");
            compare(&never.did[at], &never.saw[other], WHOLE);
            let both_new = !protocols.contains(&Protocol::Legacy);
            let limit = match both_new {
                true => qmux[other].stream_window.min(qmux[other].connection_window) as usize / 2,
                false => WHOLE,
            };
            compare(&switched.did[at], &switched.saw[other], limit.min(WHOLE));
            let wires = switched.wires[at];
            prop_assert_eq!((wires.sending, wires.receiving), (both_new, both_new));
        }
    }

    #[test]
    fn random_bytes_end_the_connection_at_worst(bytes in prop::collection::vec(any::<u8>(), 0..400), cut in 0usize..400) {
        let mut end = End::new(Side::Listening, 2, Config::default());
        let (head, tail) = bytes.split_at(cut.min(bytes.len()));
        let _ = end.receive(head).and_then(|()| end.receive(tail)).and_then(|()| end.session.receive_fin());
    }

    #[test]
    fn random_frames_end_the_connection_at_worst(
        frames in prop::collection::vec((0u8..6, 0u8..3, "(null|\\{\\}|x|[1-9]{0,3})"), 0..60),
    ) {
        let mut end = End::new(Side::Listening, 2, Config::default());
        for (kind, id, payload) in frames {
            let mut frame = ((6 + payload.len()) as u32).to_be_bytes().to_vec();
            frame.extend([id, kind]);
            frame.extend(payload.as_bytes());
            if end.receive(&frame).is_err() {
                return Ok(());
            }
            for event in end.seen() {
                if let Seen::Stream(stream, ..) = event {
                    end.accept(stream);
                } else if let Seen::Closed(stream) = event {
                    end.session.forget(stream);
                }
            }
        }
    }
}
