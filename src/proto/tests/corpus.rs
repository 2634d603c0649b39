//! The bodies of the fuzz targets, run as ordinary tests: over the corpora that are kept, and over a few random inputs.
//!
//! `cargo test --no-default-features --lib corpus -- --ignored` writes the inputs that are made and not found.

use super::bodies::TARGETS;
use super::choices::Choices;
use super::pair::{End, Pair, speaking};
use super::proto::*;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Random inputs for each target.
const RANDOM: u64 = 150;

fn folder(target: &str) -> PathBuf {
    let fuzz = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    fuzz.join("corpus").join(target)
}

/// Runs over the inputs that are kept for a target.
pub fn each_kept(target: &str, body: impl Fn(&[u8])) {
    let mut files: Vec<PathBuf> = fs::read_dir(folder(target))
        .expect("each target has a corpus")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    files.sort();
    assert!(files.len() >= 5, "the corpus of {target} is missing");
    for file in files {
        // Captured, and shown where the input fails.
        println!("{}", file.display());
        body(&fs::read(file).expect("a readable file"));
    }
}

fn run(name: &str) {
    let &(_, body) = TARGETS
        .iter()
        .find(|(target, _)| *target == name)
        .expect("a target");
    each_kept(name, body);
    for seed in 0..RANDOM {
        println!("seed {seed}");
        let mut choices = Choices::Seed(seed);
        let length = choices.size(2000);
        let input: Vec<u8> = (0..length).map(|_| choices.size(255) as u8).collect();
        body(&input);
    }
}

#[test]
fn records() {
    run("records");
}

#[test]
fn legacy() {
    run("legacy");
}

#[test]
fn negotiation() {
    run("negotiation");
}

#[test]
fn sessions() {
    run("sessions");
}

/// All that both ends of a connection say to each other while they do a bit of everything.
fn conversation(client: Protocol, server: Protocol) -> [Vec<u8>; 2] {
    let mut pair = Pair::new(speaking(client), speaking(server));
    let mut said = [Vec::new(), Vec::new()];
    pair.client.open(0, "{\"a\":1}");
    for round in 0..12 {
        if round % 4 == 0 {
            pair.server.open(round, "[2]");
            pair.client.open(round + 1, "null");
        }
        for (end, said) in [&mut pair.client, &mut pair.server]
            .into_iter()
            .zip(&mut said)
        {
            act(end, round);
            end.send(pair.now, usize::MAX);
            said.extend_from_slice(&end.wire);
        }
        let up = std::mem::take(&mut pair.client.wire);
        let down = std::mem::take(&mut pair.server.wire);
        // One of them closes at last.
        if pair.server.receive(&up).is_err() || pair.client.receive(&down).is_err() {
            break;
        }
        pair.advance(Duration::from_millis(60));
    }
    said
}

fn act(end: &mut End, round: u32) {
    use super::pair::Seen;
    for event in end.seen() {
        match event {
            Seen::Stream(stream, _, _) if stream.slot() == 2 => {
                end.session.refuse(stream, 300, &mut end.log);
            }
            Seen::Stream(stream, ..) => {
                end.accept(stream);
                end.write(stream, b"back");
            }
            Seen::Opened(stream, _) => {
                end.write(stream, &[round as u8; 100]);
                end.write(stream, b"");
                match stream.slot() {
                    0 => end.finish(stream, None),
                    1 => end.finish(stream, Some("{\"v\":[]}")),
                    4 => end.session.reset(stream, 70, &mut end.log),
                    _ => end.session.stop(stream, 9, &mut end.log),
                }
            }
            Seen::End(stream, _) | Seen::Reset(stream, _) => end.finish(stream, Some("[1]")),
            Seen::Closed(stream) if !stream.is_local() => end.session.forget(stream),
            _ => {}
        }
    }
    match round {
        5 => end.session.ping(1, end.now),
        7 => end.session.go_away(),
        9 => end.session.close(5, true, "done"),
        _ => {}
    }
}

fn keep(target: &str, name: &str, flags: u8, cuts: u8, rest: &[u8]) {
    let input = [&[flags, cuts], rest].concat();
    fs::create_dir_all(folder(target)).expect("a folder to write to");
    fs::write(folder(target).join(name), input).expect("a file to write to");
}

