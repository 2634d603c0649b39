//! What many streams cost: `cargo bench --no-default-features --bench scheduler`.
//!
//! | name | one iteration |
//! |---|---|
//! | `round/off`, `/on` | 100 streams write 64 bytes each in turn, ten times; all is sent, without and with pacing |
//! | `round/qmux` | the same on QMux |
//! | `cycle/64`, `cycle-qmux/64` | 64 streams opened, acknowledged, ended and forgotten, between two sessions in memory |
//!
//! With pacing on, the clock is advanced instead of waited for. The names are the keys of saved baselines: they stay.

mod common;

use common::{Counts, Pair, Streams, connected, send};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use tcp_stream_muxer::proto::{Config, Handle, Protocol, Session, Side};

const STREAMS: u32 = 100;
const ROUNDS: u32 = 10;
const AT_ONCE: u32 = 64;

/// A sender to whom nobody answers: on the legacy wire a stream may be written to at once.
fn legacy_sender(paced: bool) -> Pair {
    let config = Config {
        peer_new: !paced,
        ..common::config(Protocol::Legacy)
    };
    let mut pair = connected(Protocol::Legacy, 0);
    pair.client = Session::new(config, Side::Connecting, [1; 8], pair.now);
    for slot in 0..STREAMS {
        pair.client
            .open(Handle::local(slot), b"null", &mut Counts::default());
    }
    pair
}

/// Sends until nothing is queued, and advances the clock where the pacing asks for that.
fn send_all(pair: &mut Pair, sink: &mut Counts) {
    let session = &mut pair.client;
    loop {
        send(session, pair.now, sink, |slices| {
            black_box(slices);
        });
        let Some(deadline) = session.deadline().filter(|_| session.wants_look()) else {
            break;
        };
        pair.now = deadline;
        session
            .timeout(pair.now, 0)
            .expect("no peer is waited for here");
    }
    assert_eq!(session.queued(), 0);
}

fn round(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("round");
    let payload = [7; 64];
    let senders = [
        ("off", legacy_sender(false)),
        ("on", legacy_sender(true)),
        ("qmux", connected(Protocol::Qmux, STREAMS)),
    ];
    for (name, mut pair) in senders {
        let mut sink = Counts::default();
        group.throughput(Throughput::Elements(u64::from(STREAMS * ROUNDS)));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                for _ in 0..ROUNDS {
                    for slot in 0..STREAMS {
                        pair.client
                            .data(Handle::local(slot), black_box(&payload), &mut sink);
                    }
                }
                send_all(&mut pair, &mut sink);
            });
        });
    }
    group.finish();
}

fn cycle(criterion: &mut Criterion) {
    for (name, protocol) in [("cycle", Protocol::Legacy), ("cycle-qmux", Protocol::Qmux)] {
        let mut group = criterion.benchmark_group(name);
        let mut pair = connected(protocol, 0);
        group.throughput(Throughput::Elements(AT_ONCE.into()));
        group.bench_function(BenchmarkId::from_parameter(AT_ONCE), |bencher| {
            bencher.iter(|| one_cycle(&mut pair));
        });
        group.finish();
    }
}

fn one_cycle(pair: &mut Pair) {
    let (mut at_client, mut at_server) = (Streams::default(), Streams::default());
    for slot in 0..AT_ONCE {
        let stream = Handle::local(slot);
        pair.client
            .open(stream, br#"{"path":"/a","size":9}"#, &mut at_client);
    }
    pair.exchange(&mut at_client, &mut at_server);
    for &stream in &at_server.arrived {
        pair.server.accept(stream, &mut Counts::default());
        // Nothing on the legacy wire, where an acceptor has no half of its own.
        pair.server.end(stream, None, &mut Counts::default());
    }
    pair.exchange(&mut at_client, &mut at_server);
    for stream in std::mem::take(&mut at_client.opened) {
        pair.client.end(stream, None, &mut at_client);
    }
    pair.exchange(&mut at_client, &mut at_server);
    let closed = at_client.closed.len().min(at_server.closed.len());
    assert_eq!(closed, AT_ONCE as usize);
    for &stream in &at_server.closed {
        pair.server.forget(stream);
    }
}

criterion_group!(benches, round, cycle);
criterion_main!(benches);
