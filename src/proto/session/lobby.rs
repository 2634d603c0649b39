//! The lobby: streams of the peer's that the application is not told of yet, because as many as it allows live.
//!
//! On QMux the peer waits by itself. On the legacy wire the peer cannot be made to wait. So streams that a new peer
//! opens before it has switched wait here, with all that comes of them, and are not acknowledged meanwhile.
//!
//! ```text
//!   session ──▶ Gate ──▶ the application's sink            the stream's events, in order, once there is a place for it
//!                └─ of a stream for which there is no place ──▶ Lobby ──▲
//! ```
//!
//! Bounded: the peer opens at most 256 streams before it switches, and their metas count towards its limit. What comes
//! of them on the legacy wire has a limit of its own. On QMux the limit is each stream's credit; the connection's
//! credit is given back, because the streams that have a place need it to come to their end.
//!
//! May not know a wire.

use super::super::error::ProtocolError;
use super::super::event::{Event, Handle, Payload, Sink};
use super::{Receiving, Session};
use std::collections::VecDeque;

/// The most that may come by the legacy wire of streams that wait, beyond what may be held, because it was under way
/// there.
const MAX_PARKED: u64 = 16 << 20;

/// The cost of an event besides its bytes, as the application counts it for messages that it holds.
const EVENT: u64 = 128;

/// One stream that waits.
#[derive(Debug)]
struct Parked {
    stream: Handle,
    events: Vec<(Event, Vec<u8>)>,
}

/// The streams that wait.
#[derive(Debug)]
pub struct Lobby {
    parked: VecDeque<Parked>,
    /// The number of the peer's streams that may live, and of those that do.
    limit: u64,
    live: u64,
    /// The peer is new, so it can be made to wait.
    is_active: bool,
    /// A message of a stream that waits goes on in the next input.
    open: Option<Handle>,
    /// The bytes that have come of streams that waited, since the lobby was last empty.
    bytes: u64,
}

impl Lobby {
    pub fn new(limit: u64) -> Self {
        Self {
            parked: VecDeque::new(),
            limit,
            live: 0,
            is_active: false,
            open: None,
            bytes: 0,
        }
    }

    /// Whether no stream waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.parked.is_empty()
    }

    /// Tells the application of the first stream that waits, if there is a place for it. `None`: there is none.
    pub fn admit<S: Sink>(&mut self, sink: &mut S) -> Option<()> {
        let first = self.parked.front()?;
        // A message is not emitted in parts because of this.
        if self.live >= self.limit || self.open == Some(first.stream) {
            return None;
        }
        let first = self.parked.pop_front()?;
        self.live += 1;
        for (event, bytes) in first.events {
            if matches!(event, Event::Closed(_)) {
                self.live = self.live.saturating_sub(1);
            }
            sink.emit(event, Payload::Owned(&bytes));
        }
        if self.is_empty() {
            self.bytes = 0;
        }
        Some(())
    }

    fn find(&mut self, stream: Handle) -> Option<&mut Parked> {
        self.parked.iter_mut().find(|it| it.stream == stream)
    }
}

/// Passes a session's events on, except for those of streams that wait.
///
/// The fields are open, because they are parts that a session lends.
pub struct Gate<'a, S> {
    pub lobby: &'a mut Lobby,
    /// The bytes that payloads are ranges of.
    pub input: &'a [u8],
    pub sink: &'a mut S,
}

impl<S: Sink> Gate<'_, S> {
    /// Keeps an event of a stream, if the stream waits. Returns whether it does.
    fn park(&mut self, stream: Handle, event: Event, payload: &Payload<'_>) -> bool {
        let open = self.lobby.open;
        let Some(parked) = self.lobby.find(stream) else {
            return false;
        };
        let (bytes, goes_on) = match payload {
            Payload::Empty => (&[][..], false),
            Payload::Input(range) => (&self.input[range.clone()], range.start == 0),
            Payload::Owned(bytes) => (*bytes, false),
        };
        let length = bytes.len() as u64;
        match parked.events.last_mut() {
            Some((Event::Data(_), last)) if goes_on && open == Some(stream) => {
                last.extend_from_slice(bytes);
            }
            _ => {
                parked.events.push((event, bytes.to_vec()));
            }
        }
        self.lobby.bytes += length + EVENT;
        true
    }
}