/// Offers and first flights of a connecting end, with each protocol.
fn starts() -> Vec<(&'static str, Vec<u8>)> {
    [
        ("auto", Protocol::Auto),
        ("legacy", Protocol::Legacy),
        ("qmux", Protocol::Qmux),
    ]
    .into_iter()
    .map(|(name, protocol)| {
        let mut end = End::new(
            Side::Connecting,
            3,
            Config {
                protocol,
                ..Config::default()
            },
        );
        end.open(0, "{}");
        end.data(0, b"first");
        end.send(Instant::now(), usize::MAX);
        (name, end.wire)
    })
    .collect()
}

#[test]
#[ignore = "it writes to the source tree"]
fn write_the_corpora() {
    let [up, down] = conversation(Protocol::Legacy, Protocol::Legacy);
    for (name, said, flags) in [("client", &up, 1), ("server", &down, 0)] {
        for cuts in 0..3 {
            keep("legacy", &format!("{name}-{cuts}"), flags, cuts, said);
            keep(
                "legacy",
                &format!("{name}-open-{cuts}"),
                flags | 8,
                cuts,
                said,
            );
        }
    }
    let frames = b"\x04\x00\x02{}\x05\x00\x00abc\x06\x00\x01[1]\x06\x00\x03null\x06\x00\x04null";
    keep("legacy", "frames", 0b101, 5, frames);
    let [up, down] = conversation(Protocol::Qmux, Protocol::Qmux);
    for (name, said, flags) in [("client", &up, 1), ("server", &down, 8)] {
        for cuts in 0..3 {
            keep("records", &format!("{name}-{cuts}"), flags, cuts, said);
        }
    }
    // STREAM with meta and data, RESET_STREAM, STOP_SENDING, MAX_DATA, MAX_STREAM_DATA, MAX_STREAMS, BLOCKED, PADDING,
    // QX_PING, an offset, and CONNECTION_CLOSE, a record each.
    let frames: [&[u8]; 12] = [
        b"\x0a\x00\x05\x02{}ab",
        b"\x38\x00cd",
        b"\x04\x00\x00\x04",
        b"\x05\x00\x00",
        b"\x10\x44\x00",
        b"\x11\x00\x44\x00",
        b"\x12\x44\x00",
        b"\x14\x00\x15\x00\x00\x16\x00",
        b"\x00\x00\x00",
        b"\xf4\x8c\x67\x52\x9e\xf8\xc7\xbd\x00",
        b"\x0f\x04\x00\x01\x00",
        b"\x1d\x05\x00",
    ];
    let mut rest = Vec::new();
    for frame in frames {
        rest.push(frame.len() as u8);
        rest.extend(frame);
        keep(
            "records",
            &format!("frames-{}", rest.len()),
            0b111,
            2,
            &rest,
        );
        keep(
            "records",
            &format!("frames-open-{}", rest.len()),
            0b1110,
            0,
            &rest,
        );
    }
    for (name, start) in starts() {
        keep("negotiation", &format!("start-{name}"), 1, 2, &start);
        keep(
            "negotiation",
            &format!("start-{name}-qmux"),
            0b1001,
            0,
            &start,
        );
    }
    let [up, down] = conversation(Protocol::Auto, Protocol::Auto);
    keep("negotiation", "client", 1, 3, &up);
    keep("negotiation", "server", 0, 3, &down);
    for flags in [0b000100, 0b000101, 0b000110, 0b100101, 0b100100, 0b100111] {
        keep("negotiation", &format!("true-{flags}"), flags, 1, &[]);
        for at in 0..4 {
            let edit = [0, at * 11, at, 0x41];
            keep(
                "negotiation",
                &format!("edit-{flags}-{at}"),
                flags,
                0,
                &edit,
            );
        }
    }
    for seed in 0..24u64 {
        let mut choices = Choices::Seed(seed);
        let length = 100 + choices.below(1200);
        let input: Vec<u8> = (0..length).map(|_| choices.below(256) as u8).collect();
        keep(
            "sessions",
            &format!("seed-{seed}"),
            input[0],
            input[1],
            &input[2..],
        );
    }
}
