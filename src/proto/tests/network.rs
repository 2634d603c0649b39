//! One direction of a simulated transport: an ordered byte stream with a bounded number of bytes under way, a delay,
//! stalls, and an end in good order or in the middle.

use super::choices::Choices;
use super::pair::End;
use super::proto::{ProtocolError, Transmit};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::{Duration, Instant};

/// One direction.
#[derive(Debug, Default)]
pub struct Pipe {
    under_way: VecDeque<(Instant, Vec<u8>)>,
    /// Bytes in `under_way`.
    pub length: usize,
    pub capacity: usize,
    pub delay: Duration,
    stalled_until: Option<Instant>,
    /// Taken from the sending session and not all sent.
    transmit: Option<Transmit>,
    /// Bytes that were ever sent.
    pub sent: u64,
    /// Whether what is sent vanishes.
    pub is_cut: bool,
}

impl Pipe {
    pub fn new(choices: &mut Choices<'_>) -> Self {
        Self {
            capacity: choices.pick(&[1 << 20, 200_000, 20_000, 3000, 500, 64]),
            delay: Duration::from_micros(choices.pick(&[0, 50, 1000, 20_000, 150_000])),
            ..Self::default()
        }
    }

    /// Nothing arrives before then.
    pub fn stall(&mut self, until: Instant) {
        self.stalled_until = Some(until);
    }

    /// Sends what `from` has and there is room for. Returns whether anything moved.
    pub fn send(&mut self, from: &mut End, now: Instant) -> bool {
        let mut moved = false;
        loop {
            if self.transmit.is_none() {
                self.transmit = from.session.take_transmit(now, &mut from.log);
            }
            let Some(mut transmit) = self.transmit.take() else {
                return moved;
            };
            let mut slices = [IoSlice::new(&[]); 16];
            let filled = transmit.fill(&mut slices);
            let room = self.room();
            let mut bytes = Vec::new();
            for slice in &slices[..filled] {
                bytes.extend_from_slice(&slice[..slice.len().min(room - bytes.len())]);
            }
            let sent = bytes.len();
            assert!(sent > 0 || room == 0, "a transmit is never empty");
            if sent > 0 {
                moved = true;
                transmit.advance(sent);
                self.put(from, bytes, now);
            }
            if transmit.is_empty() {
                from.session.transmit_done(transmit, now);
            } else {
                self.transmit = Some(transmit);
                if room == sent {
                    return moved;
                }
            }
        }
    }

    fn room(&self) -> usize {
        match self.is_cut {
            true => usize::MAX,
            false => self.capacity - self.length,
        }
    }

    /// Bytes that were sent are under way.
    fn put(&mut self, from: &mut End, bytes: Vec<u8>, now: Instant) {
        self.sent += bytes.len() as u64;
        from.session.transmitted(bytes.len(), &mut from.log);
        if !self.is_cut {
            self.length += bytes.len();
            self.under_way.push_back((now + self.delay, bytes));
        }
    }

    /// Whether nothing that was taken goes before what is taken next.
    pub fn is_clear(&self) -> bool {
        self.transmit.is_none()
    }

    /// Sends what was taken, and the payload behind it, in one call. Returns whether there was room for all of that.
    pub fn send_with(
        &mut self,
        from: &mut End,
        mut transmit: Transmit,
        payload: &[u8],
        now: Instant,
    ) -> bool {
        assert!(self.is_clear(), "one thing is sent at a time");
        let mut slices = vec![IoSlice::new(&[]); 1000];
        let filled = transmit.fill(&mut slices);
        let heads = slices[..filled].iter().map(|slice| &**slice);
        let mut bytes: Vec<u8> = heads.collect::<Vec<_>>().concat();
        assert_eq!(bytes.len(), transmit.len());
        bytes.extend_from_slice(payload);
        bytes.truncate(self.room());
        let of_payload = bytes.len().saturating_sub(transmit.len());
        transmit.advance(bytes.len() - of_payload);
        let rest = &payload[of_payload..];
        if !rest.is_empty() {
            from.session.put_behind(&mut transmit, rest);
        }
        if !bytes.is_empty() {
            self.put(from, bytes, now);
        }
        let is_all = transmit.is_empty();
        match is_all {
            true => from.session.transmit_done(transmit, now),
            false => self.transmit = Some(transmit),
        }
        is_all
    }

    /// When the next bytes arrive.
    pub fn next(&self) -> Option<Instant> {
        let &(at, _) = self.under_way.front()?;
        Some(self.stalled_until.map_or(at, |until| until.max(at)))
    }

    /// Whether there is something to read at `now`.
    pub fn is_ready(&self, now: Instant) -> bool {
        self.next().is_some_and(|at| at <= now)
    }

    /// Reads up to `most` of what has arrived. Returns what the session says, or none if there was nothing.
    pub fn deliver(
        &mut self,
        to: &mut End,
        now: Instant,
        most: usize,
    ) -> Option<Result<(), ProtocolError>> {
        let mut bytes = Vec::new();
        while bytes.len() < most && self.is_ready(now) {
            let Some((at, mut first)) = self.under_way.pop_front() else {
                break;
            };
            let room = most - bytes.len();
            if first.len() > room {
                let rest = first.split_off(room);
                self.under_way.push_front((at, rest));
            }
            bytes.append(&mut first);
        }
        self.length -= bytes.len();
        to.now = now;
        (!bytes.is_empty()).then(|| to.receive(&bytes))
    }

    /// Whether all that was sent has arrived.
    pub fn is_empty(&self) -> bool {
        self.length == 0 && self.transmit.is_none()
    }

    /// Where it stands, for a message.
    pub fn state(&self, now: Instant) -> String {
        let next = self.next().map(|at| at.saturating_duration_since(now));
        let waits = self.transmit.as_ref().map(Transmit::len);
        format!(
            "{} of {} bytes, next {next:?}, {waits:?} behind",
            self.length, self.capacity
        )
    }

    /// What is under way, and all that will be sent, is lost.
    pub fn cut(&mut self) {
        self.is_cut = true;
        self.under_way.clear();
        self.length = 0;
    }
}
