//! Two sessions joined by pipes that a test moves bytes through, under a clock that only a test advances.

use super::application::Api;
use super::proto::*;
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
    Reset(Handle, u64),
    Stopped(Handle, u64),
    Refused(Handle, u64),
    GoAway(Option<Handle>),
    Unread(Handle),
    Blocked(Handle),
    Unblocked(Handle),
    Credit(Option<Handle>),
    Pong(u32, Duration),
    Wires(Wires),
}

impl Seen {
    /// What kind of event it is.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Stream(..) => "stream",
            Self::Opened(..) => "opened",
            Self::Data(..) => "data",
            Self::Json(..) => "json",
            Self::End(_, None) => "end",
            Self::End(_, Some(_)) => "end with value",
            Self::Closed(_) => "closed",
            Self::Mark(_) => "mark",
            Self::Peer(_) => "peer",
            Self::Reset(..) => "reset",
            Self::Stopped(..) => "stopped",
            Self::Refused(..) => "refused",
            Self::GoAway(None) => "go-away",
            Self::GoAway(Some(_)) => "go-away of a stream",
            Self::Unread(_) => "unread",
            Self::Blocked(_) => "blocked",
            Self::Unblocked(_) => "unblocked",
            Self::Credit(None) => "credit of the connection",
            Self::Credit(Some(_)) => "credit",
            Self::Pong(..) => "pong",
            Self::Wires(_) => "wires",
        }
    }
}

/// A sink that copies what it is told of.
#[derive(Debug, Default)]
pub struct Log {
    pub seen: Vec<Seen>,
    input: Vec<u8>,
    /// Which event was data up to the end of the input.
    last_data: Option<usize>,
}

impl Sink for Log {
    fn emit(&mut self, event: Event, payload: Payload<'_>) {
        let end = self.input.len();
        if matches!(event, Event::Data(_))
            && matches!(&payload, Payload::Input(range) if range.end == end)
        {
            self.last_data = Some(self.seen.len());
        }
        let bytes = match payload {
            Payload::Empty => Vec::new(),
            Payload::Input(range) => self.input[range].to_vec(),
            Payload::Owned(bytes) => bytes.to_vec(),
        };
        let text = || String::from_utf8_lossy(&bytes).into_owned();
        let code = || text().parse().expect("a code is a decimal number");
        self.seen.push(match event {
            Event::Stream { stream, id } => Seen::Stream(stream, id, text()),
            Event::Opened { stream, id } => Seen::Opened(stream, id),
            Event::Data(stream) => Seen::Data(stream, bytes),
            Event::Json(stream) => Seen::Json(stream, text()),
            Event::End { stream, has_value } => Seen::End(stream, has_value.then(text)),
            Event::Closed(stream) => Seen::Closed(stream),
            Event::Mark(id) => Seen::Mark(id),
            Event::Peer(peer) => Seen::Peer(peer),
            Event::Wires(wires) => Seen::Wires(wires),
            Event::Reset(stream) => Seen::Reset(stream, code()),
            Event::Stopped(stream) => Seen::Stopped(stream, code()),
            Event::Refused(stream) => Seen::Refused(stream, code()),
            Event::GoAway(stream) => Seen::GoAway(stream),
            Event::Unread(stream) => Seen::Unread(stream),
            Event::Blocked(stream) => Seen::Blocked(stream),
            Event::Unblocked(stream) => Seen::Unblocked(stream),
            Event::Credit(stream) => Seen::Credit(stream),
            Event::Pong { id, rtt } => Seen::Pong(id, rtt),
        });
    }
}

/// Puts parts of a message together, so that logs of different segmentations can be compared.
pub fn joined(seen: Vec<Seen>) -> Vec<Seen> {
    let mut result: Vec<Seen> = Vec::new();
    for event in seen {
        if let (Some(Seen::Data(last, bytes)), Seen::Data(stream, more)) =
            (result.last_mut(), &event)
            && last == stream
        {
            bytes.extend(more);
            continue;
        }
        result.push(event);
    }
    result
}

