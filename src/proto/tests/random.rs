//! Random operations on a pair, under random segmentation and delay: each application must see, per stream, exactly
//! what the other did, and no bytes whatever may do more than end a connection.

use super::pair::{End, Pair, Seen};
use crate::proto::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Clone, Debug)]
enum Op {
    Open,
    Data { stream: usize, length: usize },
    End { stream: usize, value: bool },
    Move { length: usize },
    Wait,
}

fn ops() -> impl Strategy<Value = Vec<(bool, Op)>> {
    let op = prop_oneof![
        2 => Just(Op::Open),
        8 => (any::<usize>(), prop_oneof![0usize..100, 0usize..70_000]).prop_map(|(stream, length)| Op::Data { stream, length }),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(stream, value)| Op::End { stream, value }),
        8 => prop_oneof![1usize..20, 1usize..100_000].prop_map(|length| Op::Move { length }),
        1 => Just(Op::Wait),
    ];
    prop::collection::vec((any::<bool>(), op), 0..300)
}

/// What one application did on one stream, as the other has to see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Transcript {
    meta: String,
    data: Vec<u8>,
    messages: usize,
    end: Option<Option<String>>,
}

/// An application: opens streams, writes to those acknowledged, accepts those of its peer.
#[derive(Default)]
struct Application {
    next: usize,
    free: Vec<u32>,
    slots: u32,
    live: Vec<(u32, usize)>,
    opening: BTreeMap<u32, usize>,
    did: BTreeMap<usize, Transcript>,
    saw: BTreeMap<usize, Transcript>,
    remote: BTreeMap<Handle, usize>,
    remote_count: usize,
    order: Vec<String>,
}

impl Application {
    fn act(&mut self, end: &mut End, op: &Op) {
        match *op {
            Op::Open if self.opening.len() + self.live.len() < 256 => {
                let slot = self.free.pop().unwrap_or_else(|| {
                    self.slots += 1;
                    self.slots - 1
                });
                let meta = format!("{{\"n\":{}}}", self.next);
                end.open(slot, &meta);
                self.opening.insert(slot, self.next);
                self.did.insert(
                    self.next,
                    Transcript {
                        meta,
                        ..Transcript::default()
                    },
                );
                self.next += 1;
            }
            Op::Data { stream, length } if !self.live.is_empty() => {
                let (slot, number) = self.live[stream % self.live.len()];
                let payload: Vec<u8> = (0..length).map(|at| (at ^ number) as u8).collect();
                end.data(slot, &payload);
                if let Some(did) = self.did.get_mut(&number) {
                    did.data.extend(payload);
                    did.messages += 1;
                }
            }
            Op::End { stream, value } if !self.live.is_empty() => {
                let (slot, number) = self.live.swap_remove(stream % self.live.len());
                let value = value.then(|| format!("[{number}]"));
                end.end(slot, value.as_deref());
                if let Some(did) = self.did.get_mut(&number) {
                    did.end = Some(value);
                }
            }
            _ => {}
        }
    }

    fn see(&mut self, end: &mut End) {
        for event in end.seen() {
            match event {
                Seen::Opened(stream, _) => {
                    let slot = stream.slot() as u32;
                    let number = self
                        .opening
                        .remove(&slot)
                        .expect("only what is opening is acknowledged, once");
                    self.live.push((slot, number));
                }
                Seen::Closed(stream) if stream.is_local() => self.free.push(stream.slot() as u32),
                Seen::Closed(stream) => end.session.forget(stream),
                Seen::Stream(stream, _, meta) => {
                    self.remote.insert(stream, self.remote_count);
                    self.order.push(meta.clone());
                    self.saw.insert(
                        self.remote_count,
                        Transcript {
                            meta,
                            ..Transcript::default()
                        },
                    );
                    self.remote_count += 1;
                    end.session.accept(stream, &mut end.log);
                }
                Seen::Data(stream, bytes) => {
                    let saw = self
                        .saw
                        .get_mut(&self.remote[&stream])
                        .expect("data comes behind its stream");
                    saw.data.extend(bytes);
                }
                Seen::End(stream, value) => {
                    let saw = self
                        .saw
                        .get_mut(&self.remote[&stream])
                        .expect("an end comes behind its stream");
                    assert_eq!(saw.end, None);
                    saw.end = Some(value);
                }
                Seen::Json(..) | Seen::Mark(_) | Seen::Peer(_) => {}
            }
        }
    }
}

fn transfer(from: &mut End, to: &mut End, now: std::time::Instant, length: usize) {
    from.send(now, length.max(5000));
    let length = length.min(from.wire.len());
    let bytes: Vec<u8> = from.wire.drain(..length).collect();
    assert_eq!(to.receive(&bytes), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn each_application_sees_what_the_other_did(
        ops in ops(), client_offers in any::<bool>(), server_offers in any::<bool>(),
    ) {
        let config = |offer| Config { offer, ..Config::default() };
        let mut pair = Pair::new(config(client_offers), config(server_offers));
        let mut client = Application::default();
        let mut server = Application::default();
        for (at_client, op) in &ops {
            let now = pair.now;
            let (near, far) = if *at_client { (&mut pair.client, &mut pair.server) } else { (&mut pair.server, &mut pair.client) };
            let (actor, other) = if *at_client { (&mut client, &mut server) } else { (&mut server, &mut client) };
            match op {
                Op::Move { length } => {
                    transfer(near, far, now, *length);
                    other.see(far);
                }
                Op::Wait => pair.advance(Duration::from_millis(1)),
                op => actor.act(near, op),
            }
            client.see(&mut pair.client);
            server.see(&mut pair.server);
        }
        for _ in 0..4 {
            pair.settle();
            client.see(&mut pair.client);
            server.see(&mut pair.server);
        }
        for (did, saw) in [(&client, &server), (&server, &client)] {
            let order: Vec<_> = did.did.values().map(|did| did.meta.clone()).collect();
            prop_assert_eq!(&saw.order, &order, "streams are announced in the order they were opened");
            for (number, did) in &did.did {
                let saw = &saw.saw[number];
                prop_assert_eq!((&did.meta, &did.end), (&saw.meta, &saw.end));
                prop_assert!(did.data == saw.data, "stream {} differs", number);
            }
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
                    end.session.accept(stream, &mut end.log);
                } else if let Seen::Closed(stream) = event {
                    end.session.forget(stream);
                }
            }
        }
    }
}
