//! One connection's events as records, until they are queued.
//!
//! May not know what an event means to the application.

use super::flow::Charge;
use super::record::{COPIED, EXTRA, Record};
use crate::driver::boundary::{first_word, kind, split_word, stream_word, wire_bits};
use crate::proto::{Event, Handle, Payload, PeerKind, Sink};

/// Collects one connection's events.
#[derive(Debug, Default)]
pub struct Collector {
    connection: u32,
    /// Where the slice being parsed stands in the read it is part of.
    pub base: usize,
    pub(super) records: Vec<Record>,
    pub(super) extra: Vec<u8>,
    pub(super) charge: Option<Charge>,
    /// The message that the next event may go on with: its stream, and where what there is of it starts and ends.
    joins: Option<(u32, u32, u32)>,
}

impl Collector {
    /// Starts over, for events of `connection`.
    pub fn start(&mut self, connection: u32) {
        self.connection = connection;
        self.base = 0;
        self.joins = None;
        self.clear();
        self.charge = None;
        // One that once held a large text does not keep its size.
        self.extra.shrink_to(COPIED);
    }

    /// Forgets what has been passed on.
    pub fn clear(&mut self) {
        self.records.clear();
        self.extra.clear();
    }

    /// What is parsed next goes on with a message of which something stands from `start` on up to it.
    pub fn join(&mut self, stream: Handle, start: usize) {
        self.joins = Some((stream.0, start as u32, self.base as u32));
    }

    /// Takes the last event of the input back, if it is a part of a message on `stream` up to `end`. Returns where that
    /// starts. Events that stand behind it are of no input: what became known with it brought them about.
    pub fn take_back(&mut self, stream: Handle, end: usize) -> Option<usize> {
        let is_it = |&[word, of, start, length, _]: &Record| {
            split_word(word).0 == kind::DATA && of == stream.0 && (start + length) as usize == end
        };
        let at = self.records.iter().rposition(is_it)?;
        let [_, _, start, _, _] = self.records.remove(at);
        Some(start as usize)
    }

    /// What another flow was charged comes off it when the application has these records.
    pub fn charge_until_delivered(&mut self, charge: Charge) {
        self.charge = Some(charge);
    }

    /// Adds a record with a text.
    pub fn text(&mut self, kind: u32, stream: u32, text: &str, aux: u32) {
        let start = EXTRA | self.extra.len() as u32;
        self.extra.extend_from_slice(text.as_bytes());
        self.records.push([
            first_word(kind, self.connection),
            stream,
            start,
            text.len() as u32,
            aux,
        ]);
    }

    /// Adds a record without one.
    pub fn plain(&mut self, kind: u32, stream: u32, aux: u32) {
        self.records
            .push([first_word(kind, self.connection), stream, 0, 0, aux]);
    }