/// One end: a session, what its application saw, and what it has sent that is still under way.
#[derive(Debug)]
pub struct End {
    pub session: Session,
    pub log: Log,
    pub wire: Vec<u8>,
    pub now: Instant,
    /// Events of the log whose `Credit` has been answered.
    answered: usize,
    /// The beginning of a message that is put together.
    part: Option<Seen>,
    /// The application's next write is sent from its own memory, if the session takes that.
    pub sends_in_place: bool,
    /// What such a write took to be sent, and its payload, which goes behind that.
    pub taken: Option<(Transmit, Vec<u8>)>,
}

impl End {
    pub fn new(side: Side, nonce: u8, config: Config) -> Self {
        Self::at(Instant::now(), side, nonce, config)
    }

    /// An end whose clock starts at `now`.
    pub fn at(now: Instant, side: Side, nonce: u8, config: Config) -> Self {
        Self {
            session: Session::new(config, side, [nonce; 8], now),
            log: Log::default(),
            wire: Vec::new(),
            now,
            answered: 0,
            part: None,
            sends_in_place: false,
            taken: None,
        }
    }

    pub fn open(&mut self, slot: u32, meta: &str) {
        self.session
            .open(Handle::local(slot), meta.as_bytes(), &mut self.log);
    }

    pub fn data(&mut self, slot: u32, payload: &[u8]) {
        self.write(Handle::local(slot), payload);
    }

    pub fn end(&mut self, slot: u32, value: Option<&str>) {
        self.finish(Handle::local(slot), value);
    }

    /// Sends on a stream of either side.
    pub fn write(&mut self, stream: Handle, payload: &[u8]) {
        self.session.data(stream, payload, &mut self.log);
    }

    /// Ends the sending half of a stream of either side.
    pub fn finish(&mut self, stream: Handle, value: Option<&str>) {
        self.session
            .end(stream, value.map(str::as_bytes), &mut self.log);
    }

