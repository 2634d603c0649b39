//! What both benchmarks need: a session whose peer has spoken, sinks, and a wire that is a `Vec`.
//!
//! May not measure, nor know the bytes of a frame.

use std::io::IoSlice;
use std::ops::Range;
use std::time::Instant;
use tcp_stream_muxer::proto::{Config, Event, Handle, Payload, Session, Side, Sink};

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
    while let Some(mut transmit) = session.take_transmit() {
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
}

/// Two ends that have told each other that they are new, with `streams` streams opened by the client and accepted.
pub fn connected(streams: u32) -> Pair {
    let now = Instant::now();
    let mut pair = Pair {
        client: Session::new(Config::default(), Side::Connecting, [1; 8]),
        server: Session::new(Config::default(), Side::Listening, [2; 8]),
    };
    let (mut up, mut down) = (Vec::new(), Vec::new());
    let (mut at_client, mut at_server) = (Streams::default(), Streams::default());
    send_to(&mut pair.client, now, &mut at_client, &mut up);
    receive(&mut pair.server, &up, &mut at_server);
    send_to(&mut pair.server, now, &mut at_server, &mut down);
    receive(&mut pair.client, &down, &mut at_client);
    for slot in 0..streams {
        let stream = Handle::local(slot);
        pair.client.open(stream, b"null", &mut at_client);
    }
    up.clear();
    send_to(&mut pair.client, now, &mut at_client, &mut up);
    receive(&mut pair.server, &up, &mut at_server);
    for &stream in &at_server.arrived {
        pair.server.accept(stream, &mut Counts::default());
    }
    down.clear();
    send_to(&mut pair.server, now, &mut at_server, &mut down);
    receive(&mut pair.client, &down, &mut at_client);
    assert_eq!(at_client.opened.len(), streams as usize);
    pair
}

/// Takes bytes that a session of ours made.
pub fn receive(session: &mut Session, bytes: &[u8], sink: &mut impl Sink) {
    session
        .receive(bytes, sink)
        .expect("what a session writes is what a session reads");
}
