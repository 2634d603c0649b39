//! What one frame costs, out and in: `cargo bench --no-default-features --bench codec`.
//!
//! | name | one iteration |
//! |---|---|
//! | `encode/64B`, `/1KiB`, `/64KiB` | 256 KiB of payload through `Session::data` into the outbox, taken and done |
//! | `decode/64B`, `/1KiB`, `/64KiB` | a read of 256 KiB of such frames through `Session::receive`, as the driver cuts it |
//! | `encode-qmux/…`, `decode-qmux/…` | the same on QMux |
//! | `decode-split/64B` | a few frames, cut in two at each place there is |
//! | `json/22B`, `/1KiB`, `/64KiB` | one JSON frame of that length, through the check and the decoder |
//!
//! Encoding copies payloads, so its bytes count too; decoding copies none, and only frames count. The names are the keys
//! of saved baselines: they stay.

mod common;

use common::{Counts, Pair, connected, receive, send, send_to};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use tcp_stream_muxer::proto::{Handle, Protocol};

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

/// What the names of the wires' groups end in.
const WIRES: [(&str, Protocol); 2] = [("", Protocol::Legacy), ("-qmux", Protocol::Qmux)];

fn payload(size: usize) -> Vec<u8> {
    (0..size).map(|at| at as u8).collect()
}

fn encode(criterion: &mut Criterion) {
    for (suffix, protocol) in WIRES {
        let mut group = criterion.benchmark_group(format!("encode{suffix}"));
        for (name, size) in SIZES {
            let mut pair = connected(protocol, 1);
            let bytes = payload(size);
            let frames = READ / size;
            let mut sink = Counts::default();
            group.throughput(Throughput::ElementsAndBytes {
                elements: frames as u64,
                bytes: READ as u64,
            });
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter(|| {
                    for _ in 0..frames {
                        pair.client.data(STREAM, black_box(&bytes), &mut sink);
                    }
                    send(&mut pair.client, pair.now, &mut sink, |slices| {
                        black_box(slices);
                    });
                });
            });
        }
        group.finish();
    }
}

/// What `frames` messages of `size` bytes look like on the wire, and the ends, of which the server is to receive them.
fn wire(protocol: Protocol, frames: usize, size: usize) -> (Pair, Vec<u8>) {
    let mut pair = connected(protocol, 1);
    let bytes = payload(size);
    let mut wire = Vec::new();
    let mut sink = Counts::default();
    for _ in 0..frames {
        pair.client.data(STREAM, &bytes, &mut sink);
    }
    send_to(&mut pair.client, pair.now, &mut sink, &mut wire);
    (pair, wire)
}

fn decode(criterion: &mut Criterion) {
    for (suffix, protocol) in WIRES {
        let mut group = criterion.benchmark_group(format!("decode{suffix}"));
        for (name, size) in SIZES {
            let frames = READ / size;
            let (mut pair, wire) = wire(protocol, frames, size);
            group.throughput(Throughput::Elements(frames as u64));
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter(|| {
                    let mut sink = Counts::default();
                    for slice in black_box(&wire[..]).chunks(SLICE) {
                        receive(&mut pair.server, slice, pair.now, &mut sink);
                    }
                    assert_eq!(sink.bytes, (frames * size) as u64);
                    sink.events
                });
            });
        }
        group.finish();
    }
}

fn decode_split(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode-split");
    let (name, size) = SIZES[0];
    let (mut pair, wire) = wire(Protocol::Legacy, SPLIT_FRAMES, size);
    let frames = ((wire.len() - 1) * SPLIT_FRAMES) as u64;
    group.throughput(Throughput::Elements(frames));
    group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
        bencher.iter(|| {
            let mut sink = Counts::default();
            for cut in 1..wire.len() {
                let (head, tail) = black_box(&wire[..]).split_at(cut);
                receive(&mut pair.server, head, pair.now, &mut sink);
                receive(&mut pair.server, tail, pair.now, &mut sink);
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
        let (mut pair, data) = wire(Protocol::Legacy, 1, 0);
        let text = text(length);
        // The id that the stream was given stands in its data frames.
        let mut frame = (6 + text.len() as u32).to_be_bytes().to_vec();
        frame.extend([data[4], JSON]);
        frame.extend(text.as_bytes());
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                let mut sink = Counts::default();
                receive(&mut pair.server, black_box(&frame), pair.now, &mut sink);
                assert_eq!(sink.bytes, text.len() as u64);
                sink.events
            });
        });
    }
    group.finish();
}

criterion_group!(benches, encode, decode, decode_split, json);
criterion_main!(benches);
