//! Two sessions joined by pipes that a test moves bytes through, under a clock that only a test advances.

use crate::proto::*;
use std::io::IoSlice;
use std::time::{Duration, Instant};

/// What an application saw, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Stream(Handle, u32, String),
    Opened(Handle, u32),
    Data(Handle, Vec<u8>),
    Json(Handle, String),
    End(Handle, Option<String>),
    Closed(Handle),
    Mark(u32),
    Peer(PeerKind),
}

/// A sink that copies what it is told of.
#[derive(Debug, Default)]
pub struct Log {
    pub seen: Vec<Seen>,
    input: Vec<u8>,
}

impl Sink for Log {
    fn emit(&mut self, event: Event, payload: Payload<'_>) {
        let bytes = match payload {
            Payload::Empty => Vec::new(),
            Payload::Input(range) => self.input[range].to_vec(),
            Payload::Owned(bytes) => bytes.to_vec(),
        };
        let text = || String::from_utf8_lossy(&bytes).into_owned();
        self.seen.push(match event {
            Event::Stream { stream, id } => Seen::Stream(stream, id, text()),
            Event::Opened { stream, id } => Seen::Opened(stream, id),
            Event::Data(stream) => Seen::Data(stream, bytes),
            Event::Json(stream) => Seen::Json(stream, text()),
            Event::End { stream, has_value } => Seen::End(stream, has_value.then(text)),
            Event::Closed(stream) => Seen::Closed(stream),
            Event::Mark(id) => Seen::Mark(id),
            Event::Peer(peer) => Seen::Peer(peer),
        });
    }
}

/// One end: a session, what its application saw, and what it has sent that is still under way.
#[derive(Debug)]
pub struct End {
    pub session: Session,
    pub log: Log,
    pub wire: Vec<u8>,
}

impl End {
    pub fn new(side: Side, nonce: u8, config: Config) -> Self {
        Self {
            session: Session::new(config, side, [nonce; 8]),
            log: Log::default(),
            wire: Vec::new(),
        }
    }

    pub fn open(&mut self, slot: u32, meta: &str) {
        self.session
            .open(Handle::local(slot), meta.as_bytes(), &mut self.log);
    }

    pub fn data(&mut self, slot: u32, payload: &[u8]) {
        self.session
            .data(Handle::local(slot), payload, &mut self.log);
    }

    pub fn end(&mut self, slot: u32, value: Option<&str>) {
        self.session
            .end(Handle::local(slot), value.map(str::as_bytes), &mut self.log);
    }

    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        self.log.input = bytes.to_vec();
        self.session.receive(bytes, &mut self.log)
    }

    /// Moves what may be sent now to the wire, at most so many bytes in one send. Gives the bursts.
    pub fn send(&mut self, now: Instant, at_most: usize) -> Vec<usize> {
        let mut bursts = Vec::new();
        while let Some(mut transmit) = self.session.take_transmit() {
            bursts.push(transmit.len());
            while !transmit.is_empty() {
                let mut slices = [IoSlice::new(&[]); 16];
                let filled = transmit.fill(&mut slices);
                let bytes: Vec<u8> = slices[..filled]
                    .iter()
                    .flat_map(|slice| slice.iter().copied())
                    .collect();
                let sent = bytes.len().min(at_most);
                self.wire.extend(&bytes[..sent]);
                transmit.advance(sent);
                self.session.transmitted(sent, &mut self.log);
            }
            self.session.transmit_done(transmit, now);
        }
        bursts
    }

    /// Takes what was seen so far.
    pub fn seen(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.log.seen)
    }
}

/// Two ends.
#[derive(Debug)]
pub struct Pair {
    pub client: End,
    pub server: End,
    pub now: Instant,
}

impl Pair {
    pub fn new(client: Config, server: Config) -> Self {
        Self {
            client: End::new(Side::Connecting, 1, client),
            server: End::new(Side::Listening, 2, server),
            now: Instant::now(),
        }
    }

    /// Moves everything both ways until nothing moves, the clock advancing as the pacing asks.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            self.client.send(self.now, usize::MAX);
            self.server.send(self.now, usize::MAX);
            let (up, down) = (
                std::mem::take(&mut self.client.wire),
                std::mem::take(&mut self.server.wire),
            );
            if up.is_empty() && down.is_empty() {
                let waits = [&self.client, &self.server]
                    .iter()
                    .filter_map(|end| end.session.deadline())
                    .min();
                let Some(deadline) = waits else { return };
                self.advance(deadline - self.now);
                continue;
            }
            assert_eq!(self.server.receive(&up), Ok(()));
            assert_eq!(self.client.receive(&down), Ok(()));
        }
        panic!("the pair does not settle");
    }

    /// Advances the clock; the wires count as empty.
    pub fn advance(&mut self, time: Duration) {
        self.now += time;
        self.client.session.look(self.now, 0);
        self.server.session.look(self.now, 0);
    }
}