    /// The bytes that stand in no read.
    #[cfg(test)]
    pub fn texts(&self) -> &[u8] {
        &self.extra
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

impl Sink for Collector {
    fn emit(&mut self, event: Event, payload: Payload<'_>) {
        let (kind, stream, aux) = match event {
            Event::Data(stream) => (kind::DATA, stream.0, 0),
            Event::Json(stream) => (kind::JSON, stream.0, 0),
            Event::Stream { stream, id } => (kind::STREAM, stream.0, id),
            Event::Opened { stream, id } => (kind::OPENED, stream.0, id),
            Event::End { stream, has_value } => (kind::END, stream.0, has_value.into()),
            Event::Closed(stream) => (kind::CLOSED, stream.0, 0),
            Event::Mark(id) => (kind::MARK, 0, id),
            Event::Peer(peer) => (kind::PEER, 0, (peer == PeerKind::New).into()),
            Event::Wires(wires) => (kind::WIRES, 0, wire_bits(wires)),
            Event::Reset(stream) => (kind::RESET, stream.0, 0),
            Event::Stopped(stream) => (kind::STOPPED, stream.0, 0),
            Event::Refused(stream) => (kind::REFUSED, stream.0, 0),
            Event::GoAway(stream) => (kind::GOAWAY, stream_word(stream), 0),
            Event::Unread(stream) => (kind::UNREAD, stream.0, 0),
            Event::Blocked(stream) => (kind::BLOCKED, stream.0, 0),
            Event::Unblocked(stream) => (kind::UNBLOCKED, stream.0, 0),
            Event::Credit(stream) => (kind::CREDIT, stream_word(stream), 0),
            Event::Pong { id, rtt } => {
                let micros = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX);
                (kind::PONG, micros, id)
            }
        };
        let (mut start, mut length) = match payload {
            Payload::Empty => (0, 0),
            Payload::Input(range) => ((self.base + range.start) as u32, range.len()),
            Payload::Owned(bytes) => {
                let start = EXTRA | self.extra.len() as u32;
                self.extra.extend_from_slice(bytes);
                (start, bytes.len())
            }
        };
        // Whatever else comes first, nobody wants the rest of that message.
        if let Some((joined, from, to)) = self.joins.take()
            && (kind, stream, start) == (kind::DATA, joined, to)
        {
            start = from;
            length += (to - from) as usize;
        }
        self.records.push([
            first_word(kind, self.connection),
            stream,
            start,
            length as u32,
            aux,
        ]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::boundary::WHOLE;
    use crate::proto::Wires;
    use std::time::Duration;

    #[test]
    fn parts_of_a_message_become_one_record() {
        let mut collector = Collector::default();
        collector.start(5);
        let stream = Handle(3);
        let data = |collector: &mut Collector, range| {
            collector.emit(Event::Data(stream), Payload::Input(range));
        };
        data(&mut collector, 10..20);
        data(&mut collector, 22..30);
        assert_eq!(collector.take_back(Handle(5), 30), None);
        assert_eq!(collector.take_back(stream, 31), None);
        collector.plain(kind::CLOSED, 6, 0);
        assert_eq!(collector.take_back(stream, 30), Some(22));
        // Another's events come between.
        collector.plain(kind::BLOCKED, 4, 0);
        collector.base = 30;
        collector.join(stream, 22);
        data(&mut collector, 0..7);
        data(&mut collector, 7..9);
        let word = first_word(kind::DATA, 5);
        let closed = [first_word(kind::CLOSED, 5), 6, 0, 0, 0];
        let blocked = [first_word(kind::BLOCKED, 5), 4, 0, 0, 0];
        let (first, joined) = ([word, 3, 10, 10, 0], [word, 3, 22, 15, 0]);
        let next = [word, 3, 37, 2, 0];
        assert_eq!(collector.records, [first, closed, blocked, joined, next]);
        // Nobody wants the rest.
        collector.join(stream, 22);
        collector.emit(Event::Closed(Handle(1)), Payload::Empty);
        collector.base = 31;
        data(&mut collector, 0..1);
        assert_eq!(collector.records[6], [word, 3, 31, 1, 0]);
    }

    #[test]
    fn every_event_has_a_record_of_its_own() {
        let mut collector = Collector::default();
        collector.start(5);
        let wires = Wires {
            sending: true,
            receiving: false,
            foreign: true,
            hears_unread: true,
        };
        let rtt = Duration::from_micros(1500);
        for (event, payload) in [
            (Event::Wires(wires), ""),
            (Event::Reset(Handle(3)), "7"),
            (Event::Stopped(Handle(2)), "18446744073709551615"),
            (Event::Refused(Handle(2)), "0"),
            (Event::GoAway(Some(Handle(2))), ""),
            (Event::GoAway(None), ""),
            (Event::Unread(Handle(5)), ""),
            (Event::Blocked(Handle(4)), ""),
            (Event::Unblocked(Handle(4)), ""),
            (Event::Credit(Some(Handle(1))), ""),
            (Event::Credit(None), ""),
            (Event::Pong { id: 9, rtt }, ""),
            (
                Event::Pong {
                    id: 10,
                    rtt: Duration::MAX,
                },
                "",
            ),
        ] {
            collector.emit(event, Payload::Owned(payload.as_bytes()));
        }
        let seen: Vec<_> = collector
            .records
            .iter()
            .map(|&[word, stream, at, length, aux]| {
                let (kind, number) = split_word(word);
                assert_eq!(number, 5);
                let at = (at & !EXTRA) as usize;
                let text = &collector.extra[at..at + length as usize];
                (kind, stream, String::from_utf8_lossy(text), aux)
            })
            .collect();
        let all = WHOLE;
        let expected = [
            (kind::WIRES, 0, "", 13),
            (kind::RESET, 3, "7", 0),
            (kind::STOPPED, 2, "18446744073709551615", 0),
            (kind::REFUSED, 2, "0", 0),
            (kind::GOAWAY, 2, "", 0),
            (kind::GOAWAY, all, "", 0),
            (kind::UNREAD, 5, "", 0),
            (kind::BLOCKED, 4, "", 0),
            (kind::UNBLOCKED, 4, "", 0),
            (kind::CREDIT, 1, "", 0),
            (kind::CREDIT, all, "", 0),
            (kind::PONG, 1500, "", 9),
            (kind::PONG, u32::MAX, "", 10),
        ];
        assert_eq!(
            seen,
            expected.map(|(kind, stream, text, aux)| (kind, stream, text.into(), aux))
        );
    }
}
