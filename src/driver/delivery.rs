//! Hands queued events to the application: bytes into memory of its own, records into an array beside it.
//!
//! Payloads that stand close together in a read are copied in one piece, headers between them included: one long copy
//! costs less than many short ones.
//!
//! May not wait, nor write to memory that was handed out.

use super::events::{Batch, EventQueue, RECORD_WORDS};
use std::collections::VecDeque;

/// Longest gap between two payloads that is copied with them: a few frame headers.
const GAP: usize = 64;

/// What the application has taken from the queue and not been handed yet.
#[derive(Debug, Default)]
pub struct Delivery {
    batches: VecDeque<Batch>,
    /// The next record of the first batch.
    next: usize,
}

/// What one call handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Filled {
    /// Records.
    pub records: usize,
    /// Bytes of the slab.
    pub used: usize,
    /// What the next record needs, if it did not fit. Zero: nothing is left, or the records are full.
    pub needed: usize,
    /// Whether anything is left.
    pub more: bool,
    /// The lent memory that the records are in, instead of the slab, and whether this was the last of it.
    pub lent: Option<(u32, bool)>,
}

impl Delivery {
    /// Fills `slab` and `records`; offsets in records count from `base`, where the slab starts for the application.
    pub fn fill(
        &mut self,
        events: &EventQueue,
        slab: &mut [u8],
        base: u32,
        records: &mut [u32],
    ) -> Filled {
        events.take(&mut self.batches);
        let mut filled = Filled::default();
        let capacity = records.len() / RECORD_WORDS;
        while let Some(batch) = self.batches.front() {
            if let Some(lent) = &batch.lent {
                // In a call of its own.
                if filled.records > 0 {
                    filled.more = true;
                    return filled;
                }
                let left = &batch.records[self.next..];
                let now = &left[..left.len().min(capacity)];
                records[..now.len() * RECORD_WORDS].copy_from_slice(now.as_flattened());
                let is_last = now.len() == left.len();
                filled.records = now.len();
                filled.used = if is_last { batch.used } else { 0 };
                filled.lent = Some((lent.id, is_last));
                self.next += now.len();
                if is_last {
                    self.finish_first(events);
                }
                filled.more = !self.batches.is_empty();
                return filled;
            }
            // The piece being put together: where it starts and ends in the batch, and where it goes.
            let (mut start, mut end, mut to) = (0, 0, filled.used);
            let mut out = records.chunks_exact_mut(RECORD_WORDS).skip(filled.records);
            while let Some(&[target, stream, at, length, aux]) = batch.records.get(self.next) {
                let (at, length) = (at as usize, length as usize);
                let continues = length > 0 && end > start && at >= end && at - end <= GAP;
                let gap = if continues { at - end } else { 0 };
                if filled.records == capacity {
                    break;
                }
                if gap + length > slab.len() - filled.used {
                    filled.needed = length;
                    break;
                }
                if length > 0 && !continues {
                    slab[to..to + (end - start)].copy_from_slice(&batch.bytes[start..end]);
                    (start, end, to) = (at, at, filled.used);
                }
                if length > 0 {
                    end = at + length;
                    filled.used = to + (end - start);
                }
                if let Some(record) = out.next() {
                    record.copy_from_slice(&[
                        target,
                        stream,
                        base + (filled.used - length) as u32,
                        length as u32,
                        aux,
                    ]);
                }
                filled.records += 1;
                self.next += 1;
            }
            slab[to..to + (end - start)].copy_from_slice(&batch.bytes[start..end]);
            if self.next < batch.records.len() {
                filled.more = true;
                return filled;
            }
            self.finish_first(events);
        }
        filled
    }

