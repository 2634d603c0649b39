use super::*;
use crate::driver::boundary::{NUMBER_MASK, kind};
use crate::driver::inbox::buffers::{
    BEHIND_LENT, HANDED_OVER, Lent, Memory, READ, READ_LENT, ReadBuffer,
};
use crate::driver::inbox::collector::Collector;
use crate::driver::inbox::flow::{Flow, MAX_UNDELIVERED};
use crate::proto::{Event, Handle, Payload, Sink};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Queues reads of `lengths` bytes, each full of messages of `message` bytes behind headers of 6.
fn queue(lengths: &[usize], message: usize) -> (Inbox, Arc<Flow>, Vec<Vec<u8>>, Arc<AtomicUsize>) {
    let signals = Arc::new(AtomicUsize::new(0));
    let counted = signals.clone();
    let events = Inbox::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let flow = Arc::new(Flow::of_server());
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
        events.notify();
    }
    (events, flow, expected, signals)
}

fn drain(events: &Inbox, slab: usize, records: usize) -> Vec<Vec<u8>> {
    let mut delivery = Delivery::default();
    let mut got = Vec::new();
    let mut slab = vec![0; slab];
    loop {
        let mut words = vec![0; records * RECORD_WORDS];
        let filled = delivery.fill(events, &mut slab, 100, &mut words);
        for record in words.chunks_exact(RECORD_WORDS).take(filled.records) {
            let at = record[2] as usize - 100;
            got.push(slab[at..at + record[3] as usize].to_vec());
            assert_eq!(record[0] & NUMBER_MASK, 5);
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
    assert!(!flow.ask_for_room());
    drain(&events, 1 << 20, 4096);
    assert!(flow.ask_for_room());
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

fn lend(events: &Inbox, id: u32) -> Shared {
    let memory = Shared(Arc::new(std::sync::Mutex::new(Some(vec![
        0;
        READ_LENT
            + BEHIND_LENT
    ]))));
    events.lend(Lent::new(id, memory.clone()));
    memory
}

/// Reads `length` bytes of `value` as one message behind what is put together of two reads, as a task does.
fn read_long(events: &Inbox, flow: &Arc<Flow>, length: usize, value: u8, joined: &[u8]) {
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
    let events = Inbox::new(|| {});
    let flow = Arc::new(Flow::of_server());
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
    let events = Inbox::new(|| {});
    let memory = lend(&events, 0);
    *memory.0.lock().expect("no panic") = None;
    let mut buffer = events.long_read_buffer();
    assert_eq!(buffer.with(|_, room| room), None);
    let mut collector = Collector::default();
    collector.start(5);
    collector.plain(kind::CONN_END, 0, 0);
    events.push(
        &Arc::new(Flow::of_server()),
        &mut collector,
        Some((buffer, 30_000)),
    );
    assert_eq!(drain(&events, 100, 4).len(), 1);
}

/// Queues a read of `length` bytes in messages of 58 behind headers of 6, marked with what comes before it.
fn read_of(events: &Inbox, flow: &Arc<Flow>, connection: u32, length: usize, first: u32) {
    let mut buffer = events.long_read_buffer();
    let mut collector = Collector::default();
    collector.start(connection);
    for (index, at) in (6..length - 58).step_by(64).enumerate() {
        let number = first + index as u32;
        buffer.with(|bytes, _| bytes[at..at + 4].copy_from_slice(&number.to_le_bytes()));
        collector.emit(Event::Data(Handle(2)), Payload::Input(at..at + 58));
    }
    events.push(flow, &mut collector, Some((buffer, length)));
}

#[test]
fn a_quiet_connection_is_next_whatever_the_others_have_waiting_and_nobody_is_out_of_order() {
    const FLOODERS: u32 = 50;
    let events = Inbox::new(|| {});
    let memory: Vec<_> = (0..24).map(|id| lend(&events, id)).collect();
    let flows: Vec<_> = (0..=FLOODERS).map(|id| Arc::new(Flow::new(id))).collect();
    for turn in 0..3 {
        for id in 0..FLOODERS {
            // Lent memory as long as there is any, then memory of the queue's own, and short reads.
            let length = if id % 3 == 2 { 6 << 10 } else { 60 << 10 };
            read_of(&events, &flows[id as usize], id, length, 10_000 * turn);
        }
    }
    let (mut slab, mut words) = (vec![0; 64 << 10], vec![0; 4096 * RECORD_WORDS]);
    let mut delivery = Delivery::default();
    let mut last = vec![0; FLOODERS as usize + 1];
    let mut finished = std::collections::HashSet::new();
    let (mut total, mut calls) = (0, 0);
    loop {
        if calls % 100 == 10 {
            read_of(&events, &flows[50], FLOODERS, 80, calls);
        }
        let filled = delivery.fill(&events, &mut slab, 0, &mut words);
        if calls % 100 == 10 {
            assert_eq!(words[0] & NUMBER_MASK, FLOODERS, "first of all at {calls}");
        }
        let records: Vec<_> = words
            .chunks_exact(RECORD_WORDS)
            .take(filled.records)
            .collect();
        let lent = filled.lent.map(|(id, is_last)| {
            assert!(!finished.contains(&id), "its last part has been delivered");
            if is_last {
                finished.insert(id);
            }
            memory[id as usize]
                .0
                .lock()
                .expect("no panic")
                .clone()
                .expect("there")
        });
        let bytes = lent.as_ref().unwrap_or(&slab);
        for record in &records {
            let at = record[2] as usize;
            let number = u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four"));
            let connection = (record[0] & NUMBER_MASK) as usize;
            assert!(number == 0 || number > last[connection], "in order");
            last[connection] = number;
        }
        assert!(filled.work <= CALL + 200, "{} in one call", filled.work);
        total += filled.work;
        calls += 1;
        if !filled.more {
            break;
        }
    }
    assert_eq!(finished.len(), 24);
    assert!(total > 3 * 33 * (100 << 10), "{total}");
    assert!(flows.iter().all(|flow| flow.is_delivered()));
    assert_eq!(events.held(), 0);
}

#[test]
fn streams_and_texts_weigh_what_they_cost_wherever_work_is_counted() {
    let events = Inbox::new(|| {});
    let flow = Arc::new(Flow::new(1));
    let mut collector = Collector::default();
    collector.start(1);
    for index in 0..200 {
        let stream = Handle(2 * index + 1);
        collector.emit(Event::Stream { stream, id: index }, Payload::Owned(b"null"));
        collector.emit(Event::Reset(stream), Payload::Owned(b"7"));
    }
    events.push(&flow, &mut collector, None);
    assert!(!flow.ask_for_room(), "200 streams are as much as may wait");
    let (mut slab, mut words) = (vec![0; 64 << 10], vec![0; 4096 * RECORD_WORDS]);
    let mut delivery = Delivery::default();
    let filled = delivery.fill(&events, &mut slab, 0, &mut words);
    assert!(filled.more && filled.records < 140, "{filled:?}");
    assert!(filled.work >= filled.records * (8 << 10), "{filled:?}");
    let mut records = filled.records;
    while records < 400 {
        records += delivery.fill(&events, &mut slab, 0, &mut words).records;
    }
    collector.start(1);
    let text = vec![b' '; 40 << 10];
    collector.emit(Event::Json(Handle(1)), Payload::Owned(&text));
    events.push(&flow, &mut collector, None);
    let filled = delivery.fill(&events, &mut slab, 0, &mut words);
    assert!(filled.work > 10 * text.len(), "{filled:?}");
    assert!(flow.is_delivered() && events.held() == 0);
}

use std::future::Future;

#[test]
fn an_empty_message_is_a_record_of_its_own() {
    let events = Inbox::new(|| {});
    let mut collector = Collector::default();
    collector.start(1);
    collector.emit(Event::Data(Handle(0)), Payload::Input(4..4));
    collector.plain(kind::CONN_END, 0, 0);
    events.push(&Arc::new(Flow::of_server()), &mut collector, None);
    let mut words = [0; 10];
    let filled = Delivery::default().fill(&events, &mut [], 0, &mut words);
    assert_eq!((filled.records, filled.used, filled.more), (2, 0, false));
}
