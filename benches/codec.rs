//! What one frame costs, out and in: `cargo bench --no-default-features --bench codec`.
//!
//! | name | one iteration |
//! |---|---|
//! | `encode/64B`, `/1KiB`, `/64KiB` | 256 KiB of payload through `Session::data` into the outbox, taken and done |
//! | `decode/64B`, `/1KiB`, `/64KiB` | a read of 256 KiB of such frames through `Session::receive`, as the driver cuts it |
//! | `decode-split/64B` | a few frames, cut in two at each place there is |
//! | `json/22B`, `/1KiB`, `/64KiB` | one JSON frame of that length, through the check and the decoder |
//!
//! Encoding copies payloads, so its bytes count too; decoding copies none, and only frames count. The names are the keys
//! of saved baselines: they stay.

mod common;

use common::{Counts, connected, receive, send, send_to};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Instant;
use tcp_stream_muxer::proto::{Handle, Session};

/// What the driver reads at once, and what a session encodes ahead.
const READ: usize = 256 << 10;

/// What the driver gives the session at once.
const SLICE: usize = 64 << 10;

const SIZES: [(&str, usize); 3] = [("64B", 64), ("1KiB", 1 << 10), ("64KiB", 64 << 10)];

/// Frames of the split case: enough that whole ones stand on both sides of most cuts.
const SPLIT_FRAMES: usize = 8;

/// Type of a frame of JSON data; nothing of ours sends one, so its bytes stand here.
const JSON: u8 = 1;

const STREAM: Handle = Handle(0);

fn payload(size: usize) -> Vec<u8> {
    (0..size).map(|at| at as u8).collect()
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for (name, size) in SIZES {
        let mut client = connected(1).client;
        let bytes = payload(size);
        let frames = READ / size;
        let now = Instant::now();
        let mut sink = Counts::default();
        group.throughput(Throughput::ElementsAndBytes {
            elements: frames as u64,
            bytes: READ as u64,
        });
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                for _ in 0..frames {
                    client.data(STREAM, black_box(&bytes), &mut sink);
                }
                send(&mut client, now, &mut sink, |slices| {
                    black_box(slices);
                });
            });
        });
    }
    group.finish();
}

/// What `frames` messages of `size` bytes look like on the wire, and the session that is to receive them.
fn wire(frames: usize, size: usize) -> (Session, Vec<u8>) {
    let mut pair = connected(1);
    let bytes = payload(size);
    let mut wire = Vec::new();
    let mut sink = Counts::default();
    for _ in 0..frames {
        pair.client.data(STREAM, &bytes, &mut sink);
    }
    send_to(&mut pair.client, Instant::now(), &mut sink, &mut wire);
    (pair.server, wire)
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for (name, size) in SIZES {
        let frames = READ / size;
        let (mut server, wire) = wire(frames, size);
        group.throughput(Throughput::Elements(frames as u64));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                let mut sink = Counts::default();
                for slice in black_box(&wire[..]).chunks(SLICE) {
                    receive(&mut server, slice, &mut sink);
                }
                assert_eq!(sink.bytes, (frames * size) as u64);
                sink.events
            });
        });
    }
    group.finish();
}

fn decode_split(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode-split");
    let (name, size) = SIZES[0];
    let (mut server, wire) = wire(SPLIT_FRAMES, size);
    let frames = ((wire.len() - 1) * SPLIT_FRAMES) as u64;
    group.throughput(Throughput::Elements(frames));
    group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
        bencher.iter(|| {
            let mut sink = Counts::default();
            for cut in 1..wire.len() {
                let (head, tail) = black_box(&wire[..]).split_at(cut);
                receive(&mut server, head, &mut sink);
                receive(&mut server, tail, &mut sink);
            }
            assert_eq!(sink.events, frames);
            sink.bytes
        });
    });
    group.finish();
}

/// A JSON text of about `length` bytes, of what metas are made of.
fn text(length: usize) -> String {
    const ENTRY: &str = r#"{"name":"a \"b\"","n":1}"#;
    if length < 2 * ENTRY.len() {
        return r#"{"path":"/a","size":9}"#.to_owned();
    }
    let entries = vec![ENTRY; length / (ENTRY.len() + 1)];
    format!("[{}]", entries.join(","))
}

fn json(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("json");
    for (name, length) in [("22B", 22), ("1KiB", 1 << 10), ("64KiB", 64 << 10)] {
        let (mut server, data) = wire(1, 0);
        let text = text(length);
        // The id that the stream was given stands in its data frames.
        let mut frame = (6 + text.len() as u32).to_be_bytes().to_vec();
        frame.extend([data[4], JSON]);
        frame.extend(text.as_bytes());
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                let mut sink = Counts::default();
                receive(&mut server, black_box(&frame), &mut sink);
                assert_eq!(sink.bytes, text.len() as u64);
                sink.events
            });
        });
    }
    group.finish();
}

criterion_group!(benches, encode, decode, decode_split, json);
criterion_main!(benches);