    pub fn accept(&mut self, stream: Handle) {
        self.session.accept(stream, &mut self.log);
    }

    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        self.log.input.clear();
        self.log.input.extend_from_slice(bytes);
        self.log.last_data = None;
        let before = self.log.seen.len();
        let result = self.session.receive(bytes, self.now, &mut self.log);
        self.put_together(before, result.is_ok());
        result
    }

    /// Puts messages together as who reads for the session does: what came of one waits for the rest.
    fn put_together(&mut self, first: usize, goes_on: bool) {
        let seen = &mut self.log.seen;
        if let Some(Seen::Data(stream, mut bytes)) = self.part.take() {
            // Otherwise nobody wants it any more.
            if let Some(Seen::Data(same, more)) = seen.get_mut(first)
                && *same == stream
            {
                bytes.append(more);
                *more = bytes;
            }
        }
        if self.session.partial().is_some()
            && goes_on
            && let Some(at) = self.log.last_data
        {
            self.part = Some(seen.remove(at));
        }
    }

    /// Moves what may be sent now to the wire, at most so many bytes in one send. Returns the bursts.
    pub fn send(&mut self, now: Instant, at_most: usize) -> Vec<usize> {
        self.now = self.now.max(now);
        let mut bursts = Vec::new();
        while let Some(mut transmit) = self.session.take_transmit(now, &mut self.log) {
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

    /// Does what is due at `now`; the socket's send queue holds `unsent` bytes.
    pub fn timeouts(&mut self, now: Instant, unsent: usize) -> Result<(), ProtocolError> {
        self.now = self.now.max(now);
        match self.session.deadline() {
            Some(deadline) if deadline <= now => self.session.timeout(now, unsent),
            _ => Ok(()),
        }
    }

    /// Takes what was seen so far, as an application does that consumes everything at once.
    pub fn seen(&mut self) -> Vec<Seen> {
        self.answer();
        let mut seen = self.seen_unanswered();
        seen.retain(|event| !matches!(event, Seen::Credit(_)));
        seen
    }

    /// Takes what was seen so far: who calls this answers each `Seen::Credit` in its place.
    pub fn seen_unanswered(&mut self) -> Vec<Seen> {
        self.answered = 0;
        std::mem::take(&mut self.log.seen)
    }

    /// Answers what the session asked about credit, as an application does that consumes everything at once.
    pub fn answer(&mut self) {
        while let Some(event) = self.log.seen.get(self.answered) {
            self.answered += 1;
            if let &Seen::Credit(stream) = event {
                self.session.credit(stream, &mut self.log);
            }
        }
    }
}

impl Api for End {
    fn open(&mut self, slot: u32, meta: &str) {
        End::open(self, slot, meta);
    }

    fn write(&mut self, stream: Handle, payload: &[u8]) {
        let (now, log) = (self.now, &mut self.log);
        if std::mem::take(&mut self.sends_in_place)
            && let Some(transmit) = self.session.take_with_head(stream, payload.len(), now, log)
        {
            self.taken = Some((transmit, payload.to_vec()));
        } else {
            End::write(self, stream, payload);
        }
    }

    fn finish(&mut self, stream: Handle, value: Option<&str>) {
        End::finish(self, stream, value);
    }

    fn accept(&mut self, stream: Handle) {
        End::accept(self, stream);
    }

    fn refuse(&mut self, stream: Handle, code: u64) {
        self.session.refuse(stream, code, &mut self.log);
    }

    fn hold(&mut self, stream: Handle, bytes: u32) {
        self.session.hold(stream, bytes);
    }

    fn release(&mut self, stream: Handle, bytes: u32) {
        self.session.release(stream, bytes, &mut self.log);
    }

    fn forget(&mut self, stream: Handle) {
        self.session.forget(stream);
    }

    fn mark(&mut self, stream: Option<Handle>, id: u32) {
        self.session.mark(stream, id, &mut self.log);
    }

    fn discard(&mut self, stream: Handle) {
        self.session.discard(stream, &mut self.log);
    }

    fn reset(&mut self, stream: Handle, code: u64) {
        self.session.reset(stream, code, &mut self.log);
    }

    fn stop(&mut self, stream: Handle, code: u64) {
        self.session.stop(stream, code, &mut self.log);
    }

    fn unread(&mut self, stream: Handle) {
        self.session.unread(stream, &mut self.log);
    }

    fn credit(&mut self, stream: Option<Handle>) {
        self.session.credit(stream, &mut self.log);
    }

    fn ping(&mut self, id: u32) {
        self.session.ping(id, self.now);
    }

    fn set_priority(&mut self, stream: Handle, urgency: u8, incremental: bool) {
        self.session.set_priority(stream, urgency, incremental);
    }

    fn go_away(&mut self) {
        self.session.go_away();
    }

    fn resize_window(&mut self, bytes: u32) {
        self.session.resize_window(bytes, &mut self.log);
    }

    fn wires(&self) -> Wires {
        self.session.wires()
    }

    fn can_send(&self) -> bool {
        self.session.can_encode()
    }

    fn is_flushed(&self) -> bool {
        self.session.is_flushed()
    }
}

/// The ways in which two ends come to QMux: by the client's first bytes, by an offer, and without a word before.
pub const WAYS_TO_QMUX: [[Protocol; 2]; 3] = [
    [Protocol::Qmux, Protocol::Auto],
    [Protocol::Auto, Protocol::Auto],
    [Protocol::Qmux, Protocol::Qmux],
];

/// The defaults of an end that speaks this.
pub fn speaking(protocol: Protocol) -> Config {
    Config {
        protocol,
        ..Config::default()
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
        let now = Instant::now();
        Self {
            client: End::at(now, Side::Connecting, 1, client),
            server: End::at(now, Side::Listening, 2, server),
            now,
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
                // Other deadlines are for a peer that is silent for long, which this one is not.
                let waits = [&self.client, &self.server]
                    .iter()
                    .filter(|end| end.session.wants_look())
                    .filter_map(|end| end.session.deadline())
                    .min();
                let Some(deadline) = waits else { return };
                self.advance(deadline.saturating_duration_since(self.now));
                continue;
            }
            for (end, bytes) in [(&mut self.server, up), (&mut self.client, down)] {
                if !bytes.is_empty() {
                    assert_eq!(end.receive(&bytes), Ok(()));
                }
                end.answer();
            }
        }
        panic!("the pair does not settle");
    }

    /// Advances the clock; the wires count as empty.
    pub fn advance(&mut self, time: Duration) {
        self.now += time;
        for end in [&mut self.client, &mut self.server] {
            assert_eq!(end.timeouts(self.now, 0), Ok(()));
        }
    }
}