/// The stream of the peer's that an event concerns.
fn remote(event: &Event) -> Option<Handle> {
    let stream = match *event {
        Event::Stream { stream, .. } | Event::End { stream, .. } => stream,
        Event::Data(stream)
        | Event::Json(stream)
        | Event::Closed(stream)
        | Event::Reset(stream)
        | Event::Stopped(stream)
        | Event::Unread(stream)
        | Event::Blocked(stream)
        | Event::Unblocked(stream)
        | Event::Credit(Some(stream)) => stream,
        _ => return None,
    };
    (!stream.is_local()).then_some(stream)
}

impl<S: Sink> Sink for Gate<'_, S> {
    #[inline]
    fn emit(&mut self, event: Event, payload: Payload<'_>) {
        let is_plain = matches!(event, Event::Data(_)) && self.lobby.is_empty();
        if !is_plain && self.keep(event, &payload) {
            return;
        }
        self.sink.emit(event, payload);
    }
}

impl<S: Sink> Gate<'_, S> {
    /// Keeps the event of a stream that waits, and counts the streams that live. Returns whether the event is kept.
    fn keep(&mut self, event: Event, payload: &Payload<'_>) -> bool {
        match event {
            Event::Wires(wires) => self.lobby.is_active |= wires.sending,
            Event::Stream { stream, .. } => {
                let lobby = &mut *self.lobby;
                let is_full = lobby.live >= lobby.limit || !lobby.is_empty();
                if lobby.is_active && is_full {
                    lobby.parked.push_back(Parked {
                        stream,
                        events: Vec::new(),
                    });
                } else {
                    lobby.live += 1;
                }
            }
            _ => {}
        }
        let Some(stream) = remote(&event) else {
            return false;
        };
        let is_kept = !self.lobby.is_empty() && self.park(stream, event, payload);
        if matches!(event, Event::Closed(_)) && !is_kept {
            self.lobby.live = self.lobby.live.saturating_sub(1);
        }
        is_kept
    }
}

impl Session {
    /// An input was taken without an error: a stream that waits may have a place now, or too much may wait.
    pub(super) fn settle_lobby<S: Sink>(&mut self, sink: &mut S) -> Result<(), ProtocolError> {
        if self.lobby.is_empty() {
            return Ok(());
        }
        self.lobby.open = self.partial().map(|partial| partial.stream);
        let most = self.config.qmux.max_held.saturating_add(MAX_PARKED);
        if self.receiving == Receiving::Legacy && self.lobby.bytes > most {
            return Err(ProtocolError::Flood("bytes of streams that wait"));
        }
        self.admit(sink);
        Ok(())
    }

    /// Tells the application of streams that wait, as far as there are places for them.
    pub(super) fn admit<S: Sink>(&mut self, sink: &mut S) {
        while self.lobby.admit(sink).is_some() {}
    }
}

/// A sink where no event can arise.
pub struct NoEvents;

impl Sink for NoEvents {
    fn emit(&mut self, event: Event, _payload: Payload<'_>) {
        debug_assert!(false, "no event can arise here: {event:?}");
    }
}

/// Turns ranges of bytes that came with an earlier input into texts of their own.
pub struct FromEarlier<'a, S> {
    pub input: &'a [u8],
    pub sink: &'a mut S,
}

impl<S: Sink> Sink for FromEarlier<'_, S> {
    fn emit(&mut self, event: Event, payload: Payload<'_>) {
        let payload = match payload {
            Payload::Input(range) => Payload::Owned(&self.input[range]),
            other => other,
        };
        self.sink.emit(event, payload);
    }
}