    fn finish_first(&mut self, events: &EventQueue) {
        self.next = 0;
        if let Some(batch) = self.batches.pop_front() {
            events.delivered(batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::events::{Collector, Flow, HANDED_OVER, MAX_UNDELIVERED, READ, kind};
    use super::super::lending::{BEHIND_LENT, Lent, Memory, READ_LENT, ReadBuffer};
    use super::*;
    use crate::proto::{Event, Handle, Payload, Sink};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Queues reads of `lengths` bytes, each full of messages of `message` bytes behind headers of 6.
    fn queue(
        lengths: &[usize],
        message: usize,
    ) -> (EventQueue, Arc<Flow>, Vec<Vec<u8>>, Arc<AtomicUsize>) {
        let signals = Arc::new(AtomicUsize::new(0));
        let counted = signals.clone();
        let events = EventQueue::new(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        let flow = Arc::new(Flow::default());
        let mut expected = Vec::new();
        let mut collector = Collector::default();
        for (index, &length) in lengths.iter().enumerate() {
            let mut buffer = events.read_buffer();
            for (at, byte) in buffer[..length].iter_mut().enumerate() {
                *byte = (at * 7 + index) as u8;
            }
            collector.start(5);
            for at in (6..length.saturating_sub(message)).step_by(message + 6) {
                collector.emit(Event::Data(Handle(2)), Payload::Input(at..at + message));
                expected.push(buffer[at..at + message].to_vec());
            }
            collector.emit(
                Event::Stream {
                    stream: Handle(3),
                    id: 9,
                },
                Payload::Owned(b"{}"),
            );
            expected.push(b"{}".to_vec());
            events.push(&flow, &mut collector, Some((buffer.into(), length)));
        }
        (events, flow, expected, signals)
    }

    fn drain(events: &EventQueue, slab: usize, records: usize) -> Vec<Vec<u8>> {
        let mut delivery = Delivery::default();
        let mut got = Vec::new();
        let mut slab = vec![0; slab];
        loop {
            let mut words = vec![0; records * RECORD_WORDS];
            let filled = delivery.fill(events, &mut slab, 100, &mut words);
            for record in words.chunks_exact(RECORD_WORDS).take(filled.records) {
                let at = record[2] as usize - 100;
                got.push(slab[at..at + record[3] as usize].to_vec());
                assert_eq!(record[0] & 0x00ff_ffff, 5);
            }
            if !filled.more {
                return got;
            }
            if filled.records == 0 {
                assert!(filled.needed > slab.len());
                slab = vec![0; filled.needed];
            }
        }
    }

    #[test]
    fn what_was_queued_is_not_queued_again() {
        let (events, flow, expected, _) = queue(&[], 1);
        assert!(expected.is_empty());
        let mut collector = Collector::default();
        collector.start(5);
        // A read that is handed over, one that is copied, and none.
        for length in [HANDED_OVER, 100, 0] {
            let buffer = events.read_buffer();
            collector.emit(Event::Reset(Handle(2)), Payload::Owned(b"7"));
            events.push(&flow, &mut collector, Some((buffer.into(), length)));
            assert!(collector.is_empty());
            events.push(&flow, &mut collector, None);
        }
        assert_eq!(drain(&events, 1 << 10, 10), [b"7", b"7", b"7"]);
    }

    #[test]
    fn everything_arrives_once_and_in_order_whatever_the_sizes() {
        for (slab, records) in [(10, 4), (100, 1000), (64 << 10, 7), (1 << 20, 4096)] {
            for message in [1, 64, 5000] {
                let (events, _, expected, signals) =
                    queue(&[100, 20_000, 3, READ, 12_000, 700], message);
                assert_eq!(drain(&events, slab, records), expected);
                assert_eq!(
                    signals.load(Ordering::SeqCst),
                    1,
                    "one signal for all that was queued before a take"
                );
            }
        }
    }

    #[test]
    fn a_connection_stops_reading_until_half_is_delivered() {
        let (events, flow, _, _) = queue(&[READ; MAX_UNDELIVERED / READ], 1000);
        assert!(!flow.can_read());
        drain(&events, 1 << 20, 4096);
        assert!(flow.can_read());
        let woken = std::pin::pin!(flow.wake.notified());
        assert!(matches!(
            woken.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())),
            std::task::Poll::Ready(())
        ));
    }

    /// Memory as the application lends it; gone when its owner says so.
    #[derive(Clone)]
    struct Shared(Arc<std::sync::Mutex<Option<Vec<u8>>>>);

    impl Memory for Shared {
        fn with(&mut self, work: &mut dyn FnMut(&mut [u8])) {
            if let Some(bytes) = &mut *self.0.lock().expect("no panic") {
                work(bytes);
            }
        }
    }

    fn lend(events: &EventQueue, id: u32) -> Shared {
        let memory = Shared(Arc::new(std::sync::Mutex::new(Some(vec![
            0;
            READ_LENT
                + BEHIND_LENT
        ]))));
        events.lend(Lent::new(id, memory.clone()));
        memory
    }

    /// Reads `length` bytes of `value` as one message behind what is put together of two reads, as a task does.
    fn read_long(events: &EventQueue, flow: &Arc<Flow>, length: usize, value: u8, joined: &[u8]) {
        let mut buffer = events.long_read_buffer();
        buffer.with(|bytes, room| bytes[..length.min(room)].fill(value));
        let mut collector = Collector::default();
        collector.start(1);
        collector.emit(Event::Data(Handle(2)), Payload::Owned(joined));
        collector.emit(Event::Data(Handle(2)), Payload::Input(0..length));
        events.push(flow, &mut collector, Some((buffer, length)));
    }

    #[test]
    fn a_long_read_into_lent_memory_is_not_copied() {
        let events = EventQueue::new(|| {});
        let flow = Arc::default();
        assert!(!events.take_lent_short());
        read_long(&events, &flow, 20_000, 1, b"a");
        assert!(events.take_lent_short() && !events.take_lent_short());
        let memory = lend(&events, 7);
        read_long(&events, &flow, 60_000, 2, b"bc");
        read_long(&events, &flow, 30_000, 3, b"");
        // Too little for memory of the application's, and too much behind it.
        let small = lend(&events, 8);
        read_long(&events, &flow, 100, 4, b"d");
        read_long(&events, &flow, 60_000, 5, &[6; 30_000]);

        let (mut slab, mut words) = (vec![0; 1 << 20], vec![0; 20 * RECORD_WORDS]);
        let mut delivery = Delivery::default();
        let filled = delivery.fill(&events, &mut slab, 0, &mut words);
        assert_eq!((filled.records, filled.lent, filled.more), (2, None, true));
        let filled = delivery.fill(&events, &mut slab, 0, &mut words);
        assert_eq!(
            (filled.records, filled.lent, filled.more),
            (2, Some((7, true)), true)
        );
        let lent = memory.0.lock().expect("no panic").clone().expect("there");
        assert_eq!(&words[2..4], &[60_000, 2]);
        assert_eq!((&lent[60_000..60_002], lent[59_999]), (&b"bc"[..], 2));
        let filled = delivery.fill(&events, &mut slab, 0, &mut words);
        assert_eq!((filled.records, filled.lent, filled.more), (6, None, false));
        let mut lengths = words
            .chunks_exact(RECORD_WORDS)
            .take(6)
            .map(|record| record[3]);
        assert!(lengths.by_ref().eq([0, 30_000, 1, 100, 30_000, 60_000]));
        // It was given back, twice.
        assert!(small.0.lock().is_ok());
        assert!(matches!(events.long_read_buffer(), ReadBuffer::Lent(lent) if lent.id == 8));
    }

    #[test]
    fn lent_memory_that_is_gone_is_not_read_into() {
        let events = EventQueue::new(|| {});
        let memory = lend(&events, 0);
        *memory.0.lock().expect("no panic") = None;
        let mut buffer = events.long_read_buffer();
        assert_eq!(buffer.with(|_, room| room), None);
        let mut collector = Collector::default();
        collector.start(5);
        collector.plain(kind::CONN_END, 0, 0);
        events.push(&Arc::default(), &mut collector, Some((buffer, 30_000)));
        assert_eq!(drain(&events, 100, 4).len(), 1);
    }

    use std::future::Future;

    #[test]
    fn an_empty_message_is_a_record_of_its_own() {
        let events = EventQueue::new(|| {});
        let mut collector = Collector::default();
        collector.start(1);
        collector.emit(Event::Data(Handle(0)), Payload::Input(4..4));
        collector.plain(kind::CONN_END, 0, 0);
        events.push(&Arc::default(), &mut collector, None);
        let mut words = [0; 10];
        let filled = Delivery::default().fill(&events, &mut [], 0, &mut words);
        assert_eq!((filled.records, filled.used, filled.more), (2, 0, false));
    }
}
