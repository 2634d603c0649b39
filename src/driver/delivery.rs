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
        let mut out = records.chunks_exact_mut(RECORD_WORDS);
        while let Some(batch) = self.batches.front() {
            // The piece being put together: where it starts and ends in the batch, and where it goes.
            let (mut start, mut end, mut to) = (0, 0, filled.used);
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
            self.next = 0;
            if let Some(batch) = self.batches.pop_front() {
                events.delivered(batch);
            }
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::super::events::{Collector, Flow, MAX_UNDELIVERED, READ, kind};
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
            events.push(&flow, &mut collector, Some((buffer, length)));
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
