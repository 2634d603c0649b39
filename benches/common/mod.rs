//! What both benchmarks need: a session whose peer has spoken, sinks, and a wire that is a `Vec`.
//!
//! May not measure, nor know the bytes of a frame.

use std::io::IoSlice;
use std::ops::Range;
use std::time::Instant;
use tcp_stream_muxer::proto::{
    Config, Event, Handle, Payload, Protocol, QmuxConfig, Session, Side, Sink,
};

/// Chunks in one vectored write, as in the driver.
const SLICES: usize = 16;

/// Counts events and bytes of payload: the least that a sink can do and still make the decoder find everything.
#[derive(Debug, Default)]
pub struct Counts {
    pub events: u64,
    pub bytes: u64,
}

impl Sink for Counts {
    fn emit(&mut self, _event: Event, payload: Payload<'_>) {
        self.events += 1;
        self.bytes += match payload {
            Payload::Empty => 0,
            Payload::Input(Range { start, end }) => end - start,
            Payload::Owned(bytes) => bytes.len(),
        } as u64;
    }
}

/// Remembers the streams that something is to be done about.
#[derive(Debug, Default)]
pub struct Streams {
    pub arrived: Vec<Handle>,
    pub opened: Vec<Handle>,
    pub closed: Vec<Handle>,
}

impl Sink for Streams {
    fn emit(&mut self, event: Event, _payload: Payload<'_>) {
        match event {
            Event::Stream { stream, .. } => self.arrived.push(stream),
            Event::Opened { stream, .. } => self.opened.push(stream),
            Event::Closed(stream) => self.closed.push(stream),
            _ => {}
        }
    }
}

/// Sends all that may be sent now, each send in one piece, and gives `each` what the kernel would be given.
pub fn send(
    session: &mut Session,
    now: Instant,
    sink: &mut impl Sink,
    mut each: impl FnMut(&[IoSlice<'_>]),
) {
    while let Some(mut transmit) = session.take_transmit(now, sink) {
        while !transmit.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = transmit.fill(&mut slices);
            each(&slices[..filled]);
            let sent = slices[..filled].iter().map(|slice| slice.len()).sum();
            transmit.advance(sent);
            session.transmitted(sent, sink);
        }
        session.transmit_done(transmit, now);
    }
}

/// Sends all that may be sent now behind what `wire` holds.
pub fn send_to(session: &mut Session, now: Instant, sink: &mut impl Sink, wire: &mut Vec<u8>) {
    send(session, now, sink, |slices| {
        for slice in slices {
            wire.extend_from_slice(slice);
        }
    });
}

/// The two ends of a connection.
#[derive(Debug)]
pub struct Pair {
    pub client: Session,
    pub server: Session,
    pub now: Instant,
}

/// What both ends of a benchmark speak from their first byte. Windows are never used up, so that one wire can be
/// received again and again.
pub fn config(protocol: Protocol) -> Config {
    let qmux = QmuxConfig {
        stream_window: 1 << 60,
        max_stream_window: 1 << 60,
        connection_window: 1 << 60,
        max_connection_window: 1 << 60,
        ..QmuxConfig::default()
    };
    Config {
        protocol,
        peer_new: true,
        qmux,
        ..Config::default()
    }
}

/// Two ends that know each other, with `streams` streams opened by the client and accepted.
pub fn connected(protocol: Protocol, streams: u32) -> Pair {
    let now = Instant::now();
    let end = |side, nonce| Session::new(config(protocol), side, [nonce; 8], now);
    let mut pair = Pair {
        client: end(Side::Connecting, 1),
        server: end(Side::Listening, 2),
        now,
    };
    let (mut at_client, mut at_server) = (Streams::default(), Streams::default());
    pair.exchange(&mut at_client, &mut at_server);
    for slot in 0..streams {
        let stream = Handle::local(slot);
        pair.client.open(stream, b"null", &mut at_client);
    }
    pair.exchange(&mut at_client, &mut at_server);
    for &stream in &at_server.arrived {
        pair.server.accept(stream, &mut Counts::default());
    }
    pair.exchange(&mut at_client, &mut at_server);
    assert_eq!(at_client.opened.len(), streams as usize);
    pair
}

impl Pair {
    /// Moves what there is to move, up and then down.
    pub fn exchange(&mut self, at_client: &mut impl Sink, at_server: &mut impl Sink) {
        let mut wire = Vec::new();
        send_to(&mut self.client, self.now, at_client, &mut wire);
        receive(&mut self.server, &wire, self.now, at_server);
        wire.clear();
        send_to(&mut self.server, self.now, at_server, &mut wire);
        receive(&mut self.client, &wire, self.now, at_client);
    }
}

/// Takes bytes that a session of ours made.
pub fn receive(session: &mut Session, bytes: &[u8], now: Instant, sink: &mut impl Sink) {
    session
        .receive(bytes, now, sink)
        .expect("what a session writes is what a session reads");
}
