//! What the carried bytes' two limits do, and who is woken when.

use super::*;
use crate::driver::testing;
use crate::driver::{ConnectionOptions, Engine, HandedOptions};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

fn send(io: &impl Io, bytes: &[u8]) -> io::Result<usize> {
    io.send(&[IoSlice::new(bytes)])
}

fn kind<T>(result: io::Result<T>) -> Option<io::ErrorKind> {
    result.err().map(|error| error.kind())
}

/// A carrier's task end, with the count of how often JavaScript was woken.
fn task_end(carried: &Arc<Carried>) -> (TaskEnd, Arc<Inbox>, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let inbox = Arc::new(Inbox::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    }));
    (
        TaskEnd::new(carried.clone(), inbox.clone(), 7),
        inbox,
        calls,
    )
}

/// Whether a wait would end at once.
fn is_ready(work: impl Future<Output = io::Result<()>>) -> Option<io::Result<()>> {
    let mut work = std::pin::pin!(work);
    match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}

#[test]
fn outbound_bytes_have_a_limit_and_come_out_in_order() {
    let carried = Carried::new();
    let bytes: Vec<u8> = (0..OUTBOUND + 1000).map(|i| i as u8).collect();
    assert_eq!(
        send(&*carried, &bytes).expect("room"),
        OUTBOUND,
        "no more than fits"
    );
    assert_eq!(
        kind(send(&*carried, b"x")),
        Some(io::ErrorKind::WouldBlock),
        "and never 0"
    );
    assert_eq!(carried.unsent(), OUTBOUND);
    let mut into = vec![0; 100_000];
    let taken = carried.take(&mut into);
    assert_eq!((taken.bytes, taken.bits), (100_000, carried::MORE));
    assert_eq!(into, bytes[..100_000]);
    assert_eq!(send(&*carried, b"rest").expect("room again"), 4);
    let mut all = vec![0; 2 * OUTBOUND];
    let taken = carried.take(&mut all);
    assert_eq!((taken.bytes, taken.bits), (OUTBOUND - 100_000 + 4, 0));
    assert_eq!(&all[taken.bytes - 4..taken.bytes], b"rest");
}

#[test]
fn the_carrier_is_paused_at_the_limit_and_resumed_when_all_was_read() {
    let carried = Carried::new();
    let (io, _inbox, calls) = task_end(&carried);
    assert!(!carried.deliver(&vec![1; INBOUND - 1]));
    assert!(carried.deliver(&[2]), "full");
    let mut into = vec![0; INBOUND];
    assert_eq!(io.recv(&mut into[..10]).expect("bytes"), 10);
    assert_eq!(calls.load(Ordering::Relaxed), 0, "not all were read");
    assert_eq!(io.recv(&mut into).expect("bytes"), INBOUND - 10);
    assert_eq!(into[INBOUND - 11], 2);
    assert_eq!(calls.load(Ordering::Relaxed), 1, "JavaScript is asked");
    assert_eq!(carried.take(&mut []).bits, carried::RESUME);
    assert_eq!(carried.take(&mut []).bits, 0, "once");
    assert_eq!(kind(io.recv(&mut into)), Some(io::ErrorKind::WouldBlock));
    carried.deliver_end();
    assert_eq!(io.recv(&mut into).expect("the FIN"), 0);
}

#[test]
fn javascript_is_asked_once_until_it_looks() {
    let carried = Carried::new();
    let (io, inbox, calls) = task_end(&carried);
    send(&*carried, b"by JavaScript's thread").expect("room");
    assert_eq!(
        calls.load(Ordering::Relaxed),
        0,
        "which takes the bytes itself"
    );
    for _ in 0..3 {
        send(&io, b"by the task").expect("room");
    }
    let held = inbox.held();
    assert!(held > 0 && calls.load(Ordering::Relaxed) == 1);
    carried.take(&mut [0; 1000]);
    send(&io, b"more").expect("room");
    assert!(inbox.held() > held, "asked anew");
    io.shutdown_write().expect("works");
    let taken = carried.take(&mut [0; 2]);
    assert_eq!(
        (taken.bytes, taken.bits),
        (2, carried::MORE),
        "the FIN is behind the bytes"
    );
    drop(io);
    let taken = carried.take(&mut [0; 100]);
    assert_eq!(
        (taken.bytes, taken.bits),
        (2, carried::FINISHED | carried::OVER)
    );
}

