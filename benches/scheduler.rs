//! What many streams cost: `cargo bench --no-default-features --bench scheduler`.
//!
//! | name | one iteration |
//! |---|---|
//! | `round/off`, `/on` | 100 streams write 64 bytes each in turn, ten times; all is sent, without and with pacing |
//! | `cycle/64` | 64 streams opened, acknowledged, ended and forgotten, between two sessions in memory |
//!
//! With pacing on, the clock is advanced instead of waited for. The names are the keys of saved baselines: they stay.

mod common;

use common::{Counts, Streams, connected, receive, send, send_to};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Instant;
use tcp_stream_muxer::proto::{Config, Handle, Session, Side};

const STREAMS: u32 = 100;
const ROUNDS: u32 = 10;
const AT_ONCE: u32 = 64;

/// A sender towards an old peer, or one that is known to be new. Nobody answers: a stream may be written to at once.
fn sender(paced: bool) -> Session {
    let config = Config {
        offer: false,
        peer_new: !paced,
        ..Config::default()
    };
    let mut session = Session::new(config, Side::Connecting, [1; 8]);
    for slot in 0..STREAMS {
        session.open(Handle::local(slot), b"null", &mut Counts::default());
    }
    session
}

/// Sends until nothing is queued, and advances the clock where the pacing asks for that.
fn send_all(session: &mut Session, now: &mut Instant, sink: &mut Counts) {
    loop {
        send(session, *now, sink, |slices| {
            black_box(slices);
        });
        let Some(deadline) = session.deadline() else {
            break;
        };
        *now = deadline;
        session.look(*now, 0);
    }
    assert_eq!(session.queued(), 0);
}

fn round(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("round");
    let payload = [7; 64];
    for (name, paced) in [("off", false), ("on", true)] {
        let mut session = sender(paced);
        let mut now = Instant::now();
        let mut sink = Counts::default();
        group.throughput(Throughput::Elements(u64::from(STREAMS * ROUNDS)));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                for _ in 0..ROUNDS {
                    for slot in 0..STREAMS {
                        session.data(Handle::local(slot), black_box(&payload), &mut sink);
                    }
                }
                send_all(&mut session, &mut now, &mut sink);
            });
        });
    }
    group.finish();
}

fn cycle(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cycle");
    let mut pair = connected(0);
    let now = Instant::now();
    let (mut at_client, mut at_server) = (Streams::default(), Streams::default());
    let (mut up, mut down) = (Vec::new(), Vec::new());
    group.throughput(Throughput::Elements(AT_ONCE.into()));
    group.bench_function(BenchmarkId::from_parameter(AT_ONCE), |bencher| {
        bencher.iter(|| {
            for slot in 0..AT_ONCE {
                let stream = Handle::local(slot);
                pair.client
                    .open(stream, br#"{"path":"/a","size":9}"#, &mut at_client);
            }
            send_to(&mut pair.client, now, &mut at_client, &mut up);
            receive(&mut pair.server, &up, &mut at_server);
            for stream in at_server.arrived.drain(..) {
                pair.server.accept(stream, &mut Counts::default());
            }
            send_to(&mut pair.server, now, &mut at_server, &mut down);
            receive(&mut pair.client, &down, &mut at_client);
            up.clear();
            down.clear();
            let opened = std::mem::take(&mut at_client.opened);
            for &stream in &opened {
                pair.client.end(stream, None, &mut at_client);
            }
            send_to(&mut pair.client, now, &mut at_client, &mut up);
            receive(&mut pair.server, &up, &mut at_server);
            up.clear();
            let closed = at_client.closed.len().min(at_server.closed.len());
            assert_eq!(closed, AT_ONCE as usize);
            for stream in at_server.closed.drain(..) {
                pair.server.forget(stream);
            }
            at_client.closed.clear();
            at_client.opened = opened;
            at_client.opened.clear();
        });
    });
    group.finish();
}

criterion_group!(benches, round, cycle);
criterion_main!(benches);