#[test]
fn the_task_is_woken_for_what_it_waits_for_and_for_a_failure_in_any_case() {
    let carried = Carried::new();
    let (io, ..) = task_end(&carried);
    assert!(is_ready(io.ready_for(true, false)).is_none());
    carried.deliver(b"x");
    assert!(is_ready(io.ready_for(false, false)).is_none());
    assert!(is_ready(io.ready_for(true, false)).is_some());
    send(&*carried, &vec![0; OUTBOUND]).expect("room");
    io.recv(&mut [0; 10]).expect("a byte");
    // What was delivered has left a permit: the second look waits.
    let wait = io.ready_for(true, true);
    let mut wait = std::pin::pin!(wait);
    let mut context = Context::from_waker(Waker::noop());
    assert!(wait.as_mut().poll(&mut context).is_pending());
    carried.take(&mut [0; 1]);
    assert!(wait.as_mut().poll(&mut context).is_ready(), "there is room");
    carried.fail();
    let failed = is_ready(io.ready_for(false, false)).expect("at once");
    assert_eq!(kind(failed), Some(io::ErrorKind::ConnectionReset));
    assert_eq!(
        kind(io.recv(&mut [0; 10])),
        Some(io::ErrorKind::ConnectionReset)
    );
    assert_eq!(kind(send(&io, b"x")), Some(io::ErrorKind::ConnectionReset));
    assert!(io.shutdown_write().is_err());
}

#[test]
fn bytes_are_parsed_at_once_only_while_the_task_waits_and_nothing_goes_before_them() {
    let carried = Carried::new();
    let (io, ..) = task_end(&carried);
    assert!(!carried.is_clear_to_parse(), "the task has yet to begin");
    io.set_at_work(false);
    assert!(carried.is_clear_to_parse());
    carried.deliver(b"x");
    assert!(!carried.is_clear_to_parse());
    io.recv(&mut [0; 10]).expect("a byte");
    assert!(carried.is_clear_to_parse());
    io.set_at_work(true);
    assert!(!carried.is_clear_to_parse());
}

#[test]
fn a_reset_drops_what_waits() {
    let carried = Carried::new();
    let (io, ..) = task_end(&carried);
    send(&io, b"lost").expect("room");
    io.reset_on_close().expect("works");
    drop(io);
    let taken = carried.take(&mut [0; 10]);
    assert_eq!(
        (taken.bytes, taken.bits),
        (0, carried::OVER | carried::RESET)
    );
    assert!(!carried.deliver(&vec![0; 2 * INBOUND]), "nobody reads this");
}

#[test]
fn a_buffer_that_is_just_full_says_that_there_may_be_more() {
    let engine = Engine::new(Arc::new(Inbox::new(|| {})), None);
    let (connection, carried) = engine.carry(0, HandedOptions::default()).expect("a thread");
    let mut collector = Collector::default();
    // Whatever the connection says at its start.
    let deadline = Instant::now() + Duration::from_secs(20);
    let start = loop {
        let taken = connection.take(&carried, &mut [0; 10_000], &mut collector);
        assert!(Instant::now() < deadline, "nothing is sent");
        if taken.bytes > 0 {
            break taken;
        }
    };
    assert_eq!(start.bits, 0);
    send(&*carried, &[1; 100]).expect("room");
    let taken = connection.take(&carried, &mut [0; 100], &mut collector);
    assert_eq!((taken.bytes, taken.bits), (100, carried::MORE));
    let taken = connection.take(&carried, &mut [0; 100], &mut collector);
    assert_eq!((taken.bytes, taken.bits), (0, 0));
    carried.fail();
}

/// Moves what both ends have for each other, until nothing moves.
fn carry(ends: &[(Arc<Connection>, Arc<Carried>); 2]) -> usize {
    let mut sum = 0;
    let mut collector = Collector::default();
    loop {
        let before = sum;
        for (from, to) in [(0, 1), (1, 0)] {
            let mut bytes = [0; 1000];
            let taken = ends[from].0.take(&ends[from].1, &mut bytes, &mut collector);
            ends[to]
                .0
                .deliver(&ends[to].1, &bytes[..taken.bytes], &mut collector);
            sum += taken.bytes;
        }
        if sum == before {
            return sum;
        }
    }
}

#[test]
fn two_connections_over_carriers_say_who_they_are_and_end() {
    let engine = Engine::new(Arc::new(Inbox::new(|| {})), None);
    let ends = [false, true].map(|listens| {
        let options = HandedOptions {
            server: listens.then_some(0),
            connection: ConnectionOptions::default(),
            ..HandedOptions::default()
        };
        engine.carry(u32::from(listens), options).expect("a thread")
    });
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut collector = Collector::default();
    let open = testing::open(ends[0].0.id);
    ends[0].0.submit(&open, &mut collector);
    let is_known = |end: usize| ends[end].0.totals().peer == crate::proto::PeerKind::New;
    while !is_known(0) || !is_known(1) {
        assert!(
            Instant::now() < deadline,
            "they do not get to know each other"
        );
        if carry(&ends) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    ends[0].1.fail();
    ends[1].1.deliver_end();
    while ends
        .iter()
        .any(|(connection, _)| connection.lock().socket.is_some())
    {
        assert!(Instant::now() < deadline, "they do not end");
        ends[1].0.stop(crate::driver::Stop::Close);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_ne!(ends[0].1.take(&mut [0; 10]).bits & carried::OVER, 0);
}
